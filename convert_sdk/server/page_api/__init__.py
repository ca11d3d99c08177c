"""The endpoints of the page: everything that it shows and does, as JSON and streams of events."""

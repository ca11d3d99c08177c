"""The document of the Serving API as typed, read-only models."""

"""The demonstration of experiments: a shop's visitors, a server that may fail, and the figures of both ends."""

"""The processes of tests/processes.py, by their older name."""

from tests.processes import finished

__all__ = ["finished"]

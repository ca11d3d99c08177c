"""The threads of clients in this process."""

from __future__ import annotations

import threading


def client_threads() -> set[threading.Thread]:
    """Those that run now; one of an earlier test may end at any moment."""
    return {each for each in threading.enumerate() if each.name.startswith("convert_sdk")}

"""The command `convert-sdk`; it needs the extras `cli` and, to serve and to demonstrate, `server`."""

from __future__ import annotations

import sys

_OF_EXTRAS = frozenset({"rich", "starlette", "typer", "uvicorn"})


def main() -> None:
    """Run the command line of this process; a missing extra is one line, not a traceback."""
    try:
        from .app import app

        app()
    except ModuleNotFoundError as error:
        missing = (error.name or "").partition(".")[0]
        if missing not in _OF_EXTRAS:
            raise
        sys.exit(f"{missing} is not installed: pip install 'convert-sdk[cli,server]'")

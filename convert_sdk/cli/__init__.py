"""The command `convert-sdk`; it needs the extras `cli`, to serve and to demonstrate `server`, for tables `duckdb`."""

from __future__ import annotations

import sys
from io import TextIOWrapper

_SHELL = "cli,server"
_TABLES = "cli,duckdb"
_EXTRAS = {
    **dict.fromkeys(("rich", "starlette", "typer", "uvicorn"), _SHELL),
    **dict.fromkeys(("duckdb", "numpy", "pyarrow"), _TABLES),
    "itsdangerous": "signing",
    "scipy": "stats",
}
"""Packages, and the extras that install them."""


def main() -> None:
    """Run the command line of this process; a missing extra, and a file that fails, is one line, not a traceback."""
    if isinstance(sys.stdout, TextIOWrapper):  # a terminal may lack the letters of a key
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        from .app import app

        app()
    except ModuleNotFoundError as error:
        missing = (error.name or "").partition(".")[0]
        if missing not in _EXTRAS:
            raise
        sys.exit(f"{missing} is not installed: pip install 'convert-sdk[{_EXTRAS[missing]}]'")
    except OSError as error:
        print(
            f"error: {f'{error.filename}: ' if error.filename else ''}{error.strerror or error}",
            file=sys.stderr,
        )
        sys.exit(2)

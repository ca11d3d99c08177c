"""A file that is replaced in one step: whoever reads it sees the old one or the new one, whole."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from tempfile import mkstemp


def replace_file(path: Path, body: bytes, mode: int = 0o600) -> None:
    """Put a file in the place of another one, or of none; raises OSError and leaves the old one.

    Args:
        path: The file; its folder must be there.
        body: The new content.
        mode: The rights of the new file.
    """
    descriptor, draft = mkstemp(dir=path.parent, prefix=f".{path.name[:100]}.")  # for the owner alone
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(body)
            if mode != 0o600 and hasattr(os, "fchmod"):
                os.fchmod(file.fileno(), mode)
        Path(draft).replace(path)
    except BaseException:
        with suppress(OSError):
            Path(draft).unlink()
        raise

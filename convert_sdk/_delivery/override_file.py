"""The file of a client's overrides: read at the start, looked at by whoever fetches, never in a request."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from convert_sdk._process.file_version import FileVersion, file_version
from convert_sdk.errors import DocumentError, OptionError

from .stats import Level, Notice

if TYPE_CHECKING:
    from convert_sdk.options import Options

    from .engine import Engine

LOOK_EVERY = 1.0
"""Seconds between two looks at the file."""
LOCAL_ONLY = "override_mode is local_only, and fetches nothing"
OverrideMode = Literal["local_over_remote", "remote_over_local", "local_only"]


class OverrideFile:
    """The overrides of a file, kept in force as they stand there.

    A file that cannot be read, or is no JSON or TOML, leaves the last good overrides in force; one that is deleted
    ends them. Each is said once.

    Args:
        path: A file of JSON, or of TOML if its name says so.
        mode: The option `override_mode`.
        engine: For whose visitors they hold, and to whose notices lines for the log are added.
    """

    def __init__(self, path: str, mode: OverrideMode, engine: Engine) -> None:
        self._path = Path(path).expanduser()
        self._mode = mode
        self._engine = engine
        self._version: FileVersion | None = None
        self._was_missing = False
        self._said: str | None = None
        self.reset_locks()

    def reset_locks(self) -> None:
        """Make a new lock; for a time at which nobody holds the old one."""
        self._lock = threading.RLock()

    def look(self) -> None:
        """Read the file again if it has changed since it was read; two looks in a row must find it gone."""
        version = file_version(self._path)
        if version is not None:
            self._was_missing = False
            if version != self._version:
                self.load()
        elif self._was_missing:
            self.load()
        else:
            self._was_missing = True

    def load(self) -> tuple[str, ...]:
        """Read the file now; returns what is wrong, one sentence each, which begins with the place."""
        with self._lock:
            self._version = file_version(self._path)
            try:
                content = self._path.read_bytes()
            except OSError as error:
                if isinstance(error, FileNotFoundError):
                    self._engine.overrides.set_file(())
                text = f"the overrides in {self._path.name} cannot be read: {error.strerror}"
                self._say("warning", text)
                return (text,)
            return self._accept(content)

    def _accept(self, content: bytes) -> tuple[str, ...]:
        from convert_sdk._config.override_file import Origin, read_overrides

        name = self._path.name
        try:
            read = read_overrides(content, self._path.suffix, Origin(name, self._mode == "remote_over_local"))
        except DocumentError as error:
            self._say("warning", f"the overrides in {name} cannot be used: {error}")
            return (str(error),)
        self._engine.overrides.set_file(read.overrides)
        problems = "".join(f"; {each}" for each in read.problems)
        count = len(read.overrides)
        if count or problems:
            self._say("warning", f"{count} override{'' if count == 1 else 's'} of {name} in force{problems}")
        else:
            self._say("info", f"no overrides in {name}")
        return read.problems

    def _say(self, level: Level, text: str) -> None:
        """Add it to the lines for the log, unless it was the last thing that was said."""
        if text != self._said:
            self._said = text
            self._engine.notices.append(Notice(level, text))


def override_file(options: Options, engine: Engine) -> OverrideFile | None:
    """The file of a client's overrides; None without one."""
    return (
        None if options.overrides is None else OverrideFile(options.overrides, options.override_mode, engine)
    )


def reloadable(file: OverrideFile | None) -> OverrideFile:
    """The file, to be read now. Raises OptionError where there is none."""
    if file is None:
        raise OptionError("there is no file of overrides: give it as overrides=, or set CONVERT_OVERRIDES")
    return file

"""The extras of the package: modules that need more than the package alone say which one installs it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def needs_extra(module: str, extra: str, *packages: str) -> Iterator[None]:
    """Name the extra where one of its packages is not installed; a ModuleNotFoundError, as without this.

    >>> with needs_extra("convert_sdk.stores.redis", "redis", "no_such_package"):
    ...     import no_such_package
    Traceback (most recent call last):
    ModuleNotFoundError: convert_sdk.stores.redis needs the extra redis, ...: pip install "convert-sdk[redis]"
    """
    try:
        yield
    except ModuleNotFoundError as error:
        missing = (error.name or "").partition(".")[0]
        if missing not in packages:
            raise
        advice = f'{module} needs the extra {extra}, as {missing} is not installed: pip install "convert-sdk[{extra}]"'
        raise ModuleNotFoundError(advice, name=error.name) from error

"""Stores of visitors: in memory, in a file for one host, in Redis for many.

`SqliteStore` is in `convert_sdk.stores.sqlite`; `RedisStore` and `AsyncRedisStore` are in
`convert_sdk.stores.redis`, which needs the extra `convert-sdk[redis]`.

    >>> store = MemoryStore()
    >>> store.save(Changes("1-2-visitor", bucketing={"100": "one"})).bucketing["100"]
    'one'
    >>> store.save(Changes("1-2-visitor", bucketing={"100": "two"})).bucketing["100"]
    'one'
"""

from __future__ import annotations

from typing import Protocol

from convert_sdk._core.state import Changes as Changes
from convert_sdk._core.state import VisitorState as VisitorState
from convert_sdk._core.state import Winners as Winners

from .memory import MemoryStore as MemoryStore


class Store(Protocol):
    """A memory of visitors between requests; threads may share it.

    The first decision on an experience and the first claim on a goal win, the last segments and
    locations do. Every method raises `StoreError`, and nothing else, when the store cannot answer:
    then everybody waits. Where only this visitor's state can be neither read nor replaced, `save`
    raises `VisitorStateError`, and the others are saved.
    """

    @property
    def shared(self) -> bool:
        """True if every process that serves these visitors sees the same memory."""
        ...

    def load(self, key: str) -> VisitorState | None:
        """The visitor's state, for the caller to keep; None for a stranger."""
        ...

    def save(self, changes: Changes) -> Winners:
        """Remember the changes in one atomic step and say which decisions and claims stand."""
        ...

    def close(self) -> None:
        """Let go of files and connections; closing twice is fine."""
        ...


class AsyncStore(Protocol):
    """A `Store` for an event loop: the same contract, awaited."""

    @property
    def shared(self) -> bool:
        """True if every process that serves these visitors sees the same memory."""
        ...

    async def load(self, key: str) -> VisitorState | None:
        """The visitor's state, for the caller to keep; None for a stranger."""
        ...

    async def save(self, changes: Changes) -> Winners:
        """Remember the changes in one atomic step and say which decisions and claims stand."""
        ...

    async def close(self) -> None:
        """Let go of connections; closing twice is fine."""
        ...

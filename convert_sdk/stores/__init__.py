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

from typing import Protocol, runtime_checkable

from convert_sdk._core.state import Changes as Changes
from convert_sdk._core.state import ForgottenState as ForgottenState
from convert_sdk._core.state import VisitorState as VisitorState
from convert_sdk._core.state import Winners as Winners

from .memory import MemoryStore as MemoryStore


class Store(Protocol):
    """A memory of visitors between requests; threads may share it.

    The first decision on an experience and the first claim on a goal win, the last segments and
    locations do. Every method raises `StoreError`, and nothing else, when the store cannot answer:
    then everybody waits. Where only this visitor's state can be neither read nor replaced, `save`
    raises `VisitorStateError`, and the others are saved.

    >>> class EveryoneIsNew:
    ...     shared = False
    ...     def load(self, key: str) -> VisitorState | None:
    ...         return None
    ...     def save(self, changes: Changes) -> Winners:
    ...         return Winners(changes.bucketing, changes.goals)
    ...     def close(self) -> None: ...
    >>> Client("10035569/10034190", store=EveryoneIsNew())
    Client()
    """

    @property
    def shared(self) -> bool:
        """True if every process that serves these visitors sees the same memory.

        >>> store: Store = MemoryStore()
        >>> store.shared
        False
        """
        ...

    def load(self, key: str) -> VisitorState | None:
        """The visitor's state, for the caller to keep; None for a stranger.

        >>> store: Store = MemoryStore()
        >>> store.load("1-2-stranger") is None
        True
        """
        ...

    def save(self, changes: Changes) -> Winners:
        """Remember the changes in one atomic step and say which decisions and claims stand.

        >>> store: Store = MemoryStore()
        >>> store.save(Changes("1-2-visitor", goals={"7": "a-claim"})).goals
        {'7': 'a-claim'}
        """
        ...

    def close(self) -> None:
        """Let go of files and connections; closing twice is fine.

        >>> store: Store = MemoryStore()
        >>> store.close()
        """
        ...


@runtime_checkable
class ForgettingStore(Store, Protocol):
    """A `Store` that can forget a visitor, as those of this package can; an application's own need not.

    >>> isinstance(MemoryStore(), ForgettingStore)
    True
    """

    def delete(self, key: str) -> int:
        """Forget the visitor, and for a day what processes had remembered before it.

        Returns:
            The time of it in milliseconds since the epoch, later than any before. For a day `load` gives a
            `ForgottenState` that tells it, and `save` keeps only changes that carry it (`Changes.forgotten`); others
            are answered as if all of them had won.

        >>> store = MemoryStore()
        >>> moment = store.delete("1-2-visitor")
        >>> store.save(Changes("1-2-visitor", bucketing={"100": "from before"})).bucketing["100"]
        'from before'
        >>> store.load("1-2-visitor")
        VisitorState(0 decisions, 0 goals)
        """
        ...


class AsyncStore(Protocol):
    """A `Store` for an event loop: the same contract, awaited.

    >>> class EveryoneIsNew:
    ...     shared = False
    ...     async def load(self, key: str) -> VisitorState | None:
    ...         return None
    ...     async def save(self, changes: Changes) -> Winners:
    ...         return Winners(changes.bucketing, changes.goals)
    ...     async def close(self) -> None: ...
    >>> from convert_sdk import AsyncClient
    >>> AsyncClient("10035569/10034190", store=EveryoneIsNew())
    AsyncClient()
    """

    @property
    def shared(self) -> bool:
        """True if every process that serves these visitors sees the same memory.

        >>> def several_processes(store: AsyncStore) -> bool:
        ...     return store.shared
        """
        ...

    async def load(self, key: str) -> VisitorState | None:
        """The visitor's state, for the caller to keep; None for a stranger.

        >>> async def is_known(store: AsyncStore) -> bool:
        ...     return await store.load("1-2-visitor") is not None
        """
        ...

    async def save(self, changes: Changes) -> Winners:
        """Remember the changes in one atomic step and say which decisions and claims stand.

        >>> async def claim(store: AsyncStore) -> str:
        ...     return (await store.save(Changes("1-2-visitor", goals={"7": "a-claim"}))).goals["7"]
        """
        ...

    async def close(self) -> None:
        """Let go of connections; closing twice is fine.

        >>> async def at_the_end(store: AsyncStore) -> None:
        ...     await store.close()
        """
        ...


@runtime_checkable
class AsyncForgettingStore(AsyncStore, Protocol):
    """A `ForgettingStore` for an event loop: the same contract, awaited.

    >>> def can_forget(store: AsyncStore) -> bool:
    ...     return isinstance(store, AsyncForgettingStore)
    """

    async def delete(self, key: str) -> int:
        """Forget the visitor, and for a day what processes had remembered before it; returns the time of it.

        >>> async def forget(store: AsyncForgettingStore) -> int:
        ...     return await store.delete("1-2-visitor")
        """
        ...

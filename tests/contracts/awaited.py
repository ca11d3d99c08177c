"""An asynchronous store as the contract sees it."""

from __future__ import annotations

import asyncio

from convert_sdk._core.state import apply
from convert_sdk.stores import AsyncForgettingStore, AsyncStore, Changes, VisitorState, Winners


class Awaited:
    """An asynchronous store, driven by a loop of its own."""

    def __init__(self, store: AsyncStore) -> None:
        self.store = store
        self.runner = asyncio.Runner()

    @property
    def shared(self) -> bool:
        return self.store.shared

    def load(self, key: str) -> VisitorState | None:
        return self.runner.run(self.store.load(key))

    def save(self, changes: Changes) -> Winners:
        return self.runner.run(self.store.save(changes))

    def delete(self, key: str) -> int:
        assert isinstance(self.store, AsyncForgettingStore)
        return self.runner.run(self.store.delete(key))

    def close(self) -> None:
        self.runner.run(self.store.close())
        self.runner.close()


def state_of(change: Changes) -> VisitorState:
    state = VisitorState()
    apply(state, change)
    return state

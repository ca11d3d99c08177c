"""One visitor id for a user on all devices, claimed by the first login in the store that all processes share."""

from __future__ import annotations

import threading
from collections.abc import Callable, MutableMapping
from hashlib import sha256
from inspect import isawaitable
from typing import TYPE_CHECKING, cast

from cachetools import TTLCache

from convert_sdk._core.state import Changes, VisitorState, Winners

from .identity import usable_id

if TYPE_CHECKING:
    from convert_sdk.async_client import AsyncClient
    from convert_sdk.client import Client
    from convert_sdk.stores import AsyncStore, Store

_CLAIM = "visitor"
"""The goal of a user's state that holds the id: the first claim of a goal wins in every store."""
_MOST = 10_000
_FRESH = 3_600.0


class Aliases:
    """The visitor ids of users, as the store has them.

    A user is a hash in the store. What is known is not asked again for an hour; where the store does not answer, the
    visitor keeps the id that the device has, and the next request asks again.

    Args:
        client: The client with the store.
        warn: Logs a text once for each name.
    """

    def __init__(self, client: Client | AsyncClient, warn: Callable[[str, str], None]) -> None:
        self._client = client
        self._warn = warn
        self._lock = threading.RLock()
        self._known: MutableMapping[str, str] = TTLCache[str, str](_MOST, _FRESH)

    def of(self, user: str, own: str) -> str:
        """The visitor id of a user: the one that was claimed first, or this device's own from now on."""
        name, store = self._name(user), cast("Store", self._client._options.store)
        known = self._get(name)
        if known is not None:
            return known
        try:
            found = claimed(store.load(name)) or claimed(store.save(claim(name, own)))
        except Exception as error:  # noqa: BLE001  # the store may be the application's own
            return self._failed(error, own)
        return self._keep(name, found or own)

    async def of_awaited(self, user: str, own: str) -> str:
        """As `of`; a store that is awaited is, another one is asked in a thread."""
        from asyncio import to_thread

        name, store = self._name(user), cast("AsyncStore | Store", self._client._options.store)
        known = self._get(name)
        if known is not None:
            return known
        try:
            loaded = await to_thread(store.load, name)
            found = claimed(await loaded if isawaitable(loaded) else loaded)
            if found is None:
                saved = await to_thread(store.save, claim(name, own))
                found = claimed(cast("Winners", await saved if isawaitable(saved) else saved))
        except Exception as error:  # noqa: BLE001  # as above
            return self._failed(error, own)
        return self._keep(name, found or own)

    def _name(self, user: str) -> str:
        return self._client._engine.store_key(f"alias-{sha256(user.encode(errors='replace')).hexdigest()}")

    def _get(self, name: str) -> str | None:
        with self._lock:
            return self._known.get(name)

    def _keep(self, name: str, id: str) -> str:
        with self._lock:
            self._known[name] = id
        return id

    def _failed(self, error: Exception, own: str) -> str:
        kind = type(error).__name__
        self._warn("alias", f"the store raised {kind}: a user keeps the id of the device until it answers")
        return own


def claim(name: str, id: str) -> Changes:
    """The changes that claim an id."""
    return Changes(name, goals={_CLAIM: id})


def claimed(state: VisitorState | Winners | None) -> str | None:
    """The id that is claimed in a store; None without a usable one."""
    return None if state is None else usable_id(state.goals.get(_CLAIM))

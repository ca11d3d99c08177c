"""Visitors in Redis, for all processes of all hosts. Needs the extra `convert-sdk[redis]`."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import AsyncGenerator, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from itertools import chain
from json.encoder import encode_basestring_ascii
from typing import TYPE_CHECKING, NamedTuple, cast
from urllib.parse import urlsplit

from convert_sdk._extras import needs_extra

with needs_extra(__name__, "redis", "redis"):
    import redis
    import redis.asyncio
    from redis.asyncio.retry import Retry as AsyncRetry
    from redis.backoff import NoBackoff
    from redis.exceptions import ConnectionError as RedisConnectionError
    from redis.exceptions import InvalidResponse, RedisError, ResponseError
    from redis.exceptions import TimeoutError as RedisTimeoutError
    from redis.retry import Retry

from convert_sdk._core.events import to_json
from convert_sdk._core.half_made import shown_half_made
from convert_sdk._core.state import (
    FORGOTTEN_FOR,
    Changes,
    ForgottenState,
    VisitorState,
    Winners,
    all_won,
)
from convert_sdk._process.clock import wall_time
from convert_sdk.errors import OptionError, StoreError, VisitorStateError

from .breaker import Breaker

if TYPE_CHECKING:
    from collections.abc import Awaitable

_Value = str | bytes | int
PREFIX = "convert:"
TTL = 90 * 86_400.0
TIMEOUT = 0.05
_DAY = round(FORGOTTEN_FOR * 1000)
_ONCE = Retry(NoBackoff(), 0)
_ASYNC_ONCE = AsyncRetry(NoBackoff(), 0)

# KEYS: the visitor. ARGV: its life in ms, how many fields the first write wins, the forgetting that the process knows
# of, those fields (name, value, and the value that they overrule or nothing), the other fields (name, value).
# What is no hash cannot be a visitor's state and is replaced. The reply: 1 if that was done, and what stands of the
# first fields; or 2 alone, if the visitor was forgotten since. One hash per visitor: "b:<experience>" = variation,
# "g:<goal>" = claim, "s:<segment>" and "l" = JSON, "x" = the time of forgetting in ms, by the clock of Redis.
_SAVE = """
local standing = {0}
local first = 3 + 3 * ARGV[2]
local made = redis.pcall('HSET', KEYS[1], 'v', '1')
if type(made) == 'table' and made.err then
  if not string.find(made.err, 'WRONGTYPE', 1, true) then
    return made
  end
  redis.call('DEL', KEYS[1])
  redis.call('HSET', KEYS[1], 'v', '1')
  standing[1] = 1
end
local forgotten = tonumber(redis.call('HGET', KEYS[1], 'x') or '0') or 0
if forgotten > tonumber(ARGV[3]) then
  local time = redis.call('TIME')
  if forgotten + {day} > time[1] * 1000 then
    return {2}
  end
  redis.call('HDEL', KEYS[1], 'x')
end
for i = 4, first, 3 do
  local held = redis.call('HGET', KEYS[1], ARGV[i])
  if not held or (ARGV[i + 2] ~= '' and held == ARGV[i + 2]) then
    redis.call('HSET', KEYS[1], ARGV[i], ARGV[i + 1])
    held = ARGV[i + 1]
  end
  standing[#standing + 1] = held
end
for i = first + 1, #ARGV, 2 do
  redis.call('HSET', KEYS[1], ARGV[i], ARGV[i + 1])
end
redis.call('PEXPIRE', KEYS[1], ARGV[1])
return standing
""".replace("{day}", str(_DAY))
_UNSAVED = 2
# KEYS: the visitor. The reply: the time of forgetting in ms, later than the one before.
_DELETE = """
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local before = redis.pcall('HGET', KEYS[1], 'x')
if type(before) == 'string' and (tonumber(before) or 0) >= now then
  now = tonumber(before) + 1
end
redis.call('DEL', KEYS[1])
redis.call('HSET', KEYS[1], 'v', '1', 'x', string.format('%.0f', now))
redis.call('PEXPIRE', KEYS[1], {day})
return now
""".replace("{day}", str(_DAY))


@shown_half_made
class _Redis:
    """The common part of the two stores: the words on the wire, the address without its password, the breaker."""

    shared = True

    def __init__(self, address: str, prefix: str, ttl: float, breaker: Breaker | None) -> None:
        self.breaker = breaker or Breaker()
        self.replaced = 0
        """States that could not be read, and that a save has replaced, whole or in part."""
        self._address = address
        self._prefix = prefix
        self._ttl = ttl

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._address!r})"

    def _key(self, key: str) -> str:
        return self._prefix + _quote(key)

    def _arguments(self, changes: Changes, unreadable: Sequence[_Value | None] = ()) -> list[_Value]:
        """The arguments of the script; values that cannot be read are overruled, as they were found."""
        first: list[tuple[_Value, ...]] = [
            ("b:" + _quote(key), _quote(value), _quote(changes.overruled.get(key, "")))
            for key, value in changes.bucketing.items()
        ]
        first += [("g:" + _quote(key), _quote(value), "") for key, value in changes.goals.items()]
        if unreadable:
            pairs = zip(first, unreadable, strict=True)
            first = [each if found is None else (*each[:2], found) for each, found in pairs]
        last = [("s:" + _quote(key), to_json(value)) for key, value in changes.segments.items()]
        if changes.locations is not None:
            last.append(("l", to_json(changes.locations)))
        life = round(self._ttl * 1000)
        return [life, len(first), changes.forgotten, *chain.from_iterable(first), *chain.from_iterable(last)]

    @contextmanager
    def _calling(self) -> Iterator[None]:
        """Every failure becomes a StoreError; only a Redis that does not answer opens the breaker.

        The texts of Redis are left out: they may quote a command with the visitor's key.
        """
        self.breaker.enter()
        try:
            yield
        except (RedisConnectionError, RedisTimeoutError, InvalidResponse, OSError) as error:
            self.breaker.failed()
            raise StoreError(f"{self._address} does not answer ({type(error).__name__})") from None
        except (RedisError, redis.ChildDeadlockedError) as error:
            raise StoreError(f"{self._address} refused ({type(error).__name__})") from None
        except (ValueError, RecursionError):
            raise VisitorStateError(f"{self._address} holds a state that cannot be read") from None
        self.breaker.succeeded()

    def _standing(self, changes: Changes, reply: object) -> _Standing:
        """The script's reply; counts what it has replaced."""
        replaced, *values = cast("list[_Value]", reply)
        if replaced == _UNSAVED:
            return _Standing(all_won(changes), [])
        self.replaced += int(replaced)
        texts = [_text(value) for value in values]
        unreadable: list[_Value | None] = [
            value if text is None else None for value, text in zip(values, texts, strict=True)
        ]
        if all(value is None for value in unreadable):
            unreadable = []
        names = iter([text or "" for text in texts])
        winners = Winners(
            {key: next(names) for key in changes.bucketing}, {key: next(names) for key in changes.goals}
        )
        return _Standing(winners, unreadable)


class RedisStore(_Redis):
    """Visitors in Redis, seen by every process: one round trip to load, one script to save and claim.

    `client` is a URL (`redis://`, `rediss://`, `unix://`) or your own `redis.Redis`, which keeps its
    own time-outs and is never closed here. A visitor is forgotten `ttl` seconds after the last
    change. While Redis is down a call costs `timeout` seconds at most (half to connect, half for
    the answer), and until `breaker` lets one through again every other call fails at once.

        >>> RedisStore("redis://:secret@cache.internal:6379/0")
        RedisStore('redis://cache.internal:6379/0')
    """

    def __init__(
        self,
        client: str | redis.Redis,
        *,
        prefix: str = PREFIX,
        ttl: float = TTL,
        timeout: float = TIMEOUT,
        breaker: Breaker | None = None,
    ) -> None:
        super().__init__(_address(client), prefix, ttl, breaker)
        self._owns_client = isinstance(client, str)
        self._client = _connect(client, timeout) if isinstance(client, str) else client
        self._save = self._client.register_script(_SAVE)
        self._delete = self._client.register_script(_DELETE)

    def load(self, key: str) -> VisitorState | None:
        """The visitor's state, for the caller to keep; None for a stranger, and for what is no state.

        >>> def is_known(store: RedisStore) -> bool:
        ...     return store.load("1-2-visitor") is not None
        """
        with self._calling():
            try:
                return _state(cast("Mapping[object, object]", self._client.hgetall(self._key(key))))
            except ResponseError as error:
                _raise_unless_no_state(error)
                return None

    def save(self, changes: Changes) -> Winners:
        """Remember the changes in one script and say which decisions and claims stand.

        >>> def claim(store: RedisStore) -> str:
        ...     return store.save(Changes("1-2-visitor", goals={"7": "a-claim"})).goals["7"]
        """
        key = self._key(changes.key)
        with self._calling():
            standing = self._standing(changes, self._save(keys=[key], args=self._arguments(changes)))
            if standing.unreadable:
                again = self._arguments(changes, standing.unreadable)
                standing = self._standing(changes, self._save(keys=[key], args=again))
                self.replaced += 1
            return standing.winners

    def delete(self, key: str) -> int:
        """Forget the visitor, and for a day what processes had remembered before it; returns the time of it.

        >>> def forget(store: RedisStore) -> int:
        ...     return store.delete("1-2-visitor")
        """
        with self._calling():
            return int(self._delete(keys=[self._key(key)]))

    def close(self) -> None:
        """Close the connections, unless the client is yours.

        >>> RedisStore("redis://cache.internal:6379/0").close()
        """
        if self._owns_client:
            self._client.close()


class AsyncRedisStore(_Redis):
    """`RedisStore` for an event loop; `client` is a URL or your own `redis.asyncio.Redis`.

    It may be made outside a loop. `timeout` covers the whole call.

        >>> AsyncRedisStore("redis://:secret@cache.internal:6379/0")
        AsyncRedisStore('redis://cache.internal:6379/0')
    """

    def __init__(
        self,
        client: str | redis.asyncio.Redis,
        *,
        prefix: str = PREFIX,
        ttl: float = TTL,
        timeout: float = TIMEOUT,
        breaker: Breaker | None = None,
    ) -> None:
        super().__init__(_address(client), prefix, ttl, breaker)
        self._timeout = timeout
        self._configured = client
        self._pid = os.getpid()
        self._connected: dict[asyncio.AbstractEventLoop, _Connected] = {}
        if isinstance(client, str):
            _connect_async(client, timeout)  # says now, not at the first visitor, that the URL is no good

    async def load(self, key: str) -> VisitorState | None:
        """The visitor's state, for the caller to keep; None for a stranger, and for what is no state.

        >>> async def is_known(store: AsyncRedisStore) -> bool:
        ...     return await store.load("1-2-visitor") is not None
        """
        with self._calling():
            async with asyncio.timeout(self._timeout):
                reply = cast(
                    "Awaitable[Mapping[object, object]]", (await self._client()).hgetall(self._key(key))
                )
                try:
                    return _state(await reply)
                except ResponseError as error:
                    _raise_unless_no_state(error)
                    return None

    async def save(self, changes: Changes) -> Winners:
        """Remember the changes in one script and say which decisions and claims stand.

        >>> async def claim(store: AsyncRedisStore) -> str:
        ...     return (await store.save(Changes("1-2-visitor", goals={"7": "a-claim"}))).goals["7"]
        """
        key = self._key(changes.key)
        with self._calling():
            async with asyncio.timeout(self._timeout):
                script = (await self._client()).register_script(_SAVE)
                standing = self._standing(changes, await script(keys=[key], args=self._arguments(changes)))
                if standing.unreadable:
                    again = self._arguments(changes, standing.unreadable)
                    standing = self._standing(changes, await script(keys=[key], args=again))
                    self.replaced += 1
                return standing.winners

    async def delete(self, key: str) -> int:
        """Forget the visitor, and for a day what processes had remembered before it; returns the time of it.

        >>> async def forget(store: AsyncRedisStore) -> int:
        ...     return await store.delete("1-2-visitor")
        """
        with self._calling():
            async with asyncio.timeout(self._timeout):
                script = (await self._client()).register_script(_DELETE)
                return int(await script(keys=[self._key(key)]))

    async def close(self) -> None:
        """Close the connections of this loop, unless the client is yours; a later call makes new ones.

        >>> async def at_the_end(store: AsyncRedisStore) -> None:
        ...     await store.close()
        """
        self._leave_parent()
        connected = self._connected.pop(asyncio.get_running_loop(), None)
        if connected is not None:
            await connected.until_the_loop_ends.aclose()

    async def _client(self) -> redis.asyncio.Redis:
        """Connections belong to one loop in one process; each one gets its own, and closes them at its end."""
        if not isinstance(self._configured, str):
            return self._configured
        self._leave_parent()
        loop = asyncio.get_running_loop()
        connected = self._connected.get(loop)
        if connected is None:
            for dead in [other for other in self._connected if other.is_closed()]:
                del self._connected[dead]
            client = _connect_async(self._configured, self._timeout)
            connected = self._connected[loop] = _Connected(client, _until_the_loop_ends(client))
            await anext(connected.until_the_loop_ends)
        return connected.client

    def _leave_parent(self) -> None:
        """Leave what was inherited through a fork alone: closing it would reach into the parent's event loop."""
        if self._pid != os.getpid():
            self._pid = os.getpid()
            _abandoned.append(self._connected)
            self._connected = {}


class _Connected(NamedTuple):
    """The connections of one event loop."""

    client: redis.asyncio.Redis
    until_the_loop_ends: AsyncGenerator[None, None]


async def _until_the_loop_ends(client: redis.asyncio.Redis) -> AsyncGenerator[None, None]:
    """Close the connections when the loop ends, as a loop then closes every generator that it has begun."""
    try:
        yield
    finally:
        await client.aclose()


_abandoned: list[dict[asyncio.AbstractEventLoop, _Connected]] = []


def _connect(url: str, timeout: float) -> redis.Redis:
    with _naming_no_secret():
        return redis.Redis.from_url(
            url, socket_connect_timeout=timeout / 2, socket_timeout=timeout / 2, retry=_ONCE
        )


def _connect_async(url: str, timeout: float) -> redis.asyncio.Redis:
    with _naming_no_secret():
        return redis.asyncio.Redis.from_url(
            url, socket_connect_timeout=timeout, socket_timeout=timeout, retry=_ASYNC_ONCE
        )


@contextmanager
def _naming_no_secret() -> Iterator[None]:
    """The URL may hold a password, also where it cannot be parsed."""
    try:
        yield
    except (ValueError, TypeError):
        raise OptionError(
            "the Redis URL cannot be used: write redis://user:password@host:port/db, rediss:// or "
            "unix:///path, with / ? # @ : in the password percent-encoded"
        ) from None


def _address(client: object) -> str:
    if not isinstance(client, str):
        return "redis"
    with _naming_no_secret():
        url = urlsplit(client)
        if "@" in url.path or url.fragment or not (url.hostname or url.scheme == "unix"):
            raise ValueError
        port = f":{url.port}" if url.port else ""
        return f"{url.scheme}://{url.hostname or ''}{port}{url.path}"


class _Standing(NamedTuple):
    """The outcome of a save: who won, and the values that cannot be read, in the order of the script's fields."""

    winners: Winners
    unreadable: list[_Value | None]
    """Empty where all can be; None for each that can."""


def _state(fields: Mapping[object, object]) -> VisitorState | None:
    """The state of a hash, without the fields that cannot be read."""
    if not fields:
        return None
    state = VisitorState()
    goals: dict[str, str] = {}
    segments: dict[str, object] = {}
    at = 0
    for name, value in fields.items():
        kind, _, quoted = (_ascii(name) or "").partition(":")
        key, text = _unquoted(quoted), _ascii(value)
        if kind == "x" and text is not None and text.isdecimal():
            at = int(text) if int(text) + _DAY > wall_time() * 1000 else 0
        if key is None or text is None:
            continue
        if kind in ("b", "g"):
            chosen = _unquoted(text)
            if chosen is not None:
                (state.bucketing if kind == "b" else goals)[key] = chosen
        elif kind in ("s", "l"):
            with suppress(ValueError, RecursionError):
                decoded = json.loads(text)
                if kind == "s":
                    segments[key] = decoded
                elif isinstance(decoded, list):
                    state.locations = tuple(each for each in decoded if isinstance(each, str))
    state.goals, state.segments = goals, segments
    return ForgottenState(state, at) if at else state


def _raise_unless_no_state(error: ResponseError) -> None:
    """Raise the error, unless it says that the key holds something else than a hash."""
    if not str(error).startswith("WRONGTYPE"):
        raise error


def _quote(text: str) -> str:
    """ASCII that any client's encoding carries unchanged, lone surrogates too."""
    return encode_basestring_ascii(text)[1:-1]


def _text(value: object) -> str | None:
    """The text that `_quote` wrote; None where it did not write this."""
    text = _ascii(value)
    return None if text is None else _unquoted(text)


def _unquoted(text: str) -> str | None:
    try:
        return str(json.loads(f'"{text}"'))
    except ValueError:
        return None


def _ascii(text: object) -> str | None:
    """Clients answer in bytes, or in text where they were told to decode; None for what we did not write."""
    if isinstance(text, bytes):
        return text.decode() if text.isascii() else None
    return str(text)

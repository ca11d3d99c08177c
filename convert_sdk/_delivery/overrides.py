"""The overrides that are in force for one client: by `client.override`, and from a file.

Theory of operation
-------------------
*Three places.* An override of `client.override` holds in the context that entered it, which a `ContextVar` carries
into the tasks and the threads that are started there; with `everywhere=True` it holds in all threads. Those of a file
come last. Of two in one place the later one wins; in a file the first one that is for the visitor.

*The end.* An override that was left holds nowhere any more, also in a task that still has the context of then.

*The price.* `Engine.overridden` is None while nothing is in force: that is all that a decision looks at. The places
are tuples and mappings that are replaced and never changed, so that readers take no lock.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextvars import ContextVar
from functools import wraps
from itertools import chain
from types import MappingProxyType, TracebackType
from typing import TYPE_CHECKING, Any, ParamSpec, Self, TypeVar, cast

from convert_sdk import _checks as check
from convert_sdk._core.copy_json import copy_json
from convert_sdk._core.goals import OverriddenKeys
from convert_sdk._core.half_made import shown_half_made
from convert_sdk._core.override import Override, applies

if TYPE_CHECKING:
    from convert_sdk._core.model import CompiledProject

P = ParamSpec("P")
R = TypeVar("R")
ByKey = Mapping[tuple[bool, str], tuple[Override, ...]]
_NONE: ByKey = MappingProxyType({})


class ActiveOverride:
    """An override while somebody is in its block."""

    __slots__ = ("active", "everywhere", "override", "overrides")

    def __init__(self, overrides: Overrides, override: Override, *, everywhere: bool) -> None:
        self.overrides = overrides
        self.override = override
        self.everywhere = everywhere
        self.active = True


_context: ContextVar[tuple[ActiveOverride, ...]] = ContextVar("convert_sdk_overrides", default=())


class Overrides:
    """The overrides of one client, or of several that share them."""

    def __init__(self) -> None:
        self._publishers: tuple[Callable[[Overrides | None], None], ...] = ()
        self._in_contexts = 0
        self._everywhere: tuple[ActiveOverride, ...] = ()
        self._in_file: ByKey = _NONE
        self.reset_locks()

    def reset_locks(self) -> None:
        """Make a new lock; for a time at which nobody holds the old one."""
        self._lock = threading.RLock()

    def attach(self, publish: Callable[[Overrides | None], None]) -> None:
        """Call this with the overrides whenever some come into force, and with None when none are."""
        with self._lock:
            self._publishers = (*self._publishers, publish)
            self._publish()

    def _publish(self) -> None:
        in_force = self if self._in_contexts or self._everywhere or self._in_file else None
        for publish in self._publishers:
            publish(in_force)

    # Changes.

    def enter(self, override: Override, *, everywhere: bool) -> ActiveOverride:
        """Put an override in force."""
        active = ActiveOverride(self, override, everywhere=everywhere)
        with self._lock:
            if everywhere:
                self._everywhere = (*self._everywhere, active)
            else:
                self._in_contexts += 1
                _context.set((*_context.get(), active))
            self._publish()
        return active

    def leave(self, active: ActiveOverride) -> None:
        """End an override, whatever the context is."""
        with self._lock:
            if not active.active:
                return
            active.active = False
            if active.everywhere:
                self._everywhere = tuple(each for each in self._everywhere if each is not active)
            else:
                self._in_contexts -= 1
                _context.set(tuple(each for each in _context.get() if each.active))
            self._publish()

    def set_file(self, overrides: Iterable[Override]) -> None:
        """Put the overrides of a file in force, in place of those that it had before."""
        by_key: dict[tuple[bool, str], tuple[Override, ...]] = {}
        for override in overrides:
            name = override.is_feature, override.key
            by_key[name] = (*by_key.get(name, ()), override)
        with self._lock:
            self._in_file = by_key or _NONE
            self._publish()

    # Questions of the request path.

    def experience(self, project: CompiledProject | None, visitor_id: str, key: str) -> Override | None:
        """The override of an experience for a visitor; None if there is none."""
        return self._find(project, visitor_id, (False, key))

    def feature(self, project: CompiledProject | None, visitor_id: str, key: str) -> Override | None:
        """The override of a feature for a visitor; None if there is none."""
        return self._find(project, visitor_id, (True, key))

    def keys(self, project: CompiledProject | None, visitor_id: str) -> OverriddenKeys:
        """The keys that are overridden for a visitor."""
        found: dict[tuple[bool, str], None] = {}
        for override in chain(self._entered(), *self._in_file.values()):
            if applies(override, project, visitor_id):
                found[override.is_feature, override.key] = None
        return OverriddenKeys(
            tuple(key for is_feature, key in found if not is_feature),
            tuple(key for is_feature, key in found if is_feature),
        )

    def _find(
        self, project: CompiledProject | None, visitor_id: str, name: tuple[bool, str]
    ) -> Override | None:
        for override in chain(self._entered(), self._in_file.get(name, ())):
            if (override.is_feature, override.key) == name and applies(override, project, visitor_id):
                return override
        return None

    def _entered(self) -> Iterator[Override]:
        for active in chain(reversed(_context.get()), reversed(self._everywhere)):
            if active.overrides is self and active.active:
                yield active.override


def checked_override(
    experience: str | None,
    variation: str | None,
    *,
    feature: str | None,
    variables: Mapping[str, object] | None,
    enabled: bool,
    gates: bool,
    visitor_id: str | int | None,
) -> Override:
    """The override of these arguments. Raises TypeError or ValueError for what makes none."""
    for name, value in (("enabled", enabled), ("gates", gates)):
        if not isinstance(value, bool):
            raise TypeError(f"{name} must be True or False, not {type(value).__name__}")
    whom = None if visitor_id is None else check.visitor_id(visitor_id)
    if (experience is None) is (feature is None):
        raise TypeError("an override is of an experience, named first, or of a feature, as feature=")
    key = check.key(cast("str", experience if feature is None else feature))
    if feature is None:
        return _of_experience(key, variation, variables, enabled, gates, whom)
    if variation is not None or gates:
        raise TypeError("variation and gates are for experiences: a feature has enabled and variables")
    if variables is not None and not enabled:
        raise TypeError("a feature that is off has no variables: leave out enabled=False, or the variables")
    given = copy_json({**check.attributes(variables, "variables")})
    return Override(key, True, enabled=enabled, variables=given, visitor_id=whom)


def _of_experience(
    key: str,
    variation: str | None,
    variables: Mapping[str, object] | None,
    enabled: bool,
    gates: bool,
    visitor_id: str | None,
) -> Override:
    if variables is not None:
        raise TypeError("variables are those of a feature: name it as feature=")
    if enabled is (variation is None):
        raise TypeError(f"an override of {key!r} names a variation, or has enabled=False for none")
    if variation is not None:
        check.key(variation)
    return Override(key, variation=variation, enabled=enabled, gates=gates, visitor_id=visitor_id)


@shown_half_made
class OverrideScope:
    """The block, or the decorated function, in which an override of `client.override` holds.

    >>> with client.override("checkout-layout", "one-page"):
    ...     client.visitor("v-42").decide("checkout-layout")
    Decision('checkout-layout', 'override', 'one-page')
    """

    def __init__(self, overrides: Callable[[], Overrides], override: Override, *, everywhere: bool) -> None:
        self._overrides = overrides
        self._override = override
        self._everywhere = everywhere
        self._entered: list[ActiveOverride] = []

    def __repr__(self) -> str:
        return f"OverrideScope({self._override!r})"

    def __enter__(self) -> Self:
        self._entered.append(self._overrides().enter(self._override, everywhere=self._everywhere))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        active = self._mine()
        active.overrides.leave(active)

    def _mine(self) -> ActiveOverride:
        """The last one that was entered in this context; in another context than that of the entry, the last one."""
        here = _context.get()
        for position in reversed(range(len(self._entered))):
            if self._entered[position] in here:
                return self._entered.pop(position)
        return self._entered.pop()

    def __call__(self, function: Callable[P, R]) -> Callable[P, R]:
        """The function, with the override in force while it runs; each call has a block of its own."""
        from inspect import isasyncgenfunction, isclass, iscoroutinefunction, isgeneratorfunction

        if isclass(function) or not callable(function):
            raise TypeError("an override decorates a function; in a class, decorate its methods")
        around = self._around
        if iscoroutinefunction(function):
            around = self._around_coroutine
        elif isasyncgenfunction(function):
            around = self._around_async_generator
        elif isgeneratorfunction(function):
            around = self._around_generator
        return cast("Callable[P, R]", wraps(function)(around(function)))

    def _around(self, function: Callable[..., Any]) -> Callable[..., Any]:
        def overridden(*args: Any, **named: Any) -> Any:
            with self._again():
                return function(*args, **named)

        return overridden

    def _around_coroutine(self, function: Callable[..., Any]) -> Callable[..., Any]:
        async def overridden(*args: Any, **named: Any) -> Any:
            with self._again():
                return await function(*args, **named)

        return overridden

    def _around_generator(self, function: Callable[..., Any]) -> Callable[..., Any]:
        def overridden(*args: Any, **named: Any) -> Any:
            with self._again():
                return (yield from function(*args, **named))

        return overridden

    def _around_async_generator(self, function: Callable[..., Any]) -> Callable[..., Any]:
        from contextlib import aclosing

        async def overridden(*args: Any, **named: Any) -> Any:
            with self._again():
                async with aclosing(function(*args, **named)) as generator:
                    async for each in generator:
                        yield each

        return overridden

    def _again(self) -> OverrideScope:
        return OverrideScope(self._overrides, self._override, everywhere=self._everywhere)

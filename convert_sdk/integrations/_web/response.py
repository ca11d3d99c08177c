"""The headers of a response that depends on its visitor."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

_SHARED = ("public", "s-maxage")


class ResponseChanges(NamedTuple):
    """The changes to a response's headers."""

    set_cookies: tuple[str, ...] = ()
    """Values of `Set-Cookie` to add."""
    store: bool = True
    """False for a response that nobody may keep, as of a preview."""
    vary: tuple[str, ...] = ("Cookie",)
    """The headers of the request that decided about it."""

    def __repr__(self) -> str:
        return "ResponseChanges(…)"

    def applied(self, headers: list[tuple[str, str]]) -> list[tuple[str, str]]:
        """The headers of a response with these changes.

        >>> ResponseChanges(("id=1",)).applied([("cache-control", "public, max-age=60"), ("ETag", "x")])
        [('ETag', 'x'), ('Cache-Control', 'max-age=60, private'), ('Vary', 'Cookie'), ('Set-Cookie', 'id=1')]
        """
        kept = [(name, value) for name, value in headers if name.lower() not in _REPLACED]
        control, vary = (
            ", ".join(value for name, value in headers if name.lower() == replaced) for replaced in _REPLACED
        )
        kept += [("Cache-Control", self.cache_control(control)), ("Vary", with_names(vary, self.vary))]
        return kept + [("Set-Cookie", value) for value in self.set_cookies]

    def cache_control(self, value: str) -> str:
        """The `Cache-Control` of a response that had this one."""
        if not self.store:
            return "private, no-store"
        directives = [part.strip() for part in value.split(",") if part.strip()]
        kept = [each for each in directives if each.partition("=")[0].strip().lower() not in _SHARED]
        is_private = any(each.lower() in ("private", "no-store") for each in kept)  # not `private="field"`
        return ", ".join(kept if is_private else [*kept, "private"])


_REPLACED = ("cache-control", "vary")


def with_names(vary: str, more: Iterable[str]) -> str:
    """The `Vary` of a response that depends on these headers too.

    >>> [with_names(vary, ["Cookie"]) for vary in ("", "Accept-Encoding", "cookie", "*")]
    ['Cookie', 'Accept-Encoding, Cookie', 'cookie', '*']
    """
    names = [part.strip() for part in vary.split(",") if part.strip()]
    known = {name.lower() for name in names}
    if "*" not in known:
        names += [name for name in more if name.lower() not in known]
    return ", ".join(names)

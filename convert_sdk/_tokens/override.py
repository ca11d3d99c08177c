"""The token of somebody who tests in production: which variations they are shown."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from convert_sdk._delivery.engine import Engine

from .signing import MOST_CHARACTERS, TokenFlaw, TokenPurpose, read, sign

LONGEST_OVERRIDE = 86_400.0
"""Seconds: nobody tests with a token of yesterday."""


class OverrideReading(NamedTuple):
    """The result of reading a token: the variations, or a flaw."""

    variations: Mapping[str, str]
    """Keys of variations by key of experience."""
    expires: int = 0
    """Seconds since 1970."""
    flaw: TokenFlaw | None = None


def sign_override(engine: Engine, variations: Mapping[str, str], max_age: float) -> str:
    """The token of these variations, keys by key of experience.

    Raises:
        OptionError: Where the client has no secrets.
        ValueError: For more than fits, and for more than 24 hours.
    """
    if not 0 < max_age <= LONGEST_OVERRIDE:
        raise ValueError(
            f"an override lasts for 24 hours at most, and above 0 seconds, not {max_age:g} seconds"
        )
    most = MOST_CHARACTERS[TokenPurpose.OVERRIDE]
    token = sign(engine, TokenPurpose.OVERRIDE, [dict(variations)], max_age)
    if len(token) > most:
        raise ValueError(f"these variations do not fit into a token of {most} characters: name fewer")
    return token


def read_override(engine: Engine, token: str) -> OverrideReading:
    """The variations in a token, or the reason why it is refused; no text raises.

    Raises:
        OptionError: Where the client has no secrets.
    """
    reading = read(engine, TokenPurpose.OVERRIDE, token)
    if reading.flaw is not None:
        return OverrideReading({}, flaw=reading.flaw)
    match reading.body:
        case [dict(variations)] if all(isinstance(each, str) for each in variations.values()):
            if reading.expires <= engine.wall_clock() + LONGEST_OVERRIDE:
                return OverrideReading(variations, reading.expires)
    return OverrideReading({}, flaw=TokenFlaw.SHAPE)

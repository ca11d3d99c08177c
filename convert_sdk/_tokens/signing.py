"""Signed tokens: each has one purpose, one project, one environment and an end.

Theory of operation
-------------------
A token is JSON, compressed where that is shorter, in the alphabet of URLs, with an HMAC of SHA-256 behind it. The key
of the HMAC is derived from a secret and the purpose, so that a token of one purpose is a forgery to all others. The
length is looked at before anything is decoded, and the signature before anything is decompressed or parsed.

A client that has no document yet does not know its project. Its tokens are bound to none, and it takes those of any:
what they hold is about the visitor alone, and ids that the document lacks are ignored when it arrives.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from enum import StrEnum
from hashlib import sha256
from typing import NamedTuple, TypeVar

from convert_sdk._delivery.engine import Engine
from convert_sdk._extras import needs_extra
from convert_sdk.errors import OptionError

with needs_extra(__name__, "signing", "itsdangerous"):
    from itsdangerous import BadData, URLSafeSerializer
    from itsdangerous.encoding import base64_decode, base64_encode

T = TypeVar("T")
_VERSION = 1
_LONGEST_NUMBER = 18


class TokenPurpose(StrEnum):
    """The use of a token; the key of its signature depends on it."""

    STATE = "state"
    HANDOVER = "handover"
    OVERRIDE = "override"


MOST_CHARACTERS: Mapping[TokenPurpose, int] = {
    TokenPurpose.STATE: 3_072,
    TokenPurpose.HANDOVER: 2_048,
    TokenPurpose.OVERRIDE: 2_048,
}
"""The longest token of each purpose."""


class TokenFlaw(StrEnum):
    """The reason why a token is refused."""

    TOO_LONG = "too_long"
    UNSIGNED = "unsigned"
    """Changed on its way, made with another secret, or of another purpose."""
    SHAPE = "shape"
    """Signed, and not what this version writes."""
    EXPIRED = "expired"
    PROJECT = "project"
    ENVIRONMENT = "environment"


class TokenBinding(NamedTuple):
    """The project and the environment that a token is for; empty where they are not known."""

    project: str
    environment: str

    def flaw(self, other: TokenBinding) -> TokenFlaw | None:
        """The difference between two bindings that are known."""
        both_known = bool(self.project and other.project)
        if both_known and self.project != other.project:
            return TokenFlaw.PROJECT
        compared = both_known or (self.environment and other.environment)
        return TokenFlaw.ENVIRONMENT if compared and self.environment != other.environment else None


def binding_of(engine: Engine) -> TokenBinding:
    """The binding of the tokens that a client makes and takes now."""
    project, environment = engine.serving
    name = "" if project is None else f"{project.account_id}/{project.id}"
    return TokenBinding(name, environment or "")


class TokenReading(NamedTuple):
    """The result of reading a token: what was signed, or a flaw. An expired one has both."""

    body: Sequence[object] = ()
    flaw: TokenFlaw | None = None
    expires: int = 0
    """Seconds since 1970."""
    issued: int = 0
    """The same of the moment at which it was signed."""
    renew: bool = False
    """True if an older secret than the newest has signed it."""

    def __repr__(self) -> str:
        return f"TokenReading({self.flaw})"


def sign(engine: Engine, purpose: TokenPurpose, body: Sequence[object], max_age: float) -> str:
    """A token of values of JSON.

    Args:
        engine: The client's: its secrets, its project, its clock.
        purpose: The one purpose that the token can be used for.
        body: What is signed. Everybody who has the token can read it.
        max_age: Seconds until it is refused.

    Raises:
        OptionError: Where the client has no secrets.
    """
    newest = [secrets_of(engine)[0]]
    now = engine.wall_clock()
    times = (int(now + max_age), int(now))
    token = _serializer(newest, purpose).dumps([_VERSION, *binding_of(engine), *times, *body])
    return token if isinstance(token, str) else token.decode("ascii")


def read(engine: Engine, purpose: TokenPurpose, token: str) -> TokenReading:
    """The reading of a token, whatever it is; no text raises.

    Raises:
        OptionError: Where the client has no secrets.
    """
    newest, *older = secrets_of(engine)
    if len(token) > MOST_CHARACTERS[purpose]:
        return TokenReading(flaw=TokenFlaw.TOO_LONG)
    renew = False
    signed = _signed([newest], purpose, token)
    if signed is None and older:
        signed, renew = _signed(older, purpose, token), True
    if signed is None:
        return TokenReading(flaw=TokenFlaw.UNSIGNED)
    match signed:
        case [int(version), str(project), str(environment), int(expires), int(issued), *body] if (
            version == _VERSION
        ):
            flaw = TokenBinding(project, environment).flaw(binding_of(engine))
            if flaw is None and expires <= engine.wall_clock():
                flaw = TokenFlaw.EXPIRED
            kept = body if flaw in (None, TokenFlaw.EXPIRED) else ()
            return TokenReading(kept, flaw, expires, issued, renew)
    return TokenReading(flaw=TokenFlaw.SHAPE)


def secrets_of(engine: Engine) -> Sequence[str | bytes]:
    """The secrets of a client, the newest first. Raises OptionError where there are none."""
    secrets = engine.secrets()
    if not secrets:
        raise OptionError("tokens are signed, which needs a secret: give the client secrets=[…]")
    return secrets


def _signed(secrets: Sequence[str | bytes], purpose: TokenPurpose, token: str) -> object:
    """The values of JSON that were signed with one of these secrets; None where none was.

    One signature has several spellings, as the last bits of its last character are not used: one of them is taken.
    """
    if not token.isascii():
        return None
    try:
        signed = _serializer(secrets, purpose).loads(token)
        signature = token.rpartition(".")[2]
        return signed if base64_encode(base64_decode(signature)).decode() == signature else None
    except (BadData, RecursionError):  # another program may have signed something deep with the same key
        return None


def _serializer(secrets: Sequence[str | bytes], purpose: TokenPurpose) -> URLSafeSerializer:
    return URLSafeSerializer(
        [each.encode() if isinstance(each, str) else each for each in secrets],
        salt=f"convert_sdk.{purpose.value}".encode(),
        serializer_kwargs={"ensure_ascii": True},  # half a character too must be written
        signer_kwargs={"key_derivation": "hmac", "digest_method": sha256},
        fallback_signers=[],
    )


def most_that_fit(count: int, signed: Callable[[int], T | None]) -> T | None:
    """The result for the largest number up to `count` that has one; None where no number has."""
    found = signed(count)
    if found is not None:
        return found
    fits, too_many = -1, count
    while too_many - fits > 1:
        middle = (fits + too_many) // 2
        token = signed(middle)
        if token is None:
            too_many = middle
        else:
            fits, found = middle, token
    return found


# Decisions, which all tokens write alike.


def flat_decisions(decisions: Mapping[str, str]) -> list[int | str]:
    """Ids of experiences and variations in turn; those that are numbers as numbers, which are shorter."""
    return [_compact(each) for pair in decisions.items() for each in pair]


def paired_decisions(flat: object) -> dict[str, str] | None:
    """The decisions that `flat_decisions` wrote; None for anything else."""
    if not isinstance(flat, list) or len(flat) % 2 or any(type(each) not in (int, str) for each in flat):
        return None
    ids = [str(each) for each in flat]
    return dict(zip(ids[::2], ids[1::2], strict=True))


def _compact(id: str) -> int | str:
    is_number = id.isascii() and id.isdigit() and len(id) <= _LONGEST_NUMBER and (id == "0" or id[0] != "0")
    return int(id) if is_number else id

"""The visitor of an order: by signed tokens, and by links from what a store knows."""

from __future__ import annotations

import hashlib
import hmac
import re
import unicodedata
from collections.abc import Iterable, Sequence
from math import inf

from convert_sdk import _checks as check
from convert_sdk.commerce.bridge.conversions import DAY, Match
from convert_sdk.commerce.bridge.ledger import LedgerTransaction, Link
from convert_sdk.commerce.bridge.orders import IdentityKey, OrderSnapshot
from convert_sdk.errors import OptionError

_SHORTEST = 16
_SIGNATURE = 16
_IN_BRACKETS = re.compile(r"<([^<>]*@[^<>]*)>\s*$")


class Identity:
    """The secrets and rules by which orders find their visitors.

    `secret` signs the tokens that go into a checkout (several while they rotate: the first signs), `pepper` keys
    the hashes of e-mail addresses and must stay the same. Both need 16 characters. A link is believed for
    `ttl` seconds. `trust_client` also believes an unsigned visitor id in an order, which a shopper can edit.

    >>> identity = Identity("a secret of our own", pepper="a pepper of our own")
    >>> identity.visitor_of(identity.token("v-42"))
    'v-42'
    >>> identity.email_key(" Ann@Example.com ") == identity.email_key("ann@example.com")
    True
    """

    def __init__(
        self,
        secret: str | Sequence[str],
        *,
        pepper: str,
        ttl: float = 90 * DAY,
        trust_client: bool = False,
    ) -> None:
        secrets = [secret] if isinstance(secret, str) else [*secret]
        for name, value in (("secret", min(secrets, key=len, default="")), ("pepper", pepper)):
            if len(value) < _SHORTEST:
                raise OptionError(f"{name}: give at least {_SHORTEST} characters that nobody can guess")
        self._secrets = [each.encode() for each in secrets]
        self._pepper = pepper.encode()
        self._trust_client = trust_client
        self.ttl = ttl

    def __repr__(self) -> str:
        return "Identity(…)"

    def token(self, visitor_id: str | int) -> str:
        """`v1.<visitor id>.<signature>`: put it into the order's additional field `convert_visitor_id`."""
        visitor_id = check.visitor_id(visitor_id)
        return f"v1.{visitor_id}.{_signature(self._secrets[0], visitor_id)}"

    def visitor_of(self, token: str) -> str | None:
        """The visitor id in a token; None for one that we did not sign."""
        version, _, rest = token.strip().partition(".")
        visitor_id, _, signature = rest.rpartition(".")
        if version == "v1" and visitor_id:
            fits = [
                hmac.compare_digest(_signature(secret, visitor_id).encode(), signature.encode())
                for secret in self._secrets
            ]
            if any(fits):
                return visitor_id
        return token.strip() or None if self._trust_client and version != "v1" else None

    def email_key(self, address: str) -> str:
        """The keyed hash of an e-mail address.

        Case, spaces around it, characters that cannot be seen, a name before `<the address>`, and how the domain
        spells its letters make no difference.
        """
        normal = _normal_email(address)
        return hmac.digest(self._pepper, normal.encode(errors="replace"), hashlib.sha256).hex()

    def match(
        self, order: OrderSnapshot, transaction: LedgerTransaction, now: float, slack: float = 0.0
    ) -> Match | None:
        """The visitor of an order: by its token, else by the surest identity key that has a link.

        A link may seem to come `slack` seconds after the order that it was made before. Whichever visitor it is,
        `tracking` is off if they, or anybody by one of the order's identity keys, objected.
        """
        found = self._found(order, transaction, now, slack)
        if found is None:
            return None
        at = order.created.timestamp()
        return found._replace(
            tracking=not has_objected(found.visitor_id, order.identity_keys, transaction, at, now)
        )

    def _found(
        self, order: OrderSnapshot, transaction: LedgerTransaction, now: float, slack: float
    ) -> Match | None:
        visitor_id = self.visitor_of(order.token) if order.token else None
        if visitor_id is not None:
            return Match(visitor_id, "token")
        for identity_key in order.identity_keys:
            links = [link for link in transaction.links(identity_key) if link.expires > now]
            if links:
                at = order.created.timestamp() + slack
                return Match(nearest(links, at).visitor_id, identity_key.kind)
        return None

    def links(
        self, visitor_id: str, identity_keys: Sequence[IdentityKey], at: float, *, tracking: bool
    ) -> list[Link]:
        """The links that say from `at` on that these identity keys are this visitor's; an objection does not expire."""
        return [
            Link(identity_key, visitor_id, at, at + self.ttl if tracking else inf, tracking)
            for identity_key in identity_keys
        ]


def nearest(links: Sequence[Link], at: float) -> Link:
    """The last link from before the order, else the first one after it; of equals the lowest visitor id."""
    before = [link for link in links if link.at <= at]
    if before:
        return min(before, key=lambda link: (-link.at, link.visitor_id))
    return min(links, key=lambda link: (link.at, link.visitor_id))


def has_objected(
    visitor_id: str,
    identity_keys: Iterable[IdentityKey],
    transaction: LedgerTransaction,
    at: float,
    now: float,
) -> bool:
    """True if tracking was off at a time, or is off now: by one of these identity keys, or by anything that the visitor
    is linked to.
    """
    own: dict[IdentityKey, list[Link]] = {}
    for link in transaction.links_to(visitor_id):
        own.setdefault(link.identity_key, []).append(link)
    groups = [*own.values(), *(transaction.links(identity_key) for identity_key in identity_keys)]
    return any(_is_off([link for link in links if link.expires > now], at) for links in groups)


def _is_off(links: Sequence[Link], at: float) -> bool:
    """True if the last word, or the last one from before `at`, was no; of words at once a no counts."""
    last_words = [[*links], [link for link in links if link.at <= at]]
    return any(
        not max(words, key=lambda link: (link.at, not link.tracking)).tracking
        for words in last_words
        if words
    )


def _normal_email(address: str) -> str:
    text = unicodedata.normalize("NFKC", address)
    text = "".join(each for each in text if unicodedata.category(each) != "Cf").strip()
    if found := _IN_BRACKETS.search(text):
        text = found[1].strip()
    text = text.removeprefix("mailto:").casefold()
    local, at, domain = text.rpartition("@")
    if not at:
        return text
    labels = [_unicode_label(each) for each in domain.rstrip(".").split(".")]
    return f"{local}@{'.'.join(labels)}"


def _unicode_label(label: str) -> str:
    """A label of a domain by its letters, however it is spelt."""
    if not label.startswith("xn--"):
        return label
    try:
        return label.encode().decode("idna").casefold()
    except UnicodeError:
        return label


def _signature(secret: bytes, visitor_id: str) -> str:
    return hmac.digest(secret, f"convert visitor v1.{visitor_id}".encode(), hashlib.sha256).hex()[:_SIGNATURE]

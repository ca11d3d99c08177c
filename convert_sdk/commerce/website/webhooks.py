"""Webhooks of the Website API: verified on their raw bytes, then read as typed events.

The default scheme, hex HMAC-SHA512 of the body in `X-Webhook-Signature`, is what integrators of the API
verify; the vendor's own page was not at hand, so `SignatureScheme` says everything that could differ.
Nothing in a delivery is a time or a delivery id: a signature shows who sent it, never that it is new.
"""

from __future__ import annotations

import base64
import functools
import hashlib
import hmac
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Literal, TypeAlias

import pydantic

from convert_sdk._core.half_made import shown_half_made
from convert_sdk.commerce._json import read_json, whole
from convert_sdk.commerce._refusals import place_of
from convert_sdk.commerce._wire import Many, Moment, StoreRecord, Text, read
from convert_sdk.commerce.errors import ValidationError, WebhookVerificationError
from convert_sdk.commerce.website.models import MADE, Booking, Contact, Order, Product, WebsiteRef
from convert_sdk.commerce.website.parts import FieldValue
from convert_sdk.errors import OptionError

LARGEST_BODY = 1_048_576
FORM_WINDOW = 600
"""The seconds within which the same form of the same person is one."""
_log = logging.getLogger("convert_sdk")


@shown_half_made
@dataclass(frozen=True, slots=True)
class SignatureScheme:
    """The place and the making of a delivery's signature, and the header that names its topic.

    >>> SignatureScheme(algorithm="sha256", encoding="base64", prefix="sha256=").header
    'X-Webhook-Signature'
    """

    header: str = "X-Webhook-Signature"
    algorithm: Literal["sha256", "sha384", "sha512"] = "sha512"
    encoding: Literal["hex", "base64"] = "hex"
    prefix: str = ""
    topic_header: str = "X-Webhook-Topic"

    def __post_init__(self) -> None:
        if self.algorithm not in ("sha256", "sha384", "sha512") or self.encoding not in ("hex", "base64"):
            raise OptionError("SignatureScheme: sha256, sha384 or sha512, as hex or base64")


DEFAULT_SCHEME = SignatureScheme()


@shown_half_made
@dataclass(frozen=True, slots=True)
class WebhookEvent:
    """A verified delivery: its `topic`, the site (`source`) and the subscription it came through.

    `digest` is the SHA-256 of its body, `signed` is False where no secret was
    asked for. The topic and the source are headers, which no signature covers.
    """

    topic: str
    source: str
    subscription_id: str
    digest: str = field(repr=False)
    signed: bool = field(default=True, kw_only=True)

    @property
    def subject(self) -> str | None:
        """The id of the record it is about, None for a form or an unknown event."""
        return None


@shown_half_made
@dataclass(frozen=True, slots=True)
class OrderEvent(WebhookEvent):
    """`order_created` or `order_updated`."""

    order: Order

    @property
    def subject(self) -> str | None:
        """The order's id."""
        return _id(self.order)


@shown_half_made
@dataclass(frozen=True, slots=True)
class OrderCreated(OrderEvent):
    """An order was placed."""


@shown_half_made
@dataclass(frozen=True, slots=True)
class OrderUpdated(OrderEvent):
    """An order was changed, perhaps by ourselves."""


@shown_half_made
@dataclass(frozen=True, slots=True)
class ProductEvent(WebhookEvent):
    """`product_created` or `product_updated`."""

    product: Product

    @property
    def subject(self) -> str | None:
        """The product's id."""
        return _id(self.product)


@shown_half_made
@dataclass(frozen=True, slots=True)
class ProductCreated(ProductEvent):
    """A product was created."""


@shown_half_made
@dataclass(frozen=True, slots=True)
class ProductUpdated(ProductEvent):
    """A product was changed."""


@shown_half_made
@dataclass(frozen=True, slots=True)
class ContactUpdated(WebhookEvent):
    """A contact was created or changed."""

    contact: Contact

    @property
    def subject(self) -> str | None:
        """The contact's id."""
        return _id(self.contact)


@shown_half_made
@dataclass(frozen=True, slots=True)
class BookingCreated(WebhookEvent):
    """A session was booked."""

    booking: Booking

    @property
    def subject(self) -> str | None:
        """The booking's id."""
        return _id(self.booking)


class SubmittedForm(StoreRecord):
    """The body of `form_submitted`; its fields are `field`/`value`, unlike the list's `name`/`value`."""

    website: WebsiteRef | None = None
    """The site with the form."""
    contact: Contact | None = None
    """The contact who submitted it."""
    form_name: Text = None
    """The name of the form."""
    received: Annotated[Moment, pydantic.Field(validation_alias=MADE)] = None
    """The time at which it was submitted, where a body says so; it is not documented."""
    form_values: Many[FieldValue] = pydantic.Field(default=(), repr=False)
    """The fields and what was entered."""


@shown_half_made
@dataclass(frozen=True, slots=True)
class FormSubmitted(WebhookEvent):
    """A form was submitted."""

    form: SubmittedForm


@shown_half_made
@dataclass(frozen=True, slots=True)
class UnknownEvent(WebhookEvent):
    """A verified delivery with a topic that is not known here; `payload` is its JSON."""

    payload: object = field(repr=False)


AnyEvent: TypeAlias = (
    OrderCreated | OrderUpdated | ProductCreated | ProductUpdated | ContactUpdated | BookingCreated
    | FormSubmitted | UnknownEvent
)  # fmt: skip


def sign(body: bytes, secret: str, *, scheme: SignatureScheme = DEFAULT_SCHEME) -> str:
    """The signature the site would send for `body`.

    >>> sign(b"{}", "s", scheme=SignatureScheme(algorithm="sha256", prefix="sha256="))[:15]
    'sha256=143ca8d5'
    """
    (only,) = secrets_of([secret])
    digest = _hmac(_bytes(body), only, scheme)
    text = digest.hex() if scheme.encoding == "hex" else base64.b64encode(digest).decode()
    return scheme.prefix + text


def parse(
    body: bytes | bytearray | memoryview,
    headers: Mapping[str, str | Sequence[str]],
    secret: str | Sequence[str] | None,
    *,
    scheme: SignatureScheme = DEFAULT_SCHEME,
    max_body: int = LARGEST_BODY,
) -> AnyEvent:
    """The event in a delivery whose signature fits `secret`, or one of several while they rotate.

    With `secret=None` nothing is verified, which a warning says once: anybody can have sent it. `body` is the raw
    bytes as received. WebhookVerificationError if it must not be trusted,
    ValidationError if it is signed but not what its topic promises.

    >>> body = b'{"id": 7, "total": 49.9}'
    >>> headers = {"X-Webhook-Topic": "order_created", "X-Webhook-Signature": sign(body, "secret")}
    >>> parse(body, headers, "secret").order.total
    Decimal('49.9')
    """
    body = _bytes(body)
    if len(body) > max_body:
        raise WebhookVerificationError(f"the body is larger than {max_body} bytes")
    given = _Headers(headers)
    if secret is None:
        warn_of_unsigned()
    else:
        _verify(body, given.one(scheme.header), secrets_of(secret), scheme)
    return _read(body, given, scheme, signed=secret is not None)


@functools.cache
def warn_of_unsigned() -> None:
    """Say once that webhooks are taken without a signature."""
    _log.warning("webhooks are taken unsigned: anybody who knows the address can send them")


class _Headers:
    """Headers by their lower-case names; a name that comes twice with two values is refused."""

    def __init__(self, headers: Mapping[str, str | Sequence[str]]) -> None:
        self._values: dict[str, set[str]] = {}
        for name, value in headers.items():
            is_one = isinstance(value, str | bytes | bytearray) or not isinstance(value, Sequence)
            values = [value] if is_one else [*value]
            found = {_header_text(each) for each in values if each is not None}
            if found:
                self._values.setdefault(_header_text(name).lower(), set()).update(found)

    def one(self, name: str) -> str:
        values = self._values.get(name.lower(), {""})
        if len(values) > 1:
            raise WebhookVerificationError(f"{name} comes more than once, with different values")
        return next(iter(values))


def _header_text(value: object) -> str:
    return bytes(value).decode("latin-1") if isinstance(value, bytes | bytearray | memoryview) else str(value)


def _bytes(body: bytes | bytearray | memoryview) -> bytes:
    if isinstance(body, bytearray | memoryview):
        return bytes(body)
    if not isinstance(body, bytes):
        kind = type(body).__name__
        raise TypeError(f"a webhook is verified on its raw bytes, not on {kind}: give the body as received")
    return body


def secrets_of(secret: str | Sequence[str]) -> list[str]:
    """The secrets to try, at least one and none empty, else WebhookVerificationError."""
    secrets = [secret] if isinstance(secret, str) else list(secret or ())
    if not secrets or not all(isinstance(each, str) and each.strip() for each in secrets):
        raise WebhookVerificationError(
            "no secret: it is a text that is not blank, without it anybody could have sent this"
        )
    return secrets


def _verify(body: bytes, signature: str, secrets: Sequence[str], scheme: SignatureScheme) -> None:
    """Compare against every secret, so that the time taken says nothing about which one fits."""
    if not signature:
        raise WebhookVerificationError(f"{scheme.header} is missing: the delivery is unsigned")
    given = _decoded(signature, scheme)
    fits = [hmac.compare_digest(_hmac(body, secret, scheme), given) for secret in secrets]
    if not any(fits):
        raise WebhookVerificationError("the signature does not fit the body")


def _decoded(signature: str, scheme: SignatureScheme) -> bytes:
    text = signature.strip()
    if not text.startswith(scheme.prefix):
        raise WebhookVerificationError(f"the signature does not start with {scheme.prefix!r}")
    text = text.removeprefix(scheme.prefix)
    try:
        return bytes.fromhex(text) if scheme.encoding == "hex" else base64.b64decode(text, validate=True)
    except ValueError:
        raise WebhookVerificationError(f"the signature is not {scheme.encoding}") from None


def _hmac(body: bytes, secret: str, scheme: SignatureScheme) -> bytes:
    return hmac.digest(secret.encode(), body, scheme.algorithm)


def _read(body: bytes, headers: _Headers, scheme: SignatureScheme, *, signed: bool) -> AnyEvent:
    topic = headers.one(scheme.topic_header)
    source, subscription = headers.one("X-Webhook-Source"), headers.one("X-Webhook-Id")
    common = (topic, source, subscription, hashlib.sha256(body).hexdigest())
    try:
        payload = whole(read_json(body))
        match topic:
            case "order_created":
                return OrderCreated(*common, read(Order, payload), signed=signed)
            case "order_updated":
                return OrderUpdated(*common, read(Order, payload), signed=signed)
            case "product_created":
                return ProductCreated(*common, read(Product, payload), signed=signed)
            case "product_updated":
                return ProductUpdated(*common, read(Product, payload), signed=signed)
            case "contact_updated":
                return ContactUpdated(*common, read(Contact, payload), signed=signed)
            case "booking_created":
                return BookingCreated(*common, read(Booking, payload), signed=signed)
            case "form_submitted":
                return FormSubmitted(*common, read(SubmittedForm, payload), signed=signed)
            case _:
                return UnknownEvent(*common, payload, signed=signed)
    except (ValueError, RecursionError) as error:
        problem = ValidationError(f"webhook {topic!r}: {place_of(error)}")
    raise problem  # outside the except block: the cause would carry the record's values


def _id(record: Order | Product | Contact | Booking) -> str | None:
    return None if record.id is None else str(record.id)

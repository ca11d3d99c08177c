"""The pages of a small shop, whatever the framework: what they ask of the visitor, and what they answer."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

from convert_sdk import Client, Consent, Project, Visitor, current_visitor
from tests.documents import Json, Sink, change, document, entity, experience, feature, variation

DOCUMENT: Json = document(
    experience(variations=[variation("1"), variation("2", changes=[change("81", discount="0.25")])]),
    goals=[entity("91", "buy")],
    features=[feature("81", "pricing", discount="float")],
)


class Page(NamedTuple):
    """An answer, as each framework gives it in its own way."""

    body: str = ""
    status: int = 200
    headers: Mapping[str, str] = {}
    chunks: Callable[[], Iterator[str]] | None = None
    """The body of a stream, made while it is sent."""
    forgets: bool = False
    """The next visitor of the device is a new one."""


def shown(visitor: Visitor) -> str:
    """The visitor's variation, or the reason why there is none."""
    decision = visitor.decide("checkout")
    return decision.variation_id or decision.reason.value


def _decide() -> Page:
    return Page(shown(current_visitor()))


def _stream_late() -> Page:
    def chunks() -> Iterator[str]:
        yield "first "
        yield shown(current_visitor())

    return Page(chunks=chunks)


def _stream() -> Page:
    visitor = current_visitor()

    def chunks() -> Iterator[str]:
        yield shown(visitor)
        yield " " + shown(current_visitor())

    return Page(chunks=chunks, headers={"Content-Type": "text/event-stream"})


def _buy() -> Page:
    return Page(current_visitor().track("buy").reason.value)


def _answer(consent: Consent) -> Page:
    visitor = current_visitor()
    before = shown(visitor)
    visitor.set_consent(consent)
    return Page(f"{before} {shown(visitor)}")


def _agree_late() -> Page:
    """The answer comes when the headers have left; what is then decided and tracked, and how."""
    visitor = current_visitor()
    before = shown(visitor)

    def chunks() -> Iterator[str]:
        part = visitor.with_context(attributes={"part": "of the page"})
        yield before
        visitor.set_consent(Consent.GRANTED)
        yield f" {shown(visitor)} {shown(part)} {part.track('buy').reason.value}"

    return Page(chunks=chunks)


def _buy_and_agree() -> Page:
    visitor = current_visitor()
    before = shown(visitor)
    visitor.track("buy")
    visitor.set_consent(Consent.GRANTED)
    return Page(f"{before} {shown(visitor)}")


PAGES: dict[str, Callable[[], Page]] = {
    "/nothing": lambda: Page("nothing", headers={"Cache-Control": "public, max-age=60"}),
    "/decide": _decide,
    "/buy": _buy,
    "/discount": lambda: Page(str(current_visitor().feature("pricing").get("discount", 0.0))),
    "/who": lambda: Page(current_visitor().id),
    "/same": lambda: Page(str(current_visitor() is current_visitor())),
    "/public": lambda: _decide()._replace(
        headers={"Cache-Control": "public, s-maxage=60, max-age=5", "Vary": "Accept-Encoding"}
    ),
    "/not-modified": lambda: _decide()._replace(body="", status=304, headers={"ETag": '"1"'}),
    "/missing": lambda: _decide()._replace(status=404),
    "/broken": lambda: _decide()._replace(status=500),
    "/stream": _stream,
    "/stream-late": _stream_late,
    "/agree": lambda: _answer(Consent.GRANTED),
    "/refuse": lambda: _answer(Consent.DENIED),
    "/agree-late": _agree_late,
    "/buy-and-agree": _buy_and_agree,
    "/guest": lambda: Page("nobody" if current_visitor(default=None) is None else "somebody"),
    "/leave": lambda: Page("left", forgets=True),
    "/leave-after-a-look": lambda: _decide()._replace(forgets=True),
}


class Shop(NamedTuple):
    """A client of the shop's document, and what it sends."""

    client: Client
    sink: Sink

    def sent(self) -> list[Json]:
        """The events of all visitors so far."""
        self.client.flush()
        return self.sink.events


def shop(**options: Any) -> Shop:
    """A shop of its own."""
    import json

    sink = Sink()
    return Shop(Client.offline(Project.parse(json.dumps(DOCUMENT)), sink, **options), sink)

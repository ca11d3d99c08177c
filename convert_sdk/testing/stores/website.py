"""A website's store on loopback: every operation of the Website API, and its webhooks."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import httpx

from convert_sdk.commerce.website import webhooks
from convert_sdk.testing.stores._rows import JsonObject
from convert_sdk.testing.stores._website import WebsiteOperations


@dataclass(frozen=True, slots=True)
class Delivery:
    """A webhook ready to be sent, as late and as often as a test likes."""

    target: str = field(repr=False)
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)

    def send(self) -> int:
        """Post it; the receiver's status."""
        return httpx.post(self.target, content=self.body, headers=dict(self.headers)).status_code

    def unsigned(self) -> Delivery:
        """The same without a signature."""
        kept = {name: value for name, value in self.headers.items() if name != "X-Webhook-Signature"}
        return replace(self, headers=kept)

    def tampered(self) -> Delivery:
        """The same with another body under the old signature."""
        return replace(self, body=self.body + b" ")


class WebsiteStore(WebsiteOperations):
    """A website's store on loopback.

    Switches: `drift` orders are placed after every page of orders; `echo` sends `order_updated` for our own
    updates; `ignore_skip` always serves the first page; `newest_first` is its sort order; `inclusive` says
    whether filters on times include their ends; `now` is its clock. Webhooks to be sent wait in `deliveries`,
    mails it would have sent stand in `mails`.

    >>> with WebsiteStore() as store:
    ...     order = store.place_order(total=49.9)
    ...     order["status"]
    'pending'
    """

    def reset(self) -> None:
        """Begin anew: an empty store, every switch as it was."""
        super().reset()
        self.deliveries: list[Delivery] = []

    def change_order(self, number: int, **fields: object) -> JsonObject:
        """Change an order as its owner would: paid, canceled, …"""
        self.orders[number] = self.orders[number] | fields
        self.fire("order_updated", self.orders[number])
        return self.orders[number]

    def book(self, **fields: object) -> JsonObject:
        """A booking as a visitor makes it."""
        number = next(self._ids)
        booking: JsonObject = {"id": number, "eventId": 1, "contactId": 0, "start": int(self.now())} | fields
        self.bookings[number] = booking
        self.fire("booking_created", booking)
        return booking

    def submit_form(self, name: str, values: Mapping[str, str], contact: JsonObject | None = None) -> None:
        """A form as a visitor submits it: without an id for the list, with a contact for webhooks."""
        pairs = [{"name": each, "value": value} for each, value in values.items()]
        self.forms.append({"name": name, "received": int(self.now()), "fields": pairs})
        fields = [{"field": each, "value": value} for each, value in values.items()]
        site = {"id": 123, "subdomain": "some-subdomain"}
        self.fire(
            "form_submitted", {"website": site, "contact": contact, "formName": name, "formValues": fields}
        )

    def fire(self, topic: str, payload: JsonObject) -> None:
        """Put a delivery for every subscription to `topic` into `deliveries`."""
        body = json.dumps(payload).encode()
        for hook in [*self.hooks.values()]:
            events = hook["events"]
            if isinstance(events, list) and topic in events:
                headers = {
                    "Content-Type": "application/json",
                    "X-Webhook-Topic": topic,
                    "X-Webhook-Source": self.url.partition("://")[2],
                    "X-Webhook-Id": str(hook["id"]),
                }
                if secret := str(hook.get("secret") or ""):
                    headers["X-Webhook-Signature"] = webhooks.sign(body, secret)
                self.deliveries.append(Delivery(str(hook["target"]), headers, body))

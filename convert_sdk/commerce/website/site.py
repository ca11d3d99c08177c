"""Form submissions, bookings and webhook subscriptions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import get_args

from convert_sdk.commerce._call import Call, array, call, nothing, one, query
from convert_sdk.commerce._operations import S_co, listing, operation
from convert_sdk.commerce._pages import Listing
from convert_sdk.commerce._wire import Id, Time, required
from convert_sdk.commerce.website._resource import WebsiteResource, between, by_skip, page_of
from convert_sdk.commerce.website.models import Booking, FormSubmission, Topic, Webhook

_TOPICS: tuple[str, ...] = get_args(Topic)


class FormSubmissions(WebsiteResource[S_co]):
    """`client.form_submissions`"""

    @listing
    def list(
        self,
        *,
        received_min: Time | None = None,
        received_max: Time | None = None,
        limit: int | None = None,
        skip: int | None = None,
    ) -> Listing[FormSubmission]:
        """All submissions, or those received between two times (inclusive).

        The address of this operation is a guess: see `WebsitePaths.list_form_submissions`.
        """
        given = between(("from", received_min), ("to", received_max)) | query(limit=limit, skip=skip)
        return by_skip(replace(call(self._paths.list_form_submissions, page_of(FormSubmission)), query=given))


class Bookings(WebsiteResource[S_co]):
    """`client.bookings`"""

    @listing
    def list(
        self,
        *,
        start_min: Time | None = None,
        start_max: Time | None = None,
        event_id: Id | None = None,
        limit: int | None = None,
        skip: int | None = None,
    ) -> Listing[Booking]:
        """All bookings, those that start between two times (inclusive), or those of one event."""
        given = between(("from", start_min), ("to", start_max)) | query(
            eventId=event_id, limit=limit, skip=skip
        )
        return by_skip(replace(call(self._paths.list_bookings, page_of(Booking)), query=given))


class Webhooks(WebsiteResource[S_co]):
    """`client.webhooks`"""

    @operation
    def list(self) -> Call[tuple[Webhook, ...]]:
        """All subscriptions, with their secrets."""
        return call(self._paths.list_webhooks, array(Webhook))

    @operation
    def create(self, target: str, events: Sequence[Topic], *, secret: str | None = None) -> Call[Webhook]:
        """Have `events` sent to the URL `target`, signed with `secret`.

        Without a secret anybody can send the like: such deliveries are taken only where `secret=None` is given.
        """
        required(target=target)
        if secret is not None:
            required(secret=secret)
        if isinstance(events, str) or not events:
            raise ValueError("events: expected at least one topic, in a list")
        if unknown := [each for each in events if each not in _TOPICS]:
            raise ValueError(f"events: {unknown[0]!r} is no topic; known are {', '.join(_TOPICS)}")
        body: dict[str, object] = {"target": target, "events": [*events], **query(secret=secret)}
        return replace(call(self._paths.create_webhook, one(Webhook)), body=body, secrets=(secret or "",))

    @operation
    def delete(self, webhook_id: Id) -> Call[None]:
        """Delete a subscription; NotFoundError if there is none."""
        return call(self._paths.delete_webhook, nothing, id=webhook_id)

"""The Website API: contacts, members, products, orders, forms, bookings, lists and webhooks."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Generic

from convert_sdk._core.half_made import shown_half_made
from convert_sdk.commerce._exchange import DEFAULT_HTTP, ConnectorEndpoint, Http
from convert_sdk.commerce._operations import S_co
from convert_sdk.commerce._sender import (
    AsyncSender,
    AsyncSession,
    Sender,
    Session,
    headers_of,
    key,
    origin_url,
)
from convert_sdk.commerce._sites import canonical_site
from convert_sdk.commerce.website.paths import DEFAULT_PATHS, WebsitePaths
from convert_sdk.commerce.website.people import Contacts, MemberGroups, Members, SubscriberLists
from convert_sdk.commerce.website.shop import Orders, Products
from convert_sdk.commerce.website.site import Bookings, FormSubmissions, Webhooks
from convert_sdk.errors import OptionError

BASE_PATH = "/api/site"
_BASE_PATH = re.compile(r"(/[\w.~%-]+)*/?")


@shown_half_made
class _Website(Generic[S_co]):
    """The resources, over either sender."""

    def __init__(self, sender: S_co, site: str, paths: WebsitePaths) -> None:
        self.site = site
        self._paths = paths
        self._bind(sender)

    def _bind(self, sender: S_co) -> None:  # type: ignore[misc]  # only ever called with a sender of its own kind
        paths = self._paths
        self._sender = sender
        self.contacts = Contacts(sender, paths)
        self.members = Members(sender, paths)
        self.member_groups = MemberGroups(sender, paths)
        self.subscriber_lists = SubscriberLists(sender, paths)
        self.products = Products(sender, paths)
        self.orders = Orders(sender, paths)
        self.form_submissions = FormSubmissions(sender, paths)
        self.bookings = Bookings(sender, paths)
        self.webhooks = Webhooks(sender, paths)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.site!r})"


class WebsiteClient(_Website[Sender], Session):
    """A website's API at `domain` (`shop.example.com`), with the key from its settings.

    `app` (`MyApp/1.0.1`) leads the User-Agent the API asks for, `paths` corrects addresses and `base_path` what is
    before all of them, `http` sets time-outs, retries and extra headers.

    >>> WebsiteClient("shop.example.com", "key", app="MyApp/1.0.1")
    WebsiteClient('shop.example.com')
    """

    def __init__(
        self,
        domain: str,
        api_key: str,
        *,
        app: str | None = None,
        paths: WebsitePaths = DEFAULT_PATHS,
        base_path: str = BASE_PATH,
        http: Http = DEFAULT_HTTP,
    ) -> None:
        super().__init__(Sender(_endpoint(domain, api_key, app, base_path), http), _site(domain), paths)


class AsyncWebsiteClient(_Website[AsyncSender], AsyncSession):
    """`WebsiteClient` for asyncio: the same operations awaited, the same lists with `async for`.

    >>> AsyncWebsiteClient("shop.example.com", "key")
    AsyncWebsiteClient('shop.example.com')
    """

    def __init__(
        self,
        domain: str,
        api_key: str,
        *,
        app: str | None = None,
        paths: WebsitePaths = DEFAULT_PATHS,
        base_path: str = BASE_PATH,
        http: Http = DEFAULT_HTTP,
    ) -> None:
        super().__init__(AsyncSender(_endpoint(domain, api_key, app, base_path), http), _site(domain), paths)


def _site(domain: str) -> str:
    return canonical_site(origin_url("domain", domain).split("://", 1)[1])


def _endpoint(domain: str, api_key: str, app: str | None, base_path: str) -> ConnectorEndpoint:
    if not _BASE_PATH.fullmatch(base_path):
        raise OptionError(f"base_path: expected a path like {BASE_PATH!r}, found {base_path!r}")
    headers = headers_of(f"Bearer {key('api_key', api_key)}", app)
    return ConnectorEndpoint(
        f"{origin_url('domain', domain)}{base_path.rstrip('/')}", headers, (api_key,), refused=_refused
    )


def _refused(payload: object) -> bool:
    """`{"success": false, …}` is a refusal whatever the status says."""
    return isinstance(payload, Mapping) and payload.get("success") is False

"""The addresses of the Website API's operations: a table, because some of them are inferred."""

from __future__ import annotations

from dataclasses import dataclass

from convert_sdk._core.half_made import shown_half_made
from convert_sdk.commerce._routes import Routes


@shown_half_made
@dataclass(frozen=True, slots=True)
class WebsitePaths(Routes):
    """Method and path of every operation, after `https://{domain}/api/site`.

    Certain are contacts (except update), members (list and search), products (list and create), orders
    and webhooks. The others follow their pattern; `create_sso_token` and `list_form_submissions` are
    guesses: replace what your site has elsewhere.

    >>> WebsitePaths(create_sso_token="POST /sso").create_sso_token
    'POST /sso'
    """

    list_contacts: str = "GET /contacts"
    upsert_contact: str = "POST /contacts"
    find_contact_by_email: str = "GET /contacts/search-by-email"
    get_contact: str = "GET /contacts/{id}"
    update_contact: str = "PATCH /contacts/{id}"
    list_members: str = "GET /members"
    create_member: str = "POST /members"
    find_member_by_email: str = "GET /members/search-by-email"
    get_member: str = "GET /members/{id}"
    update_member: str = "PATCH /members/{id}"
    create_sso_token: str = "POST /members/sso"  # noqa: S105 - a path
    list_member_groups: str = "GET /member-groups"
    create_member_group: str = "POST /member-groups"
    get_member_group: str = "GET /member-groups/{id}"
    update_member_group: str = "PATCH /member-groups/{id}"
    list_products: str = "GET /products"
    create_product: str = "POST /products"
    list_categories: str = "GET /products/categories"
    get_product: str = "GET /products/{id}"
    update_product: str = "PATCH /products/{id}"
    list_orders: str = "GET /orders"
    get_order: str = "GET /orders/{id}"
    update_order: str = "PATCH /orders/{id}"
    list_form_submissions: str = "GET /form-submissions"
    list_bookings: str = "GET /bookings"
    create_subscriber_list: str = "POST /subscriber-lists"
    update_subscriber_list: str = "PATCH /subscriber-lists/{id}"
    list_webhooks: str = "GET /webhooks"
    create_webhook: str = "POST /webhooks"
    delete_webhook: str = "DELETE /webhooks/{id}"


DEFAULT_PATHS = WebsitePaths()

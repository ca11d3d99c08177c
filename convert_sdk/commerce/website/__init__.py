"""Connect to a website's store: its API, and the webhooks it sends.

>>> client = WebsiteClient("shop.example.com", "api-key", app="MyApp/1.0.1")
>>> new_orders = client.orders.list(created_at_min=1_700_000_000)  # nothing is sent until it is read
"""

from convert_sdk.commerce.website.client import AsyncWebsiteClient, WebsiteClient
from convert_sdk.commerce.website.models import (
    Booking,
    Contact,
    DiscountType,
    FormSubmission,
    Member,
    MemberGroup,
    Order,
    OrderStatus,
    Product,
    ProductType,
    SsoToken,
    SubscriberList,
    Webhook,
    WebsiteRef,
    WeightUnit,
)
from convert_sdk.commerce.website.parts import (
    Category,
    FieldValue,
    Fulfillment,
    NameValue,
    OrderItem,
    OrderNote,
    PostalAddress,
    ProductOption,
    ProductVariant,
    Subscription,
    Tax,
)
from convert_sdk.commerce.website.paths import WebsitePaths
from convert_sdk.commerce.website.receivers import Intake, asgi_receiver, wsgi_receiver

__all__ = [
    "AsyncWebsiteClient",
    "Booking",
    "Category",
    "Contact",
    "DiscountType",
    "FieldValue",
    "FormSubmission",
    "Fulfillment",
    "Intake",
    "Member",
    "MemberGroup",
    "NameValue",
    "Order",
    "OrderItem",
    "OrderNote",
    "OrderStatus",
    "PostalAddress",
    "Product",
    "ProductOption",
    "ProductType",
    "ProductVariant",
    "SsoToken",
    "SubscriberList",
    "Subscription",
    "Tax",
    "Webhook",
    "WebsiteClient",
    "WebsitePaths",
    "WebsiteRef",
    "WeightUnit",
    "asgi_receiver",
    "wsgi_receiver",
]  # fmt: skip

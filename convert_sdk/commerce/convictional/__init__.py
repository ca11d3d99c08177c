"""Connect to the Convictional Buyer API.

>>> client = BuyerClient("api-key")
>>> changed = client.orders.list()  # nothing is sent until it is read
"""

from convert_sdk.commerce.convictional.client import AsyncBuyerClient, BuyerClient
from convert_sdk.commerce.convictional.models import (
    Address,
    BuyerOrder,
    Choice,
    Image,
    OrderItem,
    OrderLine,
    Product,
    Progress,
    SellerOrder,
    SellerOrderItem,
    Variant,
)
from convert_sdk.commerce.convictional.resources import BuyerPaths

__all__ = [
    "Address", "AsyncBuyerClient", "BuyerClient", "BuyerOrder", "BuyerPaths", "Choice", "Image", "OrderItem",
    "OrderLine", "Product", "Progress", "SellerOrder", "SellerOrderItem", "Variant",
]  # fmt: skip

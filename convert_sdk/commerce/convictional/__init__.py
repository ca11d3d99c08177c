"""Connect to the Convictional Buyer API.

>>> client = BuyerClient("api-key")
>>> changed = client.orders.list()  # nothing is sent until it is read
"""

from convert_sdk.commerce.convictional.client import AsyncBuyerClient, BuyerClient
from convert_sdk.commerce.convictional.models import (
    BuyerAddress,
    BuyerOrder,
    BuyerOrderItem,
    BuyerProduct,
    Choice,
    Image,
    OrderLine,
    SellerOrder,
    SellerOrderItem,
    SellerProgress,
    Variant,
)
from convert_sdk.commerce.convictional.resources import BuyerPaths

__all__ = [
    "AsyncBuyerClient",
    "BuyerAddress",
    "BuyerClient",
    "BuyerOrder",
    "BuyerOrderItem",
    "BuyerPaths",
    "BuyerProduct",
    "Choice",
    "Image",
    "OrderLine",
    "SellerOrder",
    "SellerOrderItem",
    "SellerProgress",
    "Variant",
]  # fmt: skip

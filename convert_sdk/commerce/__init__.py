"""Store systems: their records as typed values, their orders as conversions.

>>> from convert_sdk.commerce.website import WebsiteClient
>>> WebsiteClient("shop.example.com", "api-key", http=Http(deadline=10))
WebsiteClient('shop.example.com')
"""

from convert_sdk.commerce._exchange import Http as Http
from convert_sdk.commerce._exchange import Retries as Retries
from convert_sdk.commerce._exchange import TokenBucket as TokenBucket
from convert_sdk.commerce._pages import AsyncPages as AsyncPages
from convert_sdk.commerce._pages import Page as Page
from convert_sdk.commerce._pages import Pages as Pages

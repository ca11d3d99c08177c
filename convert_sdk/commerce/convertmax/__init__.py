"""Connect to Convertmax: records under stable idempotency keys, and its Event API.

>>> ConvertmaxClient("private-key", options=ConvertmaxOptions(x_api_key=True))
ConvertmaxClient('https://api.convertmax.io')
"""

from convert_sdk.commerce.convertmax.client import AsyncConvertmaxClient, ConvertmaxClient
from convert_sdk.commerce.convertmax.events import AsyncEventClient, EventClient
from convert_sdk.commerce.convertmax.records import (
    ConvertmaxOptions,
    StoredRecord,
    WriteResult,
    derived_key,
)

__all__ = [
    "AsyncConvertmaxClient", "AsyncEventClient", "ConvertmaxClient", "ConvertmaxOptions", "EventClient",
    "StoredRecord", "WriteResult", "derived_key",
]  # fmt: skip

"""Store systems on a loopback port, for tests and demonstrations; needs the extra `server`.

Each keeps the documented rules of its system (keys, filters, required and unknown fields) and misbehaves
on demand: `fail` and `limit` spoil the next answers, switches do the rest.
"""

from convert_sdk._extras import needs_extra

with needs_extra(__name__, "server", "starlette", "uvicorn"):
    from convert_sdk.testing.stores._local import LocalStore as LocalStore
    from convert_sdk.testing.stores._local import Received as Received
    from convert_sdk.testing.stores.convertmax import ConvertmaxStore as ConvertmaxStore
    from convert_sdk.testing.stores.convictional import ConvictionalStore as ConvictionalStore
    from convert_sdk.testing.stores.website import Delivery as Delivery
    from convert_sdk.testing.stores.website import WebsiteStore as WebsiteStore

"""Experiments in Django projects: a middleware, template tags, a system check and a command.

In the settings: `"convert_sdk.integrations.django"` in INSTALLED_APPS,
`"convert_sdk.integrations.django.ConvertMiddleware"` in MIDDLEWARE, and the block CONVERT with the options of the
client and of the middleware, in capitals.
"""

from convert_sdk._extras import needs_extra

with needs_extra(__name__, "django", "django"):
    from .configuration import get_client
    from .middleware import ConvertMiddleware, new_visitor

__all__ = ["ConvertMiddleware", "get_client", "new_visitor"]

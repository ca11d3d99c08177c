"""A project's features and experiences as flags of OpenFeature: `ConvertProvider`."""

from convert_sdk._extras import needs_extra

with needs_extra(__name__, "openfeature", "openfeature"):
    from openfeature.provider import AbstractProvider as AbstractProvider

from .provider import ConvertProvider

__all__ = ["ConvertProvider"]

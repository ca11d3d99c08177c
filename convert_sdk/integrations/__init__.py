"""Integrations with web frameworks, one module each; a module imports its framework, and this package imports none."""

from ._web.cookies import Cookie
from ._web.facts import GeoHeaders
from ._web.override_tokens import override_token

__all__ = ["Cookie", "GeoHeaders", "override_token"]

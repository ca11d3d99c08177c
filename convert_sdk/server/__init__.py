"""A local Serving API: Convert's endpoints on loopback, with real targeting of what is served to whom.

Needs the extra `server` (`pip install "convert-sdk[server]"`).
"""

from convert_sdk._extras import needs_extra

with needs_extra(__name__, "server", "starlette", "uvicorn"):
    from .app import create_app
    from .demo_document import DEMO_SDK_KEY, demo_document
    from .record import Conversion, Exposure, GoalTotal, Record, Summary, VariationTotal
    from .registry import DebugToken, Registry, ServedProject
    from .run import LocalServer, running, serve

__all__ = [
    "DEMO_SDK_KEY",
    "Conversion",
    "DebugToken",
    "Exposure",
    "GoalTotal",
    "LocalServer",
    "Record",
    "Registry",
    "ServedProject",
    "Summary",
    "VariationTotal",
    "create_app",
    "demo_document",
    "running",
    "serve",
]

"""Typed flags: `convert-sdk codegen` writes a project's features and keys as a module of Python.

What it writes stands on `TypedFeature` and `FlagSpec`.
"""

from .feature import FlagSpec, TrackArguments, TypedFeature
from .generate import generate_flags, is_current
from .settings import FlagSettings, read_settings

__all__ = [
    "FlagSettings",
    "FlagSpec",
    "TrackArguments",
    "TypedFeature",
    "generate_flags",
    "is_current",
    "read_settings",
]

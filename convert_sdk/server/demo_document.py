"""An outdoor shop's project, to try things on."""

from __future__ import annotations

import json
from importlib.resources import files

DEMO_SDK_KEY = "10035569/10034190"
"""The demonstration project's SDK key."""


def demo_document() -> dict[str, object]:
    """The document of an outdoor shop: a bit of everything that a project can hold.

    >>> demo_document()["account_id"]
    '10035569'
    """
    document: dict[str, object] = json.loads(
        files("convert_sdk.server").joinpath("demo_document.json").read_text("utf-8")
    )
    return document

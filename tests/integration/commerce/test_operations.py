"""Nothing the documentation names is missing: a method on both clients, a test, a line on the page."""

from __future__ import annotations

import ast
import importlib
import json
from collections.abc import Callable
from dataclasses import fields
from functools import cache
from inspect import signature
from pathlib import Path
from typing import Any, TypeAlias

import pytest

from convert_sdk.commerce._operations import listing, operation
from convert_sdk.commerce.convertmax import (
    AsyncConvertmaxClient,
    AsyncEventClient,
    ConvertmaxClient,
    EventClient,
)
from convert_sdk.commerce.convictional import AsyncBuyerClient, BuyerClient, BuyerPaths
from convert_sdk.commerce.website import AsyncWebsiteClient, WebsiteClient, WebsitePaths
from tests.shapes import of

from .openapi import FIXTURES, document

Row: TypeAlias = dict[str, Any]

ROOT = FIXTURES.parents[1]
TABLE: list[Row] = json.loads((FIXTURES / "commerce" / "operations.json").read_text())
SYSTEMS = ("website-api", "convertmax-api", "convertmax-event", "convictional-buyer")
CLIENTS = {
    "website.WebsiteClient": [WebsiteClient("a.example.com", "k"), AsyncWebsiteClient("a.example.com", "k")],
    "convictional.BuyerClient": [BuyerClient("k"), AsyncBuyerClient("k")],
    "convertmax.ConvertmaxClient": [ConvertmaxClient("k"), AsyncConvertmaxClient("k")],
    "convertmax.EventClient": [EventClient("k"), AsyncEventClient("k")],
}


def rows(kind: Callable[[Row], object]) -> list[Any]:
    return [pytest.param(each, id=each["operation"]) for each in TABLE if kind(each)]


def is_webhook(row: Row) -> bool:
    return str(row["route"]).startswith("webhook ")


@cache
def written_in(path: str) -> set[str]:
    tree = ast.parse((ROOT / path).read_text())
    classes = [each for each in tree.body if isinstance(each, ast.ClassDef)]
    return {
        f"{each.name}::{test.name}"
        for each in classes
        for test in each.body
        if isinstance(test, ast.FunctionDef)
    }


@pytest.mark.parametrize("system", SYSTEMS)
def test_every_documented_operation_is_in_the_table(system: str) -> None:
    documented = {
        f"{method.upper()} {path}"
        for path, methods in document(system)["paths"].items()
        for method, found in methods.items()
        if found["x-evidence"].startswith("documented") and system != "convertmax-event"
    } | {f"webhook {topic}" for topic in document(system).get("webhooks", {}) if system == "website-api"}
    assert bool(documented) == (system != "convertmax-event")  # whose page is of another kind: not counted
    assert documented == {each["route"] for each in TABLE if each["system"] == system and each["documented"]}


@pytest.mark.parametrize("row", rows(lambda row: not is_webhook(row)))
def test_each_operation_has_a_method_on_both_clients(row: Row) -> None:
    module, client, *names = row["method"].split(".")
    *resources, method = names
    for each in CLIENTS[f"{module}.{client}"]:
        found = getattr(each, resources[0]) if resources else each
        assert isinstance(getattr(type(found), method), operation | listing)
        assert getattr(found, method).__doc__
        assert "self" not in signature(getattr(found, method)).parameters


@pytest.mark.parametrize("row", rows(is_webhook))
def test_each_webhook_has_an_event(row: Row) -> None:
    module, name = row["method"].rsplit(".", 1)
    assert hasattr(importlib.import_module(f"convert_sdk.commerce.{module}"), name)


@pytest.mark.parametrize("row", rows(lambda _: True))
def test_each_operation_has_a_test(row: Row) -> None:
    path, test = row["test"].split("::", 1)
    assert test in written_in(path)


def test_the_path_tables_are_the_documents() -> None:
    website = {f.default for f in fields(WebsitePaths)}
    assert website == {
        each["route"] for each in TABLE if each["system"] == "website-api" and not is_webhook(each)
    }
    buyer = {of(str, f.default).replace("{id}", "{}") for f in fields(BuyerPaths)}
    routes = [each["route"] for each in TABLE if each["system"] == "convictional-buyer"]
    assert buyer == {each.replace("{orderId}", "{}").replace("{productId}", "{}") for each in routes}


def test_the_page_shows_the_table() -> None:
    page = (ROOT / "docs" / "commerce-operations.md").read_text()
    for each in TABLE:
        name, shown = each["operation"], Path(each["test"]).name
        assert f"| `{each['route']}` | `{each['method']}` | `{shown}` |" in page, name
    counted = sum(each["documented"] for each in TABLE)
    assert f"Documented operations: {counted}; covered: {counted}." in page

"""Every request our clients send and every answer of a fake, held against the OpenAPI files."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from jsonschema import Draft202012Validator

from convert_sdk.testing.stores import Received
from tests.shapes import of

ANSWERED_AS_DOCUMENTED = (
    "website-api",
    "convertmax-api",
    "convertmax-event",
)  # the Buyer API has many shapes
FIXTURES = Path(__file__).parents[2] / "fixtures"


@cache
def document(name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((FIXTURES / "openapi" / f"{name}.json").read_text())
    return found


def operation(name: str, method: str, path: str) -> tuple[dict[str, Any], dict[str, str]]:
    """The operation at an address: static paths win over those with parameters."""
    found = document(name)
    base = urlsplit(found["servers"][0]["url"].replace("{", "").replace("}", "")).path
    for template in sorted(found["paths"], key=lambda each: each.count("{")):
        pattern = base + re.sub(r"{(\w+)}", r"(?P<\1>[^/]+)", template)
        if (match := re.fullmatch(pattern, path)) and method.lower() in found["paths"][template]:
            return found["paths"][template][method.lower()], match.groupdict()
    raise AssertionError(f"{name} has no {method} {path}")


def check(name: str, request: Received) -> None:
    """Address, parameters, body and headers of one request."""
    found, ids = operation(name, request.method, request.path)
    known = {(each["name"], each["in"]): each for each in found.get("parameters", ())}
    for given, place in ((dict(request.query), "query"), (ids, "path")):
        for key, value in given.items():
            assert (key, place) in known, f"{request.method} {request.path}: {key} is no {place} parameter"
            schema = known[key, place]["schema"]
            _validate(name, schema, _typed(unquote(value), schema))
    for (key, place), parameter in known.items():
        if parameter.get("required") and place == "query":
            assert key in dict(request.query), f"{request.path} needs {key}"
    _check_body(name, found, request)
    if name in ANSWERED_AS_DOCUMENTED:
        _check_answer(name, found, request)
    assert request.headers["user-agent"].strip()
    assert request.headers["authorization"].strip()


def _check_body(name: str, found: Mapping[str, Any], request: Received) -> None:
    expected = found.get("requestBody")
    assert bool(expected) == bool(request.body), f"{request.method} {request.path}: a body, or none?"
    if expected:
        assert request.headers["content-type"] == "application/json"
        schema = expected["content"]["application/json"]["schema"]
        _validate(name, schema, request.json())
        unknown = set(of(dict, request.json())) - _properties(name, schema)
        assert not unknown, f"{request.method} {request.path}: unknown fields {unknown}"


def _check_answer(name: str, found: Mapping[str, Any], request: Received) -> None:
    """The fake answers as the document says, when nothing spoils its answer."""
    content = found["responses"].get(str(request.status), {}).get("content")
    if content and not request.spoilt and request.answer[:1] in b'[{"':
        _validate(name, content["application/json"]["schema"], json.loads(request.answer))


def _properties(name: str, schema: Mapping[str, Any]) -> set[str]:
    if "$ref" in schema:
        return _properties(name, document(name)["components"]["schemas"][schema["$ref"].rsplit("/", 1)[1]])
    own = set(schema.get("properties", ()))
    return own.union(*(_properties(name, each) for each in schema.get("anyOf", ())))


def _typed(text: str, schema: Mapping[str, Any]) -> object:
    if schema.get("type") == "integer":
        return int(text)
    return {"true": True, "false": False}[text] if schema.get("type") == "boolean" else text


def _validate(name: str, schema: Mapping[str, Any], value: Any) -> None:
    rooted = {**schema, "components": document(name).get("components", {})}
    checker = Draft202012Validator.FORMAT_CHECKER
    errors = [
        f"{error.json_path}: {error.message}"
        for error in Draft202012Validator(rooted, format_checker=checker).iter_errors(value)
    ]
    assert not errors, errors


def check_all(name: str, requests: Iterable[Received]) -> None:
    for request in requests:
        check(name, request)

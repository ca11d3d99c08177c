"""The difference of two documents: the experiences that came, went, or are decided or read otherwise."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from json import dumps
from typing import NamedTuple

from convert_sdk._core.problem import ignore
from convert_sdk._core.rules import EXCLUSION

from .coerce import as_id, ids, objects
from .json import read_json
from .variations import changed_features


class DocumentDifference(NamedTuple):
    """Keys of experiences, in the order of the document that has them."""

    added: tuple[str, ...]
    removed: tuple[str, ...]
    changed: tuple[str, ...]
    """Their own JSON, or that of anything they refer to, differs."""


def difference(before: bytes, after: bytes) -> DocumentDifference:
    """Compare two documents that compile.

    >>> before = b'{"experiences": [{"key": "a", "id": 1}, {"key": "b", "id": 2, "audiences": [5]}], "audiences": []}'
    >>> after = b'{"experiences": [{"key": "b", "id": 2, "audiences": [5]}], "audiences": [{"id": 5, "rules": null}]}'
    >>> difference(before, after)
    DocumentDifference(added=(), removed=('a',), changed=('b',))
    """
    old, new = _fingerprints(read_json(before)), _fingerprints(read_json(after))
    return DocumentDifference(
        tuple(key for key in new if key not in old),
        tuple(key for key in old if key not in new),
        tuple(key for key, parts in new.items() if key in old and parts != old[key]),
    )


def _fingerprints(document: object) -> dict[str, list[str]]:
    """The JSON of each experience and of what it refers to, by key; the first of a key counts."""
    if not isinstance(document, Mapping):
        return {}
    lists = {
        name: _by_id(document, name) for name in ("audiences", "segments", "locations", "goals", "features")
    }
    archived = set(ids(document.get("archived_experiences"), "", ignore))
    experiences = [item for _, item in objects(document.get("experiences"), "", ignore)]
    keyed = {as_id(item.get("key")): _text(item) for item in reversed(experiences)}
    found: dict[str, list[str]] = {}
    for item in experiences:
        key = as_id(item.get("key"))
        if key not in found:
            referred = sorted(_referred(item, lists, keyed))
            found[key] = [_text(item), str(as_id(item.get("id")) in archived), *referred]
    return found


def _referred(
    item: Mapping[str, object], lists: Mapping[str, Mapping[str, str]], keyed: Mapping[str, str]
) -> Iterator[str]:
    names = {
        "audiences": ids(item.get("audiences"), "", ignore),
        "segments": ids(item.get("audiences"), "", ignore),  # an experience lists them among its audiences
        "locations": ids(item.get("locations"), "", ignore),
        "goals": ids(item.get("goals"), "", ignore),
        "features": changed_features(item),
    }
    for kind, wanted in names.items():
        for name in wanted:
            text = lists[kind].get(name)
            if text is not None:
                yield text
                if kind == "audiences" and EXCLUSION in text:
                    yield from (other for key, other in keyed.items() if dumps(key) in text)


def _by_id(document: Mapping[str, object], name: str) -> dict[str, str]:
    entries: Iterable[Mapping[str, object]] = (item for _, item in objects(document.get(name), "", ignore))
    return {as_id(item.get("id")): _text(item) for item in entries}


def _text(item: object) -> str:
    return dumps(item, sort_keys=True)

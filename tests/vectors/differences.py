"""Where we differ from the reference on purpose: one function a difference, and nothing else.

A rewrite changes named fields of what the reference answered, by what the difference says. Where a
difference changes the course of a case, no field can be named; then the case is asked again the
reference's way, and every field must agree: that shows that nothing but the difference was in play.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from math import isnan
from typing import Any
from urllib.parse import quote

from convert_sdk._core.javascript import js_string, truthy

Json = Any
"""Parsed JSON of any shape."""
Rewrite = Callable[[Json, Json], Json]
"""Takes the case and what the reference answered; gives what we are to answer."""
Question = tuple[Json, Json]
"""A case and its document."""

REFUSED = {"refused": True}
STORE_WINS = "store_wins"
"""Added to a case, to read the store as the reference does."""
CAST_STAYS = "cast_stays"
"""Added to a case, to show variables as the reference does once it has cast them."""
UNTRACKED_REMEMBERS = "untracked_remembers"
"""Added to a case, to remember what is decided without tracking, as the reference does."""
_WIRE_IDS = frozenset({"accountId", "projectId", "goalId", "experienceId", "variationId"})
_STEP_IDS = frozenset({"experience_id", "variation_id", "feature_id"})


_NEGATION_CHECK = "_returnNegationCheck"


class OneOf(list[Json]):
    """In an answer: any of these values agrees."""


class Between:
    """In an answer: any list of names, each once, that has all of some and none but those of others."""

    def __init__(self, least: Iterable[str], most: Iterable[str]) -> None:
        self.least = frozenset(least)
        self.most = frozenset(most)

    def admits(self, names: list[Json]) -> bool:
        """Tell a list that agrees."""
        return len(set(names)) == len(names) and self.least <= set(names) <= self.most


def rewritten(case: Json, expected: Json) -> tuple[Json, list[str]]:
    """What we are to answer, and the differences that changed it."""
    applied = []
    for name, rewrite in REWRITES.get(case.get("mode"), {}).items():
        changed = rewrite(case, expected)
        if repr(changed) != repr(expected):
            applied.append(name)
        expected = changed
    return expected, applied


def asked_otherwise(case: Json, document: Json) -> Iterator[tuple[list[str], Question]]:
    """The reference's ways to take a case: each difference alone, then all that touch it together."""
    questions = QUESTIONS.get(case.get("mode"), {})
    touching = [name for name, ask in questions.items() if ask(case, document) != (case, document)]
    for names in [*([name] for name in touching), touching][: 1 if len(touching) == 1 else None]:
        question = case, document
        for name in names:
            question = questions[name](*question)
        yield names, question


# Rewrites of what the reference answered


def ids_are_text(case: Json, expected: Json) -> Json:
    """D1: ids are text, in answers, in what is remembered, and on the wire.

    A feature is then known by its id: one that is enabled is not listed once more as disabled.
    """

    def change(key: str, item: Json) -> Json:
        if key in _WIRE_IDS or key in _STEP_IDS:
            return item if item is None else js_string(item)
        if key in {"bucketing", "bucketingData"} and isinstance(item, dict):
            return {name: js_string(chosen) for name, chosen in item.items()}
        return item

    mapped = _mapped(expected, change, apart="variables")
    if "steps" not in mapped:
        return mapped
    return {**mapped, "steps": [_each_once(step) for step in mapped["steps"]]}


def _each_once(step: Json) -> Json:
    """A step without the disabled features whose id an enabled one has."""
    features = step.get("features") if isinstance(step, dict) else None
    if not features:
        return step
    enabled = {x.get("feature_id") for x in features if x["status"] == "enabled"}
    kept = [x for x in features if x["status"] == "enabled" or x.get("feature_id") not in enabled]
    return {**step, "features": kept}


def uncastable(case: Json, expected: Json) -> Json:
    """D7: a cast that fails is no NaN; a type that is not known casts nothing."""
    failed = case["type"] in {"integer", "float"} and _is_nan(expected.get("result"))
    return {"uncastable": True} if failed else expected


def without_nan(case: Json, expected: Json) -> Json:
    """D7: a variable that cannot be cast is absent."""

    def change(key: str, item: Json) -> Json:
        if key != "variables" or not isinstance(item, dict):
            return item
        return {name: value for name, value in item.items() if not _is_nan(value)}

    return _mapped(expected, change)


def visitor_is_text(case: Json, expected: Json) -> Json:
    """D10: a visitor id is text, and an empty one is refused."""
    if case["visitor_id"] == "":
        return REFUSED
    return _mapped(expected, lambda key, item: js_string(item) if key == "visitorId" else item)


def token_in_header(case: Json, expected: Json) -> Json:
    """D16: the debug token goes in a header, where no access log keeps it."""
    token = (case.get("options") or {}).get("debug_token")
    if not token or "requests" not in expected:
        return expected
    parameter = re.compile(r"[?&]debug_token=" + re.escape(quote(token, safe="")))
    moved = [
        {
            **request,
            "url": parameter.sub("", request["url"]),
            "headers": {**(request.get("headers") or {}), "convert-debug-token": token},
        }
        if request["method"] == "GET"
        else request
        for request in expected["requests"]
    ]
    return {**expected, "requests": moved}


_TEXTS = frozenset({"country", "browser", "source", "campaign", "visitorType"})
_LISTS = frozenset({"devices", "customSegments"})


def segments_in_their_types(case: Json, expected: Json) -> Json:
    """D26: a segment that the API knows is sent as text or as a list of texts, or not at all."""
    if not isinstance(expected, dict) or "requests" not in expected:
        return expected

    def change(key: str, item: Json) -> Json:
        if key != "segments" or not isinstance(item, dict):
            return item
        fitting = {name: _fitting(name, value) for name, value in item.items()}
        return {
            name: value for name, value in fitting.items() if value is not None or name not in _TEXTS | _LISTS
        }

    return {**expected, "requests": _mapped(expected["requests"], change)}


def _fitting(name: str, value: Json) -> Json:
    if name not in _TEXTS | _LISTS:
        return value
    items = value if isinstance(value, list) else [value]
    texts = [js_string(item) for item in items if isinstance(item, (str, int, float))]
    if name in _LISTS:
        return texts if texts or items == [] else None
    return texts[0] if len(texts) == len(items) == 1 else None


def _is_nan(value: Json) -> bool:
    return isinstance(value, float) and isnan(value)


def _mapped(value: Json, change: Callable[[str, Json], Json], *, apart: str | None = None) -> Json:
    """The same JSON, each member of an object changed by its name; what is `apart` is an application's own."""
    if isinstance(value, dict):
        return {
            key: item if key == apart else change(key, _mapped(item, change, apart=apart))
            for key, item in value.items()
        }
    return [_mapped(item, change, apart=apart) for item in value] if isinstance(value, list) else value


# The reference's way to take a case


def typed_ids(case: Json, document: Json) -> Question:
    """D1: in a list, an id names an entity only where both are of one JSON type."""
    lists = {"audiences": ("audiences", "segments"), "locations": ("locations",)}
    known = {
        name: {_typed(x["id"]) for source in sources for x in _objects(document, source) if "id" in x}
        for name, sources in lists.items()
    }
    experiences = [
        {
            **experience,
            **{
                name: [x if _typed(x) in known[name] else f"{x} of another type" for x in experience[name]]
                for name in lists
                if isinstance(experience.get(name), list)
            },
        }
        if isinstance(experience, dict)
        else experience
        for experience in document.get("experiences") or ()
    ]
    return case, {**document, "experiences": experiences} if experiences else document


def _typed(id: Json) -> tuple[type, str]:
    return type(id), json.dumps(id, sort_keys=True)


def _objects(document: Json, name: str) -> list[Json]:
    return [item for item in document.get(name) or () if isinstance(item, dict)]


def no_attribute(case: Json, document: Json) -> Question:
    """D4: data with the attribute `name: "RuleData"` has no attribute at all."""
    named = isinstance(case["data"], dict) and case["data"].get("name") == "RuleData"
    return ({**case, "data": {}} if named else case), document


def negation_check(case: Json, document: Json) -> Question:
    """D3: the match type `_returnNegationCheck` is the visitor's own value, turned round by a true test value."""
    if _NEGATION_CHECK not in json.dumps(case["rule_set"]):
        return case, document

    def change(item: Json) -> Json:
        if isinstance(item, list):
            return [change(each) for each in item]
        if not isinstance(item, dict):
            return item
        matching = item.get("matching")
        if not isinstance(matching, dict) or matching.get("match_type") != _NEGATION_CHECK:
            return {key: change(each) for key, each in item.items()}
        value = case["data"].get(item.get("key")) if isinstance(case["data"], dict) else None
        holds = not truthy(value) if truthy(item.get("value")) else value is True
        # What is blank is contained in everything that is there.
        return {**item, "value": "", "matching": {**matching, "match_type": "contains", "negated": not holds}}

    return {**case, "rule_set": change(case["rule_set"])}, document


def store_wins(case: Json, document: Json) -> Question:
    """D12: what the store held at first wins over what the process has just written."""
    configured = "store" in case or (case.get("options") or {}).get("data_store")
    return ({**case, STORE_WINS: True} if configured else case), document


def cast_stays(case: Json, document: Json) -> Question:
    """D7: a variable that has been cast once is cast in the document, whoever asks for the raw one next."""
    raw = [
        (step.get("attributes") or {}).get("type_casting") is False
        for step in case["steps"]
        if step["op"] in {"run_feature", "run_features"}
    ]
    return ({**case, CAST_STAYS: True} if True in raw and False in raw else case), document


def untracked_remembers(case: Json, document: Json) -> Question:
    """D25: a call without tracking remembers what it decides, and sends nothing."""
    untracked = any((step.get("attributes") or {}).get("enable_tracking") is False for step in case["steps"])
    return ({**case, UNTRACKED_REMEMBERS: True} if untracked else case), document


def in_units(case: Json, document: Json) -> Question:
    """D14: a regex sees UTF-16 units, half a character each."""
    if case["match_type"] != "regexMatches":
        return case, document
    escaped = re.compile(r"\\u([dD][89a-fA-F][0-9a-fA-F]{2})|\\.", re.DOTALL)
    pattern = escaped.sub(lambda m: chr(int(m[1], 16)) if m[1] else m[0], js_string(case["test_against"]))
    changed = {"test_against": _units(pattern), "value": _units(js_string(case["value"]))}
    return {**case, **changed} if changed["test_against"] != pattern or _halves(changed) else case, document


def rules_in_units(case: Json, document: Json) -> Question:
    """D14, in a rule set: all its texts and those of the data are taken apart, so that they stay comparable."""
    if '"regexMatches"' not in json.dumps(case["rule_set"]):
        return case, document
    return {**case, **{name: _in_units(case[name]) for name in ("rule_set", "data")}}, document


def _in_units(value: Json) -> Json:
    if isinstance(value, str):
        return _units(value)
    if isinstance(value, dict):
        return {key: _in_units(item) for key, item in value.items()}
    return [_in_units(item) for item in value] if isinstance(value, list) else value


def _units(text: str) -> str:
    units = text.encode("utf-16-le", "surrogatepass")
    return "".join(chr(low | high << 8) for low, high in zip(units[::2], units[1::2], strict=True))


def _halves(texts: Mapping[str, str]) -> bool:
    return any("\ud800" <= char <= "\udfff" for text in texts.values() for char in text)


_SECTIONS = ("audiences", "locations", "segments")


def without_the_unreadable(case: Json, document: Json) -> Question:
    """D27: what cannot be read in a section is as if it were not there."""
    changed = {**document}
    for name in _SECTIONS:
        section = document.get(name)
        if section is None:
            continue
        entries = section if isinstance(section, list) else []
        readable = [item for item in entries if isinstance(item, dict) and _is_id(item.get("id"))]
        if readable != section:
            changed[name] = readable
    return case, changed if changed != document else document


def _is_id(value: Json) -> bool:
    return value != "" and isinstance(value, (str, int, float)) and not isinstance(value, bool) and value != 0


# What cannot be asked otherwise


def hangs_on(document: Json, *answers: Json) -> str | None:
    """The difference that a case hangs on, where an answer has gone through a malformed piece.

    D1: the hash can select a variation whose id is a number, and the reference can neither return it
    nor know it again; we decide it like any other.
    """
    numeric = {
        (js_string(experience.get("id")), js_string(variation["id"]))
        for experience in _objects(document or {}, "experiences")
        for variation in _objects(experience, "variations")
        if isinstance(variation.get("id"), (int, float))
    }
    return "D1" if any(not numeric.isdisjoint(_decided(answer, numeric)) for answer in answers) else None


def _decided(answer: Json, numeric: set[tuple[str, str]]) -> Iterator[tuple[str, str]]:
    """Experiences and variations that an answer speaks of; a feature names only the experience."""
    for name, chosen in ((answer.get("visitor_data") or {}).get("bucketing") or {}).items():
        yield from ((name, each) for each in (chosen if isinstance(chosen, OneOf) else [chosen]))
    for step in answer.get("steps") or ():
        shown = [step.get("variation"), step.get("feature"), *(step.get("variations") or ())]
        for item in [*shown, *(step.get("features") or ())]:
            if isinstance(item, dict) and "experience_id" in item:
                yield from (
                    pair
                    for pair in numeric
                    if pair[0] == item["experience_id"] and pair[1] == item.get("variation_id", pair[1])
                )


REWRITES: Mapping[str | None, Mapping[str, Rewrite]] = {
    None: {
        "D1": ids_are_text,
        "D7": without_nan,
        "D10": visitor_is_text,
        "D16": token_in_header,
        "D26": segments_in_their_types,
    },
    "cast": {"D7": uncastable},
}
QUESTIONS: Mapping[str | None, Mapping[str, Callable[[Json, Json], Question]]] = {
    None: {
        "D1": typed_ids,
        "D7": cast_stays,
        "D12": store_wins,
        "D25": untracked_remembers,
        "D27": without_the_unreadable,
    },
    "rule": {"D3": negation_check, "D4": no_attribute, "D14": rules_in_units},
    "compare": {"D14": in_units},
}

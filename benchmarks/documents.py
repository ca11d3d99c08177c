"""Seeded documents: one Convert document, and the same experiments as an Eppo flag configuration."""

from __future__ import annotations

import json
import random
from typing import Any

Json = dict[str, Any]

ATTRIBUTES = {"country": "DE", "visits": 7, "plan": "pro", "device": "phone", "spent": 12.5, "member": "yes"}
"""A visitor who passes every rule below, so that no measurement is flattered by an early miss."""

FEATURE = "pricing"
GOAL = "purchase"
_SCRIPT = """document.querySelector('.cta').textContent = "Buy now";\n""" * 100
_SHARES = ((50.0, 50.0), (34.0, 33.0, 33.0), (90.0, 10.0), (20.0, 30.0), (25.0, 25.0, 25.0, 25.0))


def small(experiences: int, key: str = "country") -> Json:
    """Experiences with an audience of two rules each, over the text `key` and over `visits`."""
    rng = random.Random(experiences)
    shares = [_SHARES[index % len(_SHARES)] for index in range(experiences)]
    document = _document([_experience(index, arms, [2], rng) for index, arms in enumerate(shares)])
    for audience in document["audiences"]:
        audience["rules"]["OR"][0]["AND"][0]["OR_WHEN"][0].update(key=key, value=ATTRIBUTES[key])
    return document


def large(size: int) -> Json:
    """1,000 experiences, three variations, two audiences of six rules each, padded to `size` with changes."""
    bare = len(json.dumps(_large(0)))
    return _large(max(0, (size - bare) // 3000 - 60))


def _large(padding: int) -> Json:
    rng = random.Random(1000)
    document = _document([_experience(index, _SHARES[1], [6, 6], rng) for index in range(1000)])
    for experience in document["experiences"]:
        for variation in experience["variations"]:
            change = {
                "id": rng.randrange(10**6),
                "type": "richStructure",
                "data": {"js": _SCRIPT[:padding]},
            }
            variation["changes"] = [change] if padding else []
    return document


def with_feature(variables: int = 20) -> Json:
    """One experience whose arms both carry a feature of `variables` typed variables, and one goal."""
    document = small(1)
    types = ("boolean", "integer", "float", "string", "json")
    raw = ("true", "12", "0.25", "free shipping", '{"a":[1,2]}')
    declared = [{"key": f"v{index}", "type": types[index % 5]} for index in range(variables)]
    data = {f"v{index}": raw[index % 5] for index in range(variables)}
    document["features"] = [{"id": "900", "key": FEATURE, "name": "Pricing", "variables": declared}]
    for variation in document["experiences"][0]["variations"]:
        change = {"feature_id": 900, "variables_data": data}
        variation["changes"] = [{"id": 1, "type": "fullStackFeature", "data": change}]
    return document


def as_eppo(document: Json, *, log: bool) -> Json:
    """The same experiments as Eppo flags: an audience is a rule, one shard range per variation."""
    audiences = {audience["id"]: audience for audience in document["audiences"]}
    flags = {entry["key"]: _flag(entry, audiences, log=log) for entry in document["experiences"]}
    environment = {"name": "benchmark"}
    return {
        "createdAt": "2025-01-01T00:00:00Z",
        "format": "SERVER",
        "environment": environment,
        "flags": flags,
    }


def shares(document: Json) -> dict[str, dict[str | None, float]]:
    """What part of all qualified visitors each variation key should get, `None` for nobody's part."""
    expected: dict[str, dict[str | None, float]] = {}
    for experience in document["experiences"]:
        parts: dict[str | None, float] = {
            arm["key"]: arm["traffic_allocation"] / 100 for arm in experience["variations"]
        }
        parts[None] = 1 - sum(parts.values())
        expected[experience["key"]] = parts
    return expected


def _document(experiences: list[tuple[Json, list[Json]]]) -> Json:
    return {
        "account_id": "100123",
        "project": {"id": "200456", "name": "Benchmark", "type": "fullstack"},
        "experiences": [experience for experience, _ in experiences],
        "audiences": [audience for _, audiences in experiences for audience in audiences],
        "features": [],
        "goals": [{"id": "700", "key": GOAL, "name": "Purchase", "type": "revenue"}],
        "segments": [],
        "locations": [],
    }


def _experience(
    index: int, arms: tuple[float, ...], rules: list[int], rng: random.Random
) -> tuple[Json, list[Json]]:
    audiences = [
        _audience(f"{5 * 10**6 + index * 10 + place}", count, rng) for place, count in enumerate(rules)
    ]
    variations = [
        {
            "id": str(3 * 10**6 + index * 10 + place),
            "key": f"e{index}-v{place}",
            "name": f"Variation {place}",
            "status": "running",
            "traffic_allocation": share,
            "changes": [],
        }
        for place, share in enumerate(arms)
    ]
    experience = {
        "id": str(10**6 + index),
        "key": f"experience-{index}",
        "name": f"Experience {index}",
        "type": "a/b_fullstack",
        "status": "active",
        "version": 11,
        "variations": variations,
        "locations": [],
        "site_area": None,
        "audiences": [audience["id"] for audience in audiences],
        "settings": {"matching_options": {"audiences": "any", "locations": "any"}},
    }
    return experience, audiences


def _audience(audience_id: str, count: int, rng: random.Random) -> Json:
    rules = [
        ("country", "equals", False, "DE", "text"),
        ("visits", "lessEqual", False, rng.randrange(100, 10_000), "numeric"),
        ("plan", "isIn", False, f"pro|team|t{rng.randrange(1000)}", "text"),
        ("device", "equals", True, f"tv{rng.randrange(1000)}", "text"),
        ("spent", "less", True, rng.randrange(1, 12), "numeric"),
        ("member", "exists", False, "", "text"),
    ][:count]
    blocks = [
        {
            "OR_WHEN": [
                {
                    "rule_type": f"generic_{kind}_key_value",
                    "key": key,
                    "matching": {"match_type": match_type, "negated": negated},
                    "value": value,
                }
            ]
        }
        for key, match_type, negated, value, kind in rules
    ]
    rule_set = {"OR": [{"AND": blocks}]}
    return {
        "id": audience_id,
        "key": f"a{audience_id}",
        "name": "Audience",
        "type": "transient",
        "rules": rule_set,
    }


def _flag(experience: Json, audiences: dict[str, Json], *, log: bool) -> Json:
    rules = [_rule(audiences[audience_id]) for audience_id in experience["audiences"]]
    splits = []
    start = 0
    for arm in experience["variations"]:
        end = start + round(arm["traffic_allocation"] * 100)
        shard = {"salt": experience["id"], "ranges": [{"start": start, "end": end}]}
        splits.append({"variationKey": arm["key"], "shards": [shard]})
        start = end
    structured = any(arm["changes"] for arm in experience["variations"])
    return {
        "key": experience["key"],
        "enabled": True,
        "variationType": "JSON" if structured else "STRING",
        "variations": {arm["key"]: _value(arm) for arm in experience["variations"]},
        "totalShards": 10_000,
        "allocations": [{"key": "all", "rules": rules, "splits": splits, "doLog": log}],
    }


def _value(arm: Json) -> Json:
    if not arm["changes"]:
        return {"key": arm["key"], "value": arm["key"]}
    data = arm["changes"][0]["data"]
    return {"key": arm["key"], "value": json.dumps(data.get("variables_data", data))}


def _rule(audience: Json) -> Json:
    blocks = audience["rules"]["OR"][0]["AND"]
    return {"conditions": [_condition(block["OR_WHEN"][0]) for block in blocks]}


def _condition(rule: Json) -> Json:
    value, negated = rule["value"], rule["matching"]["negated"]
    operator, comparand = {
        ("equals", False): ("ONE_OF", [value]),
        ("equals", True): ("NOT_ONE_OF", [value]),
        ("isIn", False): ("ONE_OF", str(value).split("|")),
        ("lessEqual", False): ("LTE", value),
        ("less", True): ("GTE", value),
        ("exists", False): ("IS_NULL", False),
    }[rule["matching"]["match_type"], negated]
    return {"attribute": rule["key"], "operator": operator, "value": comparand}

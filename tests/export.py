"""An export of fifteen experiences, as a shop has them: nothing in it is wrong."""

from __future__ import annotations

import json
from copy import deepcopy

from convert_sdk import Project
from tests.documents import Json, bucketed_into, change, entity, every, feature, leaf, some, variation

_LIVE = {
    "environment": "production",
    "environments": ["production"],
    "status": "active",
    "type": "a/b_fullstack",
}


def text(key: str, value: object, match_type: str = "equals", *, negated: bool = False) -> Json:
    return leaf(key, value, match_type, negated=negated, rule_type="generic_text_key_value")


def number(key: str, value: object, match_type: str = "less", *, negated: bool = False) -> Json:
    return leaf(key, value, match_type, negated=negated, rule_type="generic_numeric_key_value")


def flag(key: str, value: bool = True) -> Json:
    return leaf(key, value, rule_type="generic_bool_key_value")


def url(value: str, match_type: str = "startsWith") -> Json:
    return leaf("path", value, match_type, rule_type="url")


def arms(id: str, *percents: float, sets: tuple[Json, ...] = ()) -> list[Json]:
    """Variations; the last one makes the changes."""
    found = [
        variation(f"{id}{number}", percent, key="original" if number == 1 else f"v{number}", status="running")
        for number, percent in enumerate(percents, 1)
    ]
    for arm in found:
        arm["changes"] = []
    found[-1]["changes"] = [*sets]
    return found


def shown(id: str, key: str, *percents: float, sets: tuple[Json, ...] = (), **more: object) -> Json:
    """A live experience."""
    fields: Json = {
        "id": id,
        "key": key,
        "name": key.replace("-", " ").title(),
        "goals": ["901"],
        "version": 12,
    }
    return {**fields, **_LIVE, "variations": arms(id, *percents, sets=sets), **more}


def export() -> Json:
    """The document, anew each time."""
    return deepcopy(_EXPORT)


def export_project() -> Project:
    """Its project."""
    return Project.parse(json.dumps(_EXPORT, indent=1))


_EXPORT: Json = {
    "account_id": "10050",
    "project": {
        "id": "10060",
        "name": "Harbour Books",
        "type": "fullstack",
        "environments": {
            "production": {"label": "Production", "is_default": True},
            "staging": {"label": "Staging", "is_default": False},
        },
    },
    "goals": [
        entity("901", "purchase", type="revenue", settings={"triggering_type": "manual"}),
        entity("902", "newsletter", type="code_trigger"),
        entity("903", "large-order", every(number("total", 100, negated=True)), type="advanced"),
    ],
    "locations": [
        entity("301", "home", every(url("/", "equals"))),
        entity("302", "product", every(url("^/(books|maps)/[a-z0-9-]+$", "regexMatches"))),
        entity("303", "cart", every(url("/cart"))),
        entity("304", "checkout", every(url("/checkout"))),
    ],
    "audiences": [
        entity("201", "germans", some(text("country", "DE"), text("country", "AT")), type="permanent"),
        entity("202", "readers", every(number("books", 5, negated=True)), type="transient"),
        entity("203", "adults", every(number("age", 18, negated=True)), type="transient"),
        entity(
            "204",
            "members",
            {
                "OR": [
                    {"AND": [{"OR_WHEN": [text("plan", "gold|silver", "isIn")]}]},
                    {"AND": [{"OR_WHEN": [number("spent", 500, negated=True)]}, {"OR_WHEN": [flag("signed_in")]}]},
                ]
            },
            type="transient",
        ),
        entity("205", "signed-in", every(flag("signed_in")), type="transient"),
        entity("206", "phones", every(text("user_agent", "android.+mobile|iphone", "regexMatches")), type="transient"),
        entity("207", "not-staff", some(text("email", "@harbour.example", "endsWith", negated=True),
                                        text("email", "", "doesNotExist")), type="transient"),
        entity("208", "not-in-cart-test", every(bucketed_into("cart-layout", negated=True)), type="transient"),
    ],
    "segments": [entity("251", "bargain-hunters", every(text("campaign", "sale", "contains")))],
    "features": [
        feature("401", "pricing", discount="float", badge="string"),
        feature("402", "search", engine="string", limit="integer"),
        feature("403", "wishlist", public="boolean"),
    ],
    "experiences": [
        shown("501", "home-hero", 50, 50, locations=["301"]),
        shown("502", "home-shelf", 34, 33, 33, locations=["301"], audiences=["202"]),
        shown("503", "cart-layout", 50, 50, locations=["303"], goals=["901", "903"]),
        shown("504", "cart-upsell", 50, 50, locations=["303"], audiences=["208"], goals=["903"]),
        shown("505", "checkout-steps", 50, 50, locations=["304"], audiences=["205"]),
        shown("506", "member-prices", 50, 50, audiences=["204"], sets=(change("401", discount=0.1, badge="Member"),)),
        shown("507", "german-shipping", 50, 50, audiences=["201"]),
        shown("508", "search-engine", 50, 50, sets=(change("402", engine="new", limit="20"),), version=11),
        shown("509", "product-gallery", 25, 25, 25, 25, locations=["302"]),
        shown("510", "phone-menu", 50, 50, audiences=["206", "207"],
              settings={"matching_options": {"audiences": "all", "locations": "any"}}),
        shown("511", "adult-shelf", 50, 50, audiences=["203", "205"],
              settings={"matching_options": {"audiences": "all"}}),
        shown("512", "newsletter-form", 50, 50, goals=["902"], locations=["301", "302"]),
        shown("513", "wishlist-rollout", 20, type="feature_rollout", sets=(change("403", public=True),)),
        shown("514", "sale-banner", 50, 50, audiences=["251"]),
        shown("515", "staging-footer", 50, 50, environment="staging", environments=["staging"]),
    ],
    "archived_experiences": [],
    "is_debug": False,
}  # fmt: skip

"""The closed sets of the Serving API's document: what a status, a type or a rule_type may be."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from typing import Final

EXPERIENCE_STATUSES: Final = ("active", "completed", "draft", "paused", "scheduled")
EXPERIENCE_TYPES: Final = (
    *("a/a", "a/b", "a/b_fullstack", "deploy", "feature_rollout", "multipage", "mvt", "split_url"),
)
ROLLOUTS: Final = frozenset({"deploy", "feature_rollout"})
"""The types of experiences that a part of the traffic is usual for."""
VARIATION_STATUSES: Final = ("running", "stopped")
CHANGE_TYPES: Final = (
    *("customCode", "defaultCode", "defaultCodeMultipage", "defaultRedirect"),
    *("fullStackFeature", "richStructure"),
)
VARIABLE_TYPES: Final = ("boolean", "float", "integer", "json", "string")
AUDIENCE_TYPES: Final = ("permanent", "segmentation", "transient")
TRIGGER_TYPES: Final = ("callback", "dom_element", "manual", "upon_run")
PROJECT_TYPES: Final = ("fullstack", "web")
MATCHING_OPTIONS: Final = ("all", "any")
GOAL_TYPES: Final = (
    *("advanced", "clicks_element", "clicks_link", "code_trigger", "dom_interaction", "ga_import"),
    *("revenue", "scroll_percentage", "submits_form", "visits_page"),
)
_TEXTS = (
    "browser_version campaign city keyword medium query_string region source_name url url_with_query "
    "user_agent visitor_id"
)
_TAGS = (
    "category_id category_name custom_1 custom_2 custom_3 custom_4 customer_id page_type product_name "
    "product_price product_sku"
)
_NUMBERS = "avg_time_page days_since_last_visit pages_visited_count visit_duration visits_count"
_TIMES = "day_of_week hour_of_day minute_of_hour"
_OTHERS = (
    "browser_name bucketed_into_experience bucketed_into_experience_key bucketed_into_segment cookie country "
    "goal_triggered is_desktop is_mobile is_tablet js_condition language os visitor_data_exists visitor_type "
    "weather_condition"
)
RULE_TYPES: Final = tuple(
    sorted({
        *_TEXTS.split(), *_NUMBERS.split(), *_OTHERS.split(),
        *(f"page_tag_{tag}" for tag in _TAGS.split()),
        *(f"generic_{kind}_key_value" for kind in ("text", "numeric", "bool")),
        *(f"{clock}_time_{unit}" for clock in ("local", "project") for unit in _TIMES.split()),
    })
)  # fmt: skip

TOP_LEVEL: Final = (
    *("account_id", "archived_experiences", "audiences", "error", "experiences", "features", "goals"),
    *("is_debug", "locations", "project", "segments"),
)
KEYS: Final[Mapping[str, tuple[str, ...]]] = {
    "project": (
        *("custom_domain", "domains", "environments", "global_javascript", "id", "name", "settings", "type"),
        "utc_offset",
    ),
    "experience": (
        *("audiences", "environment", "environments", "global_css", "global_js", "goals", "id"),
        *("integrations", "key", "locations", "multipage_pages", "name", "settings", "site_area", "status"),
        *("type", "variations", "version"),
    ),
    "variation": ("changes", "id", "key", "name", "status", "traffic_allocation"),
    "change": ("data", "id", "type"),
    "audience": ("id", "key", "name", "rules", "type"),
    "location": ("id", "key", "name", "rules", "trigger"),
    "segment": ("id", "key", "name", "rules"),
    "goal": ("id", "key", "name", "rules", "settings", "type"),
    "feature": ("id", "key", "name", "variables"),
    "variable": ("key", "type"),
    "condition": ("key", "matching", "rule_type", "value"),
    "matching": ("match_type", "negated"),
}
"""The keys that are read, by the kind of object."""


def near(name: str, known: Iterable[str]) -> str:
    """Words for the names that look like this one; nothing where none does.

    >>> near("runing", VARIATION_STATUSES)
    ": did you mean 'running'?"
    """
    found = near_names(name, known)
    return f": did you mean {' or '.join(map(repr, found))}?" if found else ""


def near_key(name: str, known: Iterable[str], present: Iterable[str]) -> str:
    """Words for the key that was meant; nothing where none looks alike, or it is there too."""
    missing = [each for each in known if each not in set(present)]
    found = get_close_matches(name.lower(), missing, n=1, cutoff=0.8)
    return f": did you mean {found[0]!r}?" if found else ""


def near_names(name: str, known: Iterable[str]) -> list[str]:
    """The names that look like this one, the most alike first; capitals count little."""
    spelt = {each.lower(): each for each in known}
    return [spelt[each] for each in get_close_matches(name.lower(), spelt, n=3, cutoff=0.6)]

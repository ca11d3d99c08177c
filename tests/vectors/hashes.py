"""Hashes and bucket values."""

from __future__ import annotations

from convert_sdk._core.bucketing import DEFAULT, Bucketing, bucket_value, hash_value
from convert_sdk._core.javascript import js_string

from .differences import Json


def bucketing_of(options: Json) -> Bucketing:
    """The reference's options as ours: what is falsy is the default, a seed is cut to 32 bits."""
    seed = options.get("hash_seed") or DEFAULT.seed
    return Bucketing(
        int(seed) % (1 << 32),
        options.get("max_traffic") or DEFAULT.max_traffic,
        bool(options.get("excludeExperienceIdHash")),
    )


def hashed(case: Json, _: Json) -> Json:
    """The hash and the bucket value; the case's own seed goes before that of its options."""
    bucketing = bucketing_of(case.get("bucketing") or {})
    if "seed" in case:
        bucketing = bucketing._replace(seed=int(case["seed"]) % (1 << 32))
    visitor = js_string(case["visitor_id"])
    experience = "" if case["experience_id"] is None else js_string(case["experience_id"])
    return {
        "hash": hash_value(experience, visitor, bucketing),
        "value": bucket_value(experience, visitor, bucketing),
    }

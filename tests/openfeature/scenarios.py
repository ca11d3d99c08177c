"""How many rows each scenario of OpenFeature's specification has, and the rows that a Convert project cannot pass.

As of revision 6fd4d54 of `open-feature/spec`, `specification/assets/gherkin`. A row is named file/scenario/row, where
scenarios of one name are told apart by what they are about, and rows are counted from 1.
"""

from __future__ import annotations

from collections.abc import Mapping

LISTED: Mapping[str, Mapping[str, int]] = {
    "evaluation_v2": {
        "resolve values": 5,
        "resolves zero value": 5,
        "resolves zero value with targeting": 5,
        "resolves zero value with targeting using default": 5,
        "flag not found error": 5,
        "type mismatch error": 5,
        "provider not ready error": 5,
        "provider in fatal state error": 5,
        "complete evaluation details structure": 5,
        "flag metadata in evaluation details": 1,
        "empty evaluation context": 5,
        "null context values": 5,
        "multiple context attributes targeting": 1,
        "structure flag evaluation": 1,
        "variant field population": 5,
        "cached reason": 2,
        "disabled reason": 5,
        "provider status accessibility": 5,
        "evaluation options with hooks": 1,
        "evaluation context immutability": 1,
        "asynchronous flag evaluation": 5,
    },
    "evaluation": {
        "resolves value": 5,
        "resolves details": 5,
        "resolves based on context": 1,
        "flag not found": 1,
        "type error": 1,
    },
    "contextMerging": {
        "single level, transaction": 4,
        "single level, hooks": 4,
        "single level, hooks and transaction": 5,
        "different keys, transaction": 1,
        "different keys, hooks": 1,
        "different keys, hooks and transaction": 1,
        "overwrites, transaction": 4,
        "overwrites, hooks": 4,
        "overwrites, hooks and transaction": 5,
    },
    "hooks": {
        "passes evaluation details to after and finally hooks": 1,
        "flag not found": 1,
        "type error": 1,
    },
    "metadata": {"returns metadata": 1, "returns no metadata": 4},
}

_NEVER_CACHED = "a decision that is kept is still the split of the traffic: CACHED is never a reason here"
_NO_OWN_METADATA = "a document of Convert has no metadata of its own for a flag"
_ALWAYS_METADATA = "the metadata always name the project, its revision and whoever asks"
_MUTABLE = "openfeature-sdk makes the details itself, as a dataclass whose fields can be set"

NOT_PASSED: Mapping[str, str] = {
    "evaluation_v2/cached reason/1": _NEVER_CACHED,
    "evaluation_v2/cached reason/2": _NEVER_CACHED,
    "evaluation_v2/flag metadata in evaluation details/1": _NO_OWN_METADATA,
    "evaluation_v2/evaluation context immutability/1": _MUTABLE,
    "metadata/returns metadata/1": _NO_OWN_METADATA,
    **{f"metadata/returns no metadata/{row}": _ALWAYS_METADATA for row in range(1, 5)},
}
"""The rows that do not pass, and why. Their tests hold them to that: one that passes must leave this list."""

PASSED = {"evaluation_v2": 78, "evaluation": 13, "contextMerging": 29, "hooks": 3, "metadata": 0}
"""The number of rows that pass, by file."""


def ids(file: str) -> list[str]:
    """The ids of all rows of a file, in their order."""
    return [f"{file}/{name}/{row}" for name, rows in LISTED[file].items() for row in range(1, rows + 1)]

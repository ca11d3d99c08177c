"""The codes of problems: stable names, each with how bad it is and what to do about it."""

from __future__ import annotations

from enum import StrEnum
from typing import Self


class Severity(StrEnum):
    """The severity of a problem.

    >>> Severity("warning").at_least(Severity.NOTE)
    True
    """

    ERROR = "error"
    """Something is not decided, or not reported, as the document means it."""
    WARNING = "warning"
    """Likely a mistake: what the document says has another meaning than it seems."""
    NOTE = "note"
    """Worth a look, and often meant."""

    def at_least(self, other: Severity) -> bool:
        """True if this is as bad as `other`, or worse."""
        return _ORDER.index(self) <= _ORDER.index(other)


_ORDER = [Severity.ERROR, Severity.WARNING, Severity.NOTE]
_ERROR, _WARNING, _NOTE = _ORDER


class Code(StrEnum):
    """The code of a problem. Its value is stable: files that ignore problems and reports name it.

    It is the name of a rule, with hyphens as linters write them; other enumerations have snake_case.

    >>> Code.UNKNOWN_AUDIENCE.value, Code.UNKNOWN_AUDIENCE.severity.value
    ('unknown-audience', 'error')
    """

    severity: Severity
    advice: str

    def __new__(cls, value: str, severity: Severity, advice: str) -> Self:
        code = str.__new__(cls, value)
        code._value_ = value
        code.severity = severity
        code.advice = advice
        return code

    # The document itself
    NOT_JSON = "not-json", _ERROR, "Export the document again; what is here cannot be read."
    NOT_A_PROJECT = "not-a-project", _ERROR, "Give a document as the Serving API returns it."
    SECTION_GONE = "section-gone", _ERROR, "Find out who emptied it; the project before had entries there."
    WRONG_TYPE = "wrong-type", _ERROR, "Give the value its type; as it stands it is left out."
    NOT_FINITE = "not-finite", _WARNING, "Write a finite number."
    REPEATED_JSON_KEY = "repeated-json-key", _ERROR, "Remove one of the two; the last one counts."
    UNKNOWN_TOP_LEVEL_KEY = "unknown-top-level-key", _NOTE, "Remove it, if it is not a new part of the API."
    MISSPELT_KEY = "misspelt-key", _WARNING, "Spell the key as the API does; as it stands nobody reads it."

    # Names
    MISSING_KEY = "missing-key", _ERROR, "Give it a key; applications name entities by their keys."
    MISSING_ID = "missing-id", _ERROR, "Give it an id; others refer to it by its id."
    DUPLICATE_KEY = "duplicate-key", _ERROR, "Rename one of the two; only one can be named."
    DUPLICATE_ID = "duplicate-id", _ERROR, "Give one of the two another id; only one can be referred to."
    DUPLICATE_VARIATION_KEY = (
        "duplicate-variation-key",
        _ERROR,
        "Rename one of the variations; only the first can be named by its key.",
    )
    UNKNOWN_AUDIENCE = "unknown-audience", _ERROR, "Name an audience or segment of the document."
    UNKNOWN_LOCATION = "unknown-location", _ERROR, "Name a location of the document."
    UNKNOWN_GOAL = "unknown-goal", _ERROR, "Name a goal of the document; this one can never be tracked."
    UNKNOWN_FEATURE = "unknown-feature", _ERROR, "Name a feature of the document."
    UNKNOWN_EXPERIENCE = "unknown-experience", _ERROR, "Name an experience of the document."
    UNKNOWN_ARCHIVED = "unknown-archived-experience", _NOTE, "Remove the id, or put the experience back."
    UNKNOWN_ENVIRONMENT = (
        "unknown-environment",
        _ERROR,
        "Name an environment of the project; as it stands the experience runs in none.",
    )

    # Values of a closed set
    UNKNOWN_STATUS = "unknown-status", _ERROR, "Use a status that the API knows."
    UNKNOWN_TYPE = "unknown-type", _WARNING, "Use a type that the API knows."
    UNKNOWN_CHANGE_TYPE = (
        "unknown-change-type",
        _ERROR,
        "Use a type that the API knows; as it stands the change does nothing.",
    )
    UNKNOWN_VARIABLE_TYPE = (
        "unknown-variable-type",
        _ERROR,
        "Use boolean, integer, float, string or json; as it stands no value is cast.",
    )
    UNKNOWN_RULE_TYPE = "unknown-rule-type", _WARNING, "Use a rule_type that the API knows."
    UNKNOWN_MATCH_TYPE = (
        "unknown-match-type",
        _ERROR,
        "Use a match_type that exists; as it stands the condition never matches.",
    )
    UNKNOWN_MATCHING_OPTION = (
        "unknown-matching-option",
        _WARNING,
        "Use any or all; everything but all counts as any.",
    )

    UNKNOWN_PRIVACY = (
        "unknown-privacy-setting",
        _ERROR,
        "Use OFF, EU ONLY, EEA ONLY or Worldwide; as it stands it counts as Worldwide.",
    )

    # Rules
    EMPTY_RULES = "empty-rules", _ERROR, "Fill the list, or remove this part; as it stands it never matches."
    BAD_CONDITION = "bad-condition", _ERROR, "Complete the condition; as it stands it never matches."
    CONDITION_WITHOUT_KEY = (
        "condition-without-key",
        _ERROR,
        "Give it a key; a server knows no browser that could answer it.",
    )
    UNUSABLE_PATTERN = "unusable-pattern", _ERROR, "Write the pattern as JavaScript reads it."
    REGEX_DIALECT = (
        "regex-dialect",
        _WARNING,
        "Write it so that every engine reads it alike; rules are read as JavaScript without the u flag.",
    )
    TEXT_ORDER = "text-order", _WARNING, "Compare numbers with less; text is in the order of its characters."
    CAPITALS_IN_IS_IN = (
        "capitals-in-is-in",
        _WARNING,
        "Send the visitor's value in small letters; isIn finds no capital ones.",
    )
    NEGATION_OF_MISSING = (
        "negation-of-missing",
        _NOTE,
        "Add `or doesNotExist`, if a visitor without the value is meant too.",
    )
    CONTRADICTION = "contradiction", _WARNING, "Change one of the conditions: no value satisfies them all."
    NEVER_MATCHES = "never-matches", _ERROR, "Change the rules, or remove it; as it stands it takes nobody."
    EXCLUSION_CYCLE = (
        "exclusion-cycle",
        _WARNING,
        "Take one of the conditions out; as it stands the order of decisions decides.",
    )
    EXCLUSION_IGNORES_REST = (
        "exclusion-ignores-rest",
        _WARNING,
        "Put the other conditions into an audience of their own; here they are never asked.",
    )
    NO_EFFECT = "no-effect", _WARNING, "Remove it; it has no effect."

    # Variations and their traffic
    NO_VARIATIONS = "no-variations", _ERROR, "Add a variation; as it stands nobody gets one."
    NO_TRAFFIC = "no-traffic", _WARNING, "Start a variation, or archive the experience; nobody new gets one."
    BAD_TRAFFIC = "bad-traffic", _ERROR, "Give a percentage of 0 to 100."
    TRAFFIC_OVER_FULL = "traffic-over-full", _ERROR, "Lower the percentages; the last variations get less."
    TRAFFIC_NOT_FULL = (
        "traffic-not-full",
        _NOTE,
        "Raise the percentages, if everybody is meant to take part; the others see no variation.",
    )
    DRAFT_RUNS = (
        "draft-runs",
        _WARNING,
        "Archive it, or keep it out of the document: the status stops no decision.",
    )

    # Features
    UNDECLARED_VARIABLE = "undeclared-variable", _ERROR, "Declare the variable, or spell it as declared."
    UNCASTABLE_VALUE = (
        "uncastable-value",
        _ERROR,
        "Give a value of the declared type; as it stands the caller's default applies.",
    )

    # Use
    UNUSED_AUDIENCE = "unused-audience", _NOTE, "Remove it, or use it in an experience."
    UNUSED_LOCATION = "unused-location", _NOTE, "Remove it, or use it in an experience."
    UNUSED_GOAL = (
        "unused-goal",
        _NOTE,
        "Remove it, or add it to an experience; as it stands no report has it.",
    )
    FEATURE_NEVER_SET = (
        "feature-never-set",
        _NOTE,
        "Set it in a variation, or remove it; as it stands it is disabled for everybody.",
    )
    TWO_DEFAULT_ENVIRONMENTS = (
        "two-default-environments",
        _ERROR,
        "Mark one environment as default; the first of them counts.",
    )

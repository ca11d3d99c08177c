"""Conditions that mean another thing than they seem to."""

from __future__ import annotations

import re
from collections.abc import Iterable

from convert_sdk._core.codes import Code
from convert_sdk._core.javascript import js_string
from convert_sdk._core.operators import ordinal_kind
from convert_sdk._core.problem import Report
from convert_sdk.analysis.document import Block, DocumentView, Leaf

_ORDERED = frozenset({"less", "lessEqual"})
_OF_VALUES = frozenset(
    {"equals", "equalsNumber", "matches", "contains", "isIn", "startsWith", "endsWith", "regexMatches"}
)
_PRESENCE = frozenset({"exists", "doesNotExist"})
_ESCAPE = re.compile(r"\\(.)", re.DOTALL)
_LETTERS = re.compile(r"[A-Za-z]")
_KNOWN_ESCAPES = frozenset("dDwWsSbBtnvfrcxuk")
_POSIX = re.compile(r"\[\[:\^?[a-z]+:\]")
_BRACED = re.compile(r"\\[ux]\{[0-9a-fA-F]+\}")
_HALVES = re.compile(r"\\u[dD][89a-fA-F][0-9a-fA-F]{2}")
_FOLDED_ALONE = "ſıİ\N{KELVIN SIGN}\N{ANGSTROM SIGN}"


def check_conditions(document: DocumentView, report: Report) -> None:
    """Report operators whose comparison surprises."""
    for tree in document.rule_trees():
        for block in tree.blocks():
            _check_negations(block, report)
        for leaf in tree.leaves():
            if "value" in leaf.raw:
                _check_comparand(leaf, leaf.raw["value"], report)


def _check_comparand(leaf: Leaf, comparand: object, report: Report) -> None:
    path = f"{leaf.path}.value"
    if leaf.match_type in _ORDERED and ordinal_kind(comparand) != "number":
        kind = {"string": "text"}.get(ordinal_kind(comparand), f"a {ordinal_kind(comparand)}")
        what = f"{leaf.match_type} compares with {kind}, so that no number is ever less or more"
        report(path, what, Code.TEXT_ORDER)
    elif leaf.match_type == "isIn":
        text = "|".join(map(js_string, comparand)) if isinstance(comparand, list) else js_string(comparand)
        if not isinstance(comparand, (str, list)):
            report(path, "isIn compares with text or a list; nothing is in anything else", Code.BAD_CONDITION)
        elif text != text.lower():
            report(path, f"isIn never finds a visitor's {text!r} with its capitals", Code.CAPITALS_IN_IS_IN)
    elif leaf.match_type == "regexMatches":
        for what in regex_differences(js_string(comparand)):
            report(path, what, Code.REGEX_DIALECT)


def regex_differences(pattern: str) -> list[str]:
    """The parts of a pattern that other engines read in another way.

    >>> regex_differences("shoes\\\\Z")
    ['\\\\Z is the bare letter Z in JavaScript']
    """
    found = [
        f"\\{letter} is the bare letter {letter} in JavaScript"
        for letter in dict.fromkeys(_ESCAPE.findall(_BRACED.sub("", pattern)))
        if _LETTERS.match(letter) and letter not in _KNOWN_ESCAPES
    ]
    if _POSIX.search(pattern):
        found.append("a class such as [:alpha:] is a set of its letters in JavaScript")
    found += [f"{braced} is no character in JavaScript" for braced in dict.fromkeys(_BRACED.findall(pattern))]
    if _HALVES.search(pattern) or any(ord(sign) > 0xFFFF for sign in pattern):
        found.append("a browser sees half characters of an emoji, a server whole ones")
    if any(sign in _FOLDED_ALONE for sign in pattern):
        found.append("a letter whose capital only some engines know is matched by some of them")
    return found


def _check_negations(block: Block, report: Report) -> None:
    present = {leaf.key for group in block.groups for leaf in group if leaf.match_type in _PRESENCE}
    for leaf in _flat(block.groups):
        if leaf.negated and leaf.match_type in _OF_VALUES and leaf.key and leaf.key not in present:
            what = f"a visitor without {leaf.key!r} is not matched, although the condition is negated"
            report(leaf.path, what, Code.NEGATION_OF_MISSING)


def _flat(groups: Iterable[list[Leaf]]) -> Iterable[Leaf]:
    return (leaf for group in groups for leaf in group)

"""Fifty texts whose hash is known: what a script checks an engine with before it gives any result."""

from __future__ import annotations

from typing import NamedTuple

from convert_sdk._core.bucketing import Bucketing, hash_value, scale


class GoldenRow(NamedTuple):
    """A text, its hash, and its bucket value."""

    text: str
    hashed: int
    bucket_value: int


_TEXTS = (
    "",
    *("abcdefghi"[:length] for length in range(1, 10)),
    *(
        "é",
        "日本",
        "😀",
        "ß",
        "İ",
        "K",
        "ﬁ",
        "e\u0301",
        "Ω",
        "ж",
        "ñandú",
        "中文字符",
        "👩‍👩‍👧",
        "\u00a0",
        "\u200b",
    ),
    *("'", '"', "\\", "a'b\\c", "%_", " ", "  a  ", "a\tb", "a\nb", "|", "$$", "{}", "--", "/*"),
    *("0", "-1", "9223372036854775807", "1e21", "null", "NaN", "visitor-1", "a@example.com"),
    *("100218245" + each for each in ("1", "42", "visitor-1")),
)
"""Every length of a rest, all widths of a character, and what a literal has to escape; without NUL, which PostgreSQL
cannot hold."""


def golden_rows(bucketing: Bucketing) -> list[GoldenRow]:
    """The rows, hashed as a project hashes.

    >>> len(golden_rows(Bucketing()))
    50
    """
    rows = []
    for text in _TEXTS:
        hashed = hash_value("", text, bucketing)
        rows.append(GoldenRow(text, hashed, scale(hashed, bucketing.max_traffic)))
    return rows

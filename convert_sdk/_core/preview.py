"""The preview parameter of a page's address."""

from __future__ import annotations


def parse_preview(text: str | None) -> tuple[str, str] | None:
    """Experience id and variation id out of `"123.456"`; None for anything else, so a missing parameter is fine.

    >>> parse_preview("123.456")
    ('123', '456')
    """
    if not isinstance(text, str):
        return None
    experience_id, dot, variation_id = text.partition(".")
    both = experience_id + variation_id
    if dot and experience_id and variation_id and both.isascii() and both.isdigit():
        return experience_id, variation_id
    return None

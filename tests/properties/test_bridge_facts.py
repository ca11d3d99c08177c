"""What holds for any tag: it stays itself, and nothing that names a person leaves."""

from __future__ import annotations

import re
import string
import unicodedata
from datetime import UTC, datetime

from hypothesis import assume, given
from hypothesis import strategies as st

from convert_sdk.commerce.bridge import Allowed, facts_from_contact
from convert_sdk.commerce.website import Contact

NOW = datetime(2026, 5, 1, tzinfo=UTC)
SIGNS = st.sampled_from("aAbB 1２-_+#!.ßéВвИ你ि🎉\u200d")
TAGS = st.one_of(st.text(SIGNS, max_size=6), st.text(max_size=6))
WORDS = st.text(string.ascii_letters, min_size=1, max_size=6)


def spelt(tag: str) -> str:
    text = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", tag).casefold())
    return re.sub(r"[\s_-]+", "_", text.strip())


def attributes(*tags: str) -> set[str]:
    facts = facts_from_contact(Contact(tags=tags), now=NOW, allowed=Allowed({"tags"}))
    return {*facts} - {"tags"}


@given(TAGS, TAGS)
def test_tags_share_an_attribute_only_if_they_are_spelt_alike(one: str, other: str) -> None:
    first, second = attributes(one), attributes(other)
    assume(first and second)
    assert (first == second) == (spelt(one) == spelt(other))
    assert attributes(one, other) == first | second


@given(st.lists(WORDS, min_size=1, max_size=4), st.sampled_from([" ", "-", "_", "  "]))
def test_plain_words_keep_their_plain_name(words: list[str], separator: str) -> None:
    assert attributes(separator.join(words)) == {"tag_" + "_".join(words).lower()}


@given(st.text(string.ascii_letters + string.digits, min_size=1, max_size=9), WORDS, WORDS, WORDS)
def test_an_address_never_leaves(local: str, host: str, before: str, after: str) -> None:
    address = f"{local}@{host}.com"
    for tag in (address, address.upper(), f"{before} {address} {after}", f"{before}:{address}"):
        assert not attributes(tag)


@given(
    st.lists(st.text(string.digits, min_size=2, max_size=4), min_size=4, max_size=5),
    st.sampled_from(["", " ", "-", ".", "/"]),
    st.sampled_from(["+", "00", "0", "tel:+", "+ "]),
)
def test_a_dialled_number_never_leaves(groups: list[str], separator: str, prefix: str) -> None:
    assume(not re.fullmatch(r"0?(?:19|20)\d\d", groups[0]))
    assert not attributes(prefix + separator.join(groups))

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import pytest
import regex
from hypothesis import given
from hypothesis import strategies as st

from convert_sdk._core.js_regex.characters import fold, fold_range, merge_ranges
from convert_sdk._core.js_regex.pattern import (
    DangerousPattern,
    InvalidPattern,
    UnusablePattern,
    compile_pattern,
)
from convert_sdk._core.js_regex.translate import MAX_DEPTH, MAX_LENGTH, SUBJECT_LIMIT, translate


def found(pattern: str, text: str) -> bool:
    return compile_pattern(pattern).search(text)


@pytest.mark.parametrize(
    ("pattern", "yes", "no"),
    [
        # characters and sets
        ("a.c", "ABC", "a\nc"),
        ("a.c", "a\u0085c", "a\u2028c"),
        (r"^\d$", "7", "٣"),
        (r"^\D$", "٣", "7"),
        (r"^\w$", "_", "é"),
        (r"^\W$", "é", "k"),
        (r"^\s$", "\ufeff", "\x85"),
        (r"^\S$", "\x1c", "\u3000"),
        (r"^[\d-x]$", "-", "e"),
        (r"^[a-\d]$", "a", "b"),
        (r"^[\w.-]$", "-", "+"),
        (r"^[^\s]$", "a", "\u2003"),
        ("^[]$|x", "x", ""),
        ("^[^]$", "\n", ""),
        ("[]a]|x", "x", "a]"),
        ("^[a-]$", "-", "b"),
        ("^[--/]$", ".", "0"),
        ("^[[:alpha:]]$", "l]", "l"),
        ("^[[a]--[b]]$", "[--b]", "a"),
        ("^[a&&b]$", "&", "c"),
        ("^[a||b]$", "|", "c"),
        ("^[a~~b]$", "~", "c"),
        # escapes
        (r"\x41", "a", "x41"),
        (r"\x4", "x4", "\x04"),
        (r"\u0041", "a", "u0041"),
        (r"\u00", "u00", "\x00"),
        (r"\ud83d\ude00", "😀", "?"),
        (r"[\ud83d\ude00]", "😀", "?"),
        (r"^\u{2}$", "uu", "u{2}"),
        (r"\p{L}", "P{L}", "a"),
        (r"\cA", "\x01", "ca"),
        (r"\c!", r"\c!", "\x01"),
        (r"^[\c1]$", "\x11", "c"),
        (r"^[\c!]$", "\\", "\x01"),
        (r"\0", "\x00", "0"),
        (r"\07", "\x07", "7"),
        (r"\377", "\xff", "377"),
        (r"\400", "\x200", "\u0100"),
        (r"\8", "8", "\x08"),
        (r"^[\b]$", "\b", "b"),
        (r"[\1]", "\x01", "1"),
        (r"\t\n\v\f\r", "\t\n\v\f\r", "tnvfr"),
        (r"\e\h\A\z\_", "ehaz_", "a"),
        (r"\k", "k", r"\q"),
        # assertions
        ("^b", "b", "a\nb"),
        ("a$", "a", "a\n"),
        (r"\bk", "ſk", "sk"),
        (r"a\B", "ab", "a "),
        (r"(?<=a+)b", "aab", "b"),
        (r"(?<!a)b", "b", "ab"),
        (r"(?=a)*b", "b", "c"),
        (r"(?!a){2}b", "b", "c"),
        # repetition
        ("^a{2,3}$", "aa", "aaaa"),
        ("^a{2}$", "aa", "a"),
        ("^a{2,}?$", "aaa", "a"),
        ("a{,3}", "a{,3}", "aaa"),
        ("x{1", "x{1", "x"),
        ("a{b}", "a{b}", "ab"),
        ("^a{0}$", "", "a"),
        ("^a{1,99999}$", "aaa", "b"),
        ("a{e<=1}", "a{e<=1}", "b"),
        # groups
        (r"^(a|b)\1$", "bb", "ab"),
        (r"^(?<n>.)\k<n>$", "xx", "xy"),
        (r"^\1(a)$", "a", "aa"),
        (r"^(a\1)$", "a", "aa"),
        (r"^(?:(a)|b)\1$", "b", "a"),
        (r"\2(a)", "\x02a", "a"),
        (r"^(?!(a))b\1$", "b", "ba"),
        (r"(?<=\1(a))b", "aab", "ab"),
        (r"(?<=^(a)\1)b", "ab", "aab"),
        # case
        ("STRASSE", "strasse", "straße"),
        ("k", "k", "q"),
        ("[a-z]", "Q", "ſ"),
        ("σ", "ς", "s"),
        ("[À-Þ]", "é", "÷"),
        ("[^À-Þ]", "÷", "é"),
        ("[😀-😂]", "😁", "x"),
        ("ı", "ı", "i"),
    ],
)
def test_dialect(pattern: str, yes: str, no: str) -> None:
    compiled = compile_pattern(pattern)
    assert (compiled.search(yes), compiled.search(no)) == (True, False)
    assert compiled.source == pattern


@pytest.mark.parametrize(
    "pattern",
    [
        "(",
        ")",
        "a)",
        "(?:",
        "(?",
        "[",
        "[a",
        "[a-",
        "[\\",
        "a\\",
        "*",
        "a**",
        "a++",
        "a?+",
        "{2}",
        "^*",
        r"\b+",
        "(?<=a)*",
        "a{2,1}",
        "[b-a]",
        "(?i)a",
        "(?#c)a",
        "(?>a)",
        "(?P<n>a)",
        "(?<1a>x)",
        "(?<n",
        "(?<n>a)(?<n>b)",
        r"(?<n>a)\k",
        r"(?<n>a)\k<m>",
        r"(?<n>a)\k<n",
        r"(?<n>a)[\k]",
    ],
)
def test_what_javascript_refuses(pattern: str) -> None:
    with pytest.raises(InvalidPattern):
        compile_pattern(pattern)


@pytest.mark.parametrize(
    ("pattern", "message"),
    [
        ("a" * (MAX_LENGTH + 1), "characters, the limit is"),
        ("(" * (MAX_DEPTH + 1) + ")" * (MAX_DEPTH + 1), "nested deeper"),
        ("(?:" * MAX_DEPTH + "a" + ")+" * MAX_DEPTH, "repeats too much"),
        ("(a{999}){999}", "repeats too much"),
        ("((a?){8000}){8000}", "repeats too much"),
        ("a{99999}", "repeats too much"),
        (r"(a|b)\1" * 500, "repeats too much"),
        (f"[{''.join(chr(code) for code in range(0x3001, 0x3101, 2))}]", "a set has over"),
    ],
)
def test_what_would_take_too_long_to_prepare(pattern: str, message: str) -> None:
    with pytest.raises(DangerousPattern, match=message):
        compile_pattern(pattern)


@pytest.mark.parametrize("error", [RecursionError("too deep"), regex.error("bad")])
def test_what_the_engine_itself_cannot_prepare_is_dangerous(
    monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(regex, "compile", fail)
    with pytest.raises(DangerousPattern, match="beyond the engine"):
        compile_pattern("a")


@pytest.mark.parametrize(
    ("pattern", "text"),
    [
        (r"^(a|aa)+$", "a" * 200 + "b"),
        (r"(?:.*a){12}b$", "a" * 9000),
        (r"^(?:(a|aa)+\1)+$", "a" * 200 + "b"),
        (r"^(?:a{1,9}){1,900}$", "a" * 200 + "b"),
    ],
)
def test_a_catastrophe_is_given_up_and_counted(pattern: str, text: str) -> None:
    compiled = compile_pattern(pattern)
    assert compiled.search(text) is False
    assert compiled.timeouts == 1


def test_a_thread_that_others_held_up_searches_again(monkeypatch: pytest.MonkeyPatch) -> None:
    compiled = compile_pattern("android.+mobile|iphone")
    searched: Callable[..., regex.Match[str] | None] = compiled._search
    held_up = iter([True, True, False])

    def search(subject: str, **options: object) -> regex.Match[str] | None:
        if next(held_up):
            raise TimeoutError
        return searched(subject, **options)

    monkeypatch.setattr(compiled, "_search", search)
    assert compiled.search("x" * 1_000 + "iphone") is True
    assert compiled.timeouts == 0


def test_a_thread_that_is_never_let_on_gives_up(monkeypatch: pytest.MonkeyPatch) -> None:
    compiled = compile_pattern("android.+mobile|iphone")

    def search(subject: str, **options: object) -> regex.Match[str] | None:
        raise TimeoutError

    monkeypatch.setattr(compiled, "_search", search)
    assert compiled.search("x" * 1_000) is False
    assert compiled.timeouts == 1


@pytest.mark.parametrize(
    "pattern",
    [
        r"^(a+)+$",
        r"(.*)*x",
        r"(x+x+)+y",
        r"([a-zA-Z]+)*$1",
        r"^(([a-z])+.)+[0-9]([a-z])+$",
        r"^(?:a|a?)+$",
        r"^(a{1,1000}){1,1000}$",
        r"(?=(?:a|aa)+$)b",
        r"(?<=^(?:a|aa)+)b$",
        r".{0,8000}.{0,8000}.{0,8000}b$",
        r"^(?:a?){60}a{60}$",
        r"(?=(.*)(.*)(.*)\3\2\1b)",
        r"((a?){15}){15}c",
    ],
)
@pytest.mark.parametrize("text", ["a" * 50 + "!", "a" * 8000 + "!", "b!" * 4500])
def test_famous_patterns_have_an_answer(pattern: str, text: str) -> None:
    assert found(pattern, text) is False


def test_a_long_fixed_text_is_prepared_in_pieces() -> None:
    assert found("ab" * 1200, "ab" * 1200) is True
    assert found("ab" * 1200, "ab" * 1199 + "ac") is False


def test_text_beyond_the_limit_is_not_looked_at() -> None:
    assert found("b", "a" * (SUBJECT_LIMIT - 1) + "b") is True
    assert found("b", "a" * SUBJECT_LIMIT + "b") is False


@pytest.mark.parametrize(
    ("pattern", "quiet"), [("^abc$", True), ("ab?c", True), ("(a|b)+", False), ("(?=a)", False)]
)
def test_bounded_patterns_need_no_clock(pattern: str, quiet: bool) -> None:
    assert (translate(pattern).untimed_length >= 100) is quiet


@given(st.text(max_size=30), st.text(max_size=30))
def test_any_text_is_a_pattern_or_is_refused(pattern: str, text: str) -> None:
    try:
        compiled = compile_pattern(pattern)
    except UnusablePattern:
        return
    assert compiled.search(text) in (True, False)


@given(st.text(alphabet=st.characters(blacklist_categories=()), min_size=1))
def test_escaped_text_finds_itself(text: str) -> None:
    escaped = "".join(char if char.isalnum() else f"\\{char}" for char in text.lower())
    assert found(f"^{escaped}$", text) is True


@given(st.text())
def test_folding_twice_is_folding_once(text: str) -> None:
    assert fold(fold(text)) == fold(text)


@given(st.integers(0, 0x2FF), st.integers(0, 0x2FF))
def test_a_folded_range_has_every_folded_member(first: int, length: int) -> None:
    ranges = fold_range(first, first + length)
    members = {code for low, high in ranges for code in range(low, high + 1)}
    assert {ord(fold(chr(code))) for code in range(first, first + length + 1)} <= members
    folded = {ord(fold(chr(code))) for code in members}
    assert folded == {ord(fold(chr(code))) for code in range(first, first + length + 1)}


spans = st.lists(st.tuples(st.integers(0, 50), st.integers(0, 9)).map(lambda pair: (pair[0], sum(pair))))


@given(spans)
def test_merged_ranges_are_the_same_characters(ranges: list[tuple[int, int]]) -> None:
    merged = merge_ranges(ranges)
    assert {c for low, high in merged for c in range(low, high + 1)} == {
        c for low, high in ranges for c in range(low, high + 1)
    }
    assert all(first[1] + 1 < second[0] for first, second in pairwise(merged))

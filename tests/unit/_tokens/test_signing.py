"""Signed tokens: what is taken, and that nothing else is."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from convert_sdk import OptionError, Project
from convert_sdk._delivery.engine import Engine
from convert_sdk._delivery.visitors import VisitorCache
from convert_sdk._tokens.signing import (
    MOST_CHARACTERS,
    TokenFlaw,
    TokenPurpose,
    flat_decisions,
    paired_decisions,
    read,
    sign,
)
from tests.strategies import texts, values

NOW = 1_800_000_000.0
SECRETS = ("the newest secret of all", b"an older one, in bytes")
PROJECTS = {
    name: Project.parse(f'{{"account_id": "{name[0]}", "project": {{"id": "{name[1]}"}}}}')
    for name in ("12", "13", "32")
}
PURPOSES = [*TokenPurpose]


def engine(
    project: str | None = "12",
    *,
    environment: str | None = None,
    secrets: tuple[str | bytes, ...] = SECRETS,
    now: float = NOW,
) -> Engine:
    made = Engine(VisitorCache(10, stored=False), None, environment=environment, secrets=secrets)
    made.wall_clock = lambda: now
    if project is not None:
        made.install(PROJECTS[project])
    return made


class Misuse(NamedTuple):
    """A token that is to be refused, who reads it and as what."""

    reader: Engine
    purpose: TokenPurpose
    token: str


class Drawn(NamedTuple):
    """A good token, and chance for what is done to it."""

    purpose: TokenPurpose
    token: str
    data: st.DataObject


def another_purpose(drawn: Drawn) -> Misuse:
    purpose = drawn.data.draw(st.sampled_from([each for each in PURPOSES if each is not drawn.purpose]))
    return Misuse(engine(), purpose, drawn.token)


def another_project(drawn: Drawn) -> Misuse:
    return Misuse(engine(drawn.data.draw(st.sampled_from(["13", "32"]))), drawn.purpose, drawn.token)


def another_environment(drawn: Drawn) -> Misuse:
    return Misuse(engine(environment="staging"), drawn.purpose, drawn.token)


def another_secret(drawn: Drawn) -> Misuse:
    return Misuse(engine(secrets=("a secret of somebody else",)), drawn.purpose, drawn.token)


def too_late(drawn: Drawn) -> Misuse:
    return Misuse(engine(now=NOW + drawn.data.draw(st.floats(60, 1e9))), drawn.purpose, drawn.token)


def one_character_changed(drawn: Drawn) -> Misuse:
    token = drawn.token
    place = drawn.data.draw(st.integers(0, len(token) - 1))
    other = drawn.data.draw(st.characters(codec=None).filter(lambda char: char != token[place]))
    return Misuse(engine(), drawn.purpose, token[:place] + other + token[place + 1 :])


def cut(drawn: Drawn) -> Misuse:
    return Misuse(
        engine(), drawn.purpose, drawn.token[: drawn.data.draw(st.integers(0, len(drawn.token) - 1))]
    )


def lengthened(drawn: Drawn) -> Misuse:
    place = drawn.data.draw(st.integers(0, len(drawn.token)))
    more = drawn.data.draw(texts.filter(bool))
    return Misuse(engine(), drawn.purpose, drawn.token[:place] + more + drawn.token[place:])


def anything_else(drawn: Drawn) -> Misuse:
    return Misuse(engine(), drawn.purpose, drawn.data.draw(st.text(max_size=200)))


MISUSES: list[Callable[[Drawn], Misuse]] = [
    another_purpose,
    another_project,
    another_environment,
    another_secret,
    too_late,
    one_character_changed,
    cut,
    lengthened,
    anything_else,
]
bodies = st.lists(values.filter(lambda value: "nan" not in repr(value)), max_size=4)
plain_bodies = st.lists(st.integers(0, 9_999_999_999) | st.text(max_size=5), max_size=4)


@given(st.sampled_from(PURPOSES), bodies, st.sampled_from(["12", None]))
def test_what_is_signed_is_read(purpose: TokenPurpose, body: list[object], project: str | None) -> None:
    token = sign(engine(project), purpose, body, 60)
    assert token.isascii()
    if len(token) <= MOST_CHARACTERS[purpose]:
        assert read(engine(project), purpose, token) == (body, None, NOW + 60, NOW, False)


@given(st.sampled_from(PURPOSES), plain_bodies, st.sampled_from(MISUSES), st.data())
@settings(max_examples=600)
def test_nothing_else_is_taken(
    purpose: TokenPurpose, body: list[object], misuse: Callable[[Drawn], Misuse], data: st.DataObject
) -> None:
    """A token of another purpose, project, environment or secret, an expired and a changed one; nothing raises."""
    used = misuse(Drawn(purpose, sign(engine(), purpose, body, 60), data))
    reading = read(used.reader, used.purpose, used.token)
    assert reading.flaw is not None
    assert not reading.body or reading.flaw is TokenFlaw.EXPIRED


@pytest.mark.parametrize(
    ("reader", "flaw"),
    [
        (engine("13"), TokenFlaw.PROJECT),
        (engine(environment="staging"), TokenFlaw.ENVIRONMENT),
        (engine(now=NOW + 60), TokenFlaw.EXPIRED),
        (engine(secrets=("a secret of somebody else",)), TokenFlaw.UNSIGNED),
        (engine(now=NOW + 59.9), None),
        (engine(None), None),
        (engine(None, environment="staging"), None),
    ],
)
def test_the_flaw_is_named(reader: Engine, flaw: TokenFlaw | None) -> None:
    assert read(reader, TokenPurpose.STATE, sign(engine(), TokenPurpose.STATE, ["x"], 60)).flaw is flaw


def test_without_a_document_an_environment_still_counts() -> None:
    token = sign(engine(None, environment="qa"), TokenPurpose.HANDOVER, [], 60)
    assert read(engine(None, environment="live"), TokenPurpose.HANDOVER, token).flaw is TokenFlaw.ENVIRONMENT
    assert read(engine(environment="qa"), TokenPurpose.HANDOVER, token).flaw is None


@pytest.mark.parametrize("purpose", PURPOSES)
def test_the_length_is_looked_at_first(purpose: TokenPurpose) -> None:
    token = sign(engine(), purpose, ["".join(chr(code) for code in range(0x4E00, 0x5600))], 60)
    assert read(engine(), purpose, token).flaw is TokenFlaw.TOO_LONG


def test_an_older_secret_is_taken_and_no_longer_signs() -> None:
    before, after = engine(secrets=SECRETS[1:]), engine()
    token = sign(before, TokenPurpose.STATE, ["x"], 60)
    assert read(after, TokenPurpose.STATE, token)[:2] == (["x"], None)
    assert read(after, TokenPurpose.STATE, token).renew
    assert read(before, TokenPurpose.STATE, sign(after, TokenPurpose.STATE, ["x"], 60)).flaw


def test_what_another_version_signed_has_another_shape(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("convert_sdk._tokens.signing._VERSION", 2)
    token = sign(engine(), TokenPurpose.STATE, [], 60)
    monkeypatch.undo()
    assert read(engine(), TokenPurpose.STATE, token).flaw is TokenFlaw.SHAPE


def test_without_a_secret_it_is_said_what_to_do() -> None:
    with pytest.raises(OptionError, match=r"give the client secrets=\[…\]"):
        sign(engine(secrets=()), TokenPurpose.STATE, [], 60)
    with pytest.raises(OptionError, match=r"give the client secrets=\[…\]"):
        read(engine(secrets=()), TokenPurpose.STATE, "")


@given(st.dictionaries(texts | st.integers(0).map(str), texts | st.integers(0).map(str)))
def test_decisions_come_back(decisions: dict[str, str]) -> None:
    flat = flat_decisions(decisions)
    assert paired_decisions(flat) == decisions
    assert [*(paired_decisions(flat) or {})] == [*decisions]


@pytest.mark.parametrize("flat", [None, {}, [1], [1, None], [True, 1], "12"])
def test_anything_else_is_no_decisions(flat: object) -> None:
    assert paired_decisions(flat) is None

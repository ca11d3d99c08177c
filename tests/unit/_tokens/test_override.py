"""The token of somebody who tests in production, and what makes one."""

from __future__ import annotations

from typing import Any

import pytest

from convert_sdk import Client, OptionError
from convert_sdk._tokens.override import read_override, sign_override
from convert_sdk._tokens.signing import TokenFlaw, TokenPurpose, sign
from convert_sdk.errors import UnknownNameError
from convert_sdk.integrations import override_token
from tests.documents import LOW, experience, project

SHOP = project(experience(), experience("200", "banner"))


def client(**options: Any) -> Client:
    options.setdefault("secrets", ["a secret of the site"])
    return Client.offline(SHOP, **options)


def test_variations_come_back() -> None:
    signing = client()
    engine = signing._engine
    engine.wall_clock = lambda: 1_800_000_000.0
    reading = read_override(engine, override_token(signing, {"checkout": "arm-2", "banner": "arm-1"}))
    assert reading == ({"checkout": "arm-2", "banner": "arm-1"}, 1_800_003_600, None)


@pytest.mark.parametrize(
    ("variations", "said"),
    [
        ({"chekout": "arm-2"}, "there is no experience 'chekout': did you mean 'checkout'?"),
        (
            {"checkout": "arm2"},
            "there is no variation of 'checkout' 'arm2': did you mean 'arm-2' or 'arm-1'?",
        ),
    ],
)
def test_what_the_document_lacks_is_named(variations: dict[str, str], said: str) -> None:
    with pytest.raises(UnknownNameError) as raised:
        override_token(client(), variations)
    assert str(raised.value) == said


def test_before_the_document_nothing_is_known() -> None:
    cold = Client("1/2", secrets=["a secret of the site"])
    with pytest.raises(UnknownNameError, match="no experience 'checkout'"):
        override_token(cold, {"checkout": "arm-2"})


@pytest.mark.parametrize("seconds", [0, -1, 86_401, float("nan")])
def test_it_lasts_a_day_at_most(seconds: float) -> None:
    with pytest.raises(ValueError, match=r"24 hours at most|not NaN"):
        override_token(client(), {"checkout": "arm-2"}, max_age=seconds)


@pytest.mark.parametrize("odd", ["60", None, True])
def test_its_time_is_a_number(odd: Any) -> None:
    with pytest.raises(TypeError, match="max_age must be a number of seconds, not"):
        override_token(client(), {"checkout": "arm-2"}, max_age=odd)


def test_a_longer_one_is_refused_whoever_signed_it() -> None:
    engine = client()._engine
    token = sign(engine, TokenPurpose.OVERRIDE, [{"checkout": "arm-2"}], 90_000)
    assert read_override(engine, token).flaw is TokenFlaw.SHAPE


@pytest.mark.parametrize("body", [[], [{"checkout": 2}], [[]], [{}, 1]])
def test_another_shape(body: list[Any]) -> None:
    engine = client()._engine
    token = sign(engine, TokenPurpose.OVERRIDE, body, 60)
    assert read_override(engine, token) == ({}, 0, TokenFlaw.SHAPE)


def test_other_misuse() -> None:
    with pytest.raises(ValueError, match="name the variations"):
        override_token(client(), {})
    with pytest.raises(OptionError, match="secrets"):
        override_token(client(secrets=()), {"checkout": "arm-2"})
    with pytest.raises(ValueError, match="name fewer"):
        sign_override(client()._engine, {f"{n**9:x}": f"{n**8:x}" for n in range(300)}, 60)


class TestShown:
    def test_it_goes_along_in_a_hand_over(self) -> None:
        visitor = client().visitor(LOW)
        visitor._show({"checkout": "arm-2"})
        handed = client().visitor_from(visitor.handover())
        assert handed is not None
        assert handed.decide("checkout").variation_key == "arm-2"
        assert not handed.track("buy")

    def test_every_verb_sees_it(self) -> None:
        visitor = client().visitor(LOW)
        visitor._show({"checkout": "arm-2", "banner": "arm-9"})
        assert visitor.decide("checkout").reason.value == "override"
        assert visitor.force("checkout", "arm-1").variation_key == "arm-2"
        assert [each.variation_key for each in visitor.decide_all()] == ["arm-1", "arm-2"]
        assert [each.key for each in visitor.peek_all(["checkout"])] == ["checkout"]
        assert visitor.explain("checkout").decision.variation_key == "arm-2"
        assert visitor.with_context(attributes={"plan": "pro"}).peek("checkout").variation_key == "arm-2"

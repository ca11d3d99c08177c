"""Whose order it is."""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from convert_sdk import OptionError
from convert_sdk.commerce.bridge import Identity, IdentityKey, Link, Match, MemoryLedger, OrderSnapshot
from convert_sdk.commerce.bridge.identity import nearest

SECRET, PEPPER = "secret of the tests", "pepper of the tests"
IDENTITY = Identity(SECRET, pepper=PEPPER)
AT = datetime(2026, 5, 1, 12, tzinfo=UTC)
NOW = AT.timestamp()
ORDER = OrderSnapshot(
    "website", "shop", "7", AT, reference="r", member_id="3", contact_id="4",
    email_key=IDENTITY.email_key("ann@example.com"),
)  # fmt: skip


def matched(
    order: OrderSnapshot, *links: Link, now: float = NOW, identity: Identity = IDENTITY
) -> Match | None:
    with MemoryLedger().transaction() as transaction:
        for link in links:
            transaction.add_link(link)
        return identity.match(order, transaction, now)


def link(identity_key: IdentityKey, visitor: str, at: float = NOW - 10, *, tracking: bool = True) -> Link:
    return Link(identity_key, visitor, at, at + 1000, tracking)


class TestTokens:
    @given(st.text(min_size=1).filter(lambda text: text == text.strip()))
    def test_any_visitor_id_comes_back(self, visitor_id: str) -> None:
        assert IDENTITY.visitor_of(IDENTITY.token(visitor_id)) == visitor_id

    def test_shape(self) -> None:
        version, visitor_id, signature = IDENTITY.token("v-42").split(".")
        assert (version, visitor_id, len(signature)) == ("v1", "v-42", 16)
        assert int(signature, 16) >= 0

    @pytest.mark.parametrize(
        "token",
        ["", "v-42", "v1.v-42.", "v1..0123456789abcdef", "v1.v-42.0123456789abcdef", "v2.v-42.x", "v1.ö.ö"],
    )
    def test_what_we_did_not_sign_is_nobody(self, token: str) -> None:
        assert IDENTITY.visitor_of(token) is None

    def test_another_visitor_under_the_same_signature(self) -> None:
        assert IDENTITY.visitor_of(IDENTITY.token("v-42").replace("v-42", "v-43")) is None

    def test_secrets_rotate(self) -> None:
        old = IDENTITY.token("v-42")
        both = Identity(["a newer secret than that", SECRET], pepper=PEPPER)
        assert both.visitor_of(old) == "v-42"
        assert IDENTITY.visitor_of(both.token("v-42")) is None

    def test_trusting_the_client_believes_bare_ids_and_no_forged_ones(self) -> None:
        trusting = Identity(SECRET, pepper=PEPPER, trust_client=True)
        assert trusting.visitor_of(" v-42 ") == "v-42"
        assert trusting.visitor_of("v1.v-42.0123456789abcdef") is None

    @pytest.mark.parametrize(("secret", "pepper"), [("short", PEPPER), (SECRET, "short"), ([], PEPPER)])
    def test_secrets_that_can_be_guessed_are_refused(self, secret: str, pepper: str) -> None:
        with pytest.raises(OptionError, match="16 characters"):
            Identity(secret, pepper=pepper)

    def test_says_nothing_of_itself(self) -> None:
        assert repr(IDENTITY) == "Identity(…)"


class TestEmail:
    def test_is_keyed(self) -> None:
        plain = hashlib.sha256(b"ann@example.com").hexdigest()
        keyed = hmac.digest(PEPPER.encode(), b"ann@example.com", "sha256").hex()
        assert IDENTITY.email_key("ANN@example.com ") == keyed != plain

    def test_dots_and_tags_stay(self) -> None:
        assert len({IDENTITY.email_key(each) for each in ("ab@x.y", "a.b@x.y", "ab+c@x.y")}) == 3


class TestMatchSources:
    def test_the_surest_key_wins_and_the_match_source_says_so(self) -> None:
        links = [link(identity_key, f"by-{identity_key.kind}") for identity_key in ORDER.identity_keys]
        for skipped, kind in enumerate(("order", "reference", "member", "contact", "email")):
            assert matched(ORDER, *links[skipped:]) == Match(f"by-{kind}", kind)  # type: ignore[arg-type]

    def test_a_signed_token_wins_over_links(self) -> None:
        order = replace(ORDER, token=IDENTITY.token("v-1"))
        links = [link(each, "v-2") for each in ORDER.identity_keys]
        assert matched(order, *links) == Match("v-1", "token")

    def test_a_forged_token_is_passed_over(self) -> None:
        order = replace(ORDER, token="v1.v-1.0123456789abcdef")
        assert matched(order, link(ORDER.identity_keys[2], "v-2")) == Match("v-2", "member")

    def test_nobody(self) -> None:
        assert matched(ORDER) is None
        assert matched(ORDER, link(IdentityKey("member", "website:shop:99"), "v-2")) is None

    def test_a_link_expires(self) -> None:
        old = link(ORDER.identity_keys[0], "v-1")
        assert matched(ORDER, old, now=old.expires - 1) is not None
        assert matched(ORDER, old, now=old.expires) is None

    def test_the_wish_not_to_be_tracked_comes_along(self) -> None:
        assert matched(ORDER, link(ORDER.identity_keys[2], "v-1", tracking=False)) == Match(
            "v-1", "member", False
        )


class TestSeveralVisitors:
    CLUE = IdentityKey("member", "3")

    def test_the_last_before_the_order(self) -> None:
        links = [link(self.CLUE, visitor, at) for visitor, at in (("a", 1.0), ("b", 5.0), ("c", 9.0))]
        assert nearest(links, 6.0).visitor_id == "b"
        assert nearest(links, 5.0).visitor_id == "b"

    def test_else_the_first_after_it(self) -> None:
        links = [link(self.CLUE, visitor, at) for visitor, at in (("b", 5.0), ("a", 9.0))]
        assert nearest(links, 1.0).visitor_id == "b"

    def test_slack_is_for_whose_an_order_is_and_not_for_what_they_said(self) -> None:
        key = ORDER.identity_keys[2]
        links = [link(key, "a"), link(key, "b", NOW + 0.7), link(key, "b", NOW + 0.9, tracking=False)]
        back = link(key, "b", NOW + 3)
        with MemoryLedger().transaction() as transaction:
            for each in (*links, back):
                transaction.add_link(each)
            assert IDENTITY.match(ORDER, transaction, NOW) == Match("a", "member")
            assert IDENTITY.match(ORDER, transaction, NOW, 2.0) == Match("b", "member")

    def test_equals_go_by_id(self) -> None:
        links = [link(self.CLUE, visitor, 5.0) for visitor in ("b", "a", "c")]
        assert nearest(links, 9.0).visitor_id == nearest(links, 1.0).visitor_id == "a"

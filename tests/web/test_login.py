"""Two devices and two logins of one user, in each mode: what is shown, and under which ids it is reported."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

pytest.importorskip("flask", reason="needs Flask: pip install convert-sdk[flask]")
pytest.importorskip("fastapi", reason="needs FastAPI: pip install convert-sdk[fastapi]")

from convert_sdk import MemoryStore, OptionError, StoreError
from convert_sdk.integrations._web.options import web_options
from convert_sdk.stores import Changes, Winners
from tests.contracts.test_web import browser, consent_of, user_of, warnings_in
from tests.documents import HIGH, LOW, Sink
from tests.web.pages import Shop, shop
from tests.web.sites import Visits, visits
from tests.web.test_asgi import AwaitedStore, awaited_client

USER = {"X-User": "customer-7"}
COOKIE = "convert_visitor_id"


@pytest.fixture
def store() -> Shop:
    return shop(store=MemoryStore())


def story(ask: Visits) -> tuple[list[str], list[httpx.Cookies]]:
    """Two devices, anonymous and then logged in, and both logged out: what they are shown."""
    phone, laptop = browser(LOW), browser(HIGH)
    shown = [ask("/decide", phone).text, ask("/decide", laptop).text]
    shown += [ask("/decide", phone, headers=USER).text, ask("/decide", laptop, headers=USER).text]
    shown += [ask("/decide", laptop, headers=USER).text]
    shown += [ask("/decide", phone).text, ask("/decide", laptop).text]
    return shown, [phone, laptop]


def reported(store: Shop) -> set[object]:
    store.client.flush()
    return {each["visitorId"] for each in store.sink.visitors}


def test_keep(store: Shop) -> None:
    with visits("flask", store.client, identify=user_of) as ask:
        shown, devices = story(ask)
    assert shown == ["1", "2", "1", "2", "2", "1", "2"]
    assert [device[COOKIE] for device in devices] == [LOW, HIGH]
    assert reported(store) == {LOW, HIGH}
    assert "customer-7" not in str(store.sink)


def test_alias(store: Shop) -> None:
    with visits("flask", store.client, identify=user_of, on_login="alias") as ask:
        shown, devices = story(ask)
    assert shown == ["1", "2", "1", "1", "1", "1", "1"]  # the laptop takes over what the phone has
    assert [device[COOKIE] for device in devices] == [LOW, LOW]
    assert reported(store) == {LOW, HIGH}
    assert "customer-7" not in str(store.sink)


def test_switch(store: Shop) -> None:
    with visits("flask", store.client, identify=user_of, on_login="switch") as ask:
        shown, devices = story(ask)
    assert shown == ["1", "2", "1", "1", "1", "1", "1"]
    assert [device[COOKIE] for device in devices] == ["customer-7"] * 2
    assert reported(store) == {LOW, HIGH, "customer-7"}


class TestAliases:
    @pytest.fixture(params=["flask", "fastapi"])
    def framework(self, request: pytest.FixtureRequest) -> str:
        found: str = request.param
        return found

    def test_another_process_knows_it(self, framework: str) -> None:
        kept = MemoryStore()
        for own, expected in ((LOW, LOW), (HIGH, LOW)):
            with visits(framework, shop(store=kept).client, identify=user_of, on_login="alias") as ask:
                assert ask("/who", browser(own), headers=USER).text == expected

    def test_somebody_new_claims_a_new_id(self, framework: str, store: Shop) -> None:
        with visits(framework, store.client, identify=user_of, on_login="alias") as ask:
            first = ask("/who", phone := browser(), headers=USER).text
            assert (phone[COOKIE], ask("/who", browser(), headers=USER).text) == (first, first)

    def test_the_store_knows_no_user_by_name(self, framework: str) -> None:
        keys: list[str] = []

        class Listed(MemoryStore):
            def save(self, changes: Changes) -> Winners:
                keys.append(changes.key)
                return super().save(changes)

        with visits(framework, shop(store=Listed()).client, identify=user_of, on_login="alias") as ask:
            ask("/who", browser(LOW), headers=USER)
        (key,) = keys
        assert key.startswith("1-2-alias-")
        assert "customer-7" not in key

    def test_where_the_store_is_down_the_device_keeps_its_id(
        self, framework: str, caplog: pytest.LogCaptureFixture
    ) -> None:
        class Down(MemoryStore):
            is_down = True

            def save(self, changes: Changes) -> Winners:
                if self.is_down:
                    raise StoreError("down")
                return super().save(changes)

        kept = Down()
        with visits(framework, shop(store=kept).client, identify=user_of, on_login="alias") as ask:
            assert [ask("/who", browser(HIGH), headers=USER).text for _ in range(2)] == [HIGH, HIGH]
            kept.is_down = False
            assert ask("/who", browser(LOW), headers=USER).text == LOW
            assert ask("/who", browser(HIGH), headers=USER).text == LOW
        assert warnings_in(caplog) == [
            "web integration: the store raised StoreError: a user keeps the id of the device until it answers"
        ]

    @pytest.mark.parametrize("answer", ["unknown", "denied"])
    def test_nobody_is_claimed_without_consent(self, framework: str, answer: str) -> None:
        kept = MemoryStore()
        asked: dict[str, Any] = {"identify": user_of, "on_login": "alias", "consent": consent_of}
        with visits(framework, shop(store=kept).client, **asked) as ask:
            ask("/who", browser(HIGH), headers={**USER, "X-Consent": answer})
            ask("/who", browser(LOW), headers={**USER, "X-Consent": "granted"})
            laptop = browser(HIGH)
            assert ask("/who", laptop, headers={**USER, "X-Consent": "granted"}).text == LOW

    def test_a_store_that_is_awaited(self) -> None:
        client = awaited_client(Sink(), store=AwaitedStore(MemoryStore()))
        with visits("fastapi", client, identify=user_of, on_login="alias") as ask:
            assert [ask("/who", browser(own), headers=USER).text for own in (LOW, HIGH, HIGH)] == [LOW] * 3


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"on_login": "switch"}, 'on_login="switch" needs identify='),
        ({"on_login": "alias", "identify": user_of}, 'on_login="alias" needs a client with a store'),
        ({"cookie": None}, "without a cookie, identify= must name the visitors"),
        ({"preview": "drafts"}, 'preview="drafts" needs a client with a debug_token'),
        ({"preview": True}, "preview must be False or 'known' or 'drafts', not True"),
        ({"before_consent": "variation"}, "before_consent must be 'control' or 'decide'"),
        ({"consent": 5}, "consent must be a callable that takes a request, not int"),
        ({"only": "/shop"}, "only must be a list of path prefixes"),
        ({"only": ["shop"]}, "only must have path prefixes that begin with /, not 'shop'"),
    ],
)
def test_options_that_do_not_go_together_are_refused(wrong: Any, said: str) -> None:
    with pytest.raises(OptionError, match="^" + said.replace("(", r"\(")):
        web_options(shop().client, wrong, awaits=True)


def test_what_a_framework_cannot_await_is_refused() -> None:
    async def consent(native: object) -> None:
        return None

    with pytest.raises(OptionError, match="consent must be a plain function here"):
        web_options(shop().client, {"consent": consent}, awaits=False)
    with pytest.raises(TypeError, match="client must be a Client or an AsyncClient, not str"):
        web_options("1/2", {}, awaits=True)
    with pytest.raises(TypeError, match="no_such"):
        web_options(shop().client, {"no_such": 1}, awaits=True)  # type: ignore[typeddict-unknown-key]

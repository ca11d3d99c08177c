from __future__ import annotations

import asyncio
import gzip
import json
import shlex
import signal
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import pytest

pytest.importorskip("starlette", reason="needs the extra server")
from convert_sdk import Client
from convert_sdk.errors import DocumentError
from convert_sdk.server import (
    DEMO_SDK_KEY,
    Conversion,
    Exposure,
    LocalServer,
    Registry,
    ServedProject,
    create_app,
    demo_document,
    running,
)
from tests import processes
from tests.processes import Child
from tests.servers.programs import free_port, server_program
from tests.shapes import of
from tests.waiting import PATIENCE

JSON = {"Content-Type": "application/json"}
GZIP = {**JSON, "Content-Encoding": "gzip"}
EVENT = {"eventType": "bucketing", "data": {"experienceId": "1", "variationId": "10"}}


class Clock:
    def __init__(self) -> None:
        self.now = 1_700_000_000.0

    def __call__(self) -> float:
        return self.now


def document(**changes: object) -> dict[str, Any]:
    """A project whose experiences differ in one thing each."""
    return {
        "account_id": "100",
        "project": {"id": "200", "settings": {"version": "v1", "include_jquery": False}},
        "experiences": [
            {"id": "1", "key": "everywhere", "status": "active"},
            {"id": "2", "key": "production", "status": "active", "environment": "production"},
            {"id": "3", "key": "staging", "status": "active", "environment": "staging"},
            {"id": "4", "key": "listed", "status": "active", "environments": ["staging", "qa"]},
            {"id": "5", "key": "draft", "status": "draft"},
            {"id": "6", "key": "paused", "status": "paused", "environment": "production"},
            {"id": "7", "key": "unsaid", "environments": []},
            {"id": "8", "key": "both", "environment": "production", "environments": ["qa"]},
        ],
        **changes,
    }


def closed_document() -> dict[str, object]:
    return document(project={"id": "200", "settings": {"disable_default_config": True}})


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def registry(clock: Clock) -> Registry:
    return Registry(clock=clock)


@pytest.fixture
def shop(registry: Registry) -> ServedProject:
    registry.add(document(), sdk_key="100/200")
    registry.add(document(), sdk_key="plain")
    return registry.add(document(), sdk_key="100/200/guarded", secret="s3cret")


@pytest.fixture
def server(registry: Registry, shop: ServedProject) -> Iterator[LocalServer]:
    with running(registry) as started:
        yield started


@pytest.fixture
def http(server: LocalServer) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=server.url, trust_env=False, timeout=PATIENCE) as client:
        yield client


def keys(response: httpx.Response) -> list[str]:
    assert response.status_code == 200, response.text
    return [experience["key"] for experience in response.json()["experiences"]]


def several(name: str, values: str | list[str]) -> list[tuple[str, str]]:
    """A header that comes once, or once for each of its values."""
    return [(name, value) for value in ([values] if isinstance(values, str) else values)]


def refusal(response: httpx.Response) -> tuple[int, str]:
    body = response.json()
    assert set(body) == {"code", "message"}
    assert body["code"] == response.status_code
    return response.status_code, body["message"]


def tracking(*events: object, **changes: object) -> dict[str, object]:
    visitor = {"visitorId": "v", "events": list(events) or [EVENT]}
    return {"accountId": "100", "projectId": "200", "enrichData": True, "visitors": [visitor], **changes}


class TestConfig:
    def test_by_sdk_key(self, http: httpx.Client) -> None:
        response = http.get("/config/100/200")
        assert response.status_code == 200
        assert response.headers["content-type"] == "application/json"
        hidden = {"draft", "paused"}
        expected = document(is_debug=False)
        expected["experiences"] = [e for e in expected["experiences"] if e.get("status") not in hidden]
        assert response.json() == expected

    def test_by_account_and_project(self, registry: Registry, http: httpx.Client) -> None:
        registry.add(document(account_id="300"))
        assert http.get("/config/300/200").json()["account_id"] == "300"

    def test_a_key_may_be_percent_encoded(self, http: httpx.Client) -> None:
        assert http.get("/config/100%2F200").status_code == 200

    def test_a_registered_key_comes_before_account_and_project(
        self, registry: Registry, http: httpx.Client
    ) -> None:
        registry.add(document(), sdk_key="100/200", secret="now guarded")
        assert http.get("/config/100/200").status_code == 401

    def test_an_unchanged_document_is_not_sent_again(self, http: httpx.Client) -> None:
        etag = http.get("/config/plain").headers["etag"]
        for header in (etag, f'W/{etag}, "other"', "*"):
            again = http.get("/config/plain", headers={"if-none-match": header})
            assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", etag)
        assert http.get("/config/plain", headers={"if-none-match": '"other"'}).status_code == 200

    def test_a_new_document_has_a_new_tag(self, registry: Registry, http: httpx.Client) -> None:
        etag = http.get("/config/plain").headers["etag"]
        registry.add(document(goals=[{"id": "9", "key": "purchase"}]))
        response = http.get("/config/plain", headers={"if-none-match": etag})
        assert response.json()["goals"] == [{"id": "9", "key": "purchase"}]
        assert response.headers["etag"] != etag

    def test_each_environment_has_its_own_tag(self, http: httpx.Client) -> None:
        tags = {http.get("/config/plain", params=p).headers["etag"] for p in ({}, {"environment": "qa"})}
        assert len(tags) == 2

    @pytest.mark.parametrize(
        ("environment", "served"),
        [
            (None, ["everywhere", "production", "staging", "listed", "unsaid", "both"]),
            ("", ["everywhere", "production", "staging", "listed", "unsaid", "both"]),
            ("production", ["everywhere", "production", "unsaid", "both"]),
            ("staging", ["everywhere", "staging", "listed", "unsaid"]),
            ("qa", ["everywhere", "listed", "unsaid"]),
            ("unknown", ["everywhere", "unsaid"]),
        ],
    )
    def test_environment(self, http: httpx.Client, environment: str | None, served: list[str]) -> None:
        params = {} if environment is None else {"environment": environment}
        assert keys(http.get("/config/plain", params=params)) == served

    def test_low_cache_changes_nothing(self, http: httpx.Client) -> None:
        response = http.get("/config/plain", params={"_conv_low_cache": "1"})
        assert response.content == http.get("/config/plain").content

    def test_a_preview_brings_its_experience_whatever_its_status(self, http: httpx.Client) -> None:
        assert "draft" in keys(http.get("/config/plain?exp=5&_conv_low_cache=1"))
        assert "paused" not in keys(http.get("/config/plain?exp=5&_conv_low_cache=1"))
        assert not http.get("/config/plain?exp=5").json()["is_debug"]

    def test_a_document_without_experiences_is_served(self, registry: Registry, http: httpx.Client) -> None:
        registry.add({"account_id": 300, "project": {"id": 7}})
        assert http.get("/config/300/7").json() == {
            "account_id": 300,
            "project": {"id": 7},
            "is_debug": False,
        }

    def test_broken_experiences_are_served_as_they_are(self, registry: Registry, http: httpx.Client) -> None:
        registry.add(document(experiences=[None, {"id": "5", "status": "draft"}, "nonsense", {"status": []}]))
        experiences = http.get("/config/plain").json()["experiences"]
        assert experiences == [None, "nonsense", {"status": []}]

    def test_head(self, http: httpx.Client) -> None:
        response = http.head("/config/plain")
        assert (response.status_code, response.content) == (200, b"")
        assert response.headers["etag"] == http.get("/config/plain").headers["etag"]


class TestKeysAndSecrets:
    @pytest.mark.parametrize("authorization", [None, "", "s3cret", "Bearer wrong", "Basic s3cret", "Bearer"])
    def test_a_secret_is_needed(self, http: httpx.Client, authorization: str | None) -> None:
        headers = {} if authorization is None else {"Authorization": authorization}
        for response in (
            http.get("/config/100/200/guarded", headers=headers),
            http.post("/track/100/200/guarded", headers=headers, json=tracking()),
        ):
            assert refusal(response)[0] == 401
            assert "s3cret" not in response.text

    def test_the_secret_opens(self, http: httpx.Client, shop: ServedProject) -> None:
        headers = {"Authorization": "Bearer s3cret"}
        assert http.get("/config/100/200/guarded", headers=headers).status_code == 200
        assert http.post("/track/100/200/guarded", headers=headers, json=tracking()).status_code == 200
        assert shop.record.summary().recorded == 1

    @pytest.mark.parametrize("headers", [{}, {"Authorization": ""}, {"Authorization": "Bearer"}])
    def test_a_key_without_a_secret_wants_the_header_empty(
        self, http: httpx.Client, headers: dict[str, str]
    ) -> None:
        assert http.get("/config/plain", headers=headers).status_code == 200
        assert http.post("/track/plain", headers=headers, json=tracking()).status_code == 200

    def test_a_key_without_a_secret_refuses_one(self, http: httpx.Client) -> None:
        assert refusal(http.get("/config/plain", headers={"Authorization": "Bearer s3cret"}))[0] == 401

    def test_an_unknown_key_is_refused(self, http: httpx.Client) -> None:
        assert refusal(http.get("/config/unknown")) == (401, "no such SDK key")
        assert refusal(http.post("/track/unknown", json=tracking())) == (401, "no such SDK key")

    def test_an_unknown_project_is_not_found(self, http: httpx.Client) -> None:
        for response in (
            http.get("/config/100/999"),
            http.get("/project-settings/100/999"),
            http.post("/track/100/999", json=tracking()),
            http.get("/_events/100/999"),
        ):
            assert refusal(response)[0] == 404

    def test_a_closed_project_needs_a_key(self, registry: Registry, http: httpx.Client) -> None:
        registry.add(closed_document() | {"account_id": "300"}, sdk_key="open sesame")
        for response in (
            http.get("/config/300/200"),
            http.get("/project-settings/300/200"),
            http.post("/track/300/200", json=tracking()),
        ):
            status, message = refusal(response)
            assert status == 403
            assert "disable_default_config" in message
        assert http.get("/config/open sesame").status_code == 200


class TestDebugTokens:
    def test_a_token_brings_drafts_and_paused_experiences(
        self, http: httpx.Client, shop: ServedProject
    ) -> None:
        headers = {"convert-debug-token": shop.issue_debug_token().token}
        response = http.get("/config/plain", headers=headers)
        assert {"draft", "paused"} < set(keys(response))
        assert response.json()["is_debug"] is True

    def test_a_token_lasts_a_day(self, http: httpx.Client, shop: ServedProject, clock: Clock) -> None:
        issued = shop.issue_debug_token()
        headers = {"convert-debug-token": issued.token}
        assert issued.expires_at == clock.now + 86_400
        clock.now += 86_399
        assert http.get("/config/plain", headers=headers).json()["is_debug"] is True
        clock.now += 1
        response = http.get("/config/plain", headers=headers)
        assert response.json()["is_debug"] is False
        assert "draft" not in keys(response)

    def test_a_token_is_good_for_its_project_only(
        self, registry: Registry, http: httpx.Client, shop: ServedProject
    ) -> None:
        registry.add(document(account_id="300"))
        headers = {"convert-debug-token": shop.issue_debug_token().token}
        assert http.get("/config/300/200", headers=headers).json()["is_debug"] is False

    def test_an_unknown_token_counts_as_none(self, http: httpx.Client) -> None:
        response = http.get("/config/plain", headers={"convert-debug-token": "made up"})
        assert "draft" not in keys(response)

    def test_a_token_can_be_asked_for(self, http: httpx.Client, clock: Clock) -> None:
        issued = http.post("/_debug-token/100/200").json()
        assert issued["expiresAt"] == clock.now + 86_400
        headers = {"convert-debug-token": issued["token"]}
        assert http.get("/config/plain", headers=headers).json()["is_debug"] is True


class TestProjectSettings:
    def test_only_what_the_api_lists(self, registry: Registry, http: httpx.Client) -> None:
        script = {"current_version": "1.3", "latest_version": None}
        settings = {"version": "v1", "include_jquery": True, "tracking_script": script, "min_order_value": 3}
        registry.add(document(project={"id": 200, "settings": settings}))
        assert http.get("/project-settings/100/200").json() == {
            "account_id": "100",
            "project_id": "200",
            "version": "v1",
            "include_jquery": True,
            "tracking_script": script,
        }

    def test_an_unchanged_answer_is_not_sent_again(self, http: httpx.Client) -> None:
        etag = http.get("/project-settings/100/200").headers["etag"]
        again = http.get("/project-settings/100/200", headers={"if-none-match": etag})
        assert again.status_code == 304


class TestTracking:
    @pytest.mark.parametrize("path", ["/track/plain", "/track/100/200"])
    def test_events_are_kept(self, http: httpx.Client, shop: ServedProject, path: str) -> None:
        response = http.post(path, json=tracking())
        assert response.json() == {"code": 200, "message": "1 events received"}
        event = of(Exposure, shop.record.events()[0])
        assert (event.visitor_id, event.experience_id, event.variation_id) == ("v", "1", "10")

    def test_by_account_and_project_without_a_key(self, registry: Registry, http: httpx.Client) -> None:
        other = registry.add(document(account_id="300"))
        http.post("/track/300/200", json=tracking(accountId=300))
        assert other.record.summary().received == 1

    def test_a_wrong_body_is_refused_whole(self, http: httpx.Client, shop: ServedProject) -> None:
        wrong = {"eventType": "bucketing", "data": {"experienceId": "1"}}
        message = "$.visitors[0].events[1].data.variationId: expected a value, found nothing"
        assert refusal(http.post("/track/plain", json=tracking(EVENT, wrong))) == (400, message)
        assert shop.record.summary().received == 0

    @pytest.mark.parametrize(
        ("body", "message"),
        [
            (b"", "$: expected JSON, found an empty body"),
            (b"{", "$: expected JSON, found a truncated document (EOF while parsing an object) at byte 0"),
            (json.dumps(tracking(accountId="7")).encode(), "$.accountId: expected 100, found 7"),
            (json.dumps(tracking(projectId="7")).encode(), "$.projectId: expected 200, found 7"),
        ],
    )
    def test_the_refusal_names_the_path(self, http: httpx.Client, body: bytes, message: str) -> None:
        assert refusal(http.post("/track/plain", content=body, headers=JSON)) == (400, message)

    def test_a_body_has_a_limit(self, http: httpx.Client) -> None:
        body = b" " * (2 * 1024 * 1024 + 1)
        assert refusal(http.post("/track/plain", content=body, headers=JSON))[0] == 413

    def test_a_packed_body(self, http: httpx.Client, shop: ServedProject) -> None:
        packed = gzip.compress(json.dumps(tracking()).encode())
        assert http.post("/track/plain", content=packed, headers=GZIP).status_code == 200
        assert shop.record.summary().received == 1

    @pytest.mark.parametrize(
        ("body", "encoding", "status"),
        [
            (gzip.compress(b" " * 50_000_000), "gzip", 413),
            (gzip.compress(json.dumps(tracking()).encode())[:-9], "gzip", 400),
            (b"plain", "gzip", 400),
            (gzip.compress(b"{}") * 2, "gzip", 400),
            (b"{}", "br", 415),
            (b"{}", "utf-8", 415),
        ],
        ids=["too large", "cut off", "not packed", "packed twice", "brotli", "no encoding at all"],
    )
    def test_a_badly_packed_body(self, http: httpx.Client, body: bytes, encoding: str, status: int) -> None:
        headers = {**JSON, "Content-Encoding": encoding}
        assert refusal(http.post("/track/plain", content=body, headers=headers))[0] == status

    @pytest.mark.parametrize(
        "amount", ["1e300000", "1e" + "9" * 40, "-1e16", "nan", "9" * 5_000, 1e300, 10**30]
    )
    @pytest.mark.parametrize("key", ["amount", "productsCount"])
    def test_a_figure_that_would_take_for_ever_to_add(
        self, http: httpx.Client, shop: ServedProject, key: str, amount: object
    ) -> None:
        data = {"goalId": "7", "goalData": [{"key": key, "value": amount}]}
        response = http.post("/track/plain", json=tracking({"eventType": "conversion", "data": data}))
        status, message = refusal(response)
        assert status == 400
        assert message.startswith("$.visitors[0].events[0].data.goalData[0].value: expected a number")
        assert http.get("/_summary/100/200").json()["received"] == 0

    @pytest.mark.parametrize("wrong", ["yes", 1, "true", []])
    def test_enrich_data_is_true_or_false(self, http: httpx.Client, wrong: object) -> None:
        status, message = refusal(http.post("/track/plain", json=tracking(enrichData=wrong)))
        assert (status, message[:38]) == (400, "$.enrichData: expected true or false, ")

    def test_a_million_mistakes_are_one_refusal(self, http: httpx.Client) -> None:
        body = b'{"visitors":[' + b"{}," * 600_000 + b"{}]}"
        response = http.post("/track/plain", content=body, headers=JSON)
        assert refusal(response) == (400, "$.visitors[0].visitorId: expected a value, found nothing")

    def test_enrichment(self, http: httpx.Client, shop: ServedProject) -> None:
        conversion = {"eventType": "conversion", "data": {"goalId": "7"}}
        http.post("/track/plain", json=tracking(EVENT, EVENT))
        http.post("/track/plain", json=tracking(EVENT, conversion))
        exposure, converted = shop.record.events()
        assert of(Exposure, exposure).variation_id == "10"
        assert of(Conversion, converted).bucketing == {"1": "10"}


class TestLooking:
    def test_events_and_sums_over_http(self, http: httpx.Client) -> None:
        bought = {
            "goalId": "7",
            "goalData": [{"key": "amount", "value": 1.5}, {"key": "transactionId", "value": "T"}],
        }
        http.post("/track/plain", json=tracking(EVENT, {"eventType": "conversion", "data": bought}))
        exposure, conversion = http.get("/_events/100/200").json()
        assert exposure == {
            "eventType": "bucketing",
            "visitorId": "v",
            "experienceId": "1",
            "experienceKey": "everywhere",
            "experienceName": None,
            "variationId": "10",
            "variationKey": None,
            "variationName": None,
            "segments": {},
        }
        assert conversion["eventType"] == "conversion"
        assert conversion["goalData"] == bought["goalData"]
        assert conversion["bucketingData"] == {"1": "10"}
        summary = http.get("/_summary/100/200").json()
        assert (summary["received"], summary["recorded"], summary["transactionIds"]) == (2, 2, 1)
        shown = {name: value for name, value in exposure.items() if name.startswith(("exp", "vari"))}
        assert summary["variations"] == [{**shown, "exposures": 1}]
        assert summary["goals"][1]["variationId"] == "10"
        assert Decimal(summary["goals"][1]["revenue"]) == Decimal("1.5")

    def test_names_stand_beside_ids(self, registry: Registry, http: httpx.Client) -> None:
        variations = [{"id": "10", "key": "b", "name": "Variant B", "traffic_allocation": 100}]
        experience = {"id": "1", "key": "hero", "name": "The hero", "variations": variations}
        goals = [{"id": "7", "key": "buy", "name": "Purchase"}]
        registry.add(document(experiences=[experience], goals=goals))
        http.post("/track/plain", json=tracking(EVENT, {"eventType": "conversion", "data": {"goalId": "7"}}))
        exposure, conversion = http.get("/_events/100/200").json()
        assert [exposure[name] for name in ("experienceKey", "experienceName")] == ["hero", "The hero"]
        assert [exposure[name] for name in ("variationKey", "variationName")] == ["b", "Variant B"]
        assert [conversion[name] for name in ("goalKey", "goalName")] == ["buy", "Purchase"]

    def test_the_root_says_what_is_here(self, server: LocalServer, http: httpx.Client) -> None:
        (project,) = http.get("/").json()["projects"]
        assert project["sdkKeys"] == ["100/200", "plain", "100/200/guarded"]
        assert project["events"] == f"{server.url}/_events/100/200"
        assert http.get(project["config"][1]).status_code == 200
        assert "s3cret" not in json.dumps(project)

    def test_only_from_the_machine_itself(self, registry: Registry, shop: ServedProject) -> None:
        async def ask(path: str) -> int:
            transport = httpx.ASGITransport(create_app(registry), client=("192.0.2.7", 4711))
            async with httpx.AsyncClient(transport=transport, base_url="http://server") as client:
                return (await client.get(path)).status_code

        assert asyncio.run(ask("/_events/100/200")) == 403
        assert asyncio.run(ask("/config/plain")) == 200


RUN = "from convert_sdk.cli import main; main()"
FOREIGN = {"Origin": "https://evil.example"}
REBOUND = {"Host": "evil.example"}


class TestBrowsers:
    """Pages in a browser on this machine reach every port of it."""

    @pytest.mark.parametrize(
        "path", ["/config/plain", "/project-settings/100/200", "/track/plain", "/config/none"]
    )
    def test_a_preflight_is_answered(self, http: httpx.Client, path: str) -> None:
        asked = {
            "Origin": "http://localhost:3000",
            "Access-Control-Request-Method": "POST",
            "Access-Control-Request-Headers": "content-type",
        }
        answer = http.options(path, headers=asked)
        assert (answer.status_code, answer.content) == (204, b"")
        assert answer.headers["access-control-allow-origin"] == "*"
        assert "content-type" in answer.headers["access-control-allow-headers"].lower()
        assert "POST" in answer.headers["access-control-allow-methods"]

    def test_a_page_reads_answers_and_refusals(self, http: httpx.Client) -> None:
        for path in ("/config/plain", "/config/100/999", "/project-settings/100/200"):
            assert http.get(path, headers=FOREIGN).headers["access-control-allow-origin"] == "*"
        assert http.post("/track/plain", json=tracking(), headers=FOREIGN).status_code == 200

    @pytest.mark.parametrize(
        ("method", "path"),
        [
            ("GET", "/"),
            ("GET", "/_events/100/200"),
            ("GET", "/_summary/100/200"),
            ("POST", "/_debug-token/100/200"),
        ],
    )
    def test_nothing_else_is_for_pages_of_other_origins(
        self, server: LocalServer, http: httpx.Client, method: str, path: str
    ) -> None:
        for headers in (FOREIGN, {"Origin": "null"}, {"Origin": "http://127.0.0.1:1"}, REBOUND):
            refused = http.request(method, path, headers=headers)
            assert refusal(refused)[0] == 403
        assert http.request(method, path, headers={"Origin": server.url}).status_code == 200

    @pytest.mark.parametrize(
        "host", ["evil.example", "evil.example:80", "127.0.0.1.evil.example", "[2001:db8::1]:80", ""]
    )
    def test_a_foreign_name_is_refused_everywhere(self, http: httpx.Client, host: str) -> None:
        assert refusal(http.get("/config/plain", headers={"Host": host}))[0] == 403
        assert refusal(http.post("/track/plain", json=tracking(), headers={"Host": host}))[0] == 403

    @pytest.mark.parametrize(
        "host", ["localhost", "LOCALHOST:99", "127.0.0.1", "127.1.2.3:5", "[::1]:8088", "shop.localhost"]
    )
    def test_a_name_of_the_machine_is_not(self, http: httpx.Client, host: str) -> None:
        assert http.get("/config/plain", headers={"Host": host}).status_code == 200

    @pytest.mark.parametrize("media_type", ["text/plain", "application/x-www-form-urlencoded", ""])
    def test_only_json_is_tracked(self, http: httpx.Client, shop: ServedProject, media_type: str) -> None:
        body = json.dumps(tracking()).encode()
        refused = http.post("/track/plain", content=body, headers={"Content-Type": media_type})
        assert refusal(refused)[0] == 415
        assert shop.record.summary().received == 0

    def test_a_proxy_s_word_opens_nothing(self, http: httpx.Client) -> None:
        lines = ("203.0.113.7", "127.0.0.1, 203.0.113.7", "203.0.113.7:4711", "[2001:db8::1]:80", "unknown")
        for forwarded in (*lines, ["127.0.0.1", "203.0.113.7"]):
            headers = several("X-Forwarded-For", forwarded)
            assert http.get("/config/plain", headers=headers).status_code == 200
            assert refusal(http.get("/_events/100/200", headers=headers))[0] == 403
        assert http.get("/_events/100/200", headers={"X-Forwarded-For": "127.0.0.1"}).status_code == 200

    @pytest.mark.parametrize(
        "forwarded",
        ["garbage", "127.0.0.1, garbage", "1.2.3", "::g", "<script>", "9" * 10_000, ",".join(["::1"] * 51)],
    )
    def test_a_proxy_s_word_that_is_none_is_refused(self, http: httpx.Client, forwarded: str) -> None:
        headers = {"X-Forwarded-For": forwarded}
        for path in (
            "/config/plain",
            "/project-settings/100/200",
            "/_events/100/200",
            "/_summary/100/200",
            "/",
        ):
            assert refusal(http.get(path, headers=headers))[0] == 400
        assert refusal(http.post("/track/plain", json=tracking(), headers=headers))[0] == 400

    def test_without_a_socket_nothing_is_checked(self, registry: Registry, shop: ServedProject) -> None:
        async def ask() -> list[int]:
            transport = httpx.ASGITransport(create_app(registry))
            async with httpx.AsyncClient(
                transport=transport, base_url="http://anything", headers=FOREIGN
            ) as client:
                body = json.dumps(tracking()).encode()
                return [
                    (await client.get("/_events/100/200")).status_code,
                    (await client.post("/track/plain", content=body)).status_code,
                ]

        assert asyncio.run(ask()) == [200, 200]

    def test_a_served_name_opens_the_api_and_no_more(self, registry: Registry, shop: ServedProject) -> None:
        async def ask(host: str) -> list[int]:
            transport = httpx.ASGITransport(create_app(registry, hosts=("*", "0.0.0.0")))
            async with httpx.AsyncClient(transport=transport, base_url=f"http://{host}") as client:
                return [
                    (await client.get(path)).status_code for path in ("/config/plain", "/_events/100/200")
                ]

        assert asyncio.run(ask("serving:8088")) == [200, 403]
        assert asyncio.run(ask("0.0.0.0:8088")) == [200, 200]


class TestPlainHttp:
    def test_what_is_not_there(self, http: httpx.Client) -> None:
        assert refusal(http.get("/elsewhere"))[0] == 404

    @pytest.mark.parametrize(
        ("method", "path"),
        [("POST", "/config/plain"), ("DELETE", "/project-settings/100/200"), ("GET", "/track/plain")],
    )
    def test_wrong_methods(self, http: httpx.Client, method: str, path: str) -> None:
        response = http.request(method, path)
        assert refusal(response)[0] == 405
        assert response.headers["allow"]


class TestRunning:
    def test_it_restarts_on_its_port_and_remembers(self, registry: Registry, shop: ServedProject) -> None:
        with (
            running(registry, port=free_port()) as server,  # a port that nobody is given meanwhile
            httpx.Client(base_url=server.url, trust_env=False, timeout=PATIENCE) as http,
        ):
            http.post("/track/plain", json=tracking())
            url = server.url
            server.stop()
            with pytest.raises(httpx.TransportError):
                http.get("/config/plain")
            server.start()
            assert server.url == url
            http.post("/track/plain", json=tracking(EVENT))
        assert shop.record.summary().received == 2
        assert shop.record.summary().recorded == 1

    def test_starting_twice_is_refused(self, server: LocalServer) -> None:
        with pytest.raises(RuntimeError, match="already started"):
            server.start()

    def test_stopping_twice_is_nothing(self, server: LocalServer) -> None:
        server.stop()
        server.stop()
        with pytest.raises(httpx.ConnectError):
            httpx.get(server.url, trust_env=False, timeout=PATIENCE)

    def test_a_taken_port_is_an_error(self, server: LocalServer, registry: Registry) -> None:
        with pytest.raises(OSError, match="in use"), running(registry, port=server.port):
            pass

    def test_failing(self, server: LocalServer, http: httpx.Client, shop: ServedProject) -> None:
        with server.failing():
            assert refusal(http.get("/config/plain"))[0] == 503
            assert refusal(http.post("/track/plain", json=tracking()))[0] == 503
            assert http.get("/_summary/100/200").json()["received"] == 0
        with server.failing(429):
            assert refusal(http.get("/project-settings/100/200"))[0] == 429
        assert http.post("/track/plain", json=tracking()).status_code == 200

    def test_two_servers_at_once(self, registry: Registry, server: LocalServer) -> None:
        with running(registry) as other:
            assert other.port != server.port
            assert (
                httpx.get(f"{other.url}/config/plain", trust_env=False, timeout=PATIENCE).status_code == 200
            )


class TestRegistry:
    def test_a_project_served_again_keeps_keys_and_record(
        self, registry: Registry, shop: ServedProject, http: httpx.Client
    ) -> None:
        http.post("/track/plain", json=tracking())
        assert registry.add(document()) is shop
        assert repr(shop) == "ServedProject(100/200)"
        assert shop.record.summary().received == 1

    @pytest.mark.parametrize(
        ("wrong", "path"),
        [({}, "$.account_id"), ({"account_id": "1"}, "$.project.id"), ([], "$")],
    )
    def test_a_document_must_say_whose_it_is(self, registry: Registry, wrong: Any, path: str) -> None:
        with pytest.raises(DocumentError) as caught:
            registry.add(wrong)
        assert caught.value.path == path

    def test_the_document_of_another_changes_nothing(self, shop: ServedProject, http: httpx.Client) -> None:
        with pytest.raises(DocumentError, match="a document of 100/200, found another project's"):
            shop.replace(document(account_id="300"))
        assert http.get("/config/plain").json()["account_id"] == "100"

    def test_a_secret_needs_a_key(self, registry: Registry) -> None:
        with pytest.raises(ValueError, match="sdk_key"):
            registry.add(document(), secret="s3cret")

    def test_the_served_document_is_its_own(self, registry: Registry, http: httpx.Client) -> None:
        mine = document()
        registry.add(mine)
        mine["experiences"].clear()
        assert keys(http.get("/config/plain"))


def test_the_demonstration_project_is_served() -> None:
    registry = Registry()
    registry.add(demo_document(), sdk_key=DEMO_SDK_KEY)
    with running(registry) as server, httpx.Client(trust_env=False, timeout=PATIENCE) as http:
        served = http.get(f"{server.url}/config/{DEMO_SDK_KEY}")
        production = http.get(f"{server.url}/config/{DEMO_SDK_KEY}?environment=production")
    assert {"checkout-layout", "new-navigation", "home-story"} <= set(keys(served))
    assert "gift-wrapping" not in keys(served)
    assert "new-navigation" not in keys(production)


def test_serve_runs_until_it_is_told_to_stop() -> None:
    port = free_port()
    code = (
        "from convert_sdk.server import Registry, demo_document, serve\n"
        "registry = Registry(); registry.add(demo_document())\n"
        f"serve(registry, port={port})"
    )
    with server_program(sys.executable, "-c", code, at=("127.0.0.1", port)) as process:
        url = f"http://127.0.0.1:{port}/config/10035569/10034190"
        assert httpx.get(url, trust_env=False, timeout=PATIENCE).status_code == 200
        process.send(signal.SIGTERM)
        assert process.end().status in {0, -signal.SIGTERM}


def has_ipv6() -> bool:
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        return False
    return True


def write_document(path: Path, name: str) -> None:
    """As an editor does: whole, in place of the old one."""
    beside = path.with_suffix(".new")
    beside.write_text(json.dumps(document(project={"id": "200", "name": name})))
    beside.replace(path)


class TestCommand:
    """`convert-sdk serve` in a process of its own."""

    @contextmanager
    def serving(self, *arguments: str) -> Iterator[tuple[str, Child]]:
        with processes.running(RUN, "serve", *arguments) as process:
            line = process.hear()
            assert line.startswith("export CONVERT_SDK_KEY=")
            yield line.split("CONVERT_CONFIG_ENDPOINT=")[1].split()[0], process

    def test_it_accepts_connections_once_it_says_so(self) -> None:
        with self.serving("--port", "0") as (url, _):
            answer = httpx.get(f"{url}/config/{DEMO_SDK_KEY}", trust_env=False, timeout=PATIENCE)
            assert answer.status_code == 200

    @pytest.mark.parametrize("host", ["0.0.0.0", "::"])
    def test_a_client_takes_the_addresses_of_a_server_for_all(self, host: str) -> None:
        if ":" in host and not has_ipv6():
            pytest.skip("needs IPv6")
        with processes.running(RUN, "serve", "--host", host, "--port", "0") as process:
            export, *words = shlex.split(process.hear())
            key, config, track = (word.partition("=")[2] for word in words)
            assert export == "export"
            with Client(
                key, config_endpoint=config, track_endpoint=track, trust_env=False, start_wait=0
            ) as client:
                assert client.wait_until_ready(60)
            port = config.rpartition(":")[2]
            elsewhere = process.complains("From other machines: ")
            assert f"http://{socket.gethostname()}:{port}," in elsewhere
            assert "allow_http=True" in elsewhere

    def test_a_key_is_quoted_for_the_shell(self) -> None:
        key = "it's one; and another"
        with processes.running(RUN, "serve", "--sdk-key", key, "--port", "0") as process:
            assert f"CONVERT_SDK_KEY={key}" in shlex.split(process.hear())

    def test_a_taken_port_is_one_line(self, server: LocalServer) -> None:
        status, out, err = processes.finished(RUN, "serve", "--port", str(server.port))
        assert (status, out) == (1, "")
        assert err == f"error: 127.0.0.1:{server.port} cannot be listened on: Address already in use\n"

    def test_a_file_is_followed(self, tmp_path: Path) -> None:
        path = tmp_path / "project.json"
        write_document(path, "first")
        with self.serving(str(path), "--port", "0", "--watch") as (url, process):
            process.complains("What was tracked")
            write_document(path, "second")
            process.complains("is served")
            answer = httpx.get(f"{url}/config/100/200", trust_env=False, timeout=PATIENCE)
            assert answer.json()["project"]["name"] == "second"
            path.write_text("{")
            process.complains("the last good document is still served")
            again = httpx.get(f"{url}/config/100/200", trust_env=False, timeout=PATIENCE)
            assert again.json() == answer.json()

    def test_the_problems_of_a_document_are_told(self, tmp_path: Path) -> None:
        path = tmp_path / "project.json"
        path.write_text(json.dumps(document(audiences=[{"id": "5", "key": "a", "rules": {"OR": 3}}])))
        with self.serving(str(path), "--port", "0") as (_, process):
            process.complains("The page, to see and ask")  # which does not wait for the check
            assert process.complains("error").startswith(f"{path}:1:")


def test_it_stops_although_the_clocks_were_frozen_meanwhile() -> None:
    """As a host's tests do with freezegun; a timer that was set by the frozen clock would ring in decades."""
    script = """
import time
import httpx
from convert_sdk.server import DEMO_SDK_KEY, Registry, demo_document, running

real = time.monotonic
registry = Registry()
registry.add(demo_document(), sdk_key=DEMO_SDK_KEY)
with running(registry) as server:
    time.monotonic = lambda: 1_700_000_000.0
    document = f"{server.url}/config/{DEMO_SDK_KEY}"
    ticks = [httpx.get(document, trust_env=False, timeout=300).status_code for _ in range(50)]
    time.monotonic = real
print(set(ticks))
"""
    assert processes.finished(script)[:2] == (0, "{200}\n")

"""The facts of a request: each from its source, asked for by key, and nothing read before."""

from __future__ import annotations

import sys
from typing import Any

import pytest

from convert_sdk import MemoryStore, OptionError, Project, matches
from convert_sdk._core.values import FactKey
from convert_sdk.integrations._web import facts as module
from convert_sdk.integrations._web import user_agents
from convert_sdk.integrations._web.facts import (
    FACTS,
    NETWORKS,
    REPORTABLE,
    FactOptions,
    GeoHeaders,
    RequestFacts,
    fact_options,
)
from convert_sdk.integrations._web.referrers import visit_source
from tests.documents import LOW, Json, Sink, entity, every, experience, leaf, offline, project

from .requests import Asked

NOON = 1_709_467_200.0
"""A Sunday: 3 March 2024, 12:00 UTC."""


def project_of(**settings: object) -> Project:
    """A project of one experience with these settings of the project."""
    return project(experience(), project={"id": "2", **settings})


class TestSources:
    @pytest.mark.parametrize(
        ("fact", "value"),
        [
            ("url", "https://shop.example/de/caf%C3%A9"),
            ("url_with_query", "https://shop.example/de/caf%C3%A9?q=a+b&utm_source=mail&q=c&empty="),
            ("path", "/de/caf%C3%A9"),
            ("query", "q=a+b&utm_source=mail&q=c&empty="),
            ("query_string", "?q=a+b&utm_source=mail&q=c&empty="),
            ("query.q", "a b"),
            ("query.empty", ""),
            ("utm_source", "mail"),
            ("host", "shop.example"),
            ("method", "GET"),
            ("referrer", "https://www.google.de/"),
            ("language", "de"),
            ("cookie.session", "a b"),
        ],
    )
    def test_a_fact_is_read_from_the_request(self, fact: str, value: str) -> None:
        asked = Asked(
            "https://shop.example/de/café?q=a+b&utm_source=mail&q=c&empty=",
            referer="https://www.google.de/",
            accept_language="fr;q=0.3, de-AT, en;q=0.9",
            cookie="session=a%20b",
        )
        assert RequestFacts(asked).get(fact) == value

    @pytest.mark.parametrize("fact", [*FACTS, "query.gone", "cookie.gone", "nonsense", "", 5])
    def test_what_a_request_does_not_tell_is_missing(self, fact: Any) -> None:
        told = {"url", "url_with_query", "path", "query", "query_string", "host", "method"}
        told |= {f"project_time_{part}" for part in ("day_of_week", "hour_of_day", "minute_of_hour")}
        assert (RequestFacts(Asked()).get(fact) is None) is (fact not in told)

    def test_each_utm_parameter_is_a_fact(self) -> None:
        tags = ["utm_source", "utm_medium", "utm_campaign", "utm_term", "utm_content"]
        facts = RequestFacts(Asked("https://a.example/?" + "&".join(f"{tag}={tag}1" for tag in tags)))
        assert [facts.get(tag) for tag in tags] == [f"{tag}1" for tag in tags]

    @pytest.mark.parametrize(
        ("header", "language"),
        [
            ("de", "de"),
            ("EN-us, de", "en"),
            ("en;q=0.1, de;q=0.2", "de"),
            ("*", None),
            ("de;q=x, fr", "fr"),
            (";;,", None),
            ("de;q=0", None),
        ],
    )
    def test_the_language_that_is_wanted_most(self, header: str, language: str | None) -> None:
        assert RequestFacts(Asked(accept_language=header)).get("language") == language

    @pytest.mark.parametrize(
        ("host", "bare"),
        [("shop.example:8000", "shop.example"), ("[::1]:80", "::1"), ("SHOP.example", "shop.example")],
    )
    def test_a_host_is_without_its_port(self, host: str, bare: str) -> None:
        assert RequestFacts(Asked(f"http://{host}/")).get("host") == bare

    def test_a_request_that_raises_tells_nothing(self) -> None:
        class Closed(Asked):
            def header(self, name: str) -> str | None:
                raise RuntimeError(name)

        facts = RequestFacts(Closed(), fact_options(report=("country", "source"), geo="cloudflare"))
        assert facts.get("user_agent") is None
        assert facts.reported() == {}

    def test_it_shows_nothing_of_the_request(self) -> None:
        assert repr(RequestFacts(Asked("https://secret.example/"))) == "RequestFacts(…)"


class TestProjectTime:
    @pytest.mark.parametrize(
        ("offset", "day", "hour", "minute"),
        [
            (None, 0, 12, 0),
            (3_600, 0, 13, 0),
            ("-46800", 6, 23, 0),
            (19_800, 0, 17, 30),
            ("43200", 1, 0, 0),
            ("soon", 0, 12, 0),
            (1e9, 0, 12, 0),
        ],
    )
    def test_it_is_the_projects_own(self, offset: object, day: int, hour: int, minute: int) -> None:
        facts = RequestFacts(Asked(), project=project_of(utc_offset=offset), clock=lambda: NOON)
        found = [
            facts.get(f"project_time_{part}") for part in ("day_of_week", "hour_of_day", "minute_of_hour")
        ]
        assert found == [day, hour, minute]

    def test_it_stands_still_for_a_request(self) -> None:
        moments = iter([NOON, NOON + 3_600])
        facts = RequestFacts(Asked(), clock=lambda: next(moments))
        assert [facts.get("project_time_hour_of_day") for _ in range(2)] == [12, 12]

    def test_an_offset_that_is_none_is_a_problem(self) -> None:
        (problem,) = project_of(utc_offset="soon").problems
        assert (problem.path, problem.message) == (
            "$.project.utc_offset",
            "expected seconds within a day, found text; it counts as 0",
        )


class TestPlace:
    def test_no_header_is_trusted_unless_said(self) -> None:
        asked = Asked(cf_ipcountry="DE", x_vercel_ip_country="DE", cf_ipcity="Berlin")
        assert [RequestFacts(asked).get(name) for name in ("country", "region", "city")] == [None] * 3

    @pytest.mark.parametrize("network", NETWORKS)
    def test_those_of_the_network_are(self, network: str) -> None:
        names = [str(name).replace("-", "_") for name in NETWORKS[network]]
        asked = Asked(**dict(zip(names, ["de", "Bayern", "M%C3%BCnchen"], strict=True)))
        facts = RequestFacts(asked, fact_options(geo=network))
        assert [facts.get(name) for name in ("country", "region", "city")] == ["DE", "Bayern", "München"]

    def test_headers_may_be_named(self) -> None:
        facts = RequestFacts(Asked(x_country="FR", x_city="Paris"), fact_options(GeoHeaders("X-Country")))
        assert (facts.get("country"), facts.get("city")) == ("FR", None)

    @pytest.mark.parametrize("unknown", ["XX", "T1", "ZZ", "Germany", "", "D", "ÄÖ"])
    def test_a_country_that_is_none_is_unknown(self, unknown: str) -> None:
        facts = RequestFacts(Asked(cf_ipcountry=unknown), fact_options(geo="cloudflare"))
        assert facts.get("country") is None


class TestNames:
    def test_a_fact_may_have_another_key(self) -> None:
        options = fact_options(names={"host": "site", "query.": "q_", "cookie.": None, "method": None})
        facts = RequestFacts(Asked("https://a.example/?x=1", cookie="c=1"), options)
        assert (facts.get("site"), facts.get("q_x")) == ("a.example", "1")
        assert [facts.get(name) for name in ("host", "query.x", "cookie.c", "method")] == [None] * 4
        assert facts.get(FactKey("host")) == "a.example"
        assert facts.get(FactKey("method")) is None

    @pytest.mark.parametrize(
        ("wrong", "named"),
        [
            ({"names": {"hostname": "h"}}, "there is no fact 'hostname'"),
            ({"names": {"host": ""}}, "must be a text or None"),
            ({"names": {"host": "path"}}, "one key cannot stand for two"),
            ({"names": {"browser_name": "browser"}, "report": ("browser",)}, "one key cannot stand for two"),
            ({"report": "browser"}, "several names"),
            ({"report": ("plan",)}, "report must be of"),
            ({"geo": "akamai"}, "geo must be one of"),
            ({"geo": 5}, "geo must be the name"),
        ],
    )
    def test_what_cannot_be_is_refused(self, wrong: Any, named: str) -> None:
        with pytest.raises(OptionError, match=named):
            fact_options(**wrong)

    def test_a_given_fact_is_over_that_of_the_request(self) -> None:
        facts = RequestFacts(Asked("https://a.example/"), fact_options(names={"host": "site"}))
        rules = every(
            {"rule_type": "host", "value": "b", "matching": {"match_type": "equals", "negated": False}}
        )
        assert matches(rules, facts.under({"site": "b"}))
        assert not matches(rules, facts.under({"host": "b"}))


CHROME: Json = {
    "rule_type": "browser_name",
    "value": "chrome",
    "matching": {"match_type": "equals", "negated": False},
}


class TestLaziness:
    def parses(
        self, monkeypatch: pytest.MonkeyPatch, rules: Json, options: FactOptions = module.NO_OPTIONS
    ) -> int:
        """The user agents that are parsed to decide five times for one visitor, and to track."""
        counted: list[str] = []
        parse = user_agents.parse

        def count(user_agent: str) -> object:
            counted.append(user_agent)
            return parse(user_agent)

        monkeypatch.setattr(user_agents, "parse", count)
        user_agents.read_user_agent.cache_clear()
        client = offline(
            experience(audiences=["51"]),
            audiences=[entity("51", "some", rules)],
            goals=[entity("91", "buy")],
            sink=Sink(),
        )
        asked = Asked(user_agent="Mozilla/5.0 (X11; Linux x86_64; rv:125.0) Gecko/20100101 Firefox/125.0")
        for _ in range(5):
            visitor = client.visitor(LOW, RequestFacts(asked, options).under({"plan": "pro"}))
            visitor.decide("checkout")
            visitor.explain("checkout")
            visitor.track("buy")
        client.close()
        return len(counted)

    def test_no_user_agent_is_parsed_unless_a_rule_asks(self, monkeypatch: pytest.MonkeyPatch) -> None:
        assert self.parses(monkeypatch, every(leaf("plan"), leaf("path", "/"))) == 0

    def test_a_user_agent_is_parsed_once_where_a_rule_asks(self, monkeypatch: pytest.MonkeyPatch) -> None:
        pytest.importorskip("ua_parser", reason="pip install 'convert-sdk[ua]'")
        assert self.parses(monkeypatch, every(CHROME)) == 1

    def test_a_report_asks_too(self, monkeypatch: pytest.MonkeyPatch) -> None:
        pytest.importorskip("ua_parser", reason="pip install 'convert-sdk[ua]'")
        assert self.parses(monkeypatch, every(leaf("plan")), fact_options(report=["devices"])) == 1

    def test_nothing_is_read_before_a_rule_asks(self) -> None:
        asked = Asked(accept_language="de")
        client = offline(experience(audiences=["51"]), audiences=[entity("51", "some", every(leaf("plan")))])
        facts = RequestFacts(asked)
        assert client.visitor(LOW, facts.under({"plan": "pro"})).decide("checkout")
        assert asked.asked == []
        assert not client.visitor("v-9", facts.under()).decide("checkout")
        assert asked.asked == []
        assert facts.get("language") == "de"
        assert asked.asked == ["accept-language"]

    def test_without_the_extra_it_is_said_once_and_nothing_raises(
        self, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        monkeypatch.setitem(sys.modules, "ua_parser", None)
        user_agents.read_user_agent.cache_clear()
        module.say_what_is_missing.cache_clear()
        options = FactOptions(report=("browser",))
        for _ in range(2):
            facts = RequestFacts(Asked(user_agent="Mozilla/5.0 (X11) Firefox/125.0"), options)
            assert not matches(every(CHROME), facts)
            assert facts.reported() == {}
        said = "rules ask for what is not known: browser, system and device of a request need ua-parser"
        assert [said in record.getMessage() for record in caplog.records] == [True]
        monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
        with pytest.raises(OptionError, match=r"pip install 'convert-sdk\[ua\]'"):
            fact_options(report=("browser",))


class TestReport:
    def test_segments_are_remembered_and_sent(self) -> None:
        sink, store = Sink(), MemoryStore()
        options = fact_options(geo="cloudflare", report=("country", "source", "campaign"))
        asked = Asked("https://a.example/?utm_campaign=spring", cf_ipcountry="de")
        with offline(experience(), sink=sink, store=store) as client:
            client.visitor(LOW, RequestFacts(asked, options).under()).decide("checkout")
        told = {"country": "DE", "source": "campaign", "campaign": "spring"}
        assert [entry["segments"] for entry in sink.visitors] == [told]
        kept = store.load(f"1-2-{LOW}")
        assert kept is not None
        assert kept.segments == told

    def test_a_later_page_keeps_the_source_of_the_visit(self) -> None:
        options = fact_options(report=("source",))
        client = offline(experience())
        first = Asked("https://a.example/", referer="https://www.google.com/")
        client.visitor(LOW, RequestFacts(first, options, new=True).under()).decide("checkout")
        for referer in ({"referer": "https://a.example/"}, {}):
            later = RequestFacts(Asked("https://a.example/cart", **referer), options)
            assert client.visitor(LOW, later.under()).segments == {"source": "search"}

    @pytest.mark.parametrize("setting", [True, "true", 1, "nonsense"])
    def test_a_project_may_keep_the_referral_back(self, setting: object) -> None:
        options = fact_options(report=("source", "campaign"))
        asked = Asked("https://a.example/?utm_campaign=spring")
        kept = RequestFacts(asked, options, project_of(settings={"do_not_track_referral": setting}))
        assert kept.reported() == {}
        assert kept.get("utm_campaign") == "spring"
        told = RequestFacts(asked, options, project_of(settings={"do_not_track_referral": "false"}))
        assert told.reported() == {"source": "campaign", "campaign": "spring"}

    @pytest.mark.parametrize(
        ("parameters", "referrer", "new", "source"),
        [
            ({"utm_medium": "mail"}, None, False, "campaign"),
            ({"utm_medium": ""}, None, True, "direct"),
            ({}, None, True, "direct"),
            ({}, None, False, None),
            ({}, "https://www.google.co.uk/", True, "search"),
            ({}, "https://search.yahoo.com/x", False, "search"),
            ({}, "https://duckduckgo.com/", True, "search"),
            ({}, "https://mail.google.com/", True, "referral"),
            ({}, "https://chatgpt.com/", True, "ai_tool"),
            ({}, "https://www.perplexity.ai/", True, "ai_tool"),
            ({}, "https://gemini.google.com/app", True, "ai_tool"),
            ({}, "https://blog.example/", True, "referral"),
            ({}, "https://shop.example/", True, None),
            ({}, "https://[broken/", True, None),
            ({}, "nonsense", True, None),
        ],
    )
    def test_the_source(
        self, parameters: dict[str, str], referrer: str | None, new: bool, source: str | None
    ) -> None:
        assert visit_source(parameters, referrer, "shop.example", new=new) == source

    def test_all_of_them_can_be_reported(self) -> None:
        assert fact_options(report=["country", "source", "campaign"]).report == (
            "country",
            "source",
            "campaign",
        )
        assert [*REPORTABLE] == ["country", "browser", "devices", "source", "campaign"]

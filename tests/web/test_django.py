"""What only Django has: `request.convert`, template tags, the settings' check and the command."""

# pyright: reportArgumentType=false, reportIndexIssue=false
# What Django takes and gives is inferred, as it has no types: a body is more than bytes, COOKIES is a dict.

from __future__ import annotations

import asyncio
import io
import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest

pytest.importorskip("django", reason="needs Django: pip install convert-sdk[django]")

from tests.web import django_site  # isort: skip  # it configures Django, which what follows needs

from django.contrib.sessions.backends.signed_cookies import SessionStore
from django.core.asgi import get_asgi_application
from django.core.management import call_command
from django.core.management.base import CommandError
from django.http import FileResponse, HttpRequest, HttpResponse
from django.template import Context, RequestContext, Template, TemplateSyntaxError
from django.test import RequestFactory, override_settings
from django.urls import path

from convert_sdk import (
    AsyncClient,
    Client,
    Consent,
    MemoryStore,
    OptionError,
    Project,
    Visitor,
    current_visitor,
)
from convert_sdk.integrations import GeoHeaders
from convert_sdk.integrations.django import ConvertMiddleware, get_client
from convert_sdk.integrations.django.checks import check_settings
from convert_sdk.integrations.django.configuration import middleware_options
from tests.contracts.test_web import warnings_in
from tests.documents import HIGH, LOW, change, experience, exposure, feature, offline, variation
from tests.reliability.site import KEY, site
from tests.web.pages import Shop, shop
from tests.web.sites import asked_by_asgi, asked_by_wsgi

SESSION = "django.contrib.sessions.middleware.SessionMiddleware"
ARMS = [variation("1", changes=[change("81", text="<b>")]), variation("2", changes=[change("81", text="&")])]


@pytest.fixture
def store() -> Iterator[Shop]:
    made = shop()
    with override_settings(CONVERT={"CLIENT": made.client}):
        yield made


def served(view: Any, visitor_id: str | None = LOW) -> Any:
    """The response to one request through the middleware alone."""
    request = RequestFactory().get("/checkout")
    if visitor_id is not None:
        request.COOKIES["convert_visitor_id"] = visitor_id
        request.META["HTTP_COOKIE"] = f"convert_visitor_id={visitor_id}"
    return ConvertMiddleware(view)(request)


def test_a_request_has_its_visitor(store: Shop) -> None:
    def view(request: Any) -> HttpResponse:
        assert isinstance(request.convert, Visitor)
        assert request.convert.id == current_visitor().id
        return HttpResponse(request.convert.decide("checkout").variation_key)

    assert served(view).content == b"arm-1"
    assert store.sent() == [exposure("100", "1")]


def test_a_view_that_does_not_use_it_makes_none(store: Shop) -> None:
    response = served(lambda request: HttpResponse(f"{bool(request.__dict__['convert'] is not None)}"))
    assert not response.has_header("Vary")
    assert store.client.status().visitors == 0


def test_a_path_without_a_visitor_says_so(store: Shop) -> None:
    block = {"CLIENT": store.client, "ONLY": ["/shop"]}
    with override_settings(CONVERT=block), pytest.raises(LookupError, match="only= may leave requests out"):
        served(lambda request: HttpResponse(request.convert.id))


def test_a_file_is_sent_as_it_is(store: Shop) -> None:
    def view(request: Any) -> FileResponse:
        request.convert.decide("checkout")
        return FileResponse(io.BytesIO(b"content"))

    response = served(view)
    assert response.file_to_stream is not None
    assert response.headers["Cache-Control"] == "private"
    response.close()


def rendered(source: str, visitor_id: str | None, client: Client, **more: object) -> str:
    """A template, rendered for a request of this visitor."""
    shown: list[str] = []

    def view(request: HttpRequest) -> HttpResponse:
        shown.append(Template(source).render(RequestContext(request, more)))
        return HttpResponse()

    with override_settings(CONVERT={"CLIENT": client}):
        served(view, visitor_id)
    return shown[0]


def pricing() -> Client:
    return offline(experience(variations=ARMS), features=[feature("81", "copy", text="string", rate="float")])


class TestTemplates:
    BLOCK = (
        '{% load convert %}{% experience "checkout" %} {% variation "arm-1" %}<one>{{ text }}'
        '{% variation "arm-2" %}two{% else %}none{% endexperience %}'
    )

    @pytest.mark.parametrize(("visitor_id", "shown"), [(LOW, "<one>&lt;i&gt;"), (HIGH, "two")])
    def test_the_branch_of_the_visitor_s_variation(self, visitor_id: str, shown: str) -> None:
        assert rendered(self.BLOCK, visitor_id, pricing(), text="<i>") == shown

    def test_the_last_branch_is_for_all_others(self) -> None:
        assert rendered(self.BLOCK.replace('"checkout"', '"no such"'), LOW, pricing()) == "none"
        assert (
            rendered(self.BLOCK.replace('"arm-1"', "other").replace("{% else %}none", ""), LOW, pricing())
            == ""
        )

    def test_a_decision_by_name(self) -> None:
        source = "{% load convert %}{% experience key as layout %}{% if layout %}{{ layout.variation_key }}{% endif %}"
        assert rendered(source, HIGH, pricing(), key="checkout") == "arm-2"

    @pytest.mark.parametrize(
        ("tag", "shown"),
        [
            ('{% feature "copy" "text" %}', "&lt;b&gt;"),
            ('{% autoescape off %}{% feature "copy" "text" %}{% endautoescape %}', "<b>"),
            ('{% feature "copy" "text" as text %}{{ text }}', "&lt;b&gt;"),
            ('{% feature "copy" "rate" default=0.5 %}', "0.5"),
            ('{% feature "copy" "rate" %}', ""),
            ('{% feature "copy" as copy %}{{ copy.enabled }} {{ copy.variables.text }}', "True &lt;b&gt;"),
            ('{% feature "no such" as copy %}{{ copy.enabled }}', "False"),
        ],
    )
    def test_a_feature(self, tag: str, shown: str) -> None:
        assert rendered("{% load convert %}" + tag, LOW, pricing()) == shown

    def test_outside_of_a_request_nothing_is_decided(self) -> None:
        assert Template(self.BLOCK).render(Context()) == "none"
        source = (
            '{% load convert %}{% feature "copy" "text" default="plain" %}{% experience "a" as b %}{{ b }}'
        )
        assert Template(source).render(Context()) == "plainNone"

    def test_where_only_leaves_a_request_out_too(self, store: Shop) -> None:
        def view(request: HttpRequest) -> HttpResponse:
            return HttpResponse(Template(self.BLOCK).render(RequestContext(request)))

        with override_settings(CONVERT={"CLIENT": store.client, "ONLY": ["/shop"]}):
            assert served(view).content == b"none"

    @pytest.mark.parametrize(
        "wrong",
        [
            "{% experience %}{% endexperience %}",
            '{% experience "a" %}text{% variation "b" %}{% endexperience %}',
            '{% experience "a" %}{% variation %}{% endexperience %}',
            '{% experience "a" %}{% variation "b" %}',
            '{% feature "a" %}',
            '{% feature "a" "b" "c" %}',
        ],
    )
    def test_a_tag_that_is_wrong_says_so(self, wrong: str) -> None:
        with pytest.raises(TemplateSyntaxError):
            Template("{% load convert %}" + wrong)


class TestBootstrap:
    @pytest.mark.parametrize(
        ("tag", "decided", "featured", "stored"),
        [
            ("{% convert_bootstrap %}", ["checkout"], ["copy"], {}),
            ('{% convert_bootstrap "checkout" expose=True %}', ["checkout"], ["copy"], {"100": "1"}),
            ('{% convert_bootstrap features="other" %}', ["checkout"], ["other"], {}),
            ('{% experience "checkout" as x %}{% convert_bootstrap %}', ["checkout"], ["copy"], {"100": "1"}),
        ],
    )
    def test_the_page_of_the_visitor(
        self, tag: str, decided: list[str], featured: list[str], stored: dict[str, str]
    ) -> None:
        element = rendered("{% load convert %}" + tag, LOW, pricing())
        assert element.startswith('<script type="application/json" id="convert-bootstrap">')
        page = json.loads(element.partition(">")[2].partition("<")[0])
        assert (list(page["decisions"]), list(page["features"])) == (decided, featured)
        assert page["store"][f"1-2-{LOW}"]["bucketing"] == stored

    def test_the_nonce_of_the_page_is_taken(self) -> None:
        tag = "{% load convert %}{% convert_bootstrap NONCE %}"
        given = rendered(tag.replace("NONCE", 'nonce="a&b"'), LOW, pricing())
        assert 'nonce="a&amp;b">' in given
        request: Any = RequestFactory().get("/")
        request.csp_nonce = "of-django-csp"
        request.convert = pricing().visitor(LOW)
        template = Template(tag.replace("NONCE", ""))
        assert 'nonce="of-django-csp">' in template.render(RequestContext(request))
        assert 'nonce="of-django">' in template.render(RequestContext(request, {"csp_nonce": "of-django"}))

    def test_outside_of_a_request_there_is_none(self) -> None:
        assert Template("{% load convert %}{% convert_bootstrap %}").render(Context()) == ""

    def test_in_a_cached_fragment_it_is_warned_of(self, caplog: pytest.LogCaptureFixture) -> None:
        with caplog.at_level(logging.WARNING, "convert_sdk"):
            Template("{% load cache convert %}{% cache 60 page %}{% convert_bootstrap %}{% endcache %}")
        (record,) = caplog.records
        assert "it holds the id of one visitor" in record.getMessage()


class TestCachedFragments:
    CACHED = "{{% load cache convert %}}{before}{{% cache 60 sidebar{varies} %}}{tag}{{% endcache %}}"
    EXPERIENCE = '{% experience "checkout" %}{% variation "arm-1" %}one{% endexperience %}'
    NAMED = '{% experience "checkout" as layout %}'

    @pytest.mark.parametrize("tag", [EXPERIENCE, '{% feature "copy" "text" %}'])
    def test_one_for_everybody_is_warned_of(self, tag: str, caplog: pytest.LogCaptureFixture) -> None:
        with caplog.at_level(logging.WARNING, "convert_sdk"):
            Template(self.CACHED.format(before="", varies="", tag=tag))
        (record,) = caplog.records
        assert "a template, line 1: {%" in record.getMessage()
        assert "whose fragment is shown to everybody" in record.getMessage()

    def test_with_the_variation_in_its_key_it_is_fine(self, caplog: pytest.LogCaptureFixture) -> None:
        Template(self.CACHED.format(before=self.NAMED, varies=" layout.variation_key", tag=self.EXPERIENCE))
        assert caplog.records == []

    def test_another_key_is_not(self, caplog: pytest.LogCaptureFixture) -> None:
        Template(self.CACHED.format(before=self.NAMED, varies=" user.id", tag=self.EXPERIENCE))
        assert len(caplog.records) == 1


class TestSettings:
    def test_a_client_is_made_once_of_the_block(self) -> None:
        with override_settings(CONVERT={"SDK_KEY": "1/2", "ENVIRONMENT": "staging", "ON_LOGIN": "keep"}):
            client = get_client()
            assert repr(client) == "Client(environment='staging')"
            assert get_client() is client
        with override_settings(CONVERT={"SDK_KEY": "1/2"}):
            assert get_client() is not client

    @pytest.mark.parametrize("named", [f"{__name__}.CLIENT", f"{__name__}.made"])
    def test_or_named(self, named: str) -> None:
        with override_settings(CONVERT={"CLIENT": named}):
            assert get_client() is CLIENT
            assert get_client() is CLIENT

    def test_callables_the_cookie_and_headers_are_described(self) -> None:
        store = shop()
        block = {
            "CLIENT": store.client,
            "CONSENT": f"{__name__}.refused",
            "IS_BOT": "builtins.bool",
            "COOKIE": {"NAME": "me", "MAX_AGE": 60},
            "GEO": {"COUNTRY": "X-Country"},
        }
        with override_settings(CONVERT=block):
            options = middleware_options()
            assert (options.get("is_bot"), options.get("geo")) == (bool, GeoHeaders("X-Country"))
        del block["IS_BOT"]
        with override_settings(CONVERT=block):
            response = served(lambda request: HttpResponse(request.convert.decide("checkout").reason.value))
            assert response.content == b"consent"
        with override_settings(CONVERT={**block, "CONSENT": None}):
            response = served(lambda request: HttpResponse(request.convert.id))
            assert response.cookies["me"]["max-age"] == 60 or response.cookies["me"]["max-age"] == "60"

    @pytest.mark.parametrize(
        ("block", "said"),
        [
            ("1/2", "the setting CONVERT must be a dict"),
            ({"SDK_KEY": "1/2", "CONSNT": "a.b"}, "CONVERT['CONSNT'] is no option; did you mean CONSENT?"),
            ({"CLIENT": Client("1/2"), "CONSNT": "a.b"}, "CONVERT['CONSNT'] is no option"),
            ({"CLIENT": Client("1/2"), "SDK_KEY": "1/2"}, "CONVERT['CLIENT'] has options of its own"),
            ({"SDK_KEY": "1/2", "IS_BOT": "no.such"}, "CONVERT['IS_BOT'] cannot be imported"),
            (
                {"SDK_KEY": "1/2", "GEO": {"PLANET": "X-Planet"}},
                "CONVERT['GEO'] has the keys COUNTRY, REGION",
            ),
            (
                {"SDK_KEY": "1/2", "ON_LOGIN": "stay"},
                "on_login must be 'keep' or 'alias' or 'switch', not 'stay'",
            ),
            ({"CLIENT": "no.such"}, "CONVERT['CLIENT'] cannot be imported"),
            ({"CLIENT": 5}, "CONVERT['CLIENT'] must be a client, a callable that gives one, or a path to it"),
            ({"CLIENT": lambda: 5}, "CONVERT['CLIENT'] gave no client, but int"),
            ({"SDK_KEY": "1/2", "COOKIE": {"COLOUR": "red"}}, "CONVERT['COOKIE'] has the keys NAME, PATH"),
            ({"SDK_KEY": "1/2", "CONSENT": "no.such"}, "CONVERT['CONSENT'] cannot be imported"),
        ],
    )
    def test_what_is_wrong_is_an_error_of_the_check(self, block: object, said: str) -> None:
        with override_settings(CONVERT=block):
            (found,) = check_settings(None)
        assert (found.id, found.is_serious()) == ("convert.E001", True)
        assert said in found.msg

    def test_a_good_block_has_no_messages(self, store: Shop) -> None:
        assert check_settings(None) == []
        call_command("check")

    def test_without_the_middleware_it_warns(self, store: Shop) -> None:
        with override_settings(MIDDLEWARE=[]):
            assert [found.id for found in check_settings(None)] == ["convert.W001"]

    def test_a_cache_inside_of_it_is_warned_of(self, store: Shop) -> None:
        cache = "django.middleware.cache.UpdateCacheMiddleware"
        with override_settings(MIDDLEWARE=[django_site.MIDDLEWARE, cache]):
            assert [found.id for found in check_settings(None)] == ["convert.W002"]
        with override_settings(MIDDLEWARE=[cache, django_site.MIDDLEWARE]):
            assert check_settings(None) == []

    def test_callables_that_are_asked_before_sessions_and_logins_are_warned_of(self, store: Shop) -> None:
        login = "django.contrib.auth.middleware.AuthenticationMiddleware"
        early, late = [django_site.MIDDLEWARE, SESSION, login], [SESSION, login, django_site.MIDDLEWARE]
        with override_settings(MIDDLEWARE=early):
            assert check_settings(None) == []  # nothing is asked
        block = {"CLIENT": store.client, "IDENTIFY": named_in_session}
        with override_settings(MIDDLEWARE=early, CONVERT=block):
            (found,) = check_settings(None)
            assert (found.id, found.hint) == (
                "convert.W003",
                "Put ConvertMiddleware after AuthenticationMiddleware.",
            )
            assert found.msg.startswith(
                "IDENTIFY may be asked ahead of SessionMiddleware and AuthenticationMiddleware"
            )
        with override_settings(MIDDLEWARE=late, CONVERT=block):
            assert check_settings(None) == []

    @pytest.mark.parametrize(
        ("chain", "named"),
        [([SESSION, django_site.MIDDLEWARE], True), ([django_site.MIDDLEWARE, SESSION], False)],
    )
    def test_in_a_loop_a_session_is_read_where_it_is_there(
        self, chain: list[str], named: bool, caplog: pytest.LogCaptureFixture
    ) -> None:
        async def who(request: Any) -> HttpResponse:
            return HttpResponse(request.convert.id)

        session = SessionStore()
        session["user"] = "user-7"
        session.save()
        settings = override_settings(
            CONVERT={
                "CLIENT": shop(store=MemoryStore()).client,
                "IDENTIFY": named_in_session,
                "ON_LOGIN": "switch",
            },
            MIDDLEWARE=chain,
            ROOT_URLCONF=(path("who", who),),
            SESSION_ENGINE="django.contrib.sessions.backends.signed_cookies",
        )
        with settings, asyncio.Runner() as runner:
            ask = asked_by_asgi(get_asgi_application(), runner)
            answer = ask("/who", headers={"Cookie": f"sessionid={session.session_key}"}).text
        assert (answer == "user-7") == named
        assert [text.partition(";")[0] for text in warnings_in(caplog)] == (
            [] if named else ["web integration: identify= raised AttributeError: it counts as no answer"]
        )
        assert ("run before that" in caplog.text) != named

    def test_a_client_of_asyncio_needs_a_loop(self) -> None:
        client = AsyncClient.offline(Project.parse(b'{"account_id": "1", "project": {"id": "2"}}'))
        with (
            override_settings(CONVERT={"CLIENT": client}),
            pytest.raises(OptionError, match="needs a framework"),
        ):
            served(lambda request: HttpResponse())


CLIENT = offline(experience())


def made() -> Client:
    return CLIENT


def named_in_session(request: Any) -> str | None:
    found: str | None = request.session.get("user")
    return found


def refused(request: HttpRequest) -> Consent:
    assert isinstance(request, HttpRequest)
    return Consent.DENIED


class TestTheCommand:
    def test_it_shows_the_document(self) -> None:
        with site() as convert, override_settings(CONVERT={"SDK_KEY": KEY, "CONFIG_ENDPOINT": convert.url}):
            call_command("convert_check", stdout=(out := io.StringIO()), timeout=60.0)
        assert "document  " in out.getvalue()
        assert "experience button-10: " in out.getvalue()

    def test_it_fails_without_one(self) -> None:
        block = {"SDK_KEY": KEY, "CONFIG_ENDPOINT": "http://127.0.0.1:9/"}
        with override_settings(CONVERT=block), pytest.raises(CommandError, match="no document after 0 s"):
            call_command("convert_check", timeout=0.0)

    def test_it_shows_what_is_wrong_with_the_settings(self) -> None:
        err = io.StringIO()
        with (
            override_settings(CONVERT={"ON_LOGIN": "stay"}),
            pytest.raises(CommandError, match="settings cannot be"),
        ):
            call_command("convert_check", stderr=err)
        assert "convert.E001" in err.getvalue()

    def test_a_client_of_asyncio_too(self) -> None:
        with override_settings(CONVERT={"CLIENT": AsyncClient.offline(CLIENT.project)}):  # type: ignore[arg-type]
            call_command("convert_check", stdout=(out := io.StringIO()))
        assert "experience checkout: arm-1, arm-2" in out.getvalue()


def test_a_host_that_is_not_allowed_is_no_host(store: Shop) -> None:
    with override_settings(ALLOWED_HOSTS=["shop.example"]):
        assert (
            served(lambda request: HttpResponse(request.convert.decide("checkout").variation_id)).content
            == b"1"
        )


def test_a_broken_view_is_still_a_visitor_s(store: Shop) -> None:
    def broken(request: Any) -> HttpResponse:
        request.convert.decide("checkout")
        raise RuntimeError("broken")

    with override_settings(ROOT_URLCONF=(path("broken", broken),), DEBUG=False):
        from django.core.wsgi import get_wsgi_application

        response = asked_by_wsgi(get_wsgi_application())("/broken")
    assert (response.status_code, response.headers["vary"]) == (500, "Cookie")
    assert response.headers["set-cookie"].strip().startswith("convert_visitor_id=")

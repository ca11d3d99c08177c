"""Declared bots, and requests whose answer nobody sees."""

from __future__ import annotations

import sys

import pytest

from convert_sdk.integrations._web import bots
from convert_sdk.integrations._web.bots import is_declared_bot, is_prefetch, is_without_view

from .requests import Asked

MOBILE = "AppleWebKit/537.36 (KHTML, like Gecko) Chrome/124.0.0.0 Mobile Safari/537.36"
LIBRARIES = [
    "curl/8.5.0",
    "Wget/1.21.4",
    "python-requests/2.31.0",
    "python-httpx/0.27.0",
    "Python/3.12 aiohttp/3.9.5",
    "Python-urllib/3.12",
    "Go-http-client/2.0",
    "kube-probe/1.29",
    "PostmanRuntime/7.37.3",
    "HTTPie/3.2.2",
]
SPIDERS = [
    "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)",
    f"Mozilla/5.0 (Linux; Android 6.0.1; Nexus 5X) {MOBILE} (compatible; Googlebot/2.1; +http://www.google.com/bot.html)",
    "Mozilla/5.0 (compatible; bingbot/2.0; +http://www.bing.com/bingbot.htm)",
    "Mozilla/5.0 (compatible; YandexBot/3.0; +http://yandex.com/bots)",
    "Mozilla/5.0 (compatible; Baiduspider/2.0; +http://www.baidu.com/search/spider.html)",
    "Mozilla/5.0 (compatible; Yahoo! Slurp; http://help.yahoo.com/help/us/ysearch/slurp)",
    "Mozilla/5.0 AppleWebKit/537.36 (KHTML, like Gecko; compatible; GPTBot/1.1; +https://openai.com/gptbot)",
    "facebookexternalhit/1.1 (+http://www.facebook.com/externalhit_uatext.php)",
    "Twitterbot/1.0",
    "DuckDuckBot/1.1; (+http://duckduckgo.com/duckduckbot.html)",
    "Mozilla/5.0 (compatible; AhrefsBot/7.0; +http://ahrefs.com/robot/)",
    "Screaming Frog SEO Spider/20.0",
    "WhatsApp/2.23.20.0",
]
PEOPLE = [
    "",
    "Mozilla/5.0 (X11; Linux x86_64; rv:125.0) Gecko/20100101 Firefox/125.0",
    "okhttp/4.12.0",
    "MyShop/3.1 CFNetwork/1494.0.7 Darwin/23.4.0",
    "Dart/3.3 (dart:io)",
    f"Mozilla/5.0 (Linux; Android 13; CUBOT X50) {MOBILE}",
    "axios/1.6.8",
]


@pytest.mark.parametrize("user_agent", LIBRARIES)
def test_a_listed_library_is_one(user_agent: str) -> None:
    assert is_declared_bot(user_agent)


@pytest.mark.parametrize("user_agent", SPIDERS)
def test_what_ua_parser_calls_a_spider_is_one(user_agent: str) -> None:
    pytest.importorskip("ua_parser", reason="pip install 'convert-sdk[ua]'")
    assert is_declared_bot(user_agent)


@pytest.mark.parametrize("user_agent", PEOPLE)
def test_what_people_use_is_none(user_agent: str) -> None:
    pytest.importorskip("ua_parser", reason="pip install 'convert-sdk[ua]'")
    assert not is_declared_bot(user_agent)
    assert not is_declared_bot(None)


def test_every_word_of_ua_parsers_spiders_is_looked_at() -> None:
    pytest.importorskip("ua_parser", reason="pip install 'convert-sdk[ua]'")
    browser = "Mozilla/5.0 (X11; Linux x86_64) {} Chrome/124.0.0.0"
    for word in (
        "bot",
        "crawl",
        "spider",
        "slurp",
        "archiver",
        "indexer",
        "Yeti",
        "WhatsApp",
        "masscan",
        "WordPress",
    ):
        bots._is_declared.cache_clear()
        assert is_declared_bot(browser.format(word)), word


def test_without_ua_parser_the_plain_words_count(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ua_parser", None)
    bots._is_declared.cache_clear()
    assert [is_declared_bot(each) for each in (SPIDERS[0], SPIDERS[4], "curl/8.5.0")] == [True] * 3
    assert [is_declared_bot(each) for each in PEOPLE] == [False] * len(PEOPLE)
    bots._is_declared.cache_clear()


@pytest.mark.parametrize(
    ("headers", "ahead"),
    [
        ({"sec_purpose": "prefetch"}, True),
        ({"sec_purpose": "prefetch;prerender"}, True),
        ({"sec_purpose": "prefetch;anonymous-client-ip"}, True),
        ({"purpose": "prefetch"}, True),
        ({"purpose": "Prerender"}, True),
        ({"purpose": "preview"}, False),
        ({}, False),
    ],
)
def test_a_page_that_is_fetched_ahead(headers: dict[str, str], ahead: bool) -> None:
    assert is_prefetch(Asked(**headers)) is is_without_view(Asked(**headers)) is ahead


@pytest.mark.parametrize(
    ("method", "quiet"), [("HEAD", True), ("OPTIONS", True), ("GET", False), ("POST", False)]
)
def test_a_method_that_shows_no_page(method: str, quiet: bool) -> None:
    assert is_without_view(Asked(method=method)) is quiet

"""Real user agents: the fact, the rule's word, the report's word."""

from __future__ import annotations

from typing import NamedTuple

import pytest

pytest.importorskip("ua_parser", reason="pip install 'convert-sdk[ua]'")

from convert_sdk.integrations._web.bots import is_declared_bot
from convert_sdk.integrations._web.facts import RequestFacts, fact_options
from convert_sdk.integrations._web.user_agents import ClientHints, read_user_agent

from .requests import Asked

WINDOWS = "Mozilla/5.0 (Windows NT 10.0; Win64; x64)"
MAC = "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7)"
LINUX = "Mozilla/5.0 (X11; Linux x86_64)"
PHONE = "Mozilla/5.0 (iPhone; CPU iPhone OS 17_4 like Mac OS X)"
PAD = "Mozilla/5.0 (iPad; CPU OS 17_4 like Mac OS X)"
ANDROID = "Mozilla/5.0 (Linux; Android 10; K)"
KHTML = "AppleWebKit/537.36 (KHTML, like Gecko)"
WEBKIT = "AppleWebKit/605.1.15 (KHTML, like Gecko)"
CHROMIUM = f"{KHTML} Chrome/124.0.0.0 Safari/537.36"
MOBILE = f"{KHTML} Chrome/124.0.0.0 Mobile Safari/537.36"


class Seen(NamedTuple):
    """A user agent, and what rules and reports call it."""

    user_agent: str
    browser: str | None
    reported: str | None
    os: str | None
    device: str | None
    """`mobile`, `tablet`, `desktop`, `other`, or None where it cannot be known."""
    devices: list[str] | None


IPHONE, IPAD, DESKTOP = ["ALLPH", "IPH"], ["ALLTAB", "IPAD"], ["DESK"]
OTHER_PHONE, OTHER_TABLET, OTHER = ["ALLPH", "OTHPH"], ["ALLTAB", "OTHTAB"], ["OTHDEV"]

TABLE = [
    Seen(f"{WINDOWS} {CHROMIUM}", "chrome", "CH", "windows", "desktop", DESKTOP),
    Seen(f"{MAC} {CHROMIUM}", "chrome", "CH", "macos", "desktop", DESKTOP),
    Seen(f"{LINUX} {CHROMIUM}", "chrome", "CH", "linux", "desktop", DESKTOP),
    Seen(
        f"Mozilla/5.0 (X11; CrOS x86_64 14541.0.0) {CHROMIUM}",
        "chrome",
        "CH",
        "chrome_os",
        "desktop",
        DESKTOP,
    ),
    Seen(f"{ANDROID} {MOBILE}", "chrome", "CH", "android", "mobile", OTHER_PHONE),
    Seen(
        f"Mozilla/5.0 (Linux; Android 14; Pixel 8) {MOBILE}", "chrome", "CH", "android", "mobile", OTHER_PHONE
    ),
    Seen(
        f"Mozilla/5.0 (Linux; Android 13; SM-X700) {CHROMIUM}",
        "chrome",
        "CH",
        "android",
        "tablet",
        OTHER_TABLET,
    ),
    Seen(
        f"Mozilla/5.0 (Linux; Android 12; Pixel 6 Build/SD1A; wv) {KHTML} Version/4.0 Chrome/94.0 Mobile Safari/537.36",
        "chrome",
        "CH",
        "android",
        "mobile",
        OTHER_PHONE,
    ),
    Seen(
        f"{PHONE} {WEBKIT} CriOS/124.0.6367.88 Mobile/15E148 Safari/604.1",
        "chrome",
        "CH",
        "iphone",
        "mobile",
        IPHONE,
    ),
    Seen(
        f"{PAD} {WEBKIT} CriOS/124.0.6367.88 Mobile/15E148 Safari/604.1",
        "chrome",
        "CH",
        "ipad",
        "tablet",
        IPAD,
    ),
    Seen(f"{WINDOWS} {CHROMIUM} Edg/124.0.2478.67", "microsoft_edge", "EDG", "windows", "desktop", DESKTOP),
    Seen(f"{MAC} {CHROMIUM} Edg/124.0.0.0", "microsoft_edge", "EDG", "macos", "desktop", DESKTOP),
    Seen(
        f"{WINDOWS} {KHTML} Chrome/64.0.3282.140 Safari/537.36 Edge/18.17763",
        "microsoft_edge",
        "EDG",
        "windows",
        "desktop",
        DESKTOP,
    ),
    Seen(f"{ANDROID} {MOBILE} EdgA/124.0.2478.62", "microsoft_edge", "EDG", "android", "mobile", OTHER_PHONE),
    Seen(
        f"{PHONE} {WEBKIT} Version/17.0 EdgiOS/124.0.2478.50 Mobile/15E148 Safari/605.1.15",
        "microsoft_edge",
        "EDG",
        "iphone",
        "mobile",
        IPHONE,
    ),
    Seen(
        "Mozilla/5.0 (Windows Phone 10.0; Android 6.0.1; Microsoft; Lumia 950) "
        f"{KHTML} Chrome/52.0.2743.116 Mobile Safari/537.36 Edge/15.15063",
        "microsoft_edge",
        "EDG",
        "windows_phone",
        "mobile",
        OTHER_PHONE,
    ),
    Seen(
        "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:125.0) Gecko/20100101 Firefox/125.0",
        "firefox",
        "FF",
        "windows",
        "desktop",
        DESKTOP,
    ),
    Seen(
        "Mozilla/5.0 (Macintosh; Intel Mac OS X 10.15; rv:125.0) Gecko/20100101 Firefox/125.0",
        "firefox",
        "FF",
        "macos",
        "desktop",
        DESKTOP,
    ),
    Seen(
        "Mozilla/5.0 (X11; Ubuntu; Linux x86_64; rv:125.0) Gecko/20100101 Firefox/125.0",
        "firefox",
        "FF",
        "linux",
        "desktop",
        DESKTOP,
    ),
    Seen(
        "Mozilla/5.0 (Android 14; Mobile; rv:125.0) Gecko/125.0 Firefox/125.0",
        "firefox",
        "FF",
        "android",
        "mobile",
        OTHER_PHONE,
    ),
    Seen(
        "Mozilla/5.0 (Android 13; Tablet; rv:125.0) Gecko/125.0 Firefox/125.0",
        "firefox",
        "FF",
        "android",
        "tablet",
        OTHER_TABLET,
    ),
    Seen(
        f"{PHONE} {WEBKIT} FxiOS/125.0 Mobile/15E148 Safari/605.1.15",
        "firefox",
        "FF",
        "iphone",
        "mobile",
        IPHONE,
    ),
    Seen(f"{MAC} {WEBKIT} Version/17.4.1 Safari/605.1.15", "safari", "SF", "macos", "desktop", DESKTOP),
    Seen(
        f"{PHONE} {WEBKIT} Version/17.4 Mobile/15E148 Safari/604.1",
        "safari",
        "SF",
        "iphone",
        "mobile",
        IPHONE,
    ),
    Seen(
        f"Mozilla/5.0 (iPad; CPU OS 12_5_7 like Mac OS X) {WEBKIT} Version/12.1.2 Mobile/15E148 Safari/604.1",
        "safari",
        "SF",
        "ipad",
        "tablet",
        IPAD,
    ),
    Seen(
        f"Mozilla/5.0 (iPod touch; CPU iPhone OS 12_5 like Mac OS X) {WEBKIT} Version/12.1 Mobile/15E1 Safari/604.1",
        "safari",
        "SF",
        "ipod",
        "mobile",
        OTHER_PHONE,
    ),
    Seen(f"{PHONE} {WEBKIT} Mobile/15E148", "safari", "SF", "iphone", "mobile", IPHONE),
    Seen(
        f"{WINDOWS} {KHTML} Chrome/122.0.0.0 Safari/537.36 OPR/108.0.0.0",
        "opera",
        "OP",
        "windows",
        "desktop",
        DESKTOP,
    ),
    Seen(
        f"Mozilla/5.0 (Linux; Android 13; CPH2451) {MOBILE} OPR/81.4.4292.78446",
        "opera",
        "OP",
        "android",
        "mobile",
        OTHER_PHONE,
    ),
    Seen(
        "Opera/9.80 (J2ME/MIDP; Opera Mini/7.1.32052/29.3709; U; en) Presto/2.8.119 Version/11.10",
        "opera",
        "OP",
        None,
        "mobile",
        OTHER_PHONE,
    ),
    Seen(
        "Mozilla/5.0 (Windows NT 6.1; WOW64; Trident/7.0; rv:11.0) like Gecko",
        "microsoft_ie",
        "IE",
        "windows",
        "desktop",
        DESKTOP,
    ),
    Seen(
        "Mozilla/5.0 (compatible; MSIE 9.0; Windows NT 6.1; Trident/5.0)",
        "microsoft_ie",
        "IE",
        "windows",
        "desktop",
        DESKTOP,
    ),
    Seen(
        "Mozilla/5.0 (X11; Linux x86_64; rv:91.0) Gecko/20100101 Firefox/91.0 SeaMonkey/2.53.18",
        "mozilla",
        "MO",
        "linux",
        "desktop",
        DESKTOP,
    ),
    Seen(
        "Mozilla/5.0 (X11; U; Linux i686; en-US; rv:1.8.0.7) Gecko/20060909 Netscape/8.1",
        "netscape",
        "NS",
        "linux",
        "desktop",
        DESKTOP,
    ),
    Seen(
        f"Mozilla/5.0 (Linux; Android 13; SM-S918B) {KHTML} SamsungBrowser/24.0 Chrome/117.0.0.0 Mobile Safari/537.36",
        "samsung_internet",
        "OTH",
        "android",
        "mobile",
        OTHER_PHONE,
    ),
    Seen(f"{WINDOWS} {CHROMIUM} Vivaldi/6.6.3271.45", "vivaldi", "OTH", "windows", "desktop", DESKTOP),
    Seen(
        f"{WINDOWS} {KHTML} Chrome/118.0.5993.731 YaBrowser/23.11.0 Safari/537.36",
        "yandex_browser",
        "OTH",
        "windows",
        "desktop",
        DESKTOP,
    ),
    Seen(
        f"{PHONE} {WEBKIT} Mobile/21E236 [FBAN/FBIOS;FBAV/459.0.0.33.104;FBDV/iPhone14,5;FBMD/iPhone;FBSN/iOS]",
        "facebook",
        "OTH",
        "iphone",
        "mobile",
        IPHONE,
    ),
    Seen(
        f"Mozilla/5.0 (Linux; Android 9; KFTRWI) {KHTML} Silk/122.2.7 like Chrome/122.0.6261.153 Safari/537.36",
        "amazon_silk",
        "OTH",
        "android",
        "tablet",
        OTHER_TABLET,
    ),
    Seen(
        f"Mozilla/5.0 (Linux; Android 9; AFTMM) {KHTML} Silk/120.4 like Chrome/120.0 Safari/537.36",
        "amazon_silk",
        "OTH",
        "android",
        "other",
        OTHER,
    ),
    Seen(
        "Mozilla/5.0 (SMART-TV; Linux; Tizen 6.0) AppleWebKit/538.1 (KHTML, like Gecko) Version/6.0 TV Safari/538.1",
        "safari",
        "SF",
        "tizen",
        "other",
        OTHER,
    ),
    Seen(
        f"Mozilla/5.0 (PlayStation; PlayStation 5/6.50) {WEBKIT} Version/15.4 Safari/605.1.15",
        "safari",
        "SF",
        None,
        "other",
        OTHER,
    ),
    Seen("Something/1.0", None, None, None, None, None),
    Seen("", None, None, None, None, None),
]
REPORTING = fact_options(report=("browser", "devices"))


def test_there_are_forty() -> None:
    assert len({seen.user_agent for seen in TABLE}) == len(TABLE) > 40


@pytest.mark.parametrize("seen", TABLE, ids=lambda seen: seen.user_agent[-50:] or "none")
class TestTheTable:
    def test_facts_are_in_the_words_of_rules(self, seen: Seen) -> None:
        facts = RequestFacts(Asked(user_agent=seen.user_agent))
        assert (facts.get("browser_name"), facts.get("os")) == (seen.browser, seen.os)
        found = {kind: facts.get(f"is_{kind}") for kind in ("mobile", "tablet", "desktop")}
        known = seen.device is not None
        assert found == {kind: (kind == seen.device if known else None) for kind in found}

    def test_segments_are_in_the_words_of_reports(self, seen: Seen) -> None:
        found = RequestFacts(Asked(user_agent=seen.user_agent), REPORTING).reported()
        wanted = {"browser": seen.reported, "devices": seen.devices}
        assert found == {name: value for name, value in wanted.items() if value is not None}

    def test_none_is_a_bot(self, seen: Seen) -> None:
        assert not is_declared_bot(seen.user_agent)


BRANDS = '"Chromium";v="124", "Google Chrome";v="124", "Not-A.Brand";v="99"'


class TestHints:
    @pytest.mark.parametrize(
        ("brands", "browser", "reported"),
        [
            (BRANDS, "chrome", "CH"),
            ('"Chromium";v="124", "Not(A:Brand";v="24"', "chrome", "CH"),
            ('"Microsoft Edge";v="124", "Chromium";v="124", "Not_A Brand";v="8"', "microsoft_edge", "EDG"),
            ('"Opera";v="108", "Chromium";v="122"', "opera", "OP"),
            ('"Brave";v="124", "Chromium";v="124", "Not A;Brand";v="99"', "brave", "OTH"),
            (
                '"Samsung Internet";v="24.0", "Chromium";v="117", "Not;A=Brand";v="8"',
                "samsung_internet",
                "OTH",
            ),
        ],
    )
    def test_the_brand_wins(self, brands: str, browser: str, reported: str) -> None:
        found = read_user_agent(f"{WINDOWS} {CHROMIUM}", ClientHints(brands)).browser
        assert found == (browser, reported)

    @pytest.mark.parametrize(
        ("platform", "mobile", "os", "device"),
        [
            ('"Windows"', "?0", "windows", "desktop"),
            ('"macOS"', "?0", "macos", "desktop"),
            ('"Chrome OS"', "?0", "chrome_os", "desktop"),
            ('"Linux"', "?0", "linux", "desktop"),
            ('"Android"', "?1", "android", "mobile"),
            ('"Android"', "?0", "android", "tablet"),
            ('"iOS"', "?1", "ipad", "tablet"),
            ('"Unknown"', "?0", "ipad", "tablet"),
            (None, None, "ipad", "tablet"),
        ],
    )
    def test_platform_and_mobile_win(
        self, platform: str | None, mobile: str | None, os: str, device: str
    ) -> None:
        tablet = f"{PAD} {WEBKIT} Version/17.4 Mobile/15E148 Safari/604.1"
        found = read_user_agent(tablet, ClientHints(None, mobile, platform))
        assert found.device is not None
        assert (found.os, found.device.kind) == (os, device)

    @pytest.mark.parametrize("odd", ["", "Chrome", '"', '"a";v', "?1", '"Not A Brand";v="1"'])
    def test_what_cannot_be_read_leaves_the_user_agent(self, odd: str) -> None:
        found = read_user_agent(f"{WINDOWS} {CHROMIUM}", ClientHints(odd, odd, ""))
        assert found == read_user_agent(f"{WINDOWS} {CHROMIUM}")

    def test_headers_are_hints(self) -> None:
        facts = RequestFacts(
            Asked(
                user_agent=f"{ANDROID} {MOBILE}",
                sec_ch_ua=BRANDS,
                sec_ch_ua_mobile="?0",
                sec_ch_ua_platform='"Windows"',
            )
        )
        assert [facts.get(name) for name in ("browser_name", "os", "is_desktop")] == [
            "chrome",
            "windows",
            True,
        ]

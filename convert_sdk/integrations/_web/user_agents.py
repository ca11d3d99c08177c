"""Browsers, systems and devices: from client hints and the user agent, in the words of rules and of reports."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from ua_parser import Result

MISSING_EXTRA = "browser, system and device of a request need ua-parser: pip install 'convert-sdk[ua]'"
_LONGEST = 2_048
"""Characters of a user agent; what is longer names no browser."""


class Browser(NamedTuple):
    """A browser: its name in rules, and its word in reports."""

    name: str
    reported: str


class Device(NamedTuple):
    """A kind of device, and its words in reports."""

    kind: str
    """`mobile`, `tablet`, `desktop` or `other`."""
    reported: tuple[str, ...]


class UserAgent(NamedTuple):
    """The sender of a request; None for what cannot be known."""

    browser: Browser | None = None
    os: str | None = None
    """The system in the words of rules: iphone, ipod and ipad are systems there."""
    device: Device | None = None


class ClientHints(NamedTuple):
    """The low-entropy client hints of a request, as they came; a browser that sends them means them."""

    brands: str | None = None
    """`Sec-CH-UA`."""
    mobile: str | None = None
    """`Sec-CH-UA-Mobile`."""
    platform: str | None = None
    """`Sec-CH-UA-Platform`."""


CHROME = Browser("chrome", "CH")
EDGE = Browser("microsoft_edge", "EDG")
FIREFOX = Browser("firefox", "FF")
SAFARI = Browser("safari", "SF")
OPERA = Browser("opera", "OP")
INTERNET_EXPLORER = Browser("microsoft_ie", "IE")
MOZILLA = Browser("mozilla", "MO")
NETSCAPE = Browser("netscape", "NS")

_BROWSERS = {
    **dict.fromkeys(
        [
            "Chrome",
            "Chrome Mobile",
            "Chrome Mobile iOS",
            "Chrome Mobile WebView",
            "Chromium",
            "HeadlessChrome",
        ],
        CHROME,
    ),
    **dict.fromkeys(["Edge", "Edge Mobile"], EDGE),
    **dict.fromkeys(["Firefox", "Firefox Mobile", "Firefox iOS"], FIREFOX),
    **dict.fromkeys(["Safari", "Mobile Safari", "Mobile Safari UI/WKWebView"], SAFARI),
    **dict.fromkeys(
        ["Opera", "Opera Mobile", "Opera Mini", "Opera Tablet", "Opera Touch", "Opera Coast"], OPERA
    ),
    **dict.fromkeys(["IE", "IE Mobile", "IE Large Screen"], INTERNET_EXPLORER),
    **dict.fromkeys(["Mozilla", "SeaMonkey", "Camino", "Iceape"], MOZILLA),
    "Netscape": NETSCAPE,
}
"""ua-parser's families of browsers."""

_BRANDS = {
    "Microsoft Edge": EDGE,
    "Opera": OPERA,
    "Opera Mobile": OPERA,
    "Google Chrome": CHROME,
    "HeadlessChrome": CHROME,
}
"""The brands of client hints that are browsers of their own, the more special ones first."""

_SYSTEMS = {
    "Android": "android",
    "Windows": "windows",
    "Mac OS X": "macos",
    **dict.fromkeys(
        [
            "Linux",
            "Ubuntu",
            "Debian",
            "Fedora",
            "Red Hat",
            "CentOS",
            "SUSE",
            "Linux Mint",
            "Gentoo",
            "Arch Linux",
        ],
        "linux",
    ),
}
"""ua-parser's families of systems; `iOS` goes by the device."""

_PLATFORMS = {"android": "android", "windows": "windows", "macos": "macos", "linux": "linux"}
"""The platforms of client hints that rules know."""

_APPLE = {"iPhone": "iphone", "iPad": "ipad", "iPod": "ipod"}
_PHONES = re.compile(
    r"Windows Phone|IEMobile|BlackBerry|BB10|KAIOS|Opera Mini|MIDP|Symbian|webOS/|Series[46]0|\bMobile\b",
    re.IGNORECASE,
)
_TABLETS = re.compile(
    r"\bTablet\b(?! PC)|PlayBook|Kindle|Silk/|SM-T\d|\bNexus (?:7|9|10)\b|Xoom", re.IGNORECASE
)
_SCREENS = re.compile(
    r"Smart-?TV|Android TV|GoogleTV|AppleTV|BRAVIA|\bAFT[A-Z]|CrKey|Tizen.*TV|Web0S|HbbTV|Roku|PlayStation|Xbox"
    r"|Nintendo|OculusBrowser|\bWatch\b",
    re.IGNORECASE,
)
_DESKTOPS = frozenset({"Windows", "Mac OS X", "Chrome OS", *(k for k, v in _SYSTEMS.items() if v == "linux")})

_IPHONE = Device("mobile", ("ALLPH", "IPH"))
_PHONE = Device("mobile", ("ALLPH", "OTHPH"))
_IPAD = Device("tablet", ("ALLTAB", "IPAD"))
_TABLET = Device("tablet", ("ALLTAB", "OTHTAB"))
_DESKTOP = Device("desktop", ("DESK",))
_OTHER = Device("other", ("OTHDEV",))


@lru_cache(maxsize=2_000)
def read_user_agent(user_agent: str, hints: ClientHints = ClientHints()) -> UserAgent:  # noqa: B008  # immutable
    """The sender of a request, as its hints say, and its user agent where they are silent.

    Raises ImportError where ua-parser is not installed.

    >>> firefox = "Mozilla/5.0 (X11; Linux x86_64; rv:125.0) Gecko/20100101 Firefox/125.0"
    >>> read_user_agent(firefox).browser
    Browser(name='firefox', reported='FF')
    """
    found = _read(user_agent[:_LONGEST])
    system = _hinted_system(hints) or found.os
    return UserAgent(
        _hinted_browser(hints) or found.browser, system, _hinted_device(hints, system) or found.device
    )


def _read(user_agent: str) -> UserAgent:
    if not user_agent:
        return UserAgent()
    parsed = parse(user_agent)
    family = parsed.os.family if parsed.os is not None else ""
    model = parsed.device.family if parsed.device is not None else ""
    browser = None
    if parsed.user_agent is not None:
        name = parsed.user_agent.family
        browser = _BROWSERS.get(name) or Browser(name.lower().replace(" ", "_"), "OTH")
    return UserAgent(browser, _system(family, model), _device(user_agent, family, model))


def parse(user_agent: str) -> Result:
    """The result of ua-parser: the one place that calls it."""
    try:
        import ua_parser
    except ImportError as error:
        raise ImportError(MISSING_EXTRA) from error
    return ua_parser.parse(user_agent)


def _system(family: str, model: str) -> str | None:
    if family == "iOS":
        return next((name for start, name in _APPLE.items() if model.startswith(start)), "ios")
    return _SYSTEMS.get(family) or family.lower().replace(" ", "_") or None


def _device(user_agent: str, family: str, model: str) -> Device | None:
    if model == "Spider":
        return None
    if family == "iOS":
        return _IPAD if model.startswith("iPad") else _PHONE if model.startswith("iPod") else _IPHONE
    if _SCREENS.search(user_agent):
        return _OTHER
    if _TABLETS.search(user_agent):
        return _TABLET
    if _PHONES.search(user_agent):
        return _PHONE
    if family == "Android":  # Android's phones say Mobile
        return _TABLET
    return _DESKTOP if family in _DESKTOPS else None


# Client hints: structured headers, of which only the members are of interest.

_BRAND = re.compile(r'"((?:[^"\\]|\\.)*)"\s*;\s*v=')


def _hinted_browser(hints: ClientHints) -> Browser | None:
    named = _BRAND.findall(hints.brands or "")
    known = next((browser for brand, browser in _BRANDS.items() if brand in named), None)
    if known is not None or not named:
        return known
    own = [brand for brand in named if brand != "Chromium" and not _is_grease(brand)]
    return (
        Browser(own[0].lower().replace(" ", "_"), "OTH") if own else CHROME if "Chromium" in named else None
    )


def _is_grease(brand: str) -> bool:
    """True for the brand that browsers make up, so that nobody relies on the list."""
    letters = "".join(filter(str.isalpha, brand)).lower()
    return letters in ("notabrand", "notanybrand")


def _hinted_system(hints: ClientHints) -> str | None:
    platform = (hints.platform or "").strip().strip('"').lower()
    if not platform or platform in ("unknown", "ios"):
        return None  # which of Apple's devices it is, only the user agent says
    return _PLATFORMS.get(platform) or platform.replace(" ", "_")


def _hinted_device(hints: ClientHints, system: str | None) -> Device | None:
    mobile = (hints.mobile or "").strip()
    if mobile == "?1" and system == "android":
        return _PHONE
    if mobile == "?0" and hints.platform and system in ("windows", "macos", "linux", "chrome_os"):
        return _DESKTOP
    return None

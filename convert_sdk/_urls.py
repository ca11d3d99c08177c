"""Convert's URLs and those of an application: the host they lead to, what is wrong with them, how they are shown."""

from __future__ import annotations

CONFIG_ENDPOINT = "https://cdn-4.convertexperiments.com/api/v1/"
TRACK_ENDPOINT = "https://[project_id].metrics.convertexperiments.com/v1/"
_UNSAFE = "\"'`\u2018\u2019\u201c\u201d<>^{}|\\"
_LOOPBACK = ("localhost", "127.0.0.1", "::1")
_PROJECT = "[project_id]"
_LABEL = 63
_NAME = 253
_NOT_A_URL = "must be an http:// or https:// URL without ? and #"


def host_of(url: str) -> str | None:
    """The host of an http:// or https:// URL in lower case, an IPv6 address without brackets; None without one."""
    return None if url_flaw(url) is not None else _split(url)[0]


def is_loopback(url: str) -> bool:
    """True if a URL leads to this very machine."""
    return host_of(url) in _LOOPBACK


def is_web(url: str) -> bool:
    """True if a URL begins with http:// or https://."""
    return url.lower().startswith(("http://", "https://"))


def url_flaw(url: str) -> str | None:
    """The reason why a URL leads nowhere, as the rest of a sentence about it."""
    if any(char <= " " or char in _UNSAFE for char in url) or not is_web(url):
        return _NOT_A_URL
    try:
        host, port = _split(url)
    except ValueError as error:
        return (
            "must have a port from 1 to 65535" if "ort" in str(error) else "must have a host that can be read"
        )
    if not host:
        return "must have a host, as in https://cdn.example.com/"
    if port == 0:
        return "must have a port from 1 to 65535"
    return None if _is_host(host) else "must have a host that can exist, such as cdn.example.com"


def masked(url: str) -> str:
    """The URL with stars in place of the name and the password in it, and of its query.

    A URL that is wrong is masked too: whatever stands before its last @ may be a password.

    >>> masked("https://me:s3cret@convert.example/api/v1/")
    'https://***@convert.example/api/v1/'
    >>> masked("me:s3cret/1?@convert.example?token=s3cret")
    '***@convert.example?***'
    """
    scheme, slashes, rest = url.partition("://") if "://" in url else ("", "", url)
    at = rest.rfind("@")
    shown, question, _ = (rest if at < 0 else f"***{rest[at:]}").partition("?")
    return f"{scheme}{slashes}{shown}{question and '?***'}"


def _split(url: str) -> tuple[str | None, int | None]:
    """The host and the port; raises ValueError where they cannot be read."""
    from urllib.parse import urlsplit

    parts = urlsplit(url.replace(_PROJECT, "0"))
    return parts.hostname, parts.port


def _is_host(host: str) -> bool:
    """True for an address, and for a name whose parts have a length and characters that names can have."""
    name = host.removesuffix(".")
    labels = name.split(".")
    if ":" in name or labels[-1].isdecimal():  # names of networks end with a letter
        return _is_address(name)
    return len(name) <= _NAME and all(map(_is_label, labels)) and (name.isascii() or _is_international(name))


def _is_label(label: str) -> bool:
    within = all(char.isalnum() or char in "-_" for char in label)
    return 0 < len(label) <= _LABEL and within and label.strip("-") == label


def _is_international(name: str) -> bool:
    import idna  # comes with httpx

    try:
        return bool(idna.encode(name))
    except UnicodeError:
        return False


def _is_address(host: str) -> bool:
    from ipaddress import ip_address

    try:
        ip_address(host)
    except ValueError:
        return False
    return True

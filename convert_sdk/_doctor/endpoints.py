"""Endpoints: whether they are reached, by which way, with what clock, and whether they take the key."""

from __future__ import annotations

from collections.abc import Iterator
from email.utils import parsedate_to_datetime
from time import monotonic
from typing import NamedTuple

from convert_sdk._config.source import DocumentSource, document_request, token_failure
from convert_sdk._delivery.previews import document_source
from convert_sdk._delivery.stats import redirection
from convert_sdk._http.messages import Failure, Request, Response, request_headers
from convert_sdk._urls import masked
from convert_sdk.diagnosis import Examined, Health

from .subject import Subject

_TOLERATED_SKEW = 60.0
_OK, _WARNING, _FAILED, _SKIPPED = Health.OK, Health.WARNING, Health.FAILED, Health.SKIPPED
_REFUSALS = {
    401: "compare the key and its secret, and track_endpoint with that of Convert.",
    403: "compare the key and its secret, and see what stands in between: a firewall, a proxy?",
    407: "the proxy wants a name and a password: give them in the proxy option or HTTPS_PROXY.",
}
"""The things to do, by the status of a tracking endpoint that lets nobody in."""


class _TimedAnswer(NamedTuple):
    outcome: Response | Failure
    seconds: float


def examine_endpoints(subject: Subject) -> Iterator[Examined]:
    """Ask both endpoints once, without sending any event."""
    if subject.status.offline:
        for name in ("key and secret", "config endpoint", "tracking endpoint", "proxy", "tls", "clock"):
            yield Examined(name, _SKIPPED, "the client is offline")
        return
    from convert_sdk._http.client import open_client, send

    options = subject.options
    source = document_source(options, subject.key)._replace(timeout=subject.timeout)
    tracked = f"{_track_endpoint(subject)}/track/{subject.key}"
    fetch, token_flaw = _fetch(source)
    requests = {
        "config endpoint": fetch,
        "tracking endpoint": Request(
            "GET", tracked, request_headers(options.sdk_secret), timeout=subject.timeout
        ),
    }
    transport = options.transport
    answers: dict[str, _TimedAnswer] = {}
    with open_client(
        transport=transport if hasattr(transport, "handle_request") else None,  # type: ignore[arg-type]  # as asked
        ca_bundle=options.ca_bundle,
        proxy=options.proxy,
        trust_env=options.trust_env,
        report=lambda _: None,
    ) as client:
        for name, request in requests.items():
            start = monotonic()
            answers[name] = _TimedAnswer(send(client, request), monotonic() - start)
    config = answers["config endpoint"]
    yield _key(subject, config.outcome) if token_flaw is None else token_flaw
    yield _config(options.config_endpoint, config)
    yield _tracking(answers["tracking endpoint"])
    yield _proxy(subject, requests["config endpoint"].url)
    yield _tls(subject, config.outcome)
    yield _clock(config.outcome)


def _track_endpoint(subject: Subject) -> str:
    return subject.options.track_endpoint.replace("[project_id]", subject.project_id).removesuffix("/")


def _fetch(source: DocumentSource) -> tuple[Request, Examined | None]:
    """The fetch of the document, and what is wrong with the debug token; then the fetch goes without it."""
    try:
        return document_request(source), None
    except Exception as error:  # noqa: BLE001  # the application's own callable
        advice = "Look at the callable that is given as debug_token: while it fails, no document is fetched."
        flaw = Examined("key and secret", _FAILED, token_failure(error), advice)
        return document_request(source._replace(debug_token=None)), flaw


def _key(subject: Subject, outcome: Response | Failure) -> Examined:
    name = "key and secret"
    secret = "with a secret" if subject.options.sdk_secret else "without a secret"  # words
    if isinstance(outcome, Failure):
        return Examined(name, _SKIPPED, "the endpoint gave no answer")
    if outcome.status in (401, 403):
        advice = (
            "The secret is not that of the key: copy it again, or ask whether it was renewed."
            if subject.options.sdk_secret
            else "The key is unknown, or needs its secret: compare it, and set sdk_secret or CONVERT_SDK_SECRET."
        )
        return Examined(name, _FAILED, f"refused {secret}: HTTP {outcome.status}", advice)
    if outcome.status == 404:
        advice = "No project has this key: compare it with the key in Convert, account and project included."
        return Examined(name, _FAILED, "unknown: HTTP 404", advice)
    if outcome.status != 200:
        return Examined(name, _SKIPPED, f"the endpoint answered HTTP {outcome.status}")
    return Examined(name, _OK, f"taken, {secret}")


def _config(endpoint: str, answer: _TimedAnswer) -> Examined:
    name, outcome = "config endpoint", answer.outcome
    if isinstance(outcome, Failure):
        return Examined(name, _FAILED, f"{masked(endpoint)}: {outcome.detail}", _way_out(outcome.detail))
    took = f"HTTP {outcome.status} in {answer.seconds * 1000:.0f} ms"
    if outcome.body_error:
        return Examined(
            name,
            _FAILED,
            f"{took}, and {outcome.body_error}",
            "See what stands in between: a proxy, a cache?",
        )
    if outcome.status >= 500 or outcome.status == 429:
        return Examined(
            name, _FAILED, took, "The other side cannot answer now: the client tries again by itself."
        )
    if outcome.status in (401, 403, 404):
        return Examined(name, _OK, f"{took}, which is about the key")
    if outcome.status != 200:
        return Examined(name, _FAILED, took, "Compare config_endpoint with that of Convert.")
    return Examined(name, _OK, f"{took}, {len(outcome.body):,} bytes")


def _tracking(answer: _TimedAnswer) -> Examined:
    name, outcome = "tracking endpoint", answer.outcome
    if isinstance(outcome, Failure):
        return Examined(name, _FAILED, outcome.detail, _way_out(outcome.detail))
    status = outcome.status
    if status >= 500:
        return Examined(name, _WARNING, f"HTTP {status}", "Events wait and are sent again; look again soon.")
    # No more than a warning: a GET says little about the POST that brings events.
    if status in _REFUSALS:
        return Examined(name, _WARNING, f"HTTP {status}", f"Events may be refused: {_REFUSALS[status]}")
    if 300 <= status < 400:
        advice = "Events may be refused: give the address that it leads to as track_endpoint."
        return Examined(name, _WARNING, f"HTTP {status}{redirection(outcome)}", advice)
    took = f"reached in {answer.seconds * 1000:.0f} ms"
    # An endpoint that takes POST alone answers so.
    unusual = "" if status < 300 else f" (HTTP {status} for a GET)"
    return Examined(name, _OK, f"{took}{unusual}, no event was sent")


def _way_out(detail: str) -> str:
    """The usual cure of a failure."""
    text = detail.lower()
    if "certificate has expired" in text or "not yet valid" in text:
        return "Have the certificate renewed; if it is good elsewhere, set the clock of this machine."
    if "hostname mismatch" in text or "ip address mismatch" in text:
        return (
            "The certificate is another host's: compare the endpoint's name, and see what stands in between."
        )
    if "certificate" in text or "ssl" in text or "tls" in text:
        return "Give the authority that signed the certificate as ca_bundle, or let the proxy leave this host alone."
    if "proxy" in text:
        return "Look at HTTPS_PROXY and the proxy option; NO_PROXY names hosts that are reached directly."
    if "name" in text or "resolve" in text or "getaddrinfo" in text:
        return "The name cannot be resolved here: look at DNS, or name a proxy."
    if "too slow" in text or "timed out" in text or "timeout" in text:
        return "A firewall drops what is sent: allow the host on port 443, or name a proxy."
    if "refused" in text:
        return "Nobody listens there: compare the endpoint's address and port."
    return "Try the same address with curl from this machine."


def _proxy(subject: Subject, url: str) -> Examined:
    import httpx

    from convert_sdk._http.environment import read_environment, through

    options = subject.options
    if options.transport is not None:
        return Examined("proxy", _SKIPPED, "the application's own transport")
    if options.proxy is None and not options.trust_env:
        return Examined("proxy", _OK, "none; the environment is not read")
    environment = through(options.proxy) if options.proxy is not None else read_environment()
    flaws = "; ".join(f"{flaw.variable} {flaw.text}" for flaw in environment.flaws)
    route = environment.route(httpx.URL(url))
    if route is not None and route.flaw:
        return Examined("proxy", _FAILED, f"{route.variable} {route.flaw}", "Correct or remove it.")
    found = "none" if route is None else f"by {route.variable}"
    if flaws:
        return Examined(
            "proxy", _WARNING, f"{found}; {flaws}", "Correct the variable: what cannot be read is left out."
        )
    return Examined("proxy", _OK, found)


def _tls(subject: Subject, outcome: Response | Failure) -> Examined:
    if not subject.options.config_endpoint.lower().startswith("https:"):
        return Examined("tls", _SKIPPED, "the endpoint is plain HTTP")
    trusted = "ca_bundle" if subject.options.ca_bundle else "the usual authorities"
    if isinstance(outcome, Failure):
        broken = "certificate" in outcome.detail.lower() or "ssl" in outcome.detail.lower()
        verdict = _FAILED if broken else _SKIPPED
        return Examined("tls", verdict, outcome.detail, _way_out(outcome.detail) if broken else "")
    return Examined("tls", _OK, f"verified by {trusted}")


def _clock(outcome: Response | Failure) -> Examined:
    date = outcome.headers.get("date") if isinstance(outcome, Response) else None
    if date is None or isinstance(outcome, Failure):
        return Examined("clock", _SKIPPED, "no answer tells the time")
    try:
        skew = outcome.received - parsedate_to_datetime(date).timestamp()
    except ValueError:
        return Examined("clock", _SKIPPED, "the answer's date cannot be read")
    if abs(skew) > _TOLERATED_SKEW:
        found = f"{abs(skew):,.0f} s {'ahead' if skew > 0 else 'behind'}"
        return Examined("clock", _WARNING, found, "Let NTP set the clock: tokens and certificates end by it.")
    return Examined("clock", _OK, f"within {max(1, round(abs(skew)))} s of the endpoint's")

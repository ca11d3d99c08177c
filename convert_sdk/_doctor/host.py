"""The host: the server, the event loop and the platform that a client runs in."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping
from typing import Any

from convert_sdk.diagnosis import Examined, Health

from .subject import Subject

_OK, _WARNING, _FAILED, _SKIPPED = Health.OK, Health.WARNING, Health.FAILED, Health.SKIPPED
_SERVERS = ("gunicorn", "uwsgi", "celery", "rq")


def examine_host(
    subject: Subject,
    *,
    modules: Mapping[str, Any] = sys.modules,
    environ: Mapping[str, str] = os.environ,
) -> Iterator[Examined]:
    """Look at what the client runs in.

    Args:
        subject: The client.
        modules: What is loaded, by name.
        environ: The variables of the process.
    """
    yield _document(subject)
    yield _store(subject, modules)
    yield _preload(subject)
    yield _uwsgi(modules)
    yield _gevent(modules)
    yield _lambda(subject, environ)
    yield _worker(subject)


def _document(subject: Subject) -> Examined:
    status = subject.status
    if not status.ready:
        found = status.fetch_error or "none yet"
        return Examined(
            "document", _WARNING, found, "Call wait_until_ready() at start-up, and look at its answer."
        )
    if status.stale:
        return Examined(
            "document", _WARNING, f"{status.revision}, not confirmed of late", "See config endpoint."
        )
    if status.problems:
        found = f"{status.revision}, {status.problems} problems"
        return Examined("document", _WARNING, found, "convert-sdk check says which, and what to do.")
    return Examined("document", _OK, str(status.revision))


def _store(subject: Subject, modules: Mapping[str, Any]) -> Examined:
    store = subject.options.store
    if store is not None and store.shared:
        return Examined("store", _OK, f"{type(store).__name__}, shared by processes")
    kind = "none" if store is None else f"{type(store).__name__}, of this process alone"
    server = next((name for name in _SERVERS if name in modules), None)
    if server is None:
        return Examined("store", _OK, f"{kind}: each process remembers for itself")
    advice = "With several processes give a RedisStore or SqliteStore, or each reports the exposure of a visitor again."
    return Examined("store", _WARNING, f"{kind}, and {server} is loaded", advice)


def _preload(subject: Subject) -> Examined:
    if not subject.is_inherited:
        return Examined("preload", _SKIPPED, "this process made the client")
    if subject.status.ready:
        return Examined("preload", _OK, "made before the fork, and ready in this process")
    advice = "Call client.wait_until_ready(10) before the fork, or the first request of each process waits."
    return Examined(
        "preload", _WARNING, "made before the fork, and without a document in this process", advice
    )


def _uwsgi(modules: Mapping[str, Any]) -> Examined:
    uwsgi = modules.get("uwsgi")
    if uwsgi is None:
        return Examined("uwsgi threads", _SKIPPED, "no uWSGI")
    options: Mapping[object, object] = getattr(uwsgi, "opt", {})
    given = {name.decode() if isinstance(name, bytes) else str(name) for name in options}
    if given & {"enable-threads", "threads", "master-as-root-threads"}:
        return Examined("uwsgi threads", _OK, "enabled")
    advice = "Set enable-threads = true: without it no thread of Python runs, and nothing is fetched or sent."
    return Examined("uwsgi threads", _FAILED, "not enabled", advice)


def _gevent(modules: Mapping[str, Any]) -> Examined:
    if "gevent" not in modules:
        return Examined("gevent order", _SKIPPED, "no gevent")
    monkey = modules.get("gevent.monkey")
    patched = [
        name
        for name in ("threading", "socket", "ssl")
        if monkey is not None and monkey.is_module_patched(name)
    ]
    if not patched:
        hub = getattr(modules.get("gevent._hub_local"), "get_hub_if_exists", lambda: None)()
        if hub is None:
            return Examined("gevent order", _OK, "loaded, and not in use")
        advice = "Call gevent.monkey.patch_all() before anything else is imported, or threads block its loop."
        return Examined("gevent order", _WARNING, "in use, and nothing is patched", advice)
    if len(patched) < 3:
        advice = "Patch all of it: gevent.monkey.patch_all(), before anything else is imported."
        return Examined("gevent order", _WARNING, f"only {' and '.join(patched)} patched", advice)
    return Examined("gevent order", _OK, "patched")


def _lambda(subject: Subject, environ: Mapping[str, str]) -> Examined:
    if "AWS_LAMBDA_FUNCTION_NAME" not in environ:
        return Examined("lambda flush", _SKIPPED, "no AWS Lambda")
    advice = (
        "Call client.flush() at the end of each invocation, or decorate the handler with convert_handler "
        "(convert_sdk.integrations.aws_lambda): in between the process does not run."
    )
    pending = subject.status.events.pending
    if pending:
        return Examined("lambda flush", _WARNING, f"{pending} events wait", advice)
    return Examined("lambda flush", _OK, "nothing waits", advice)


def _worker(subject: Subject) -> Examined:
    status = subject.status
    if status.offline:
        return Examined("worker", _SKIPPED, "the client is offline")
    if not status.started:
        return Examined("worker", _OK, "not started yet: the first visitor starts it")
    if status.worker_alive:
        return Examined("worker", _OK, "running")
    return Examined(
        "worker",
        _FAILED,
        "not running",
        "Make another client: this one was closed, or its threads cannot run.",
    )

"""The provider's states: what OpenFeature is told of the client's document, and when.

Theory of operation
-------------------
OpenFeature announces READY, or ERROR, itself when `initialize` has ended. An event that the provider emits before that
would be overwritten, and one that it emits before it is registered would be lost. So nothing is told until
OpenFeature's own announcement was seen, by a handler of a client that stands for this provider alone (`OwnClient`).
What happened before is told then: that the document is stale already, or which flags have changed meanwhile.

From then on the client's poller is the clock: it has the state looked at after each fetch and at the moment at which
the document gets stale, and each change of the state becomes one event.

A process that is forked in the middle of a start has no thread that goes on with it: OpenFeature would answer by itself
there for ever. It still asks the provider for its hooks at each look-up, and the first one starts again.
"""

from __future__ import annotations

import threading
from asyncio import Task, get_running_loop
from collections.abc import Callable
from contextlib import suppress
from weakref import WeakSet

from openfeature.client import OpenFeatureClient
from openfeature.event import EventDetails, ProviderEvent, ProviderEventDetails
from openfeature.exception import ErrorCode, OpenFeatureError, ProviderFatalError, ProviderNotReadyError
from openfeature.provider import FeatureProvider, ProviderStatus

from convert_sdk._delivery.follower import DocumentFollower
from convert_sdk._delivery.runtime import Runtime
from convert_sdk._delivery.worker import Worker
from convert_sdk._process.clock import monotonic
from convert_sdk._process.fork import check_pid, register_after_fork
from convert_sdk._process.locks import WakeEvent
from convert_sdk._process.threads import daemon_thread
from convert_sdk.async_client import AsyncClient
from convert_sdk.client import Client
from convert_sdk.observation import DocumentChanged
from convert_sdk.project import Project

from .answers import FlagAnswers
from .flags import changed_flags

_ANNOUNCED = (ProviderEvent.PROVIDER_READY, ProviderEvent.PROVIDER_ERROR)
_FATAL = ProviderStatus.FATAL
_PATIENCE = 1.0
"""Seconds after which it was announced, though no handler was called: OpenFeature's threads do not outlive a fork."""
_IN_LOOP = (
    "no document has arrived yet, and this loop cannot wait for it: await client.wait_until_ready(…) before "
    "set_provider_and_wait, or use set_provider"
)


class OwnClient(OpenFeatureClient):
    """A client of OpenFeature that stands for one provider, whatever its domain is."""

    def __init__(self, provider: FeatureProvider) -> None:
        super().__init__(domain=None, version=None)
        self._provider = provider

    @property
    def provider(self) -> FeatureProvider:
        """The provider that it stands for."""
        return self._provider


class LifeCycle(DocumentFollower):
    """The events of one provider: those that OpenFeature was told, and those that it is to be told.

    Args:
        own: The client that stands for the provider.
        emit: Tells OpenFeature of an event.
        answers: Those that say whether the document is stale.
    """

    def __init__(
        self,
        own: OwnClient,
        emit: Callable[[ProviderEvent, ProviderEventDetails], None],
        answers: FlagAnswers,
    ) -> None:
        self._own = own
        self._emit = emit
        self._answers = answers
        self._lock = threading.RLock()
        self._looked = WakeEvent()
        self._client: Client | AsyncClient | None = None
        self._starting: Task[None] | None = None
        self._changed: dict[str, None] = {}
        self._given_up = False
        """True once OpenFeature has no use for the provider any more."""
        self._told = ProviderStatus.NOT_READY
        self._open = False
        """True once OpenFeature has announced how `initialize` ended."""
        self._ended_at: float | None = None
        self._is_inherited = False
        """True in a child process, until a look-up has found out whether the start had ended."""
        _life_cycles.add(self)

    @property
    def short_circuits(self) -> bool:
        """True while OpenFeature answers by itself, without asking the provider."""
        return not self._open or self._told is _FATAL

    def give_up(self, *, given_up: bool) -> None:
        """Wait for no document any more, as OpenFeature has let go of the provider; or take that back."""
        self._given_up = given_up
        self._looked.notify()

    # The client that is followed.

    def follow(self, client: Client | AsyncClient) -> None:
        """Follow the document of this client from now on."""
        self._client = client
        runtime = self._runtime
        if runtime is not None:
            runtime.follow(self)

    def stop(self) -> None:
        """Follow nothing any more, and forget what was told."""
        runtime = self._runtime
        if runtime is not None:
            runtime.follow(self, follows=False)
        with self._lock:
            self._client, self._open, self._ended_at = None, False, None
            self._told = ProviderStatus.NOT_READY
            self._changed.clear()
        self._looked.notify()
        for event in _ANNOUNCED:
            with suppress(ValueError):  # OpenFeature has removed all handlers
                self._own.remove_handler(event, self._announced)

    @property
    def _worker(self) -> Worker | None:
        worker = self._client._worker if self._client is not None else None
        return worker if isinstance(worker, Worker) else None

    @property
    def _runtime(self) -> Runtime | None:
        worker = self._worker
        return None if worker is None else worker.runtime

    def status(self) -> ProviderStatus:
        """The state of the provider, as the client's document has it."""
        client, runtime = self._client, self._runtime
        if client is None or client.project is None:
            denied = runtime is not None and runtime.poller.denied
            return ProviderStatus.FATAL if denied else ProviderStatus.ERROR
        stale = runtime is not None and runtime.is_stale
        return ProviderStatus.STALE if stale else ProviderStatus.READY

    # The start.

    def initialize(self) -> None:
        """Wait for the document, as long as the client's `start_wait` is.

        Raises:
            ProviderFatalError: If the server refuses the key.
            ProviderNotReadyError: If there is no document.
        """
        self._expect_announcement()
        try:
            status, advice = self._started()
            self._answers.stale = status is ProviderStatus.STALE
            if status is ProviderStatus.FATAL:
                raise ProviderFatalError(self._fetch_error)
            if status is ProviderStatus.ERROR:
                raise ProviderNotReadyError(advice or self._fetch_error)
            _ = self._revision  # computed now, for all look-ups
        finally:
            self._ended_at = monotonic()

    def reset_after_fork(self) -> None:
        """Take fresh locks in a child process."""
        self._lock, self._looked = threading.RLock(), WakeEvent()
        self._is_inherited = True

    def resume(self) -> None:
        """Start again in a child process whose parent was in the middle of it."""
        check_pid()
        if not self._is_inherited:
            return
        with self._lock:
            cut_off = self._is_inherited and self._client is not None and not self._given_up
            self._is_inherited = False
        if cut_off and self._own.get_provider_status() is ProviderStatus.NOT_READY:
            daemon_thread("convert-openfeature", self._start_again).start()

    def _start_again(self) -> None:
        """Initialize, and announce how it ended, as OpenFeature's own thread does."""
        with suppress(OpenFeatureError):
            self.initialize()
        status = self.status()
        self._emit(*self._event(ProviderStatus.READY if status is ProviderStatus.STALE else status))
        with self._lock:
            self._open_once()
            self._report()

    def _expect_announcement(self) -> None:
        with self._lock:
            self._open, self._ended_at = False, None
            self._told = ProviderStatus.NOT_READY
        for event in _ANNOUNCED:
            with suppress(ValueError):  # it is there from an earlier start
                self._own.remove_handler(event, self._announced)
            self._own.add_handler(event, self._announced)

    def _started(self) -> tuple[ProviderStatus, str]:
        """Start the client, and wait; the state then, and advice where nobody could wait."""
        client = self._client
        if isinstance(client, AsyncClient):
            if client.ready:
                return self.status(), ""
            with suppress(RuntimeError):
                self._starting = get_running_loop().create_task(client.start())
                return self.status(), _IN_LOOP
        elif client is not None:
            client.start()
        return self._waited(), ""

    def _waited(self) -> ProviderStatus:
        client = self._client
        until = monotonic() + (0.0 if client is None else client._options.start_wait)
        while True:
            status = self.status()
            worker = self._worker
            is_closed = worker is not None and worker.closed
            if (
                status is not ProviderStatus.ERROR
                or is_closed
                or self._given_up
                or self._client is not client
            ):
                return status
            if not self._looked.wait(until - monotonic()):
                return self.status()

    @property
    def _fetch_error(self) -> str:
        worker = self._worker
        error = None if worker is None else worker.runtime.poller.error
        if worker is not None and worker.closed:
            error = "the client is closed"
        elif worker is not None and not worker.is_started:
            error = "nobody has started the client: await client.start() in its loop"
        return f"no document has arrived: {error}" if error else "no document has arrived in time"

    # The events.

    def _announced(self, _: EventDetails) -> None:
        with self._lock:
            self._open_once()
            self._report()

    def _open_once(self) -> None:
        status = self._own.get_provider_status()
        if not self._open and status is not ProviderStatus.NOT_READY:
            self._open, self._told = True, status

    def look(self) -> None:
        """Tell of the state, if it is another one."""
        self._looked.notify()
        with self._lock:
            if self._ended_at is not None and monotonic() - self._ended_at > _PATIENCE:
                self._open_once()
            self._answers.stale = self.status() is ProviderStatus.STALE
            self._report()

    def replaced(self, change: DocumentChanged, before: Project, after: Project) -> None:
        """Note which flags have changed; the look that follows tells of them."""
        with self._lock:
            self._changed |= dict.fromkeys(changed_flags(change, before, after))

    def _report(self) -> None:
        if not self._open or self._client is None:
            return
        status = self.status()
        self._answers.stale = status is ProviderStatus.STALE
        if status is not self._told:
            self._told = status
            self._emit(*self._event(status))
        if self._changed:
            changed = [*self._changed]
            self._changed.clear()
            details = ProviderEventDetails(flags_changed=changed, metadata=self._revision)
            self._emit(ProviderEvent.PROVIDER_CONFIGURATION_CHANGED, details)

    def _event(self, status: ProviderStatus) -> tuple[ProviderEvent, ProviderEventDetails]:
        if status is ProviderStatus.READY:
            details = ProviderEventDetails(message="the document is up to date", metadata=self._revision)
            return ProviderEvent.PROVIDER_READY, details
        if status is ProviderStatus.STALE:
            message = "the document may be out of date: the server has not confirmed it of late"
            return ProviderEvent.PROVIDER_STALE, ProviderEventDetails(
                message=message, metadata=self._revision
            )
        fatal = status is ProviderStatus.FATAL
        code = ErrorCode.PROVIDER_FATAL if fatal else ErrorCode.PROVIDER_NOT_READY
        return ProviderEvent.PROVIDER_ERROR, ProviderEventDetails(message=self._fetch_error, error_code=code)

    @property
    def _revision(self) -> dict[str, bool | str | int | float]:
        project = self._client.project if self._client is not None else None
        return {} if project is None else {"version": project.revision}


_life_cycles: WeakSet[LifeCycle] = WeakSet()


def _reset_after_fork() -> None:
    for each in [*_life_cycles]:
        each.reset_after_fork()


register_after_fork(_reset_after_fork)

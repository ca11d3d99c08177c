"""The clients. An application makes one, once."""

from __future__ import annotations

from collections.abc import Mapping
from types import TracebackType
from typing import TYPE_CHECKING, NamedTuple, NoReturn, Self, Unpack, cast

from . import _checks as check
from ._core.facts import Place
from ._core.state import NOTHING, VisitorState
from ._delivery.engine import Engine
from ._delivery.visitors import VisitorCache
from ._process.exit import release_sigterm
from .errors import OptionError
from .options import OptionArguments, Options, build
from .project import Project
from .status import FlushReport
from .visitor import ObservedVisitor, Visitor

if TYPE_CHECKING:
    from ._config.schema.document import ProjectSettings
    from ._delivery.offline import AsyncOfflineDelivery, OfflineDelivery, Sink
    from ._delivery.previews import Previews
    from ._delivery.task import TaskWorker
    from ._delivery.thread import ThreadWorker
    from .status import Status
    from .stores import AsyncStore, Store

FLUSH_TIMEOUT = 5.0
_STORE_CLOSE = 1.0
"""Seconds for a store to close its connections."""
_NO_COPIES = (
    "a client cannot be pickled or copied: make one in each process, or share this one between threads"
)


class Client:
    """Runs a project's experiments: decides in memory, delivers in one daemon thread.

    The constructor does no I/O. The first `visitor()` of a process starts the thread and waits up to
    `start_wait` seconds, once, for the document. Threads share a client;
    forked processes get a fresh one by themselves. Raises OptionError for an option that cannot be used.

    Args:
        sdk_key: The SDK key, normally `account/project`. (variable CONVERT_SDK_KEY)
        sdk_secret: The secret of the SDK key, sent as a bearer token to both endpoints. (variable
            CONVERT_SDK_SECRET)
        environment: The environment to decide for; None takes the one that the document marks as default. (variable
            CONVERT_ENVIRONMENT)
        config_endpoint: The base URL of the Serving API. (default `"https://cdn-4.convertexperiments.com/api/v1/"`,
            variable CONVERT_CONFIG_ENDPOINT)
        track_endpoint: The base URL of the collector; `[project_id]` in it is filled in. (default
            `"https://[project_id].metrics.convertexperiments.com/v1/"`, variable CONVERT_TRACK_ENDPOINT)
        debug_token: A token for drafts and paused experiences. Tokens last 24 hours: a callable is asked before
            each fetch. (variable CONVERT_DEBUG_TOKEN)
        cache: "low" asks the CDN for a short-lived copy of the document. (default `"default"`)
        refresh_interval: Seconds between two fetches of the document, give or take a tenth. (default 300)
        start_wait: Seconds that the first `visitor()` of a process waits for the document, once. (default 2)
        request_timeout: Seconds for one whole answer. (default 10)
        tracking: False sends nothing and keeps nothing to send. (default `True`, variable CONVERT_TRACKING)
        enrich_data: True lets the API add what it knows to the events; None is True unless several processes share
            the store.
        source: The name of the sender in every tracking request. (default `"python-sdk"`)
        store: The store that remembers visitors beyond this process.
        max_visitors: Visitors that the process remembers at the same time. (default 10,000)
        batch_size: Events that start a tracking request at once. (default 100)
        flush_interval: Seconds after which fewer events are sent too. (default 1)
        max_queue: Events that wait in memory; more are dropped and counted. (default 10,000)
        delivery: "at_most_once" never repeats a request that may have arrived. (default `"at_least_once"`)
        spool: A folder in which undelivered events survive the process. (variable CONVERT_SPOOL)
        durability: "sync" writes to the spool before `decide` and `track` return. (default `"async"`)
        shutdown_timeout: Seconds for the last delivery, at `close()` or at the end of the process. (default 2)
        flush_on_sigterm: True delivers what waits when the process gets SIGTERM, for `shutdown_timeout` at most, before
            it ends. (default `True`)
        cache_dir: A folder for the last good document, so that a cold start decides while the network is down.
            (variable CONVERT_CACHE_DIR)
        allow_http: True permits http:// beyond this machine. (default `False`)
        ca_bundle: A file of certificates to trust in place of the usual ones. (variable CONVERT_CA_BUNDLE)
        proxy: The URL of an HTTP proxy; None follows HTTPS_PROXY and the like, but not for loopback. (variable
            CONVERT_PROXY)
        trust_env: False reads nothing from the environment: no variable below, no proxies, no certificates named
            there. (default `True`)
        transport: An httpx transport, for tests and special networks.
        observe: Callables that get every decision, exposure, conversion, delivery, incident and change of the
            document, in a thread of their own.
        hooks: The same, called where it happens, also within `decide` and `track`; exceptions are swallowed and
            counted.
        observe_facts: True gives each `Decided` the attributes and the location that were decided on. (default
            `False`)
        hash_seed: The seed of the hash; 0 is the default too, as in every Convert SDK. (default 9,999)
        max_traffic: The number of bucket values that a visitor may be hashed to. (default 10,000)
        exclude_experience_id: True hashes the visitor id without the experience id, so that all experiences split
            visitors alike. (default `False`)

    >>> client = Client("10035569/10034190", environment="staging")
    >>> client
    Client(environment='staging')
    """

    def __init__(self, sdk_key: str | None = None, **options: Unpack[OptionArguments]) -> None:
        parts: ClientParts | None = options.pop("_parts", None)  # type: ignore[typeddict-item]  # see `_of`
        if parts is None:
            parts = thread_parts(build({"sdk_key": sdk_key, **options}))
        self._options = parts.options
        self._store = parts.store
        self._engine = parts.engine
        self._previews = parts.previews
        self._worker = parts.worker

    @classmethod
    def _of(cls, parts: ClientParts) -> Self:
        return cls(_parts=parts)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]  # for no editor to show

    @classmethod
    def for_project(
        cls, account_id: str | int, project_id: str | int, **options: Unpack[OptionArguments]
    ) -> Self:
        """A client of the endpoints that need no SDK key; a secret is never sent there.

        Args:
            account_id: The id of the account, such as 10035569.
            project_id: The id of the project, such as 10034190.
            options: The options of the class, but for `sdk_key` and `sdk_secret`.

        Raises:
            OptionError: For an option that cannot be used.

        >>> Client.for_project(10035569, 10034190, environment="staging")
        Client(environment='staging')
        """
        return cls._of(thread_parts(keyless(options), project_key(account_id, project_id)))

    @classmethod
    def offline(
        cls,
        project: Project,
        sink: Sink | None = None,
        **options: Unpack[OptionArguments],
    ) -> Self:
        """A client without network or thread.

        Args:
            project: What to decide with: `Project.load` or `Project.parse`.
            sink: A callable that gets what would be sent, as bodies of tracking requests: by `flush()` and `close()`,
                and by `decide` or `track` when a thousand events wait. None tracks nothing.
            options: Those options of the class that are about deciding and reporting.

        Raises:
            OptionError: For an option that cannot be used.
            TypeError: For what is no project, and for a sink that cannot be called.

        >>> project = Project.parse(b'{"account_id": "1", "project": {"id": "2"}}')
        >>> Client.offline(project).visitor("v-1").decide("home").reason.value
        'unknown'
        """
        check_offline(project, sink)
        return cls._of(offline_parts(build({**options}, {}), project, sink))

    def start(self) -> None:
        """Start the thread that fetches and delivers, without waiting for it; idempotent.

        The first visitor of a process starts it too. Call it at start-up, so that no visitor waits for the document:
        in a server that forks, in the parent with `wait_until_ready` (its children decide at once), in each child, or
        in both.

        >>> client.start()
        """
        self._worker.start()

    def wait_until_ready(self, timeout: float) -> bool:
        """Start, and wait for the document.

        Args:
            timeout: Seconds to wait at most.

        Returns:
            True if a document is in use.

        Raises:
            TypeError: For what is no number.

        >>> client.wait_until_ready(timeout=5)
        True
        """
        return self._worker.wait_until_ready(check.duration("timeout", timeout))

    @property
    def ready(self) -> bool:
        """True once a document is in use, from the network, from `cache_dir` or from the parent of a fork.

        >>> client.ready
        True
        """
        return self._engine.project is not None

    def visitor(
        self, id: str | int, attributes: Mapping[str, object] | None = None, *, location: Place = NOTHING
    ) -> Visitor:
        """Make one visitor, for one request.

        The first one of a process starts the client, and waits up to `start_wait` seconds, once, for the document.

        Args:
            id: The name of the visitor, the same in every request: from a cookie or an account. It is hashed as text.
            attributes: The facts that audiences are asked about, such as `{"country": "DE", "plan": "pro"}`.
            location: The facts that locations are asked about, such as `{"url": "/cart"}`; `ANYWHERE` ignores location
                rules, and None is "not known", so that nothing is decided.

        Returns:
            A `Visitor`, pinned to the project of this moment.

        Raises:
            TypeError: For an id, attributes or a location of another type.
            ValueError: For an empty id.

        >>> client.visitor(42, {"country": "DE"}, location={"url": "/cart"}).peek("checkout-layout").reason.value
        'bucketed'
        """
        visitor_id = id if type(id) is str and id else check.visitor_id(id)
        if not self._worker.started[0]:
            self._worker.start_and_wait()
        if self._store is not None and is_to_load(self._engine, self._store, visitor_id):
            try:
                state = self._store.load(self._engine.store_key(visitor_id))
            except Exception:  # noqa: BLE001  # the store may be the application's own
                state = None
                self._engine.visitors.failed_loads += 1
            merge_loaded(self._engine, visitor_id, state)
        # A dict is copied: the application may use its own again for the next visitor.
        attributes = {**attributes} if type(attributes) is dict else check.attributes(attributes)
        if location is not NOTHING:
            location = check.location(location)
        if self._engine.observer is not None:
            return ObservedVisitor(self._engine, visitor_id, attributes, location)
        return Visitor(self._engine, visitor_id, attributes, location)

    def project_settings(self, *, timeout: float | None = None) -> ProjectSettings:
        """Fetch the settings of the browser's script from the Serving API, in this thread.

        Args:
            timeout: Seconds for the whole answer; `request_timeout` by default.

        Returns:
            The settings as a typed model.

        Raises:
            FetchError: Where no good answer comes.

        >>> def version(client: Client) -> str | None:
        ...     return client.project_settings(timeout=5).tracking_script.latest_version
        """
        if not self._worker.started[0]:
            self._worker.start_and_wait()
        request = self._previews.settings_request(self._engine.project, timeout)
        return self._previews.parse_settings(self._worker.ask(request))

    def load_preview(self, experience_id: str | int, *, timeout: float | None = None) -> bool:
        """Fetch an experience that is not live, in this thread, so that `visitor.preview` can show it.

        Args:
            experience_id: The id of the experience.
            timeout: Seconds for the whole answer; `request_timeout` by default.

        Returns:
            True if there is one of this id. One that was found is not fetched again for a minute.

        Raises:
            FetchError: Where no good answer comes. What a callable debug token raises comes through.

        >>> def show(client: Client, visitor: Visitor) -> bool:
        ...     return client.load_preview("100346007") and visitor.preview("100346007", "1003460072")
        """
        wanted, project = str(experience_id), self._engine.project
        request = self._previews.preview_request(wanted, project, timeout)
        return request is None or self._previews.accept_preview(wanted, project, self._worker.ask(request))

    def flush(self, timeout: float = FLUSH_TIMEOUT) -> FlushReport:
        """Send what waits now.

        Args:
            timeout: Seconds for it; what is still pending then stays queued.

        Returns:
            A `FlushReport`: events sent and dropped meanwhile, and those still pending.

        >>> client.flush(timeout=2)
        FlushReport(sent=0, pending=0, dropped=0)
        """
        return self._worker.flush(timeout)

    def close(self, timeout: float | None = None) -> FlushReport:
        """Flush and end the thread; idempotent. Visitors still decide afterwards, and nothing more is sent.

        Args:
            timeout: Seconds for the last delivery; `shutdown_timeout` by default.

        Returns:
            A `FlushReport`: events sent and dropped meanwhile, and those still pending, as in a spool.

        >>> project = Project.parse(b'{"account_id": "1", "project": {"id": "2"}}')
        >>> Client.offline(project).close()
        FlushReport(sent=0, pending=0, dropped=0)
        """
        report = self._worker.close(timeout)
        release_sigterm()
        return report

    def status(self) -> Status:
        """The state of the client in figures; `healthy` among them, for a probe. It asks nobody.

        >>> client.status().healthy
        True
        """
        return self._worker.status()

    @property
    def project(self) -> Project | None:
        """The project in use; None before the first document.

        >>> client.project
        Project(1/2, 2 experiences)
        """
        return self._engine.project

    def __enter__(self) -> Self:
        self._worker.start()
        self._worker.wait_until_ready(self._options.start_wait)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __del__(self) -> None:
        worker = getattr(self, "_worker", None)  # None where the constructor raised
        if worker is not None:
            worker.abandon()

    def __reduce__(self) -> NoReturn:
        raise TypeError(_NO_COPIES)

    def __repr__(self) -> str:
        options: Options | None = getattr(self, "_options", None)  # None while it is half made
        return f"{type(self).__name__}({'' if options is None else options.changed})"


class AsyncClient:
    """`Client` for asyncio: the same names, one task; what may move bytes is awaited.

    Made without a loop, it starts in the loop that first uses it. The visitors are the same plain class.
    Raises OptionError for an option that cannot be used.

    Args:
        sdk_key: The SDK key, normally `account/project`. (variable CONVERT_SDK_KEY)
        sdk_secret: The secret of the SDK key, sent as a bearer token to both endpoints. (variable
            CONVERT_SDK_SECRET)
        environment: The environment to decide for; None takes the one that the document marks as default. (variable
            CONVERT_ENVIRONMENT)
        config_endpoint: The base URL of the Serving API. (default `"https://cdn-4.convertexperiments.com/api/v1/"`,
            variable CONVERT_CONFIG_ENDPOINT)
        track_endpoint: The base URL of the collector; `[project_id]` in it is filled in. (default
            `"https://[project_id].metrics.convertexperiments.com/v1/"`, variable CONVERT_TRACK_ENDPOINT)
        debug_token: A token for drafts and paused experiences. Tokens last 24 hours: a callable is asked before
            each fetch. (variable CONVERT_DEBUG_TOKEN)
        cache: "low" asks the CDN for a short-lived copy of the document. (default `"default"`)
        refresh_interval: Seconds between two fetches of the document, give or take a tenth. (default 300)
        start_wait: Seconds that the first `visitor()` of a process waits for the document, once. (default 2)
        request_timeout: Seconds for one whole answer. (default 10)
        tracking: False sends nothing and keeps nothing to send. (default `True`, variable CONVERT_TRACKING)
        enrich_data: True lets the API add what it knows to the events; None is True unless several processes share
            the store.
        source: The name of the sender in every tracking request. (default `"python-sdk"`)
        store: The store that remembers visitors beyond this process.
        max_visitors: Visitors that the process remembers at the same time. (default 10,000)
        batch_size: Events that start a tracking request at once. (default 100)
        flush_interval: Seconds after which fewer events are sent too. (default 1)
        max_queue: Events that wait in memory; more are dropped and counted. (default 10,000)
        delivery: "at_most_once" never repeats a request that may have arrived. (default `"at_least_once"`)
        spool: A folder in which undelivered events survive the process. (variable CONVERT_SPOOL)
        durability: "sync" writes to the spool before `decide` and `track` return. (default `"async"`)
        shutdown_timeout: Seconds for the last delivery, at `close()` or at the end of the process. (default 2)
        flush_on_sigterm: True delivers what waits when the process gets SIGTERM, for `shutdown_timeout` at most, before
            it ends. (default `True`)
        cache_dir: A folder for the last good document, so that a cold start decides while the network is down.
            (variable CONVERT_CACHE_DIR)
        allow_http: True permits http:// beyond this machine. (default `False`)
        ca_bundle: A file of certificates to trust in place of the usual ones. (variable CONVERT_CA_BUNDLE)
        proxy: The URL of an HTTP proxy; None follows HTTPS_PROXY and the like, but not for loopback. (variable
            CONVERT_PROXY)
        trust_env: False reads nothing from the environment: no variable below, no proxies, no certificates named
            there. (default `True`)
        transport: An httpx transport, for tests and special networks.
        observe: Callables that get every decision, exposure, conversion, delivery, incident and change of the
            document, in a thread of their own.
        hooks: The same, called where it happens, also within `decide` and `track`; exceptions are swallowed and
            counted.
        observe_facts: True gives each `Decided` the attributes and the location that were decided on. (default
            `False`)
        hash_seed: The seed of the hash; 0 is the default too, as in every Convert SDK. (default 9,999)
        max_traffic: The number of bucket values that a visitor may be hashed to. (default 10,000)
        exclude_experience_id: True hashes the visitor id without the experience id, so that all experiences split
            visitors alike. (default `False`)

    >>> async def layout(client: AsyncClient, visitor_id: str) -> str | None:
    ...     visitor = await client.visitor(visitor_id)
    ...     return visitor.decide("checkout-layout").variation_key
    """

    def __init__(self, sdk_key: str | None = None, **options: Unpack[OptionArguments]) -> None:
        parts: AsyncClientParts | None = options.pop("_parts", None)  # type: ignore[typeddict-item]  # see `_of`
        if parts is None:
            parts = task_parts(build({"sdk_key": sdk_key, **options}))
        self._options = parts.options
        self._store = parts.options.store
        self._engine = parts.engine
        self._previews = parts.previews
        self._worker = parts.worker

    @classmethod
    def _of(cls, parts: AsyncClientParts) -> Self:
        return cls(_parts=parts)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]  # for no editor to show

    @classmethod
    def for_project(
        cls, account_id: str | int, project_id: str | int, **options: Unpack[OptionArguments]
    ) -> Self:
        """A client of the endpoints that need no SDK key; a secret is never sent there.

        Args:
            account_id: The id of the account, such as 10035569.
            project_id: The id of the project, such as 10034190.
            options: The options of the class, but for `sdk_key` and `sdk_secret`.

        Raises:
            OptionError: For an option that cannot be used.

        >>> AsyncClient.for_project(10035569, 10034190, environment="staging")
        AsyncClient(environment='staging')
        """
        return cls._of(task_parts(keyless(options), project_key(account_id, project_id)))

    @classmethod
    def offline(
        cls,
        project: Project,
        sink: Sink | None = None,
        **options: Unpack[OptionArguments],
    ) -> Self:
        """A client without network or task; its store may be one that is awaited.

        Args:
            project: What to decide with: `Project.load` or `Project.parse`.
            sink: A callable that gets what would be sent, as bodies of tracking requests: by `flush()` and `close()`,
                and by `decide` or `track` when a thousand events wait. None tracks nothing.
            options: Those options of the class that are about deciding and reporting.

        Raises:
            OptionError: For an option that cannot be used.
            TypeError: For what is no project, and for a sink that cannot be called.

        >>> project = Project.parse(b'{"account_id": "1", "project": {"id": "2"}}')
        >>> AsyncClient.offline(project).ready
        True
        """
        check_offline(project, sink)
        return cls._of(async_offline_parts(build({**options}, {}), project, sink))

    async def start(self) -> None:
        """Start the task that fetches and delivers, without waiting for it; idempotent.

        The first visitor of a process starts it too. Call it at start-up, so that no visitor waits for the document:
        in a server that forks, in the parent with `wait_until_ready` (its children decide at once), in each child, or
        in both.

        >>> async def at_start_up(client: AsyncClient) -> None:
        ...     await client.start()
        """
        await self._worker.start()

    async def wait_until_ready(self, timeout: float) -> bool:
        """Start, and wait for the document.

        Args:
            timeout: Seconds to wait at most.

        Returns:
            True if a document is in use.

        Raises:
            TypeError: For what is no number.

        >>> async def is_ready(client: AsyncClient) -> bool:
        ...     return await client.wait_until_ready(timeout=5)
        """
        return await self._worker.wait_until_ready(check.duration("timeout", timeout))

    @property
    def ready(self) -> bool:
        """True once a document is in use, from the network, from `cache_dir` or from the parent of a fork.

        >>> client.ready
        True
        """
        return self._engine.project is not None

    async def visitor(
        self, id: str | int, attributes: Mapping[str, object] | None = None, *, location: Place = NOTHING
    ) -> Visitor:
        """Make one visitor, for one request.

        The first one of a process starts the client, and waits up to `start_wait` seconds, once, for the document.

        Args:
            id: The name of the visitor, the same in every request: from a cookie or an account. It is hashed as text.
            attributes: The facts that audiences are asked about, such as `{"country": "DE", "plan": "pro"}`.
            location: The facts that locations are asked about, such as `{"url": "/cart"}`; `ANYWHERE` ignores location
                rules, and None is "not known", so that nothing is decided.

        Returns:
            A `Visitor`, pinned to the project of this moment. Its verbs are not awaited.

        Raises:
            TypeError: For an id, attributes or a location of another type.
            ValueError: For an empty id.

        >>> async def reason(client: AsyncClient) -> str:
        ...     visitor = await client.visitor(42, {"country": "DE"}, location={"url": "/cart"})
        ...     return visitor.peek("checkout-layout").reason.value
        """
        visitor_id = check.visitor_id(id)
        await self._worker.start_and_wait()
        if self._store is not None and is_to_load(self._engine, self._store, visitor_id):
            try:
                state = await self._worker.load(self._engine.store_key(visitor_id))
            except Exception:  # noqa: BLE001  # the store may be the application's own
                state = None
                self._engine.visitors.failed_loads += 1
            merge_loaded(self._engine, visitor_id, state)
        attributes, location = check.attributes(attributes), check.location(location)
        if self._engine.observer is not None:
            return ObservedVisitor(self._engine, visitor_id, attributes, location)
        return Visitor(self._engine, visitor_id, attributes, location)

    async def project_settings(self, *, timeout: float | None = None) -> ProjectSettings:
        """Fetch the settings of the browser's script from the Serving API.

        Args:
            timeout: Seconds for the whole answer; `request_timeout` by default.

        Returns:
            The settings as a typed model.

        Raises:
            FetchError: Where no good answer comes.

        >>> async def version(client: AsyncClient) -> str | None:
        ...     return (await client.project_settings(timeout=5)).tracking_script.latest_version
        """
        await self._worker.start_and_wait()
        request = self._previews.settings_request(self._engine.project, timeout)
        return self._previews.parse_settings(await self._worker.ask(request))

    async def load_preview(self, experience_id: str | int, *, timeout: float | None = None) -> bool:
        """Fetch an experience that is not live, so that `visitor.preview` can show it.

        Args:
            experience_id: The id of the experience.
            timeout: Seconds for the whole answer; `request_timeout` by default.

        Returns:
            True if there is one of this id. One that was found is not fetched again for a minute.

        Raises:
            FetchError: Where no good answer comes. What a callable debug token raises comes through.

        >>> async def show(client: AsyncClient, visitor: Visitor) -> bool:
        ...     return await client.load_preview("100346007") and visitor.preview("100346007", "1003460072")
        """
        from asyncio import to_thread

        wanted, project = str(experience_id), self._engine.project
        request = self._previews.preview_request(wanted, project, timeout)
        if request is None:
            return True
        answer = await self._worker.ask(request)
        return await to_thread(self._previews.accept_preview, wanted, project, answer)

    async def flush(self, timeout: float = FLUSH_TIMEOUT) -> FlushReport:
        """Send what waits now.

        Args:
            timeout: Seconds for it; what is still pending then stays queued.

        Returns:
            A `FlushReport`: events sent and dropped meanwhile, and those still pending.

        >>> async def pending(client: AsyncClient) -> int:
        ...     return (await client.flush(timeout=2)).pending
        """
        return await self._worker.flush(timeout)

    async def close(self, timeout: float | None = None) -> FlushReport:
        """Flush and end the task; idempotent. Visitors still decide afterwards, and nothing more is sent.

        An asynchronous store's connections in this event loop are closed, too.

        Args:
            timeout: Seconds for the last delivery; `shutdown_timeout` by default.

        Returns:
            A `FlushReport`: events sent and dropped meanwhile, and those still pending, as in a spool.

        >>> async def end(client: AsyncClient) -> None:
        ...     await client.close(timeout=5)
        """
        from asyncio import wait_for
        from inspect import iscoroutinefunction
        from logging import getLogger

        report = await self._worker.close(timeout)
        store = self._options.store
        if iscoroutinefunction(getattr(store, "close", None)):
            try:
                await wait_for(cast("AsyncStore", store).close(), _STORE_CLOSE)
            except Exception as error:  # noqa: BLE001  # the store may be the application's own
                getLogger("convert_sdk").warning("the store could not be closed: %s", type(error).__name__)
        release_sigterm()
        return report

    def status(self) -> Status:
        """The state of the client in figures; `healthy` among them, for a probe. It asks nobody.

        >>> client.status().healthy
        True
        """
        return self._worker.status()

    @property
    def project(self) -> Project | None:
        """The project in use; None before the first document.

        >>> client.project
        Project(1/2, 2 experiences)
        """
        return self._engine.project

    async def __aenter__(self) -> Self:
        await self._worker.start()
        await self._worker.wait_until_ready(self._options.start_wait)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    def __del__(self) -> None:
        worker = getattr(self, "_worker", None)  # None where the constructor raised
        if worker is not None:
            worker.abandon()

    def __reduce__(self) -> NoReturn:
        raise TypeError(_NO_COPIES)

    def __repr__(self) -> str:
        options: Options | None = getattr(self, "_options", None)  # None while it is half made
        return f"{type(self).__name__}({'' if options is None else options.changed})"


class ClientParts(NamedTuple):
    """The parts of a `Client`, made for its options."""

    options: Options
    store: Store | None
    engine: Engine
    previews: Previews
    worker: ThreadWorker | OfflineDelivery


class AsyncClientParts(NamedTuple):
    """The parts of an `AsyncClient`, made for its options."""

    options: Options
    engine: Engine
    previews: Previews
    worker: TaskWorker | AsyncOfflineDelivery


def thread_parts(options: Options, key: str | None = None) -> ClientParts:
    """The parts of a client that delivers in threads; `key` stands for an SDK key."""
    from ._delivery.previews import Previews
    from ._delivery.thread import ThreadWorker

    store, engine, key = sync_store(options), engine_of(options), key or sdk_key_of(options)
    previews = Previews(options, key, engine.previews)
    return ClientParts(options, store, engine, previews, ThreadWorker(options, key, engine, store))


def task_parts(options: Options, key: str | None = None) -> AsyncClientParts:
    """The parts of a client that delivers in asyncio tasks; `key` stands for an SDK key."""
    from ._delivery.previews import Previews
    from ._delivery.task import TaskWorker

    engine, key = engine_of(options), key or sdk_key_of(options)
    previews = Previews(options, key, engine.previews)
    return AsyncClientParts(options, engine, previews, TaskWorker(options, key, engine, options.store))


def offline_parts(options: Options, project: Project, sink: Sink | None) -> ClientParts:
    """The parts of a client that hands its events to a function."""
    from ._delivery.offline import OfflineDelivery
    from ._delivery.previews import Previews

    store, engine = sync_store(options), engine_of(options)
    worker = OfflineDelivery(engine, options, project, sink, store)
    return ClientParts(options, store, engine, Previews(options, None, engine.previews), worker)


def async_offline_parts(options: Options, project: Project, sink: Sink | None) -> AsyncClientParts:
    """The parts of an asyncio client that hands its events to a function."""
    from ._delivery.offline import AsyncOfflineDelivery
    from ._delivery.previews import Previews

    engine = engine_of(options)
    worker = AsyncOfflineDelivery(engine, options, project, sink, options.store)
    return AsyncClientParts(options, engine, Previews(options, None, engine.previews), worker)


def check_offline(project: object, sink: object) -> None:
    """Raise TypeError for what an offline client cannot work with."""
    if not isinstance(project, Project):
        found = type(project).__name__
        raise TypeError(f"project must be what Project.load or Project.parse gives, not {found}")
    if sink is not None and not callable(sink):
        raise TypeError(f"sink must be a callable that takes bytes, not {type(sink).__name__}")


def engine_of(options: Options) -> Engine:
    """An engine for these options."""
    store = options.store
    observer = None
    observed = bool(options.observe or options.hooks)
    if observed:
        from ._delivery.observer import Observer

        observer = Observer(options.observe, options.hooks, with_facts=options.observe_facts)
    return Engine(
        VisitorCache(options.max_visitors, stored=store is not None),
        None,
        environment=options.environment,
        claiming=store is not None and store.shared,
        naming=options.spool is not None or observed,
        observer=observer,
    )


def sync_store(options: Options) -> Store | None:
    """The store, which `Client` cannot await. Raises OptionError for one that must be, and such a transport."""
    if options.transport is not None and not hasattr(options.transport, "handle_request"):
        raise OptionError("this transport is for AsyncClient: give Client an httpx.BaseTransport")
    store = options.store
    if store is None:
        return None
    from inspect import iscoroutinefunction

    if iscoroutinefunction(store.load):
        raise OptionError(
            "this store is for AsyncClient: its load is a coroutine; give Client one with plain methods"
        )
    return cast("Store", store)


def sdk_key_of(options: Options) -> str:
    """The SDK key. Raises OptionError where there is none."""
    if options.sdk_key is None:
        raise OptionError("an SDK key is needed: give it, set CONVERT_SDK_KEY, or use for_project")
    return options.sdk_key


def project_key(account_id: str | int, project_id: str | int) -> str:
    """The name of a project at the endpoints without keys. Raises OptionError for what are no ids."""
    return f"{check.entity_id(account_id)}/{check.entity_id(project_id)}"


def keyless(options: OptionArguments) -> Options:
    """Options for the endpoints without keys, where a secret has no business."""
    return build({**options})._replace(sdk_key=None, sdk_secret=None)


def is_to_load(engine: Engine, store: Store | AsyncStore, visitor_id: str) -> bool:
    """True if the store may know more of a visitor than this process does."""
    return engine.project is not None and (store.shared or visitor_id not in engine.states)


def merge_loaded(engine: Engine, visitor_id: str, state: VisitorState | None) -> None:
    """Remember what the store knows."""
    if state is not None:
        with engine.lock:
            engine.visitors.merge_loaded(visitor_id, state)

"""The client of asyncio. An application makes one, once."""

from __future__ import annotations

from collections.abc import Mapping
from os import getpid
from types import TracebackType
from typing import TYPE_CHECKING, Literal, NoReturn, Self, Unpack, cast, overload

from . import _checks as check
from . import _client_parts
from ._client_parts import (
    FLUSH_TIMEOUT,
    NO_COPIES,
    AsyncClientParts,
    async_offline_parts,
    check_offline,
    keyless,
    project_key,
)
from ._core.consent import BeforeConsent, Consent
from ._core.facts import Place
from ._core.state import NOTHING
from ._delivery.overrides import OverrideScope, checked_override
from ._new_visitor import (
    answer_before_loading,
    give_consent,
    handed_over,
    is_to_load,
    merge_loaded,
    over_a_request,
)
from ._process.exit import release_sigterm
from .options import OptionArguments, Options, build
from .project import Project
from .status import FlushReport, ForgetReport
from .visitor import Visitor, bare_visitor

if TYPE_CHECKING:
    from ._config.schema.document import ProjectSettings
    from ._delivery.offline import Sink
    from ._doctor.subject import Subject
    from ._tokens.handover import Handover
    from .diagnosis import Diagnosis
    from .status import Status
    from .stores import AsyncStore

_STORE_CLOSE = 1.0
"""Seconds for a store to close its connections."""


class AsyncClient:
    """`Client` for asyncio: the same names, tasks in place of threads; what may move bytes is awaited.

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
        secrets: The secrets that sign what a visitor takes along, as by `visitor.handover`: the first one signs, the
            others are still accepted. In the variable, white space stands between them. (variable CONVERT_SECRETS)
        debug_token: A token for drafts and paused experiences. Tokens last 24 hours: a callable is asked before
            each fetch. (variable CONVERT_DEBUG_TOKEN)
        cache: "low" asks the CDN for a short-lived copy of the document. (default `"default"`)
        refresh_interval: Seconds between two fetches of the document, give or take a tenth. (default 300)
        start_wait: Seconds that the first `visitor()` of a process waits for the document, once. (default 2)
        request_timeout: Seconds for one whole answer. (default 10)
        tracking: False sends nothing and keeps nothing to send. (default `True`, variable CONVERT_TRACKING)
        enrich_data: True lets the API add what it knows to the events; None is True unless several processes share
            the store.
        report_id: A secret of 16 characters or more: tracking requests name each visitor by a hash with this key, in
            place of the id. (variable CONVERT_REPORT_ID)
        source: The name of the sender in every tracking request. (default `"python-sdk"`)
        store: The store that remembers visitors beyond this process.
        max_visitors: Visitors that the process remembers at the same time. (default 10,000)
        batch_size: Events that start a tracking request at once. (default 100)
        flush_interval: Seconds after which fewer events are sent too. (default 1)
        max_queue: Events that wait in memory; more are dropped and counted. (default 10,000)
        delivery: "at_most_once" never repeats a request that may have arrived. (default `"at_least_once"`)
        spool: A folder, and no link to one, in which undelivered events survive the process. (variable
            CONVERT_SPOOL)
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
            document, each an object of `convert_sdk.observation`, in a thread of their own.
        hooks: The same, called where it happens, also within `decide` and `track`; exceptions are swallowed and
            counted.
        observe_facts: True gives each `Decided` the attributes and the location that were decided on. (default
            `False`)
        overrides: A .json or .toml file of variations and features to force; it is looked at every second. (variable
            CONVERT_OVERRIDES)
        override_mode: The file "local_over_remote" wins over the document, "remote_over_local" adds what that lacks,
            and "local_only" fetches and sends nothing. (default `"local_over_remote"`)
        status_file: A file that has the client's `status()` as JSON, every second, for `convert-sdk watch`; `{pid}` in
            its name is filled in. (variable CONVERT_STATUS_FILE)
        status_url: The address of a local Serving API, `http://127.0.0.1:8088/_status/account/project`, that is told
            the same every second and compares it with what it received. (variable CONVERT_STATUS_URL)
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
            parts = _client_parts.task_parts(build({"sdk_key": sdk_key, **options}))
        self._options = parts.options
        self._store = parts.options.store
        self._engine = parts.engine
        self._previews = parts.previews
        self._worker = parts.worker
        self._pid = getpid()

    def _swap(self, parts: AsyncClientParts) -> AsyncClientParts:
        """Work with these parts from now on, as in a test; returns the former ones."""
        parts.engine.secrets = self._engine.secrets  # those of a framework too
        former = AsyncClientParts(self._options, self._engine, self._previews, self._worker)
        self._options, self._engine, self._previews, self._worker = parts
        self._store = parts.options.store
        return former

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
        return cls._of(_client_parts.task_parts(keyless(options), project_key(account_id, project_id)))

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
            sink: A callable that gets what would be sent: the body of each tracking request, as bytes of JSON. It is
                called by `flush()` and `close()`, and by `decide` or `track` when a thousand events wait. None tracks
                nothing.
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
        """Start the tasks that fetch and deliver, without waiting for them; idempotent.

        The first visitor of a process starts them too. Call it at start-up, so that no visitor waits for the document:
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
            ValueError: For NaN.

        >>> async def is_ready(client: AsyncClient) -> bool:
        ...     return await client.wait_until_ready(timeout=5)
        """
        return await self._worker.wait_until_ready(check.seconds(timeout))

    @property
    def ready(self) -> bool:
        """True once a document is in use, from the network, from `cache_dir` or from the parent of a fork.

        >>> client.ready
        True
        """
        return self._engine.project is not None

    async def visitor(
        self,
        id: str | int,
        attributes: Mapping[str, object] | None = None,
        *,
        location: Place = NOTHING,
        bucketing_id: str | int | None = None,
        consent: Consent | None = None,
        before_consent: BeforeConsent = "control",
    ) -> Visitor:
        """Make one visitor, for one request.

        The first one of a process starts the client, and waits up to `start_wait` seconds, once, for the document.

        Args:
            id: The name of the visitor, the same in every request: from a cookie or an account. It is hashed as text.
            attributes: The facts that audiences are asked about, such as `{"country": "DE", "plan": "pro"}`.
            location: The facts that locations are asked about, such as `{"url": "/cart"}`; `ANYWHERE` ignores location
                rules, and None is "not known", so that nothing is decided.
            bucketing_id: An id that is hashed in the place of the visitor's, such as a company's: all who share it see
                the same variations. What is remembered and reported stays under the visitor's own id.
            consent: The visitor's answer: `GRANTED`, `DENIED` (no variation, nothing stored or sent) or `UNKNOWN`.
                `GRANTED` also sends what was held of the visitor; None counts as granted, and sends nothing older.
            before_consent: The treatment of somebody whose consent is unknown. "control" gives no variation, and
                "decide" decides, and holds the events until consent is given, for half an hour at most.

        Returns:
            A `Visitor`, pinned to the project of this moment. Its verbs are not awaited.

        Raises:
            TypeError: For an id, attributes, a location, a bucketing id or a consent of another type.
            ValueError: For an empty id, and another word as before_consent.

        >>> async def reason(client: AsyncClient) -> str:
        ...     visitor = await client.visitor(42, {"country": "DE"}, location={"url": "/cart"})
        ...     return visitor.peek("checkout-layout").reason.value
        """
        visitor_id = check.visitor_id(id)
        await self._worker.start_and_wait()
        store = self._store
        if store is not None and is_to_load(self._engine, store, visitor_id, consent):
            forgotten = self._engine.visitors.forgotten.get(visitor_id)
            try:
                state = await self._worker.load(self._engine.store_key(visitor_id))
            except Exception:  # noqa: BLE001  # the store may be the application's own
                state = None
                self._engine.visitors.failed_loads += 1
            merge_loaded(self._engine, visitor_id, state, forgotten)
        attributes, location = over_a_request(check.attributes(attributes), check.location(location))
        visitor = bare_visitor(self._engine, visitor_id, attributes, location)
        if bucketing_id is not None:
            visitor._hashed = check.bucketing_id(bucketing_id)
        if consent is not None:
            give_consent(visitor, consent, before_consent)
        return visitor

    async def visitor_from(
        self,
        token: str,
        attributes: Mapping[str, object] | None = None,
        *,
        location: Place = NOTHING,
        keep_expired: bool = False,
    ) -> Visitor | None:
        """Make the visitor that another process handed over by `visitor.handover`.

        What was decided there counts here, before the hash and what this process remembers, and is not exposed again;
        what the document lacks is left out. The gates of an experience are asked as of every decision that is kept.

        Args:
            token: The token. It comes from outside: no text raises.
            attributes: The facts that audiences are asked about; a token has none.
            location: The facts that locations are asked about, as of `visitor`.
            keep_expired: True takes the id and the consent from a token whose time is over, without its decisions.

        Returns:
            A `Visitor`; None for a token that is refused: changed, too long, too old, made with another secret, for
            another project or environment.

        Raises:
            OptionError: Where the client has no secrets.
            TypeError: For a token that is no str, and for attributes or a location of another type.

        >>> async def taken_up(client: AsyncClient, token: str) -> str | None:
        ...     visitor = await client.visitor_from(token)
        ...     return None if visitor is None else visitor.id
        """
        check.key(token, "token")
        await self._worker.start_and_wait()
        handover = handed_over(self._engine, token, keep_expired=keep_expired)
        return None if handover is None else await visitor_of_awaited(self, handover, attributes, location)

    @overload
    def override(
        self,
        experience: str,
        variation: str,
        *,
        gates: bool = False,
        visitor_id: str | int | None = None,
        everywhere: bool = False,
    ) -> OverrideScope: ...
    @overload
    def override(
        self,
        experience: str,
        *,
        enabled: Literal[False],
        gates: bool = False,
        visitor_id: str | int | None = None,
        everywhere: bool = False,
    ) -> OverrideScope: ...
    @overload
    def override(
        self,
        *,
        feature: str,
        variables: Mapping[str, object] | None = None,
        enabled: bool = True,
        visitor_id: str | int | None = None,
        everywhere: bool = False,
    ) -> OverrideScope: ...
    def override(
        self,
        experience: str | None = None,
        variation: str | None = None,
        *,
        feature: str | None = None,
        variables: Mapping[str, object] | None = None,
        enabled: bool = True,
        gates: bool = False,
        visitor_id: str | int | None = None,
        everywhere: bool = False,
    ) -> OverrideScope:
        """Force a variation or a feature while a block or a decorated function runs: for tests and for trying out.

        Nothing of it is stored, no exposure is sent, and conversions are sent without the overridden experience.

        Args:
            experience: The key of an experience; the document may lack it.
            variation: The key of the variation that visitors get, whatever the rules, the store and the hash say.
            feature: The key of a feature, in place of an experience; the experiences that carry it are not asked.
            variables: The variables of the feature, all of them.
            enabled: False for no variation of the experience, and for a feature that is off.
            gates: True asks the gates (environment, location, audiences) of the experience all the same.
            visitor_id: The one visitor whom it is for; None for all.
            everywhere: True for all threads; otherwise it holds in this context, and in the tasks and threads that take
                the context along.

        Returns:
            A context manager, which is a decorator too, for functions with and without `async`.

        Raises:
            TypeError: For arguments that do not go together, and for other types.
            ValueError: For an empty visitor id.

        >>> async def discount(client: AsyncClient) -> float:
        ...     with client.override(feature="pricing", variables={"discount": 0.5}):
        ...         return (await client.visitor("v-42")).feature("pricing").get("discount", 0.0)
        """
        override = checked_override(
            experience,
            variation,
            feature=feature,
            variables=variables,
            enabled=enabled,
            gates=gates,
            visitor_id=visitor_id,
        )
        return OverrideScope(lambda: self._engine.overrides, override, everywhere=everywhere)

    async def reload_overrides(self) -> tuple[str, ...]:
        """Read the file of overrides now, as offline nobody does and otherwise the fetching task does every second.

        Returns:
            The flaws of the file, one sentence each, which begins with the place; entries without one are in force.

        Raises:
            OptionError: If the client has no such file.

        >>> async def reloaded(client: AsyncClient) -> bool:
        ...     return not await client.reload_overrides()
        """
        return await self._worker.reload_overrides()

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
        request = self._previews.settings_request(self._engine.project, check.seconds_or_none(timeout))
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
            TypeError: For an id that is neither a str nor an int.

        >>> async def show(client: AsyncClient, visitor: Visitor) -> bool:
        ...     return await client.load_preview("100346007") and visitor.preview("100346007", "1003460072")
        """
        from asyncio import to_thread

        wanted, project = check.id_text("experience_id", experience_id), self._engine.project
        request = self._previews.preview_request(wanted, project, check.seconds_or_none(timeout))
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
        return await self._worker.flush(check.seconds(timeout))

    async def forget(self, visitor_id: str | int, *, timeout: float = FLUSH_TIMEOUT) -> ForgetReport:
        """Forget a visitor: what is remembered here and in the store, and the events that still wait.

        What was sent cannot be recalled. Other processes forget the visitor when they next ask a store that they share;
        without one, and of events that they hold, they do not hear of it. It may be called for a visitor who was never
        seen.

        Args:
            visitor_id: The name of the visitor, as `visitor()` takes it.
            timeout: Seconds to wait for disk and store; what is not done by then is gone on with.

        Returns:
            A `ForgetReport`: what came of it in the store, and the events that are gone or on their way.

        Raises:
            TypeError: For an id that is neither a str nor an int, and a timeout that is no number.
            ValueError: For an empty id, and NaN.

        >>> async def on_request(client: AsyncClient, visitor_id: str) -> bool:
        ...     return (await client.forget(visitor_id, timeout=5)).store.value == "deleted"
        """
        forgotten, seconds = check.visitor_id(visitor_id), check.seconds(timeout)
        await self._worker.start_and_wait()
        return await self._worker.forget(forgotten, seconds)

    async def close(self, timeout: float | None = None) -> FlushReport:
        """Flush and end the tasks; idempotent. Visitors still decide afterwards, and nothing more is sent.

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

        seconds = check.seconds_or_none(timeout)
        self._engine.drop_all_held()
        report = await self._worker.close(seconds)
        store = self._options.store
        if iscoroutinefunction(getattr(store, "close", None)):
            try:
                await wait_for(cast("AsyncStore", store).close(), _STORE_CLOSE)
            except Exception as error:  # noqa: BLE001  # the store may be the application's own
                getLogger("convert_sdk").warning("the store could not be closed: %s", type(error).__name__)
        release_sigterm()
        return report

    async def doctor(self, timeout: float = 10.0) -> Diagnosis:
        """Examine the client where it runs: endpoints, proxy, TLS, clock, key, store, and the server around it.

        Each endpoint is asked once, in this process, beside the loop; no event is sent.

        Args:
            timeout: Seconds for each request.

        Returns:
            A `Diagnosis`: `print` it. It shows no key, secret or visitor.

        >>> async def is_well(client: AsyncClient) -> bool:
        ...     return (await client.doctor()).healthy
        """
        from asyncio import to_thread

        from ._doctor.examination import examine

        return await to_thread(examine, self._subject(check.seconds(timeout)))

    def _subject(self, timeout: float) -> Subject:
        from ._doctor.subject import subject_of

        key, project = self._previews.key, self._engine.project
        return subject_of(self._options, key, project, self.status(), timeout, made_in=self._pid)

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
        raise TypeError(NO_COPIES)

    def __repr__(self) -> str:
        options: Options | None = getattr(self, "_options", None)  # None while it is half made
        return f"{type(self).__name__}({'' if options is None else options.changed})"


async def visitor_of_awaited(
    client: AsyncClient, handover: Handover, attributes: Mapping[str, object] | None, location: Place
) -> Visitor:
    """As `visitor_of`."""
    visitor = await client.visitor(
        handover.id,
        attributes,
        location=location,
        consent=answer_before_loading(handover),
    )
    visitor._take_up(handover)
    return visitor

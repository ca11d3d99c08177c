"""The parts of the clients, for their options."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, cast

from . import _checks as check
from ._delivery.engine import Engine
from ._delivery.overrides import Overrides
from ._delivery.visitors import VisitorCache
from .errors import OptionError
from .options import OptionArguments, Options, build
from .project import Project

if TYPE_CHECKING:
    from ._delivery.offline import AsyncOfflineDelivery, OfflineDelivery, Sink
    from ._delivery.previews import Previews
    from ._delivery.task import TaskWorker
    from ._delivery.thread import ThreadWorker
    from .stores import Store

FLUSH_TIMEOUT = 5.0
NO_COPIES = (
    "a client cannot be pickled or copied: make one in each process, or share this one between threads"
)


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

    options = without_network(options)
    store, engine, key = sync_store(options), engine_of(options), key or sdk_key_of(options)
    previews = Previews(options, key, engine.previews)
    return ClientParts(options, store, engine, previews, ThreadWorker(options, key, engine, store))


def task_parts(options: Options, key: str | None = None) -> AsyncClientParts:
    """The parts of a client that delivers in asyncio tasks; `key` stands for an SDK key."""
    from ._delivery.previews import Previews
    from ._delivery.task import TaskWorker

    options = without_network(options)
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
    from ._delivery.offline import AsyncOfflineDelivery, OfflineDelivery
    from ._delivery.previews import Previews

    engine = engine_of(options)
    inner = OfflineDelivery(engine, options, project, sink, None)
    worker = AsyncOfflineDelivery(engine, inner, options.store)
    return AsyncClientParts(options, engine, Previews(options, None, engine.previews), worker)


def without_network(options: Options) -> Options:
    """The options; of a client that is local only, without what keeps events and documents for the network."""
    if not options.is_local:
        return options
    return options._replace(tracking=False, spool=None, cache_dir=None, durability="async")


def check_offline(project: object, sink: object) -> None:
    """Raise TypeError for what an offline client cannot work with."""
    if not isinstance(project, Project):
        found = type(project).__name__
        raise TypeError(f"project must be what Project.load or Project.parse gives, not {found}")
    if sink is not None and not callable(sink):
        raise TypeError(f"sink must be a callable that takes bytes, not {type(sink).__name__}")


def engine_of(options: Options, overrides: Overrides | None = None) -> Engine:
    """An engine for these options, with overrides that others share."""
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
        overrides=overrides,
        secrets=options.secrets,
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
    if options.sdk_key is None and options.is_local:
        return ""
    if options.sdk_key is None:
        raise OptionError("an SDK key is needed: give it, set CONVERT_SDK_KEY, or use for_project")
    return options.sdk_key


def project_key(account_id: str | int, project_id: str | int) -> str:
    """The name of a project at the endpoints without keys. Raises OptionError for what are no ids."""
    return f"{check.entity_id(account_id)}/{check.entity_id(project_id)}"


def keyless(options: OptionArguments) -> Options:
    """Options for the endpoints without keys, where a secret has no business."""
    return build({**options})._replace(sdk_key=None, sdk_secret=None)

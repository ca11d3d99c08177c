"""Visitors of tasks, without a queue: tokens, scopes, and the hooks of each library in one process."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import dramatiq
import pytest
import redis
import rq
from celery import Celery, signals
from celery.app.trace import build_tracer
from celery.local import Proxy
from dramatiq.brokers.stub import StubBroker

from convert_sdk import AsyncClient, Client, Consent, MemoryStore, Project, current_visitor
from convert_sdk.integrations import celery as celery_integration
from convert_sdk.integrations._task_scope import TOKEN_NAME, TaskVisitors
from convert_sdk.integrations.aws_lambda import convert_handler
from convert_sdk.integrations.dramatiq import VisitorMiddleware
from convert_sdk.integrations.rq import ConvertQueue, ConvertWorker, with_visitor
from tests.reliability.collector import Answer
from tests.reliability.site import BODY, KEY, site
from tests.waiting import PATIENCE

SECRETS = ["a secret of the shop's own"]
FORCED = "102"
A_MOMENT = 1e-9
"""Seconds, less than a clock can show: what lasts for so long has ended when it is looked at."""


def offline(**options: Any) -> Client:
    given: Any = {"secrets": SECRETS, **options}
    return Client.offline(Project.parse(BODY), lambda _: None, **given)


@pytest.fixture
def client() -> Client:
    return offline()


def token_of(client: Client, visitor_id: str = "ann", **options: Any) -> str:
    visitor = client.visitor(visitor_id)
    visitor.force("button-10", variation_id=FORCED)
    return visitor.handover(**options)


@contextmanager
def in_scope(client: Client) -> Iterator[None]:
    with TaskVisitors(client).opened(token_of(client)):
        yield


class TestScopes:
    def test_outside_of_one_nobody_is_handed_over(self, client: Client) -> None:
        assert TaskVisitors(client).token() is None

    def test_inside_of_one_the_visitor_is(self, client: Client) -> None:
        tasks, elsewhere = TaskVisitors(client), offline()
        with in_scope(client):
            token = tasks.token()
        with TaskVisitors(elsewhere).opened(token):
            visitor = current_visitor(elsewhere)
            assert visitor is current_visitor()
            assert (visitor.id, visitor.decide("button-10").variation_id) == ("ann", FORCED)
        assert current_visitor(default=None) is None

    def test_scopes_lie_in_each_other(self, client: Client) -> None:
        tasks = TaskVisitors(client)
        with tasks.opened(token_of(client)):
            with tasks.opened(token_of(client, "bob")):
                assert current_visitor().id == "bob"
            assert current_visitor().id == "ann"
            with tasks.opened(None):
                assert current_visitor().id == "ann"

    def test_who_has_not_agreed_stays_so(self, client: Client) -> None:
        refused = client.visitor("ann", consent=Consent.DENIED).handover()
        with TaskVisitors(client).opened(refused):
            assert current_visitor().decide("button-10").reason == "consent"
        held = client.visitor("bob", consent=Consent.UNKNOWN, before_consent="decide").handover()
        with TaskVisitors(client).opened(held):
            visitor = current_visitor()
            assert (visitor.decide("button-10").reason, visitor.track("goal-1").reason) == (
                "bucketed",
                "consent",
            )
        assert client.flush().sent == 0

    def test_a_late_one_is_the_id_alone_and_is_said_once(
        self, client: Client, caplog: pytest.LogCaptureFixture
    ) -> None:
        tasks, elsewhere = TaskVisitors(offline()), offline()
        late = token_of(client, max_age=A_MOMENT)
        for _ in range(3):
            with tasks.opened(late):
                visitor = current_visitor()
                assert (visitor.id, visitor.peek("button-10").reason) == ("ann", "bucketed")
        assert [record.message for record in caplog.records] == [
            "tasks: a task waited for longer than its max_age: the id is kept, its decisions are not"
        ]
        del elsewhere

    @pytest.mark.parametrize("token", ["", "forged", "x" * 5_000, "\ud800", 7, None, b"bytes"])
    def test_a_bad_token_is_no_scope(
        self, client: Client, token: object, caplog: pytest.LogCaptureFixture
    ) -> None:
        tasks = TaskVisitors(client)
        for _ in range(2):
            with tasks.opened(token):
                assert current_visitor(default=None) is None
        assert len(caplog.records) == isinstance(token, str)

    def test_without_secrets_it_is_said_once(self, caplog: pytest.LogCaptureFixture) -> None:
        client = offline()
        unsigned = offline(secrets=[])
        tasks = TaskVisitors(unsigned)
        for _ in range(2):
            with tasks.opened(token_of(client)):
                assert current_visitor(default=None) is None
        assert [record.levelno for record in caplog.records] == [logging.WARNING]
        assert "secrets=" in caplog.text

    def test_an_async_client_publishes_only(self, client: Client, caplog: pytest.LogCaptureFixture) -> None:
        tasks = TaskVisitors(AsyncClient.offline(Project.parse(BODY), secrets=SECRETS))
        with tasks.opened(token_of(client)):
            assert current_visitor(default=None) is None
        assert "tasks need a Client" in caplog.text

    def test_misuse_raises(self, client: Client) -> None:
        with pytest.raises(TypeError, match="must be a Client"):
            TaskVisitors("client")  # type: ignore[arg-type]
        with pytest.raises(ValueError, match="above 0"):
            TaskVisitors(client, 0)


class TestATaskThatRunsTwice:
    """In two workers, as after a retry, or where the first one died before it acknowledged the message."""

    @staticmethod
    def run_in_two_workers(**options: Any) -> tuple[list[str], list[bytes]]:
        reasons: list[str] = []
        sent: list[bytes] = []
        token = token_of(offline())
        for _ in range(2):
            worker = Client.offline(Project.parse(BODY), sent.append, secrets=SECRETS, **options)
            with TaskVisitors(worker).opened(token):
                result = current_visitor().track("goal-1", revenue=20, transaction_id="T-1")
                reasons.append(result.reason.value)
            worker.close()
        return reasons, sent

    def test_workers_that_share_nothing_send_one_transaction_twice(self) -> None:
        reasons, sent = self.run_in_two_workers()
        assert reasons == ["accepted", "accepted"]
        assert [b'{"key":"transactionId","value":"T-1"}' in body for body in sent] == [True, True]

    def test_workers_with_a_store_send_it_once(self) -> None:
        reasons, sent = self.run_in_two_workers(store=MemoryStore(shared=True))
        assert (reasons, len(sent)) == (["accepted", "duplicate"], 1)


class TestCelery:
    @pytest.fixture
    def app(self, client: Client) -> Iterator[Celery]:
        app = Celery("in memory", broker="memory://", set_as_current=False)
        celery_integration.connect(client, app)
        celery_integration.connect(client, app)  # again: in the place of the former
        yield app
        celery_integration._connections.pop(app).close()

    @pytest.fixture
    def published(self) -> Iterator[list[dict[str, Any]]]:
        headers: list[dict[str, Any]] = []

        def note(headers_: list[dict[str, Any]] = headers, headers: Any = None, **_: object) -> None:
            headers_.append(headers)

        signals.before_task_publish.connect(note)
        yield headers
        signals.before_task_publish.disconnect(note)

    def test_a_message_gets_the_visitor_of_its_scope(
        self, app: Celery, client: Client, published: list[dict[str, Any]]
    ) -> None:
        app.send_task("pay")
        with in_scope(client):
            app.send_task("pay")
            app.send_task("pay", headers={TOKEN_NAME: "one already"})
        without, with_one, kept = (headers.get(TOKEN_NAME) for headers in published)
        assert without is None
        assert kept == "one already"
        visitor = client.visitor_from(str(with_one))
        assert visitor is not None
        assert visitor.id == "ann"

    def test_no_task_is_in_the_scope_of_the_one_before_it(self, app: Celery, client: Client) -> None:
        def name() -> str | None:
            visitor = current_visitor(default=None)
            return None if visitor is None else visitor.id

        run = build_tracer("name", app.task(name, name="name"), app=app)
        celery_integration.connect(client)  # for all applications, beside the one that is named
        try:
            with_one = {"id": "1", TOKEN_NAME: token_of(client)}
            assert [run("1", (), {}, request).retval for request in (with_one, {"id": "2"})] == ["ann", None]
        finally:
            celery_integration._connections.pop(None).close()

    def test_each_application_without_a_name_has_its_own(self, client: Client) -> None:
        apps = [Celery(broker="memory://", set_as_current=False) for _ in range(2)]
        seen: list[str | None] = []

        def name() -> None:
            visitor = current_visitor(default=None)
            seen.append(None if visitor is None else visitor.id)

        for app in apps:
            celery_integration.connect(client, app)
        try:
            for app in apps:
                run = build_tracer("name", app.task(name, name="name"), app=app)
                run("1", (), {}, {"id": "1", TOKEN_NAME: token_of(client)})
        finally:
            for app in apps:
                celery_integration._connections.pop(app).close()
        assert seen == ["ann", "ann"]

    def test_a_proxy_stands_for_its_application(self, client: Client) -> None:
        app = Celery("proxied", broker="memory://", set_as_current=False)
        proxy: Any = Proxy(lambda: app)  # as celery.current_app is one
        celery_integration.connect(client, proxy)

        def name() -> str | None:
            visitor = current_visitor(default=None)
            return None if visitor is None else visitor.id

        run = build_tracer("name", app.task(name, name="name"), app=app)
        try:
            assert run("1", (), {}, {"id": "1", TOKEN_NAME: token_of(client)}).retval == "ann"
        finally:
            celery_integration._connections.pop(app).close()

    def test_what_is_no_application_is_refused(self, client: Client) -> None:
        name: Any = "shop"
        with pytest.raises(TypeError, match="app must be a Celery application or None, not str"):
            celery_integration.connect(client, name)

    def test_in_eager_mode_a_task_is_in_the_scope_around_it(self, app: Celery, client: Client) -> None:
        app.conf.task_always_eager = True

        def name() -> str | None:
            visitor = current_visitor(default=None)
            return None if visitor is None else visitor.id

        task: Any = app.task(name)
        assert task.delay().get() is None
        with in_scope(client):
            assert task.delay().get() == "ann"
            assert current_visitor().id == "ann"


class TestDramatiq:
    def test_a_message_keeps_the_visitor_of_its_scope(self, client: Client) -> None:
        broker = StubBroker()
        broker.add_middleware(VisitorMiddleware(client))
        seen: list[str | None] = []

        @dramatiq.actor(broker=broker, max_retries=1, min_backoff=1)
        def pay() -> None:
            visitor = current_visitor(default=None)
            seen.append(None if visitor is None else visitor.id)
            if len(seen) == 2:
                raise ValueError("again")

        pay.send()
        worker = dramatiq.Worker(broker, worker_threads=1, worker_timeout=10)
        worker.start()
        broker.join(pay.queue_name)
        with in_scope(client):
            pay.send()
        broker.join(pay.queue_name)
        worker.stop()
        assert seen == [None, "ann", "ann"]


class TestRq:
    def test_a_class_without_a_client_is_told_what_to_do(self) -> None:
        with pytest.raises(TypeError, match="convert_client = client"):
            ConvertQueue(connection=redis.Redis()).create_job("shop.pay")

    def test_a_decorated_function_is_itself_outside_of_a_job(self, client: Client) -> None:
        @with_visitor(client)
        def pay(amount: int) -> int:
            return amount

        assert (pay(3), pay.__name__, rq.get_current_job()) == (3, "pay", None)

    def test_the_worker_is_one(self) -> None:
        assert issubclass(ConvertWorker, rq.Worker)


class Invocation:
    """The context of an invocation in AWS Lambda, as far as it matters."""

    def __init__(self, milliseconds: int) -> None:
        self._milliseconds = milliseconds

    def get_remaining_time_in_millis(self) -> int:
        return self._milliseconds


class TestLambda:
    @staticmethod
    def tracked(client: Client, **options: Any) -> Callable[[str, object], bool]:
        @convert_handler(client, **options)
        def handler(event: str, context: object) -> bool:
            if event == "bad":
                raise LookupError(event)
            return bool(client.visitor(event).track("goal-1"))

        return handler

    def test_it_delivers_before_it_returns(self) -> None:
        with site() as convert:
            at: Any = {"config_endpoint": convert.url, "track_endpoint": convert.url}
            client = Client(KEY, start_wait=PATIENCE, flush_interval=3_600.0, **at)
            handler = self.tracked(client, timeout=PATIENCE)
            for number in range(5):
                assert handler(f"v{number}", Invocation(900_000))
                assert len(convert.events) == number + 1
            client.visitor("late").track("goal-1")
            with pytest.raises(LookupError):
                handler("bad", Invocation(900_000))
            assert len(convert.events) == 6
            client.close()

    def test_the_time_that_is_left_bounds_it(self, caplog: pytest.LogCaptureFixture) -> None:
        with site() as convert:
            at: Any = {"config_endpoint": convert.url, "track_endpoint": convert.url}
            client = Client(KEY, start_wait=PATIENCE, flush_interval=3_600.0, **at)
            assert client.wait_until_ready(PATIENCE)
            convert.answer = lambda _: Answer(503)
            handler = self.tracked(client)
            for left in (150, 200, 0):
                assert handler(f"v{left}", Invocation(left))
            assert caplog.text.count("before the sandbox is frozen") == 1
            client.close(0)

    def test_what_is_no_client_is_refused(self) -> None:
        with pytest.raises(TypeError, match="must be a Client"):
            convert_handler(AsyncClient.offline(Project.parse(BODY)))  # type: ignore[arg-type]

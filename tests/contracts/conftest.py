from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from uuid import uuid4

import pytest

from tests.servers.programs import redis_server
from tests.web.sites import SITES


@pytest.fixture(scope="session")
def redis_url() -> Iterator[str]:
    with redis_server() as server:
        yield server.url


@pytest.fixture
def key() -> str:
    return f"1-2-{uuid4()}"


@pytest.fixture(params=SITES)
def name(request: pytest.FixtureRequest) -> str:
    """Each framework's site."""
    found: str = request.param
    return found


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    """Closes at the end of the test what it has opened."""
    with ExitStack() as opened:
        yield opened

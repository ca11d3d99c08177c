from __future__ import annotations

from collections.abc import Iterator
from uuid import uuid4

import pytest

from tests.servers.programs import redis_server


@pytest.fixture(scope="session")
def redis_url() -> Iterator[str]:
    with redis_server() as server:
        yield server.url


@pytest.fixture
def key() -> str:
    return f"1-2-{uuid4()}"

"""OpenFeature as a process finds it at its start: its registry, context and hooks are global."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from openfeature import api


@pytest.fixture(autouse=True)
def fresh_openfeature() -> Iterator[None]:
    yield
    api.shutdown()

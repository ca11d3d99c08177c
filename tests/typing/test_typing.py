"""The files beside this one are read by the type checkers, not run; here they are checked with the tests."""

from __future__ import annotations

import json
import re
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from convert_sdk import Project
from convert_sdk.server import demo_document
from convert_sdk.typed_flags import generate_flags
from tests.processes import program


@pytest.mark.servers
@pytest.mark.skipif(find_spec("mypy") is None, reason="needs mypy: pip install --group check")
def test_mypy_agrees_with_what_users_may_rely_on() -> None:
    with program(sys.executable, "-m", "mypy", "convert_sdk", "tests/typing") as mypy:
        assert mypy.end().status == 0


TYPOS = """
from convert_sdk import Client
import flags

visitor = Client("1/2").visitor("v")
flags.decide(visitor, "checkuot-layout")
flags.force(visitor, "checkout-layout", "five-percent")
discount: str = flags.pricing(visitor).discount
flags.decide(visitor, "checkout-layout")
flags.force(visitor, "checkout-layout", "one-page")
price: float = flags.pricing(visitor).discount
flags.track(visitor, "purchase", products=2)
"""


@pytest.mark.servers
@pytest.mark.parametrize("checker", ["mypy", "pyright"])
def test_what_is_misspelt_of_generated_flags(checker: str, tmp_path: Path) -> None:
    pytest.importorskip(checker, reason=f"needs {checker}: pip install --group check")
    (tmp_path / "flags.py").write_text(generate_flags(Project.parse(json.dumps(demo_document()))), "utf-8")
    (tmp_path / "shop.py").write_text(TYPOS, "utf-8")
    more = ["--strict"] if checker == "mypy" else ["--pythonpath", sys.executable]
    with program(sys.executable, "-m", checker, *more, "flags.py", "shop.py", cwd=tmp_path) as checked:
        done = checked.end()
    assert done.status == 1
    found = {int(line) for line in re.findall(r"shop.py:(\d+):.* error: ", done.out)}
    assert found == {6, 7, 8}  # one of them may be said twice
    assert "flags.py:" not in done.out

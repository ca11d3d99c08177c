from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks.baseline import main

LOOP = 'from convert_sdk.b import B\n\n\nclass A:\n    """Text."""\n\n    def one(self):\n        return B  # said\n'
LATE = "def two():\n    from . import a\n\n    return a\n\n\nclass B: ...\n"
RESULTS = "|  | work | ours | peer | × |\n|---|---|---|---|---|\n| W1 | a | 1 µs | 2,000 µs | 2,000 |\n"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """Two modules that import each other, one of them late."""
    files = {
        "convert_sdk/a.py": LOOP,
        "convert_sdk/b.py": LATE,
        "convert_sdk/c.py": "x = 1\n",
        "benchmarks/RESULTS.md": RESULTS,
        "tests/deep/test_a.py": "",
    }
    for name, content in files.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    return tmp_path


def test_the_figures_of_a_folder(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main([str(project), "--json"])
    (found,) = json.loads(capsys.readouterr().out)
    assert found["sizes"]["convert_sdk/**"] == {
        "modules": 3,
        "code_lines": 9,
        "classes": 2,
        "functions": 2,
        "function_p50": 2,
        "function_p90": 3,
        "function_max": 3,
    }
    assert found["sizes"]["tests/**"]["modules"] == 1
    assert found["cycles"] == [["convert_sdk.a", "convert_sdk.b"]]
    assert found["longest"] == {"convert_sdk/b.py:two (1)": 3, "convert_sdk/a.py:one (7)": 2}
    assert found["ratios"] == {"W1": {"peer": 2000.0}}


def test_two_places_stand_side_by_side(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (project / "other").mkdir()
    main([str(project), "--against", str(project / "other")])
    lines = capsys.readouterr().out.splitlines()
    (package,) = (line for line in lines if line.startswith("convert_sdk/**"))
    assert package.split()[1:] == ["0", "0", "0", "0", "0/0/0", "3", "9", "2", "2", "2/3/3"]

"""The wheel, as pip builds it: it has every file of the package, and works without the folder it was built from."""

from __future__ import annotations

import sys
import zipfile
from pathlib import Path

import pytest

from tests.processes import ROOT, Ended, program

pytestmark = pytest.mark.servers

INSTALLED = """
import json, sys
from importlib.metadata import distribution
from importlib.resources import files
import convert_sdk, convert_sdk_pytest
from convert_sdk.server import demo_document
folder = sys.argv[1]
assert convert_sdk.__file__.startswith(folder) and convert_sdk_pytest.__file__.startswith(folder)
found = distribution("convert-sdk")
assert str(found.locate_file("")).startswith(folder)
print(*(f"{each.group}:{each.name}={each.value}" for each in found.entry_points))
print(len(demo_document()["experiences"]), (files("convert_sdk.server") / "page" / "index.html").is_file())
"""


def pip(*arguments: str) -> None:
    with program(sys.executable, "-m", "pip", *arguments, "--quiet", "--no-deps", is_read=False) as child:
        assert child.end().status == 0


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    pip("wheel", "--wheel-dir", str(folder), str(ROOT))
    (built,) = folder.glob("convert_sdk-*.whl")
    return built


def test_every_file_of_the_package_is_in_it(wheel: Path) -> None:
    files = (path.relative_to(ROOT) for path in (ROOT / "convert_sdk").rglob("*") if path.is_file())
    wanted = {path.as_posix() for path in files if "__pycache__" not in path.parts}
    packed = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    assert packed == {*wanted, "convert_sdk_pytest.py"}
    assert {"convert_sdk/py.typed", "convert_sdk/server/page/index.html"} <= packed


def test_it_works_without_the_folder(wheel: Path, tmp_path: Path) -> None:
    target = tmp_path / "installed"
    pip("install", "--target", str(target), str(wheel))
    with program(
        sys.executable, "-c", INSTALLED, str(target), env={"PYTHONPATH": str(target)}, cwd=tmp_path
    ) as child:
        assert child.end() == Ended(
            0,
            "console_scripts:convert-sdk=convert_sdk.cli:main pytest11:convert_sdk_pytest=convert_sdk_pytest\n"
            "8 True\n",
            "",
        )

"""Print the lowest versions that pyproject.toml allows, as constraints for pip: `python -m tests.lowest`.

What a package of ours needs in turn is left to pip, which takes the newest, as it does for users.
"""

from __future__ import annotations

import re
import sys
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

ROOT = Path(__file__).parents[1]
_FLOOR = re.compile(r"([\w.-]+)(?:\[\w+\])?>=([\d.]+)(?:,<[\d.]+)?")


def requirements(project: Mapping[str, object]) -> Iterator[str]:
    """What the package and its extras need."""
    needed, extras = project["dependencies"], project["optional-dependencies"]
    assert isinstance(needed, list)
    assert isinstance(extras, dict)
    for group in (needed, *extras.values()):
        yield from group


def constraints(requirements: Iterable[str]) -> list[str]:
    """Each requirement at its floor.

    >>> constraints(["httpx>=0.27,<1", "mmh3>=5.1"])
    ['httpx==0.27', 'mmh3==5.1']

    Raises ValueError where one has none.
    """
    found = []
    for each in requirements:
        floor = _FLOOR.fullmatch(each)
        if floor is None:
            raise ValueError(f"{each!r}: expected a name and a lowest version, as mmh3>=5.1")
        found.append(f"{floor[1]}=={floor[2]}")
    return found


def main() -> None:
    with (ROOT / "pyproject.toml").open("rb") as file:
        project = tomllib.load(file)["project"]
    sys.stdout.write("\n".join([*constraints(requirements(project)), ""]))


if __name__ == "__main__":
    main()

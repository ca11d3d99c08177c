"""`python -m tests.vectors [DIR]`: put every case found in DIR to the real code."""

from __future__ import annotations

import sys
from pathlib import Path

from .runner import HERE, cases, documents, run


def main(directory: Path) -> int:
    """Print a line a file, and the first cases that nothing explains: how many those are."""
    found = cases(directory)
    if not found:
        print(f"no vectors in {directory}", file=sys.stderr)  # noqa: T201  # a command prints
        return 1
    unexplained = 0
    known = documents(directory)
    for name, listed in found.items():
        tally = run(listed, known)
        print(f"{name}: {tally}")  # noqa: T201
        for miss in tally.misses[:10]:
            print(f"  {miss}")  # noqa: T201
        unexplained += len(tally.misses)
    return unexplained


if __name__ == "__main__":
    sys.exit(min(1, main(Path(sys.argv[1]) if len(sys.argv) > 1 else HERE)))

"""Run `make test` and `make test-servers` with every supported Python that is found, each in its own environment.

They are looked for by name on PATH, and among pyenv's versions where pyenv is there. What is not found is named.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
SUPPORTED = ("3.11", "3.12", "3.13", "3.14")


def candidates(version: str) -> Iterator[str]:
    """Programs that may be this Python."""
    for folder in os.get_exec_path():
        if program := shutil.which(f"python{version}", path=folder):
            yield program
    if pyenv := shutil.which("pyenv"):
        root = subprocess.run([pyenv, "root"], capture_output=True, text=True, check=False).stdout.strip()
        for installed in sorted(Path(root, "versions").glob(f"{version}.*")):
            yield str(installed / "bin" / f"python{version}")


def found(version: str) -> str | None:
    """The first that runs and is this Python: pyenv puts programs on PATH that are not there."""
    ask = "import sys; print('%d.%d' % sys.version_info[:2])"
    for program in candidates(version):
        told = subprocess.run([program, "-c", ask], capture_output=True, text=True, check=False)
        if told.stdout.strip() == version:
            return program
    return None


def outcome(program: str, version: str) -> str:
    """The last line of each run of pytest, and whether all was well."""
    make = [
        "make",
        "--no-print-directory",
        f"PYTHON={program}",
        f"VENV=.venv-{version}",
        "LAWS=",  # with all examples
        "test",
        "test-servers",
    ]
    with subprocess.Popen(make, cwd=ROOT, stdout=subprocess.PIPE, text=True) as running:
        assert running.stdout is not None
        closing = []
        for line in running.stdout:
            sys.stdout.write(line)
            sys.stdout.flush()
            if re.match(r"=+ .* in [\d.]+s .*=+$", line):
                closing.append(line.strip(" =\n"))
    return "; ".join([*closing, "passed" if running.returncode == 0 else f"FAILED ({running.returncode})"])


def main() -> int:
    outcomes = {}
    for version in SUPPORTED:
        program = found(version)
        outcomes[version] = f"{program}: {outcome(program, version)}" if program else "not found"
    for version, told in outcomes.items():
        print(f"Python {version}: {told}")  # noqa: T201  # what the command is for
    return 1 if any("FAILED" in told for told in outcomes.values()) else 0


if __name__ == "__main__":
    sys.exit(main())

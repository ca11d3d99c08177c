"""What a module says whose extra is not installed."""

from __future__ import annotations

import subprocess
import sys

import pytest

from convert_sdk._extras import needs_extra

MODULES = [
    ("convert_sdk.server", "server", "starlette"),
    ("convert_sdk.server", "server", "uvicorn"),
    ("convert_sdk.testing.stores", "server", "starlette"),
    ("convert_sdk.stores.redis", "redis", "redis"),
    ("convert_sdk.integrations.starlette", "starlette", "starlette"),
    ("convert_sdk.integrations.fastapi", "fastapi", "fastapi"),
    ("convert_sdk.integrations.flask", "flask", "flask"),
    ("convert_sdk.integrations.django", "django", "django"),
    ("convert_sdk.integrations.requests", "requests", "requests"),
    ("convert_sdk.integrations.openfeature", "openfeature", "openfeature"),
    ("convert_sdk.integrations.celery", "celery", "celery"),
    ("convert_sdk.integrations.rq", "rq", "rq"),
    ("convert_sdk.integrations.dramatiq", "dramatiq", "dramatiq"),
    ("convert_sdk._tokens.signing", "signing", "itsdangerous"),
    ("convert_sdk.tables", "arrow", "pyarrow"),
    ("convert_sdk.tables", "arrow", "numpy"),
    ("convert_sdk.tables.reading", "duckdb", "duckdb"),
    ("convert_sdk.tables.udf", "duckdb", "duckdb"),
    ("convert_sdk.testing.strategies", "testing", "hypothesis"),
    ("convert_sdk.testing.yaml_values", "testing", "ruamel"),
    ("convert_sdk.analysis.power", "stats", "scipy"),
]
PROGRAM = """
import sys
sys.modules[{missing!r}] = None  # importing it fails
try:
    import {module}
except ImportError as error:
    print(error)
"""


@pytest.mark.parametrize(("module", "extra", "missing"), MODULES)
def test_a_missing_extra_is_named(module: str, extra: str, missing: str) -> None:
    program = PROGRAM.format(module=module, missing=missing)
    said = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    assert said == (
        f"{module} needs the extra {extra}, as {missing} is not installed: "
        f'pip install "convert-sdk[{extra}]"\n'
    )


def test_another_missing_module_is_as_it_was() -> None:
    with (
        pytest.raises(ModuleNotFoundError, match=r"^No module named 'no_such_module_of_ours'$"),
        needs_extra("here", "redis", "redis"),
    ):
        import no_such_module_of_ours  # type: ignore[import-not-found]  # pyright: ignore[reportMissingImports]  # noqa: F401

from __future__ import annotations

from tests.processes import finished


def test_the_tls_context_is_shared_but_not_with_a_forked_child() -> None:
    """Only the private function shows which context a client uses."""
    script = """
import os
from convert_sdk._http.client import _default_tls

context = _default_tls(True)
assert _default_tls(True) is context
child = os.fork()
if not child:
    os._exit(int(_default_tls(True) is context))
_, status = os.waitpid(child, 0)
print(status, _default_tls(True) is context)
"""
    assert finished(script) == (0, "0 True\n", "")

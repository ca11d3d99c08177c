from __future__ import annotations

from tests.processes import finished


def test_the_tls_context_is_shared_but_not_with_a_forked_child() -> None:
    script = """
import os
from convert_sdk._http.tls import make_tls

context = make_tls(None, trust_env=True).context
assert make_tls(None, trust_env=True).context is context
child = os.fork()
if not child:
    os._exit(int(make_tls(None, trust_env=True).context is context))
_, status = os.waitpid(child, 0)
print(status, make_tls(None, trust_env=True).context is context)
"""
    assert finished(script) == (0, "0 True\n", "")

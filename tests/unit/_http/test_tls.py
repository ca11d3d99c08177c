from __future__ import annotations

import os
from pathlib import Path

import pytest
import trustme

from convert_sdk._http.tls import make_tls
from convert_sdk.options import build
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


class TestTheEnvironment:
    @pytest.fixture
    def bundle(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
        """A file of certificates that the environment names."""
        authority = trustme.CA()
        path = tmp_path / "ca.pem"
        authority.cert_pem.write_to_path(str(path))
        monkeypatch.setenv("SSL_CERT_FILE", str(path))
        monkeypatch.delenv("SSL_CERT_DIR", raising=False)
        return path

    def test_another_file_is_followed(self, bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        first = make_tls(None, trust_env=True).context
        assert len(first.get_ca_certs()) == 1
        monkeypatch.delenv("SSL_CERT_FILE")
        second = make_tls(None, trust_env=True).context
        assert len(second.get_ca_certs()) > 1
        assert make_tls(None, trust_env=True).context is second

    def test_a_file_that_was_replaced_is_followed(self, bundle: Path) -> None:
        first = make_tls(None, trust_env=True).context.get_ca_certs()
        bundle.unlink()
        trustme.CA().cert_pem.write_to_path(str(bundle))
        os.utime(bundle, (1, 1))  # of the same size, and within one tick of the file system's clock
        second = make_tls(None, trust_env=True).context.get_ca_certs()
        assert len(first) == len(second) == 1
        assert first != second

    def test_one_that_is_gone_is_said(self, bundle: Path) -> None:
        assert make_tls(None, trust_env=True).flaws == ()
        bundle.unlink()
        (flaw,) = make_tls(None, trust_env=True).flaws
        assert flaw.variable == "SSL_CERT_FILE"

    def test_without_it_nothing_is_asked(self, bundle: Path) -> None:
        first = make_tls(None, trust_env=False).context
        bundle.unlink()
        assert make_tls(None, trust_env=False).context is first
        assert len(first.get_ca_certs()) > 1

    def test_a_home_folder_is_found(self, bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("HOME", str(bundle.parent))
        assert len(make_tls("~/ca.pem", trust_env=False).context.get_ca_certs()) == 1
        assert build({"ca_bundle": "~/ca.pem"}, {}).ca_bundle == "~/ca.pem"

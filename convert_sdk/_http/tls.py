"""TLS: whom a client trusts, and advice where a server is not trusted."""

from __future__ import annotations

import os
import ssl
import sys
from pathlib import Path
from typing import NamedTuple

import certifi

from convert_sdk._process.fork import no_fork, register_after_fork

from .environment import Flaw


class Tls(NamedTuple):
    """A context, and what of the environment was left out of it."""

    context: ssl.SSLContext
    flaws: tuple[Flaw, ...] = ()


class _Shared(NamedTuple):
    """The context of a process, and what of the environment it was made of."""

    made_of: tuple[object, ...]
    tls: Tls


_shared: dict[bool, _Shared] = {}
_inherited: list[Tls] = []
"""Contexts of the parent process: one that a thread was using during the fork must be neither used nor freed."""
_OTHER_VARIABLES = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")


def make_tls(ca_bundle: str | None, *, trust_env: bool) -> Tls:
    """Return a context that verifies servers; one of the process is shared unless there is a `ca_bundle`.

    Raises OSError for a `ca_bundle` that cannot be read.
    """
    with no_fork():
        if ca_bundle is not None:
            file = os.path.expanduser(ca_bundle)  # noqa: PTH111  # as it stands where nobody has such a home
            return _trusting({"cafile": file}, (), trust_env=trust_env)
        # Reading the certificates costs more than all else that a client does.
        shared, made_of = _shared.get(trust_env), _environment() if trust_env else ()
        if shared is None or shared.made_of != made_of:
            shared = _shared[trust_env] = _Shared(made_of, _usual(trust_env=trust_env))
        return shared.tls


def _environment() -> tuple[object, ...]:
    """The variables that a context follows, and the state of what they name: both may change in a process's life."""
    places = [os.environ.get(variable) for variable in ("SSL_CERT_FILE", "SSL_CERT_DIR", "SSLKEYLOGFILE")]
    return (*places, *(_state_of(place) for place in places[:2] if place))


def _state_of(place: str) -> tuple[int, int] | None:
    try:
        found = Path(place).stat()
    except (OSError, ValueError):
        return None
    return found.st_mtime_ns, found.st_size


def _usual(*, trust_env: bool) -> Tls:
    """The authorities that SSL_CERT_FILE or SSL_CERT_DIR names, else those of certifi."""
    flaws: list[Flaw] = []
    if trust_env:
        for variable, argument in (("SSL_CERT_FILE", "cafile"), ("SSL_CERT_DIR", "capath")):
            place = os.environ.get(variable)
            if not place:
                continue
            try:
                if argument == "capath" and not Path(place).is_dir():
                    raise NotADirectoryError("it is no folder")
                return _trusting({argument: place}, tuple(flaws), trust_env=True)
            except (OSError, ValueError) as error:
                flaws.append(Flaw(variable, f"cannot be read and is left out: {_reason(error)}"))
    return _trusting({"cafile": certifi.where()}, tuple(flaws), trust_env=trust_env)


def _trusting(authorities: dict[str, str], flaws: tuple[Flaw, ...], *, trust_env: bool) -> Tls:
    """As `ssl.create_default_context`, but for the environment: what is unreadable there is left out."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    if sys.version_info >= (3, 13):
        context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN | ssl.VERIFY_X509_STRICT
    context.load_verify_locations(**authorities)
    log = os.environ.get("SSLKEYLOGFILE") if trust_env else None
    if log:
        try:
            context.keylog_filename = log
        except (OSError, ValueError) as error:
            flaws += (Flaw("SSLKEYLOGFILE", f"cannot be written and is left out: {_reason(error)}"),)
    return Tls(context, flaws)


def _reason(error: Exception) -> str:
    return (error.strerror if isinstance(error, OSError) else None) or str(error)


def trust_advice(error: str, ca_bundle: str | None) -> str:
    """Advice after an error that says that a server's certificate is not trusted; else nothing."""
    if "CERTIFICATE_VERIFY_FAILED" not in error:
        return ""
    if "expired" in error or "not yet valid" in error:
        return "; compare the clocks of both sides"
    if "ostname mismatch" in error or "IP address mismatch" in error:
        return "; the certificate is for another host: check the address"
    if ca_bundle is not None:
        return "; ca_bundle does not hold the authority that signed the certificate"
    named = next((name for name in _OTHER_VARIABLES if os.environ.get(name)), None)
    source = f" ({named} is not read)" if named else ""
    return f"; if a proxy or an authority of your own signs, give its certificates as ca_bundle{source}"


def _reset_after_fork() -> None:
    # A lock of OpenSSL that another thread held during the fork stays locked in the child.
    _inherited.extend(shared.tls for shared in _shared.values())
    _shared.clear()


register_after_fork(_reset_after_fork)

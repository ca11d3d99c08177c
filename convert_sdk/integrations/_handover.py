"""The visitor of a request, handed over to other services: which hosts get the header, and what is in it."""

from __future__ import annotations

from collections.abc import Sequence

from convert_sdk._scope import current_visitor
from convert_sdk.async_client import AsyncClient
from convert_sdk.client import Client
from convert_sdk.errors import OptionError

VISITOR_HEADER = "Convert-Visitor"
"""The header of a request between services."""


class HandoverHosts:
    """The hosts that a visitor is handed over to.

    Args:
        hosts: Their names, with a port where only that one is meant.
        client: The client whose visitor is meant, where several have a middleware.

    Raises:
        OptionError: For anything but a list of names.
    """

    def __init__(self, hosts: Sequence[str], client: Client | AsyncClient | None = None) -> None:
        if isinstance(hosts, (str, bytes)) or not isinstance(hosts, Sequence) or not hosts:
            raise OptionError(f'hosts must be a list of names such as ["prices.internal"], not {hosts!r}')
        wrong = [host for host in hosts if not _is_name(host)]
        if wrong:
            raise OptionError(
                f"hosts are whole names such as prices.internal or 127.0.0.1:8000, not {wrong[0]!r}"
            )
        self._hosts = frozenset(host.lower() for host in hosts)
        self._client = client

    def token(self, host: str, port: int | None) -> str | None:
        """The token for a request to a host; None for another host, and outside of a visitor's request.

        Raises:
            OptionError: Where the client has no secrets.
        """
        host = host.lower()
        if host not in self._hosts and f"{host}:{port}" not in self._hosts:
            return None
        visitor = current_visitor(self._client, default=None)
        if visitor is None:
            return None
        try:
            return visitor.handover()
        except ValueError as error:
            if isinstance(error, OptionError):
                raise
            return None  # an id that does not fit


def _is_name(host: object) -> bool:
    if not isinstance(host, str) or not host or any(char in "/*@?# " for char in host):
        return False
    return host.isascii() and host.isprintable()

"""The errors of the commerce connectors: a branch of the tree whose root is `ConvertError`.

ConvertError
├── ConnectorError                    a store system refused or failed
│   ├── AuthError                     the key is missing, wrong or lacks a right
│   ├── NotFoundError                 no such record
│   ├── RateLimitedError              too many requests; `retry_after` in seconds where known
│   ├── ValidationError (ValueError)  the request was understood and refused
│   ├── ServerError                   the other side failed
│   ├── TransportError                no complete answer arrived
│   └── SyncError                     lists of a pull that could not be read, together
└── WebhookVerificationError          a delivery that must not be trusted
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from convert_sdk.errors import ConvertError

if TYPE_CHECKING:
    from convert_sdk.commerce._json import Answer
    from convert_sdk.commerce.bridge.reports import SyncReport


class ConnectorError(ConvertError):
    """A store system refused or failed.

    `status` is the HTTP status (None where no answer came), `request_id` what the system calls
    the request, `detail` its own message.
    """

    def __init__(
        self,
        message: str,
        *,
        status: int | None = None,
        request_id: str | None = None,
        detail: str | None = None,
        answer: Answer | None = None,
        fields: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.request_id = request_id
        self.detail = detail
        self.headers: Mapping[str, str] = {} if answer is None else answer.headers
        self.body = b"" if answer is None else answer.body
        self.fields = dict(fields or {})


class AuthError(ConnectorError):
    """The key is missing, wrong or lacks a right."""


class NotFoundError(ConnectorError):
    """No such record."""


class RateLimitedError(ConnectorError):
    """Too many requests; `retry_after` is in seconds, None where the system did not say."""

    retry_after: float | None = None


class ValidationError(ConnectorError, ValueError):
    """The request was understood and refused."""


class ServerError(ConnectorError):
    """The other side failed."""


class TransportError(ConnectorError):
    """No complete answer arrived."""


class SyncError(ConnectorError):
    """Lists that a pull could not read; everything else was read and kept.

    Args:
        errors: The error of each list, by `{source}/{list}`.
        report: The pull's `SyncReport`.
    """

    def __init__(self, errors: Mapping[str, ConnectorError], report: SyncReport) -> None:
        named = "; ".join(f"{name}: {error}" for name, error in errors.items())
        first = next(iter(errors.values()))
        super().__init__(named, status=first.status, request_id=first.request_id, detail=first.detail)
        self.errors = dict(errors)
        self.report = report


class WebhookVerificationError(ConvertError):
    """A delivery that must not be trusted; `reason` says which check it failed."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"webhook not verified: {reason}")
        self.reason = reason

"""Every error this package raises on purpose.

    ConvertError
    ├── OptionError (ValueError)          an option that cannot be used
    ├── DocumentError (ValueError)        a document that cannot become a project
    ├── FetchError                        an answer of the Serving API that is no answer
    ├── StoreError                        a store that cannot be opened
    │   └── VisitorStateError             one visitor's state can be neither read nor replaced
    ├── SpoolError                        a spool that cannot be opened
    ├── ConnectorError                    a store system refused or failed; this and what follows: `commerce.errors`
    │   ├── AuthError                     the key is missing, wrong or lacks a right
    │   ├── NotFoundError                 no such record
    │   ├── RateLimitedError              too many requests; `retry_after` in seconds where known
    │   ├── ValidationError (ValueError)  the request was understood and refused
    │   ├── ServerError                   the other side failed
    │   ├── TransportError                no complete answer arrived
    │   └── SyncError                     lists of a pull that could not be read, together
    └── WebhookVerificationError          a delivery that must not be trusted

Deciding and tracking raise none of them: a miss is a value with a `Reason`.
"""

from __future__ import annotations


class ConvertError(Exception):
    """The root of the tree: catch it to catch everything this package raises on purpose.

    >>> try:
    ...     Project.parse(b"[]")
    ... except ConvertError as error:
    ...     print(error)
    $: expected an object with account_id and project, found a list
    """


class OptionError(ConvertError, ValueError):
    """An option that cannot be used; the message names it and says what is allowed.

    >>> try:
    ...     Client("10035569/10034190", flush_interval=0)
    ... except OptionError as error:
    ...     print(error)
    flush_interval must be a number of seconds above 0, not 0
    """


class DocumentError(ConvertError, ValueError):
    """A document that cannot become a project.

    `path` is the place in the document (`$.project.id`), `expected` what should stand there.

    >>> try:
    ...     Project.parse(b'{"account_id": "1", "project": {}}')
    ... except DocumentError as error:
    ...     print(error.path, error.expected, sep=": ")
    $.project.id: the project's id
    """

    def __init__(self, path: str, expected: str, found: str) -> None:
        super().__init__(f"{path}: expected {expected}, found {found}")
        self.path = path
        self.expected = expected
        self.found = found

    def __reduce__(self) -> tuple[type[DocumentError], tuple[str, str, str]]:
        return type(self), (self.path, self.expected, self.found)  # as a process pool hands it on


class FetchError(ConvertError):
    """The Serving API gave no usable answer; `status` is the HTTP status, None without one."""

    def __init__(self, message: str, *, status: int | None = None) -> None:
        super().__init__(message)
        self.status = status


class StoreError(ConvertError):
    """A store that cannot be opened, or a stored state that cannot be read."""


class VisitorStateError(StoreError):
    """One visitor's state can be neither read nor replaced; the store works for everybody else."""


class SpoolError(ConvertError):
    """A spool that cannot be opened or read."""

"""Every error this package raises on purpose.

    ConvertError
    ├── OptionError (ValueError)          an option that cannot be used
    ├── DocumentError (ValueError)        a document that cannot become a project
    ├── UnknownNameError (LookupError)    a name that a project does not have
    ├── RuleTableError (ValueError)       a table of rule tests that cannot be read
    ├── TypedFlagsError (ValueError)      flags that cannot be written as Python
    ├── FetchError                        an answer of the Serving API that is no answer
    ├── StoreError                        a store that cannot be opened
    │   └── VisitorStateError             one visitor's state can be neither read nor replaced
    ├── SpoolError                        a spool that cannot be opened
    ├── TableError (ValueError)           a table that cannot be assigned, audited or put into SQL
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

from collections.abc import Sequence


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


class UnknownNameError(ConvertError, LookupError):
    """A name that a project does not have; `near` are those that look like it.

    Only what analyses a document raises it: deciding and tracking answer with a `Reason`.

    >>> from convert_sdk.analysis import find
    >>> try:
    ...     find(project, "grmans")
    ... except UnknownNameError as error:
    ...     print(error)
    there is no entity 'grmans': did you mean 'germans'?
    """

    def __init__(self, name: str, kind: str, near: Sequence[str] = ()) -> None:
        meant = f": did you mean {' or '.join(map(repr, near))}?" if near else ""
        super().__init__(f"there is no {kind} {name!r}{meant}")
        self.name = name
        self.kind = kind
        self.near = tuple(near)

    def __reduce__(self) -> tuple[type[UnknownNameError], tuple[str, str, tuple[str, ...]]]:
        return type(self), (self.name, self.kind, self.near)


class RuleTableError(ConvertError, ValueError):
    """A table of rule tests that cannot be read.

    `table` is its file or name, `line` the line in it, None where it is all of it.

    >>> from convert_sdk.testing.tables import parse_csv
    >>> try:
    ...     parse_csv("name,name")
    ... except RuleTableError as error:
    ...     print(error)
    table, line 1: the column name stands twice
    """

    def __init__(self, table: str, line: int | None, message: str) -> None:
        where = table if line is None else f"{table}, line {line}"
        super().__init__(f"{where}: {message}")
        self.table = table
        self.line = line
        self.message = message

    def __reduce__(self) -> tuple[type[RuleTableError], tuple[str, int | None, str]]:
        return type(self), (self.table, self.line, self.message)  # as a process pool hands it on


class TypedFlagsError(ConvertError, ValueError):
    """Flags that cannot be written as Python; the message names the keys, or the place in the settings.

    >>> from convert_sdk.typed_flags import read_settings
    >>> try:
    ...     read_settings("[defaults.princing]", project)
    ... except TypedFlagsError as error:
    ...     print(error)
    defaults.princing: the project has no such feature; did you mean pricing?
    """


class FetchError(ConvertError):
    """The Serving API gave no usable answer; `status` is the HTTP status, None without one.

    Only `project_settings` and `load_preview` raise it: what goes wrong with the document is in
    `client.status().fetch_error`.

    >>> def version(client: Client) -> str | None:
    ...     try:
    ...         return client.project_settings(timeout=5).tracking_script.latest_version
    ...     except FetchError as error:
    ...         print("no settings:", error, error.status)
    ...         return None
    """

    def __init__(self, message: str, *, status: int | None = None) -> None:
        super().__init__(message)
        self.status = status


class StoreError(ConvertError):
    """A store that cannot be opened, or a stored state that cannot be read.

    >>> from convert_sdk.stores.sqlite import SqliteStore
    >>> try:
    ...     SqliteStore("/no/such/folder/visitors.db").load("1-2-visitor")
    ... except StoreError as error:
    ...     print(error)
    the visitors' file cannot be read: ...
    """


class VisitorStateError(StoreError):
    """One visitor's state can be neither read nor replaced; the store works for everybody else.

    A store of your own raises it in `save`; the visitors beside this one are saved then.

    >>> def save(changes: object) -> object:
    ...     raise VisitorStateError("this row holds no state")
    """


class SpoolError(ConvertError):
    """A spool that cannot be opened or read.

    A client counts it, says it in the log and keeps its events in memory; the command line ends with it.

    >>> client.status().incidents.get("spool", 0)
    0
    """


class TableError(ConvertError, ValueError):
    """A table that cannot be used as it is, or rules that SQL cannot say; nothing of a result is left behind.

    What is wrong with a single row is its reason in the result, and raises nothing.

    >>> issubclass(TableError, ValueError)
    True
    """

"""A project: the compiled document, and the document itself."""

from __future__ import annotations

from functools import cached_property
from os import PathLike
from typing import TYPE_CHECKING, NoReturn, Self, cast

from ._core.asks import Asks, asks
from ._core.bucketing import DEFAULT, Bucketing
from ._core.codes import Code
from ._core.model import (
    Audience,
    CompiledProject,
    Experience,
    Feature,
    Goal,
    Location,
    Segment,
)
from ._core.problem import Problem

if TYPE_CHECKING:
    from ._config.schema.document import Document


class Project(CompiledProject):
    """A document, compiled once, each part when it is first wanted or when `warm()` is called.

    >>> project = Project.parse(b'{"account_id": "1", "project": {"id": "2"}}')
    >>> project.account_id, project.id, project.problems
    ('1', '2', ())

    `problems` lists what is wrong in the document, each with its JSON path. Nothing in a project changes.
    """

    gone: tuple[str, ...] = ()
    """The sections that a client has lost with this document."""

    @classmethod
    def parse(cls, source: bytes | str, *, bucketing: Bucketing = DEFAULT) -> Self:
        """Compile a document from its JSON.

        Args:
            source: The document as the Serving API gives it: JSON as bytes, or as a str.
            bucketing: The parameters of the hash; a client brings its own.

        Returns:
            The project. What is wrong in a part of the document is left out, and listed in `problems`.

        Raises:
            DocumentError: Where it cannot become a project; it names the JSON path.
            TypeError: For what is neither bytes nor str.

        >>> Project.parse('{"account_id": "1", "project": {"id": "2"}}')
        Project(1/2, 0 experiences)
        """
        from ._config.compile import compile_document

        if not isinstance(source, (bytes, str)):
            raise TypeError(
                f"a document is JSON as bytes or str, not {type(source).__name__}: json.dumps makes it"
            )
        body = source.encode("utf-8", "surrogatepass") if isinstance(source, str) else source
        return cls(**compile_document(body, bucketing))

    @classmethod
    def load(cls, path: str | PathLike[str], *, bucketing: Bucketing = DEFAULT) -> Self:
        """Compile the document in a file.

        Args:
            path: The file, with the JSON that the Serving API gives.
            bucketing: The parameters of the hash; a client brings its own.

        Returns:
            The project. What is wrong in a part of the document is left out, and listed in `problems`.

        Raises:
            OSError: Where the file cannot be read.
            DocumentError: Where it cannot become a project; it names the JSON path.

        >>> from pathlib import Path
        >>> from tempfile import TemporaryDirectory
        >>> with TemporaryDirectory() as folder:
        ...     path = Path(folder) / "project.json"
        ...     written = path.write_bytes(b'{"account_id": "1", "project": {"id": "2"}}')
        ...     Project.load(path)
        Project(1/2, 0 experiences)
        """
        with open(path, "rb") as file:  # noqa: PTH123 # pathlib costs more to import than all of the core
            return cls.parse(file.read(), bucketing=bucketing)

    def __reduce__(self) -> NoReturn:
        raise TypeError(
            "a project cannot be pickled or copied: keep the bytes in `source`, and make it with Project.parse(source)"
        )

    def with_bucketing(self, bucketing: Bucketing) -> Self:
        """The same project with visitors hashed another way.

        >>> from convert_sdk._core.bucketing import Bucketing
        >>> project.with_bucketing(Bucketing(seed=1)).bucketing.seed
        1
        """
        return self if bucketing == self.bucketing else self.parse(self.source, bucketing=bucketing)

    @property
    def document(self) -> dict[str, object]:
        """The document as it came, parsed anew each time: change the copy as you like.

        >>> project.document["goals"][0]["key"]
        'purchase'
        """
        from ._config.json import read_json

        return cast("dict[str, object]", read_json(self.source))

    @cached_property
    def config(self) -> Document:
        """The whole document as typed, read-only models: settings, integrations, changes, everything.

        >>> project.config.goals[0].key, project.config.project.name
        ('purchase', 'Shop')
        """
        from ._config.schema.document import read_document

        return read_document(self.document)

    @cached_property
    def problems(self) -> tuple[Problem, ...]:
        """The problems of the document, each with its JSON path. The first look checks every entity.

        >>> Project.parse(b'{"account_id": "1", "project": {"id": "2"}, "goals": [5]}').problems[0].path
        '$.goals[0]'
        """
        from ._config.compile import find_problems

        gone = (
            Problem(f"$.{name}", "is missing, and had entries before; they are gone", Code.SECTION_GONE)
            for name in self.gone
        )
        return (*gone, *find_problems(self.source))

    @cached_property
    def revision(self) -> str:
        """Twelve hexadecimal digits that name this very document.

        >>> project.revision
        'b2d397bd1729'
        """
        from hashlib import sha256

        return sha256(self.source).hexdigest()[:12]

    def experience(self, key: str) -> Experience | None:
        """The experience of this key; None where there is none. The same for the five below.

        >>> project.experience("checkout-layout")
        Experience(id='100', key='checkout-layout')
        """
        return self.experiences.get(key)

    def audience(self, key: str) -> Audience | None:
        """The audience of this key; `project.audience("adults").matches({"age": 30})` tries its rules.

        >>> project.audience("germans").matches({"country": "DE"})
        True
        """
        return self.audiences.get(key)

    def location(self, key: str) -> Location | None:
        """The location of this key.

        >>> project.location("cart") is None
        True
        """
        return self.locations.get(key)

    def segment(self, key: str) -> Segment | None:
        """The segment of this key.

        >>> project.segment("big-spenders").matches({"spent": 1500})
        True
        """
        return self.segments.get(key)

    def feature(self, key: str) -> Feature | None:
        """The feature of this key.

        >>> project.feature("pricing").id
        '81'
        """
        return self.features.get(key)

    def goal(self, key: str) -> Goal | None:
        """The goal of this key.

        >>> project.goal("purchase")
        Goal(id='7', key='purchase')
        """
        return self.goals.get(key)

    def asks(self) -> Asks:
        """The facts that the rules ask for: every key, its operators and the values compared with.

        >>> for condition in project.asks().attributes["country"]:
        ...     print(condition)
        equals "DE", asked by audience germans
        """
        return asks(self)

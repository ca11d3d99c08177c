"""The page of errors shows every error there is, below what it is a kind of."""

from __future__ import annotations

import pickle
import re
from collections.abc import Iterator

from convert_sdk import ConvertError, DocumentError, errors
from convert_sdk.commerce import errors as of_commerce


def shown(text: str | None) -> dict[str, list[str]]:
    """The names in the tree of a docstring, each with what it is a kind of, from there up to the root."""
    found: dict[str, list[str]] = {}
    above: list[str] = []
    for line in (text or "").splitlines():
        match = re.match(r"^(?: {4})?((?:│   |    )*(?:[├└]── )?)(\w+Error)(?: \((\w+)\))?(?: |$)", line)
        if match:
            depth = len(match[1]) // 4
            above = above[:depth]
            found[match[2]] = [*reversed(above), *([match[3]] if match[3] else [])]
            above.append(match[2])
    return found


def kinds(error: type[ConvertError]) -> Iterator[type[ConvertError]]:
    yield error
    for kind in error.__subclasses__():
        if kind.__module__.startswith("convert_sdk."):
            yield from kinds(kind)


def test_the_tree_is_whole_and_true() -> None:
    tree = shown(errors.__doc__)
    assert set(tree) == {kind.__name__ for kind in kinds(ConvertError)}
    for kind in kinds(ConvertError):
        bases = [
            base.__name__ for base in kind.__mro__ if base.__name__ in {*tree, "ValueError", "LookupError"}
        ]
        assert bases[1:] == tree[kind.__name__], kind


def test_the_branch_of_commerce_is_the_same() -> None:
    branch = shown(of_commerce.__doc__)
    own = {kind.__name__ for kind in kinds(ConvertError) if kind.__module__ == of_commerce.__name__}
    assert set(branch) == {"ConvertError", *own}
    assert branch.items() <= shown(errors.__doc__).items()


def test_an_error_of_a_document_comes_out_of_a_pickle_whole() -> None:
    made = DocumentError("$.project.id", "the project's id", "nothing")
    error: DocumentError = pickle.loads(pickle.dumps(made))  # noqa: S301  # made right here
    assert str(error) == "$.project.id: expected the project's id, found nothing"
    assert (error.path, error.expected, error.found) == ("$.project.id", "the project's id", "nothing")

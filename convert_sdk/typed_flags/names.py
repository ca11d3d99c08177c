"""Names of Python for the keys of a document."""

from __future__ import annotations

import keyword
import unicodedata
from collections.abc import Collection, Iterable

from convert_sdk.errors import TypedFlagsError


def python_name(key: str, taken: Collection[str] = ()) -> str:
    """The name for a key: other signs become `_`, and a keyword or a name that is taken gets a final `_`.

    >>> python_name("pricing-v2"), python_name("class"), python_name("2nd"), python_name("peek", {"peek"})
    ('pricing_v2', 'class_', '_2nd', 'peek_')
    """
    name = "".join(each if f"a{each}".isidentifier() else "_" for each in unicodedata.normalize("NFKC", key))
    if name.startswith("_"):  # two of them mean something else in a class
        name = "_" + name.lstrip("_")
    if not name.isidentifier():
        name = f"_{name}"
    return f"{name}_" if keyword.iskeyword(name) or name in taken else name


def python_names(keys: Iterable[str], taken: Collection[str], kind: str) -> dict[str, str]:
    """The name of each key.

    Args:
        keys: The keys, in their order.
        taken: The names that are in use where these will stand.
        kind: What has these keys, for the error: "features".

    Raises:
        TypedFlagsError: For two keys that become one name.

    >>> python_names(["new-price", "label"], {"label"}, "variables")
    {'new-price': 'new_price', 'label': 'label_'}
    """
    by_name: dict[str, str] = {}
    for key in dict.fromkeys(keys):
        name = python_name(key, taken)
        if name in by_name:
            raise TypedFlagsError(
                f"the {kind} {by_name[name]!r} and {key!r} would both be called {name}: rename one of them"
            )
        by_name[name] = key
    return {key: name for name, key in by_name.items()}


def quoted(text: str) -> str:
    """A text as a literal of Python, in double quotes.

    >>> print(quoted('say "no"'))
    "say \\"no\\""
    """
    return '"' + "".join(_sign(each) for each in text) + '"'


def said(text: str) -> str:
    """A text as a part of a docstring, in which no half of a character may stand.

    >>> print(said('say "no"'))
    say \\"no\\"
    """
    return quoted("".join("\ufffd" if "\ud800" <= each <= "\udfff" else each for each in text))[1:-1]


def _sign(sign: str) -> str:
    if sign == '"':
        return '\\"'
    return sign if sign == "'" else repr(sign)[1:-1]

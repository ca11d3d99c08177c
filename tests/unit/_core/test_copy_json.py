from __future__ import annotations

from convert_sdk._core.copy_json import copy_json
from tests.documents import Json
from tests.shapes import of


def test_scalars_are_themselves() -> None:
    assert [copy_json(each) for each in (None, True, 1, "text")] == [None, True, 1, "text"]


def test_a_copy_shares_no_container() -> None:
    sizes = [{"cm": 1}]
    value: Json = {"sizes": sizes, "name": "shirt"}
    copy = copy_json(value)
    of(list, copy["sizes"])[0]["cm"] = 2
    copy["more"] = True
    assert value == {"sizes": [{"cm": 1}], "name": "shirt"}


def test_nesting_that_calls_could_not_follow() -> None:
    deep: list[object] = []
    for _ in range(100_000):
        deep = [deep]
    copy = copy_json(deep)
    while copy:
        assert copy is not deep
        copy, deep = of(list, copy[0]), of(list, deep[0])


def test_what_holds_itself_ends() -> None:
    endless: list[object] = ["x"]
    endless.append({"again": endless})
    copy = copy_json(endless)
    assert copy is not endless
    assert copy[1] is not endless[1]
    assert copy[1]["again"] is copy  # type: ignore[index]  # it is the dict above

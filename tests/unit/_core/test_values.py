from __future__ import annotations

from collections import UserDict, UserString, deque
from collections.abc import Iterator, Mapping
from decimal import Decimal
from enum import Enum, IntEnum
from fractions import Fraction
from typing import Any
from uuid import UUID

import pytest

from convert_sdk import Client, Project, matches
from convert_sdk._core.facts import deep_merge
from convert_sdk._core.rules import as_data
from convert_sdk._core.values import MISSING, Opaque, ReadableMapping, copy_mapping, plain, tree


class Proxy:
    """Stands for another value, as the lazy objects of frameworks do: it claims its class and forwards to it."""

    def __init__(self, value: object) -> None:
        self._value = value

    @property  # type: ignore[misc]  # as frameworks do
    def __class__(self) -> type:  # pyright: ignore[reportIncompatibleMethodOverride]  # read only
        return type(self._value)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._value, name)

    def __str__(self) -> str:
        return str(self._value)

    def __bool__(self) -> bool:
        return bool(self._value)

    def __iter__(self) -> Iterator[Any]:
        return iter(self._value)  # type: ignore[call-overload, no-any-return]

    def __getitem__(self, key: object) -> Any:
        return self._value[key]  # type: ignore[index]

    def __len__(self) -> int:
        return len(self._value)  # type: ignore[arg-type]


class Broken:
    """Raises whatever is asked of it."""

    @property  # type: ignore[misc]  # as above
    def __class__(self) -> type:  # pyright: ignore[reportIncompatibleMethodOverride]  # read only
        raise RuntimeError("working outside of a request")

    def __str__(self) -> str:
        raise RuntimeError("working outside of a request")

    __eq__ = __hash__ = __bool__ = __len__ = __iter__ = __str__  # type: ignore[assignment]


class LastOfMany(dict[str, Any]):
    """Keeps lists inside and answers with the last item, as Django's QueryDict does."""

    def __getitem__(self, key: str) -> Any:
        return super().__getitem__(key)[-1]

    def get(self, key: str, default: Any = None) -> Any:
        return self[key] if key in self else default  # noqa: SIM401  # this is `get`

    def items(self) -> Any:
        return [(key, self[key]) for key in self]


class Indexed:
    def __index__(self) -> int:
        return 5


class Floating:
    def __float__(self) -> float:
        return 2.5


class Array:
    def tolist(self) -> list[int]:
        return [1, 2]


class Zero:
    """A number of a library that gives its own class for its own class."""

    def tolist(self) -> Zero:
        return self

    def __float__(self) -> float:
        return 0.5


class Plan(str, Enum):  # noqa: UP042  # its `str` is no text of its own
    PRO = "pro"


class Level(IntEnum):
    HIGH = 9


class Price(float):
    def __str__(self) -> str:
        return "dear"


class Colour(Enum):
    RED = "red"


class TestPlain:
    @pytest.mark.parametrize(
        "value", ["a", 1, 1.5, True, None, Decimal(1), [1], (1,), {"a": 1}, {1}, MISSING]
    )
    def test_the_own_classes_of_python_are_as_they_are(self, value: object) -> None:
        assert plain(value) is value

    @pytest.mark.parametrize(
        "value", ["pro", "", 5, 1.5, True, False, None, [1, 2], {"a": 1}, Decimal("1.50"), Fraction(1, 2)]
    )
    def test_a_proxy_is_what_it_stands_for(self, value: object) -> None:
        seen = plain(Proxy(value))
        assert seen == value
        assert type(seen) is type(plain(value))

    @pytest.mark.parametrize(
        ("value", "seen"),
        [
            (Plan.PRO, "pro"),
            (Level.HIGH, 9),
            (Price(1.5), 1.5),
            (Fraction(1, 4), 0.25),
            (Indexed(), 5),
            (Floating(), 2.5),
            (Array(), [1, 2]),
            (Zero(), 0.5),
            (LastOfMany(a=[1, 2]), {"a": 2}),
            (UserDict({"a": 1}), {"a": 1}),
        ],
    )
    def test_what_holds_a_plain_value_is_that_value(self, value: object, seen: object) -> None:
        assert plain(value) == seen
        assert type(plain(value)) is type(seen)

    @pytest.mark.parametrize(
        "value", [Colour.RED, UUID(int=1), deque([1]), b"bytes", UserString("pro"), UserString("5")]
    )
    def test_of_another_object_the_text_is_known(self, value: object) -> None:
        seen = plain(value)
        assert isinstance(seen, Opaque)
        assert str(seen) == str(value)

    def test_what_raises_is_missing(self) -> None:
        assert plain(Broken()) is MISSING


class TestMappings:
    def test_a_copy_has_what_brackets_give(self) -> None:
        assert copy_mapping(LastOfMany(a=[1, 2], b=[])) == {"a": 2}

    def test_what_breaks_off_is_kept_as_far_as_it_came(self) -> None:
        class Torn(UserDict[str, object]):
            def __iter__(self) -> Iterator[str]:
                yield from super().__iter__()
                raise ConnectionError

        assert copy_mapping(Torn(a=1)) == {"a": 1}

    def test_a_mapping_of_another_class_is_read_when_it_is_asked(self) -> None:
        class Headers(Mapping[str, object]):
            def __getitem__(self, key: str) -> object:
                if key.lower() == "down":
                    raise ConnectionError
                return {"plan": "pro"}[key.lower()]

            def __iter__(self) -> Iterator[str]:
                return iter(["Plan", "down"])

            def __len__(self) -> int:
                return 2

        seen = ReadableMapping(Headers())
        assert (seen.get("PLAN"), seen.get("down", 7), seen["down"], seen.get("other")) == (
            "pro",
            7,
            None,
            None,
        )
        keys: list[Any] = ["plan", "down", 5]
        assert [key in seen for key in keys] == [True, False, False]
        assert (list(seen), len(seen)) == (["Plan"], 1)
        facts = as_data(Headers())
        assert facts is not None
        assert facts.get("pLAN") == "pro"


class TestTree:
    def test_holds_json_types_only(self) -> None:
        value = {
            "a": (1, {2}),
            "b": Fraction(1, 2),
            "c": Colour.RED,
            5: None,
            Plan.PRO: Broken(),
            Colour.RED: 1,
        }
        assert tree(value) == {"a": [1, [2]], "b": 0.5, "c": "Colour.RED", 5: None, "Colour.RED": 1}

    def test_what_holds_itself_ends(self) -> None:
        itself: dict[str, Any] = {"a": 1}
        itself["me"] = [itself]
        assert tree(itself) == {"a": 1, "me": [None]}

    def test_what_is_shared_is_bounded(self) -> None:
        shared: list[Any] = [1]
        for _ in range(40):
            shared = [shared, shared]
        written = str(tree(shared))
        assert written.count("[") <= 10_000

    def test_depth_is_bounded(self) -> None:
        deep: list[Any] = []
        for _ in range(5_000):
            deep = [deep]
        assert str(tree(deep)) == "[" * 64 + "None" + "]" * 64


def rules(match_type: str, value: object, key: str = "k") -> dict[str, object]:
    leaf = {"key": key, "value": value, "matching": {"match_type": match_type, "negated": False}}
    return {"OR": [{"AND": [{"OR_WHEN": [leaf]}]}]}


class TestRules:
    @pytest.mark.parametrize(
        ("match_type", "comparand", "value"),
        [
            ("equals", "pro", Proxy("pro")),
            ("equals", 5, Indexed()),
            ("equals", 5, [Indexed()]),
            ("equals", "pro", (Plan.PRO,)),
            ("less", 10, Indexed()),
            ("less", 10, Proxy(5)),
            ("lessEqual", 0.25, Fraction(1, 4)),
            ("less", "b", Proxy("a")),
            ("contains", "RO", Proxy("pro")),
            ("contains", "2.5", [Floating()]),
            ("startsWith", "p", Plan.PRO),
            ("endsWith", "o", Proxy("pro")),
            ("isIn", "free|pro", Proxy("pro")),
            ("isIn", (Plan.PRO,), "pro"),
            ("regexMatches", "^p.o$", Proxy("pro")),
            ("exists", "", Proxy("pro")),
            ("doesNotExist", "", Proxy("")),
            ("not_exists", "", Proxy("")),
            ("equals", Fraction(1, 2), 0.5),
        ],
    )
    def test_every_operator_sees_the_value(self, match_type: str, comparand: object, value: object) -> None:
        assert matches(rules(match_type, comparand), {"k": value})

    @pytest.mark.parametrize(
        "match_type",
        ["equals", "less", "contains", "startsWith", "endsWith", "isIn", "regexMatches", "exists"],
    )
    @pytest.mark.parametrize("listed", [False, True])
    def test_what_cannot_be_read_matches_nothing(self, match_type: str, listed: bool) -> None:
        value = [Broken()] if listed else Broken()
        assert matches(rules(match_type, "pro"), {"k": value}) is (listed and match_type == "exists")

    def test_what_cannot_be_read_is_left_out_of_a_union(self) -> None:
        assert deep_merge({"k": [1]}, {"k": [Broken(), 2]}) == {"k": [2, 1]}

    def test_what_cannot_be_read_is_not_there(self) -> None:
        assert matches(rules("doesNotExist", ""), {"k": Broken()})
        assert not matches(rules("not_exists", ""), {"k": Broken()})

    def test_a_list_that_shares_its_parts_is_answered(self) -> None:
        shared: list[Any] = ["x"]
        for _ in range(40):
            shared = [shared, shared]
        assert matches(rules("contains", "x,x"), {"k": shared})

    def test_a_long_list_is_seen_to_its_end(self) -> None:
        assert matches(rules("endsWith", "49999"), {"k": list(range(50_000))})


DOCUMENT = """{"account_id": "1", "project": {"id": "2"},
    "goals": [{"id": "7", "key": "buy", "rules": {"OR": [{"AND": [{"OR_WHEN": [
        {"key": "k", "value": "pro", "matching": {"match_type": "equals", "negated": false}}]}]}]}}],
    "audiences": [{"id": "5", "key": "a", "rules": {"OR": [{"AND": [{"OR_WHEN": [
        {"key": "k", "value": "pro", "matching": {"match_type": "equals", "negated": false}}]}]}]}}],
    "experiences": [{"id": "9", "key": "x", "audiences": ["5"], "variations": [{"id": "1", "key": "1"}]}]}"""


class TestVerbs:
    """The verbs, given what frameworks and numerical libraries hold."""

    def client(self, sent: list[bytes] | None = None) -> Client:
        return Client.offline(Project.parse(DOCUMENT), None if sent is None else sent.append)

    @pytest.mark.parametrize(
        "attributes",
        [{"k": Proxy("pro")}, LastOfMany(k=["free", "pro"]), Proxy({"k": "pro"}), UserDict(k="pro")],
    )
    def test_decide(self, attributes: Mapping[str, object]) -> None:
        assert self.client().visitor("v", attributes).decide("x")
        assert self.client().visitor("v").with_context(attributes=attributes).decide("x")
        assert self.client().visitor("v", {"country": "DE"}).with_context(attributes=attributes).decide("x")
        assert self.client().visitor("v").track("buy", rule_data=attributes).reason.value != "rules"

    def test_an_attribute_that_raises_costs_its_rule_alone(self) -> None:
        sent: list[bytes] = []
        with self.client(sent) as client:
            visitor = client.visitor("v", {"k": Broken(), "country": Broken(), "browser": "FF"})
            assert visitor.decide("x").reason.value == "audience"
            visitor.explain("x")
            visitor.with_context(attributes={"k": Broken()}).decide_all()
            visitor.set_segments({"source": Broken()})
            assert visitor.segments == {"browser": "FF"}
            assert visitor.track("buy")
        assert b'"segments":{"browser":"FF"}' in sent[0]

    def test_ids_and_figures_are_what_they_stand_for(self) -> None:
        sent: list[bytes] = []
        with self.client(sent) as client:
            assert client.visitor(Proxy("v-1")).id == "v-1"  # type: ignore[arg-type]
            visitor = client.visitor(Indexed())  # type: ignore[arg-type]
            assert visitor.id == "5"
            assert visitor.track(
                goal_id=Proxy("7"),  # type: ignore[arg-type]
                revenue=Fraction(99, 2),  # type: ignore[arg-type]
                products=Indexed(),  # type: ignore[arg-type]
                transaction_id=Proxy("T-1"),  # type: ignore[arg-type]
                dimensions={Indexed(): Proxy("gold")},  # type: ignore[dict-item]
                attributed_to={Proxy("9"): Proxy("1")},  # type: ignore[dict-item]
            )
        assert b'"amount","value":49.5' in sent[0]
        assert b'"customDimension5","value":"gold"' in sent[0]
        assert b'"bucketingData":{"9":"1"}' in sent[0]

    def test_a_dict_that_holds_itself_is_merged_and_decided(self) -> None:
        itself: dict[str, Any] = {"k": "pro"}
        itself["me"] = itself
        visitor = self.client().visitor("v", itself).with_context(attributes=itself)
        visitor = visitor.with_context(attributes=itself)
        visitor.set_segments(itself)
        assert visitor.decide("x")
        assert visitor.explain("x").to_json()

    def test_mappings_that_never_end_are_cut(self) -> None:
        class Endless(Mapping[str, object]):
            def __getitem__(self, key: str) -> object:
                return Endless()

            def __iter__(self) -> Iterator[str]:
                return iter(["deeper"])

            def __len__(self) -> int:
                return 1

        visitor = self.client().visitor("v", Endless()).with_context(attributes={"deeper": Endless()})
        assert visitor.decide("x").reason.value == "audience"

    def test_tuples_and_sets_are_lists_in_merges_too(self) -> None:
        visitor = self.client().visitor("v", {"k": ("free",)}).with_context(attributes={"k": {"pro"}})
        assert visitor._data() == {"k": ["pro", "free"]}
        visitor.set_segments({"tags": ("a", ["b"])})
        visitor.set_segments({"tags": ("c",)})
        assert visitor.segments["tags"] == ["c", "a", ["b"]]


class TestLibraries:
    """The real ones, where they are installed."""

    def test_django(self) -> None:
        settings = pytest.importorskip("django.conf", reason="pip install django").settings
        if not settings.configured:
            settings.configure()
        query = pytest.importorskip("django.http").QueryDict("k=free&k=pro&country=DE")
        lazy = pytest.importorskip("django.utils.functional").SimpleLazyObject
        client = Client.offline(Project.parse(DOCUMENT))
        for attributes in (
            query,
            lazy(lambda: {"k": "pro", "country": "DE"}),
        ):
            visitor = client.visitor("v", attributes)
            assert visitor.decide("x")
            assert visitor.segments == {"country": "DE"}
        assert client.visitor("w", {"k": lazy(lambda: "pro")}).decide("x")
        assert matches(rules("less", 10), {"k": lazy(lambda: 5)})

    def test_werkzeug(self) -> None:
        local = pytest.importorskip("werkzeug.local", reason="pip install werkzeug")
        client = Client.offline(Project.parse(DOCUMENT))
        assert client.visitor("v", {"k": local.LocalProxy(lambda: "pro")}).decide("x")
        unbound = local.LocalProxy(local.Local(), "user")
        assert client.visitor("w", {"k": unbound}).decide("x").reason.value == "audience"

    def test_wrapt(self) -> None:
        wrapt = pytest.importorskip("wrapt", reason="pip install wrapt")
        assert matches(rules("equals", "pro"), {"k": wrapt.ObjectProxy("pro")})
        assert matches(rules("less", 10), {"k": wrapt.ObjectProxy(5)})
        assert matches(rules("less", 10), {"k": wrapt.ObjectProxy(Decimal("9.5"))})

    def test_numpy(self) -> None:
        numpy = pytest.importorskip("numpy", reason="pip install numpy")
        for number in (
            numpy.int64(5),
            numpy.float32(5),
            numpy.float64(5),
            numpy.longdouble(5),
            numpy.uint8(5),
        ):
            assert matches(rules("less", 10), {"k": number}), type(number)
            assert matches(rules("equals", 5), {"k": number})
            assert matches(rules("equals", 5), {"k": [number]})
        assert matches(rules("equals", "true"), {"k": numpy.bool_(True)})
        assert matches(rules("equals", 2), {"k": numpy.array([1, 2])})
        assert matches(rules("equals", "pro"), {"k": numpy.str_("pro")})
        sent: list[bytes] = []
        with Client.offline(Project.parse(DOCUMENT), sent.append) as client:
            visitor = client.visitor(numpy.int64(3), {"campaign": numpy.int64(7)})
            assert visitor.track(
                "buy", revenue=numpy.int64(49), products=numpy.int16(2), dimensions={numpy.int8(1): "g"}
            )
            with pytest.raises(TypeError, match="revenue must be"):
                visitor.track("buy", revenue=numpy.bool_(True))
        assert b'"amount","value":49}' in sent[0]
        assert b'"campaign":"7"' in sent[0]

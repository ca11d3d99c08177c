"""One row of a table: its facts, what is expected, and what came out."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from typing import Final, NamedTuple

from convert_sdk._checks import nearest
from convert_sdk._core.asks import Asked, Asks
from convert_sdk._core.casting import UNCASTABLE, cast
from convert_sdk._core.decision import Reason
from convert_sdk._core.events import to_json
from convert_sdk._core.explain import Explanation
from convert_sdk._core.facts import ANYWHERE, Place
from convert_sdk._core.model import Audience, Experience, RuleSet
from convert_sdk._core.state import store_key
from convert_sdk._core.trace import RuleTrace
from convert_sdk.client import Client
from convert_sdk.project import Project
from convert_sdk.stores import Changes
from convert_sdk.stores.memory import MemoryStore
from convert_sdk.visitor import Visitor

from .deciding import closing_traces, deciding_text

EXPECT: Final = "expect"
_PLACES: Final[Mapping[str, Place]] = {"anywhere": ANYWHERE, "unknown": None}
_PLAIN: Final = ("name", "visitor", "environment", "location")
_FACTS: Final = ("attributes", "location", "rule_data", "state", "segments")
_KINDS: Final = ("audience", "location", "segment", "goal", "variation", "reason", "feature")
_SECTION: Final = {"variation": "experience", "reason": "experience"}
_BOOLEANS: Final = {"true": True, "false": False}


class Row(NamedTuple):
    """One row: its number, its line in the file, and its cells by column."""

    number: int
    line: int | None
    cells: Mapping[str, object]

    @property
    def name(self) -> str:
        """The cell `name`, or the number."""
        return str(self.cells.get("name") or f"row {self.number}")

    def group(self, name: str) -> dict[str, object]:
        """The cells of the columns that begin with a name and a dot, by what follows."""
        start = f"{name}."
        return {key.removeprefix(start): value for key, value in self.cells.items() if key.startswith(start)}


class Mismatched(NamedTuple):
    """One expectation that was not met, or a row that cannot be run: what, and the explanation."""

    what: str
    explanation: str = ""

    def __str__(self) -> str:
        lines = [self.what, *(f"    {line}" for line in self.explanation.splitlines())]
        return "\n".join(lines)


class RowResult(NamedTuple):
    """The result of one row."""

    row: Row
    failures: tuple[Mismatched, ...]

    @property
    def passed(self) -> bool:
        """True if everything came as expected."""
        return not self.failures

    def to_dict(self) -> dict[str, object]:
        """The same as values of JSON."""
        return {
            "row": self.row.number,
            "line": self.row.line,
            "name": self.row.name,
            "passed": self.passed,
            "failures": [each._asdict() for each in self.failures],
        }

    def __str__(self) -> str:
        if self.passed:
            return f"ok      {self.row.name}"
        line = "" if self.row.line is None else f", line {self.row.line}"
        number = "" if "name" not in self.row.cells else f", row {self.row.number}"
        body = [f"    {line}" for failure in self.failures for line in str(failure).splitlines()]
        return "\n".join([f"FAILED  {self.row.name}{number}{line}", *body])


def run_row(row: Row, project: Project, asked: Asks | None = None) -> RowResult:
    """The result of one row; nothing is stored or sent.

    Args:
        row: The row.
        project: The project to be tested.
        asked: What `project.asks()` gives, where it is at hand.

    Returns:
        The result. A column that the project knows nothing of and a cell that cannot be used are failures.
    """
    wrong = [Mismatched(what) for what in check_columns(row.cells, project, asked or project.asks())]
    if not any(column.startswith(f"{EXPECT}.") for column in row.cells):
        wrong.append(Mismatched("expects nothing: name a column such as expect.audience.germans"))
    if not wrong:
        try:
            wrong = [*_Run(row, project).failures()]
        except ValueError as error:
            wrong = [Mismatched(str(error))]
    return RowResult(row, tuple(wrong))


def check_columns(columns: Iterable[str], project: Project, asked: Asks) -> Iterator[str]:
    """Messages about the columns that mean nothing in a project, with those that are near."""
    facts: dict[str, Asked] = {
        "attributes": asked.attributes, "location": asked.location, "rule_data": asked.goals
    }  # fmt: skip
    for column in columns:
        head, dot, key = column.partition(".")
        if not dot and head in _PLAIN:
            continue
        if head in facts and dot:
            if key not in facts[head]:
                elsewhere = [f"{other}.{key}" for other, found in facts.items() if key in found]
                near = nearest(key, facts[head], 3) or (
                    f"; did you mean {elsewhere[0]}?" if elsewhere else ""
                )
                yield f"{column}: no rule of the project asks for it{near}"
        elif head in ("state", "segments") and dot:
            section = "experience" if head == "state" else "segment"
            yield from _unknown(column, section, key, project)
        elif head == EXPECT and dot:
            yield from _check_expectation(column, key, project)
        else:
            near = nearest(column, [*_PLAIN, *(f"{each}.{key}" for each in (*_FACTS, EXPECT))])
            yield f"{column}: a column is {', '.join(_PLAIN)}, {'.…, '.join(_FACTS)}.… or {EXPECT}.…{near}"


def _check_expectation(column: str, expected: str, project: Project) -> Iterator[str]:
    kind, dot, key = expected.partition(".")
    if kind not in _KINDS or not dot:
        yield f"{column}: expected {EXPECT}. and one of {', '.join(_KINDS)} and a key{nearest(kind, _KINDS)}"
    elif kind == "feature":
        name, variable = _feature(key, project)
        yield from _unknown(column, "feature", name, project)
        found = project.feature(name)
        declared = [] if found is None else [each.key for each in found.variables]
        if found is not None and variable is not None and variable not in declared:
            yield f"{column}: {name} declares no variable {variable!r}{nearest(variable, declared, 3)}"
    else:
        yield from _unknown(column, _SECTION.get(kind, kind), key, project)


def _unknown(column: str, section: str, key: str, project: Project) -> Iterator[str]:
    known = [each.key for each in getattr(project, f"{section}s")]
    if key not in known:
        yield f"{column}: the project has no {section} {key!r}{nearest(key, known, 3)}"


def _feature(key: str, project: Project) -> tuple[str, str | None]:
    """A feature's key, and the variable after it; both may have dots."""
    known = [each.key for each in project.features if key == each.key or key.startswith(f"{each.key}.")]
    if not known:
        name, dot, variable = key.partition(".")
        return name, variable if dot else None
    name = max(known, key=len)
    return name, key.removeprefix(f"{name}.") if key != name else None


class _Run:
    """One row on its way: the visitor, and everything that is asked of them."""

    def __init__(self, row: Row, project: Project) -> None:
        self.row = row
        self.project = project
        self.attributes = row.group("attributes")
        self.rule_data = row.group("rule_data")
        self.remembered = {each.id: arm for each, arm in self._remembered()}
        """The decisions of before, by ids."""
        self.visitor = self._visitor()
        self.explained: set[str] = set()
        """The experiences whose explanation the row shows already."""

    def failures(self) -> Iterator[Mismatched]:
        """Every expectation that is not met."""
        checks: dict[str, Callable[[str, object], Iterator[Mismatched]]] = {
            "variation": self._check_variation,
            "reason": self._check_reason,
            "feature": self._check_feature,
        }
        for column, wanted in self.row.group(EXPECT).items():
            kind, _, key = column.partition(".")
            check = checks.get(kind) or partial(self._check_rules, kind)
            yield from check(key, wanted)

    def _visitor(self) -> Visitor:
        cells, project = self.row.cells, self.project
        given = cells.get("visitor", "visitor")
        visitor_id = str(given) if isinstance(given, (str, int)) and not isinstance(given, bool) else ""
        if not visitor_id:
            raise ValueError(f"visitor: expected an id, found {given!r}")
        environment = cells.get("environment")
        if environment is not None and not isinstance(environment, str):
            raise ValueError(f"environment: expected a name, found {environment!r}")
        store = MemoryStore()
        segments = [each.id for each in project.segments if self._is_true(f"segments.{each.key}")]
        custom: dict[str, object] = {"customSegments": segments} if segments else {}
        key = store_key(project.account_id, project.id, visitor_id)
        store.save(Changes(key, bucketing=self.remembered, segments=custom))
        client = Client.offline(project, store=store, environment=environment)
        return client.visitor(visitor_id, self.attributes, location=self._place())

    def _remembered(self) -> Iterator[tuple[Experience, str]]:
        """The decisions of before: experiences, and the ids of variations."""
        for key, wanted in self.row.group("state").items():
            experience = self.project.experience(key)
            if experience is None or wanted is None:
                continue
            variation = experience.variation(str(wanted))
            if variation is None:
                arms = [each.key for each in experience.variations.values()]
                raise ValueError(
                    f"state.{key}: the experience has no variation {wanted!r}{nearest(str(wanted), arms, 3)}"
                )
            yield experience, variation.id

    def _place(self) -> Place:
        named = self.row.cells.get("location", _NOT_GIVEN)
        if named is _NOT_GIVEN:
            return self.row.group("location")
        if not isinstance(named, str) or named not in _PLACES:
            raise ValueError(f"location: expected {' or '.join(_PLACES)}, or columns such as location.url")
        return _PLACES[named]

    def _is_true(self, column: str) -> bool:
        return column in self.row.cells and _boolean(column, self.row.cells[column])

    def _check_rules(self, kind: str, key: str, wanted: object) -> Iterator[Mismatched]:
        """The verdict of an audience, location, segment or goal."""
        expected = _boolean(f"{EXPECT}.{kind}.{key}", wanted)
        found = next(each for each in getattr(self.project, f"{kind}s") if each.key == key)
        assert isinstance(found, RuleSet)  # noqa: S101 # what else has such a name was checked before
        place = self.visitor.location
        here: object = place if isinstance(place, Mapping) else {}
        facts = {"location": here, "goal": self.rule_data}.get(kind, self.attributes)
        exclusion = found.exclusion if isinstance(found, Audience) else None
        verdict = found.matches(facts) if exclusion is None else exclusion.holds(self.remembered)
        if verdict is not expected:
            why = (
                found.explain(facts)
                if exclusion is None
                else RuleTrace(kind, key, verdict, note=str(exclusion))
            )
            what = f"expected {kind} {key}: {to_json(expected)}, found: {to_json(verdict)}"
            yield Mismatched(what, "\n".join([str(why), *deciding_text(why)]))

    def _check_variation(self, key: str, wanted: object) -> Iterator[Mismatched]:
        """The variation of an experience; null is none."""
        expected = None if wanted is None else str(wanted)
        experience = self.project.experience(key)
        arms = [] if experience is None else [each.key for each in experience.variations.values()]
        if expected is not None and expected not in arms:
            raise ValueError(
                f"{EXPECT}.variation.{key}: the experience has no variation {expected!r}{nearest(expected, arms, 3)}"
            )
        explanation = self.visitor.explain(key)
        decision = explanation.decision
        if decision.variation_key != expected:
            found = decision.variation_key or f"none, {decision.reason.value}"
            what = f"expected variation of {key}: {expected or 'none'}, found: {found}"
            yield Mismatched(what, self._explained(explanation))

    def _check_reason(self, key: str, wanted: object) -> Iterator[Mismatched]:
        """The reason of a decision."""
        reasons = [each.value for each in Reason]
        if wanted not in reasons:
            near = nearest(str(wanted), reasons, 3)
            raise ValueError(f"{EXPECT}.reason.{key}: there is no reason {wanted!r}{near}")
        explanation = self.visitor.explain(key)
        found = explanation.decision.reason.value
        if found != wanted:
            what = f"expected reason of {key}: {wanted}, found: {found}"
            yield Mismatched(what, self._explained(explanation))

    def _check_feature(self, key: str, wanted: object) -> Iterator[Mismatched]:
        """A feature that is enabled, or the value of one of its variables; null is one that is not set."""
        name, variable = _feature(key, self.project)
        resolved = self.visitor.peek_feature(name)
        if variable is None:
            expected: object = _boolean(f"{EXPECT}.feature.{key}", wanted)
            found: object = resolved.enabled
        else:
            expected = self._value_of(name, variable, wanted)
            found = resolved.variables.get(variable)
        if type(found) is not type(expected) or found != expected:
            what = f"expected feature {key}: {to_json(expected)}, found: {to_json(found)}"
            yield Mismatched(what, "\n".join(self._feature_text(name)))

    def _value_of(self, name: str, variable: str, wanted: object) -> object:
        """The expected value in the declared type, as a CSV has texts and YAML writes 1 for 1.0."""
        declared = self.project.feature(name)
        types = {} if declared is None else {each.key: each.type for each in declared.variables}
        if wanted is None or (not isinstance(wanted, str) and types.get(variable) != "float"):
            return wanted
        value = cast(wanted, types.get(variable, ""))
        if value is UNCASTABLE:
            raise ValueError(f"{EXPECT}.feature.{name}.{variable}: {wanted!r} is no {types[variable]}")
        return value

    def _feature_text(self, name: str) -> Iterator[str]:
        """The explanations of the experiences that carry a feature."""
        declared = self.project.feature(name)
        carriers = () if declared is None else self.project.carriers(declared.id)
        if not carriers:
            yield "no experience changes this feature"
        for each in carriers:
            yield self._explained(self.visitor.explain(each.key))

    def _explained(self, explanation: Explanation) -> str:
        """The explanation, once in a row, and the conditions that decided."""
        decided = deciding_text(*closing_traces(explanation))
        if explanation.decision.key in self.explained:
            return "\n".join(decided)
        self.explained.add(explanation.decision.key)
        return "\n".join([str(explanation), *decided])


_NOT_GIVEN: Final = object()


def _boolean(column: str, value: object) -> bool:
    found = _BOOLEANS.get(value.lower()) if isinstance(value, str) else value
    if not isinstance(found, bool):
        raise ValueError(f"{column}: expected true or false, found {value!r}")
    return found

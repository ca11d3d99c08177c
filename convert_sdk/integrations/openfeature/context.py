"""The evaluation context as a visitor: who, with which facts, and where."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple, cast

from openfeature.evaluation_context import EvaluationContext

from convert_sdk import _checks as check
from convert_sdk._core.facts import Place
from convert_sdk._core.state import NOTHING
from convert_sdk._core.untracked import UntrackedState
from convert_sdk._scope import VISITOR_SCOPE, open_scope
from convert_sdk.async_client import AsyncClient
from convert_sdk.client import Client
from convert_sdk.visitor import Visitor, bare_visitor

from .answers import ANONYMOUS

LOCATION = "location"
BUCKETING_ID = "bucketing_id"


class Asker(NamedTuple):
    """An evaluation context, read."""

    id: str | None
    """The targeting key; None where there is none."""
    attributes: Mapping[str, object]
    location: Place
    bucketing_id: str | int | None


def is_plain(context: EvaluationContext) -> bool:
    """True if the context names somebody and gives attributes alone, outside of any request."""
    attributes = context.attributes
    return (
        bool(context.targeting_key)
        and VISITOR_SCOPE.get() is None
        and LOCATION not in attributes
        and BUCKETING_ID not in attributes
    )


def asker_of(context: EvaluationContext | None) -> Asker:
    """Read an evaluation context; an object named `location` is the place."""
    if context is None:
        return Asker(None, NOTHING, NOTHING, None)
    attributes: Mapping[str, object] = context.attributes
    if LOCATION not in attributes and BUCKETING_ID not in attributes:
        return Asker(context.targeting_key or None, attributes, NOTHING, None)
    own = {**attributes}
    location: Place = NOTHING
    if isinstance(own.get(LOCATION), Mapping):
        location = cast("Mapping[str, object]", own.pop(LOCATION))
    bucketing_id = cast("str | int | None", own.pop(BUCKETING_ID, None))
    return Asker(context.targeting_key or None, own, location, bucketing_id)


def visitor_in_request(client: Client | AsyncClient, asker: Asker) -> Visitor | None:
    """The visitor of the request that is served here, with the facts of the context over its own.

    None outside of a request, and where the context names somebody else.
    """
    scope = open_scope(client)
    if scope is None or (asker.id is not None and asker.id != scope.glance().id):
        return None
    visitor = scope.visitor()
    if not asker.attributes and asker.location is NOTHING and asker.bucketing_id is None:
        return visitor
    return visitor.with_context(
        attributes=asker.attributes,
        location=check.UNCHANGED if asker.location is NOTHING else asker.location,
        bucketing_id=asker.bucketing_id,
    )


def anonymous_visitor(client: Client | AsyncClient, asker: Asker) -> Visitor:
    """Somebody without an id, of whom nothing is known, stored or sent."""
    attributes, location = check.attributes(asker.attributes), check.location(asker.location)
    visitor = bare_visitor(client._engine, ANONYMOUS, attributes, location)
    visitor._state = UntrackedState()  # and not what is remembered of somebody who happens to have this id
    visitor._tracking = False
    return visitor


def bare_visitor_of(client: AsyncClient, id: str, asker: Asker) -> Visitor:
    """A visitor of an asynchronous client with what this process remembers; its store is not asked."""
    visitor = bare_visitor(
        client._engine,
        check.visitor_id(id),
        check.attributes(asker.attributes),
        check.location(asker.location),
    )
    if asker.bucketing_id is not None:
        visitor._hashed = check.bucketing_id(asker.bucketing_id)
    return visitor

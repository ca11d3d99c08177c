"""Tools for an application's own tests of this package."""

from .builders import (
    BuiltProject,
    audience,
    document,
    experience,
    feature,
    from_export,
    goal,
    location,
    project,
    segment,
    variation,
)
from .clock import FrozenClock
from .recording import AsyncRecordingClient, Recorder, RecordingClient
from .records import RecordedConversion, RecordedExposure
from .replacing import replaced, replaced_everywhere
from .rules import Attr, RuleExpression, all_of, any_of, attr, bucketed_into

__all__ = [
    "AsyncRecordingClient",
    "Attr",
    "BuiltProject",
    "FrozenClock",
    "RecordedConversion",
    "RecordedExposure",
    "Recorder",
    "RecordingClient",
    "RuleExpression",
    "all_of",
    "any_of",
    "attr",
    "audience",
    "bucketed_into",
    "document",
    "experience",
    "feature",
    "from_export",
    "goal",
    "location",
    "project",
    "replaced",
    "replaced_everywhere",
    "segment",
    "variation",
]

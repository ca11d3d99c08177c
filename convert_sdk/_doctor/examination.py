"""The examination of a client, from its endpoints to its host."""

from __future__ import annotations

from convert_sdk.diagnosis import Diagnosis

from .endpoints import examine_endpoints
from .host import examine_host
from .subject import Subject


def examine(subject: Subject) -> Diagnosis:
    """Examine everything; each endpoint is asked once, and no event is sent."""
    return Diagnosis((*examine_endpoints(subject), *examine_host(subject)))

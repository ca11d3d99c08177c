"""Run Convert.com experiments from a Python backend: decide in memory, explain every decision, lose no event.

>>> project = Project.parse(b'{"account_id": "1", "project": {"id": "2"}}')
>>> with Client.offline(project) as client:
...     client.visitor("v-42", {"plan": "pro"}).decide("checkout-layout").reason
<Reason.UNKNOWN: 'unknown'>
"""

from ._core.bucketing import bucket_value
from ._core.consent import Consent
from ._core.decision import Decision, Reason, ResolvedFeature
from ._core.explain import Explanation
from ._core.facts import ANYWHERE
from ._core.goals import ConversionReason, ConversionResult
from ._core.preview import parse_preview
from ._core.problem import Problem
from ._core.rules import matches_rule_set as matches
from ._core.state import VisitorState
from ._core.trace import RuleTrace, explain_rules
from ._process.exit import flush_before_os_exit
from ._scope import current_visitor
from ._version import __version__
from .async_client import AsyncClient
from .client import Client
from .errors import ConvertError, DocumentError, FetchError, OptionError, SpoolError, StoreError
from .project import Project
from .status import Counts, FlushReport, Status
from .stores import MemoryStore, Store
from .visitor import Visitor

__all__ = [
    "ANYWHERE",
    "AsyncClient",
    "Client",
    "Consent",
    "ConversionReason",
    "ConversionResult",
    "ConvertError",
    "Counts",
    "Decision",
    "DocumentError",
    "Explanation",
    "FetchError",
    "FlushReport",
    "MemoryStore",
    "OptionError",
    "Problem",
    "Project",
    "Reason",
    "ResolvedFeature",
    "RuleTrace",
    "SpoolError",
    "Status",
    "Store",
    "StoreError",
    "Visitor",
    "VisitorState",
    "__version__",
    "bucket_value",
    "current_visitor",
    "explain_rules",
    "flush_before_os_exit",
    "matches",
    "parse_preview",
]

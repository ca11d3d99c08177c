"""The analysis of documents: what is wrong in one, what a change of it does, what it takes to qualify.

Nothing here is on a request's path, and nothing needs a network.
"""

from convert_sdk._core.codes import Code, Severity

from .changes import EntityChange, document_changes
from .check import check, read_ignores
from .code_scan import CodeScan, KeyUse, UnusedKey, scan
from .counterfactual import Counterfactual, FactChange, TrafficShare, counterfactual
from .description import Description, Line, describe
from .difference import Difference, Move, MoveKind, diff
from .entities import Kind, NamedEntity, find, kinds_of
from .findings import CheckReport, Finding, Ignore
from .html import description_html, explanation_html, page_html, trace_html
from .sarif import sarif_log
from .simulation import ArmShare, ExperienceShare, GoalPlan, Overlap, Simulation, plan_tests, simulate
from .state import named_state
from .visitor_rows import VisitorRow, decide_row, read_visitors, sample_visitors, unknown_facts
from .words import rule_set_words, rules_words

__all__ = [
    "ArmShare",
    "CheckReport",
    "Code",
    "CodeScan",
    "Counterfactual",
    "Description",
    "Difference",
    "EntityChange",
    "ExperienceShare",
    "FactChange",
    "Finding",
    "GoalPlan",
    "Ignore",
    "KeyUse",
    "Kind",
    "Line",
    "Move",
    "MoveKind",
    "NamedEntity",
    "Overlap",
    "Severity",
    "Simulation",
    "TrafficShare",
    "UnusedKey",
    "VisitorRow",
    "check",
    "counterfactual",
    "decide_row",
    "describe",
    "description_html",
    "diff",
    "document_changes",
    "explanation_html",
    "find",
    "kinds_of",
    "named_state",
    "page_html",
    "plan_tests",
    "read_ignores",
    "read_visitors",
    "rule_set_words",
    "rules_words",
    "sample_visitors",
    "sarif_log",
    "scan",
    "simulate",
    "trace_html",
    "unknown_facts",
]

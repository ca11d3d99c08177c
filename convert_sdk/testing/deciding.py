"""The conditions that decided: of everything that an explanation shows, the ones to look at."""

from __future__ import annotations

from collections.abc import Iterator

from convert_sdk._core.explain import Explanation
from convert_sdk._core.trace import LeafTrace, RuleTrace, leaf_text


def deciding_leaves(trace: RuleTrace) -> Iterator[LeafTrace]:
    """The conditions that decided a rule set: of each block the group that failed first; or those that held.

    >>> rules = all_of(attr("plan") == "pro", attr("age") >= 18)
    >>> [leaf.key for leaf in deciding_leaves(rules.explain({"plan": "pro", "age": 17}))]
    ['age']
    """
    for block in trace.leaves:
        failed = next((group for group in block if not any(leaf.verdict for leaf in group)), None)
        if failed is not None and not trace.verdict:
            yield from failed
        elif failed is None:
            yield from (next(leaf for leaf in group if leaf.verdict) for group in block)
            return


def deciding_text(*traces: RuleTrace) -> Iterator[str]:
    """The lines that name the conditions which decided rule sets."""
    for trace in traces:
        leaves = [leaf_text(leaf) for leaf in deciding_leaves(trace)]
        if leaves:
            yield f"decided by: {'; '.join(leaves)}"
        elif trace.note:
            yield f"decided by: {trace.note}"


def closing_traces(explanation: Explanation) -> tuple[RuleTrace, ...]:
    """The rule sets of the gate that closed, which refuse the visitor; none where no gate closed."""
    closed = next((gate for gate in explanation.gates if gate.passed is False), None)
    return () if closed is None else tuple(trace for trace in closed.rules if not trace.verdict)

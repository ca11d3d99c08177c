"""Explanations as one file of HTML, which loads nothing and runs nothing."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from html import escape

from convert_sdk._core.events import to_json
from convert_sdk._core.explain import Explanation, GateTrace, HashTrace
from convert_sdk._core.trace import VERDICTS, LeafTrace, RuleTrace

from .counterfactual import Counterfactual
from .description import Description

_STYLE = """
:root { color-scheme: light dark; --line: #8884; --yes: #17803d; --no: #b3261e; --dim: #777; }
@media (prefers-color-scheme: dark) { :root { --yes: #6fd08c; --no: #ff8a80; --dim: #999; } }
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 60rem; padding: 0 1rem; }
h1 { font-size: 1.4rem; } h2 { font-size: 1.05rem; margin-top: 2rem; }
body { overflow-wrap: anywhere; } th { overflow-wrap: normal; }
code { font: 0.9em ui-monospace, monospace; unicode-bidi: isolate; }
table { border-collapse: collapse; width: 100%; } th { text-align: left; font-weight: 600; }
td, th { border-bottom: 1px solid var(--line); padding: .35rem .6rem .35rem 0; vertical-align: top; }
ul { list-style: none; margin: .2rem 0; padding-left: 1.1rem; border-left: 2px solid var(--line); }
td.yes, td.no, td.dim { white-space: nowrap; }
.yes { color: var(--yes); } .no { color: var(--no); } .dim { color: var(--dim); }
.ruler { display: flex; height: 1.9rem; border: 1px solid var(--line); position: relative; overflow: hidden; }
.ruler span { position: absolute; top: 0; bottom: 0; border-right: 2px solid var(--line); }
.ruler span { box-sizing: border-box; padding: .2rem .4rem; overflow: hidden; white-space: nowrap; }
.ruler b { position: absolute; top: 0; bottom: 0; width: 3px; background: var(--no); }
"""


def explanation_html(explanation: Explanation, found: Counterfactual | None = None) -> str:
    """The explanation of a decision as a page: gates, rules, ranges, and what would let the visitor take part.

    >>> explanation_html(visitor.explain("shipping-banner")).startswith("<!doctype html>")
    True
    """
    decision = explanation.decision
    answer = f"{decision.reason.value}: {decision.variation_key}" if decision else decision.reason.value
    heading = (
        f"<h1><code>{escape(decision.key)}</code> for visitor <code>{escape(explanation.visitor_id)}</code>: "
        f'<span class="{_tone(bool(decision))}">{escape(answer)}</span></h1>'
    )
    parts = [
        heading,
        "<h2>Gates</h2><table><thead><tr><th>Gate<th>Verdict<th>Why</thead><tbody>",
        *(_gate(gate) for gate in explanation.gates),
        "</tbody></table>",
    ]
    if found is not None:
        parts += ["<h2>What it takes</h2>", _counterfactual(found)]
    if explanation.hashed is not None:
        parts += ["<h2>Hash and ranges</h2>", _hash(explanation.hashed, explanation)]
    return page_html(f"{decision.key}: {answer}", parts)


def trace_html(trace: RuleTrace, description: Description) -> str:
    """The verdict of an audience, location, segment or goal as a page."""
    title = f"{trace.kind} {trace.key}: {VERDICTS[trace.verdict].strip().lower()}"
    return page_html(
        title, [f"<h1>{escape(title)}</h1>", _lines(description), "<h2>Conditions</h2>", _rules(trace)]
    )


def description_html(description: Description) -> str:
    """An entity in words as a page."""
    title = f"{description.kind.value} {description.key}"
    return page_html(title, [f"<h1>{escape(title)}</h1>", _lines(description)])


def page_html(title: str, parts: Iterable[str]) -> str:
    """A whole page around some parts, which are HTML already."""
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n"
        f"<title>{escape(title)}</title><style>{_STYLE}</style></head>\n<body><main>\n"
        + "\n".join(parts)
        + "\n</main></body></html>\n"
    )


def _tone(verdict: bool | None) -> str:
    return "dim" if verdict is None else "yes" if verdict else "no"


def _gate(gate: GateTrace) -> str:
    rules = "".join(_rules(trace) for trace in gate.rules) if gate.passed is not None else ""
    verdict = {True: "passed", False: "closed", None: "not asked"}[gate.passed]
    return f"<tr><th>{escape(gate.name)}<td class={_tone(gate.passed)}>{verdict}<td>{escape(gate.detail)}{rules}</tr>"


def _rules(trace: RuleTrace) -> str:
    note = f' <span class="dim">{escape(trace.note)}</span>' if trace.note else ""
    blocks = "<li class=dim>or</li>".join(
        "".join(f"<li>{'<br><span class=dim>or</span> '.join(map(_leaf, either))}</li>" for either in every)
        for every in trace.leaves
    )
    verdict = VERDICTS[trace.verdict].strip().lower()
    return (
        f'<div><span class="{_tone(trace.verdict)}">{verdict}</span> {escape(trace.kind)} '
        f"<code>{escape(trace.key)}</code>{note}<ul>{blocks}</ul></div>"
    )


def _leaf(leaf: LeafTrace) -> str:
    operator = f"not {leaf.operator}" if leaf.negated else leaf.operator
    value = to_json(leaf.value) if leaf.known else "nothing"
    note = f"; {leaf.note}" if leaf.note else ""
    return (
        f'<span class="{_tone(leaf.verdict)}">{VERDICTS[leaf.verdict].strip().lower()}</span> '
        f"<code>{escape(leaf.key)} {escape(operator)} {escape(to_json(leaf.comparand))}</code>, "
        f"the visitor has <code>{escape(value)}</code>{escape(note)}"
    )


def _counterfactual(found: Counterfactual) -> str:
    first, *rest = str(found).splitlines()
    return f"<p>{escape(first)}</p><ul>{''.join(f'<li>{escape(line.strip())}</li>' for line in rest)}</ul>"


def _hash(hashed: HashTrace, explanation: Explanation) -> str:
    experience = explanation.decision.experience
    names = {arm.id: arm.key for arm in experience.variations.values()} if experience is not None else {}
    most = max([10_000.0, *(each.end for each in hashed.ranges)])
    spans = "".join(
        f'<span style="left:{_percent(each.start, most)};width:{_percent(each.end - each.start, most)}">'
        f"{escape(names.get(each.variation_id, each.variation_id))}</span>"
        for each in hashed.ranges
    )
    rows = "".join(
        f"<tr><td>{escape(names.get(each.variation_id, ''))} <span class=dim>{escape(each.variation_id)}</span>"
        f"<td>{each.start:.2f} to {each.end:.2f}</tr>"
        for each in hashed.ranges
    )
    return (
        f"<p><code>{escape(hashed.input)}</code> with seed {hashed.seed} is {hashed.hash}: bucket value "
        f"<b>{hashed.bucket_value}</b>, {escape(hashed.layout)} ranges</p>"
        f'<div class="ruler" role="img" aria-label="bucket value {hashed.bucket_value}">{spans}'
        f'<b style="left:{_percent(hashed.bucket_value, most)}"></b></div>'
        f"<table><thead><tr><th>Variation<th>Bucket values</thead><tbody>{rows}</tbody></table>"
    )


def _percent(part: float, whole: float) -> str:
    return f"{100 * part / whole:.3f}%"


def _lines(description: Description) -> str:
    return "".join(_described(description))


def _described(description: Description) -> Iterator[str]:
    yield f"<p>{escape(description.name)} <span class=dim>{escape(description.id)}</span></p><table><tbody>"
    yield from (f"<tr><th>{escape(line.name)}<td>{escape(line.words)}</tr>" for line in description.lines)
    yield "</tbody></table>"

"""The report of rule coverage as one file of HTML, which loads nothing and runs nothing."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from html import escape

from convert_sdk.analysis.html import page_html

from .report import Coverage, ExperienceCoverage, LeafCoverage, RulesCoverage

_STYLE = """<style>
.bar { height: .6rem; background: var(--line); border-radius: .3rem; overflow: hidden; margin: .4rem 0 1.2rem; }
.bar b { display: block; height: 100%; background: var(--yes); }
.chip { display: inline-block; min-width: 6.5rem; padding: 0 .5rem; margin: .1rem .2rem .1rem 0; border-radius: .8rem; }
.chip { border: 1px solid var(--line); font-size: .85em; white-space: nowrap; }
.chip.hit { border-color: var(--yes); color: var(--yes); } .chip.miss { border-color: var(--no); color: var(--no); }
section { border: 1px solid var(--line); border-radius: .5rem; padding: .2rem 1rem .6rem; margin: .8rem 0; }
section h3 { font-size: 1rem; margin: .4rem 0; display: flex; justify-content: space-between; gap: 1rem; }
.leaf { display: flex; flex-wrap: wrap; justify-content: space-between; gap: .2rem 1rem; align-items: baseline; }
.leaf + .leaf::before { content: "or"; color: var(--dim); font-size: .85em; width: 100%; }
.group { padding: .35rem 0; border-bottom: 1px solid var(--line); } .group:last-child { border-bottom: 0; }
.block + .block { margin-top: .8rem; }
</style>"""


def html_report(coverages: Iterable[Coverage]) -> str:
    """The page: a share for each project, its variations, and each condition with what was seen of it."""
    listed = [*coverages]
    parts = [_STYLE, "<h1>Rule coverage</h1>"]
    for each in listed:
        parts += _project(each)
    if not listed:
        parts.append("<p>No project was covered.</p>")
    return page_html("Rule coverage", parts)


def _project(coverage: Coverage) -> Iterator[str]:
    yield f"<h2>{escape(coverage.project)}: {coverage.percent:.1f} %</h2>"
    yield f'<div class="bar"><b style="width:{coverage.percent:.2f}%"></b></div>'
    yield (
        f'<p class="dim">{coverage.hits} of {coverage.total}: every variation counts once, every condition twice, '
        "true and false. A condition that comes after the one which decided is not reached.</p>"
    )
    if coverage.experiences:
        yield "<h2>Variations</h2><table><thead><tr><th>Experience<th>Variations</thead><tbody>"
        yield from map(_experience, coverage.experiences)
        yield "</tbody></table>"
    if coverage.rules:
        yield "<h2>Rules</h2>"
        yield from map(_rules, coverage.rules)
    if coverage.excluded:
        yield f'<p class="dim">Excluded: {", ".join(map(escape, coverage.excluded))}</p>'


def _experience(each: ExperienceCoverage) -> str:
    chips = "".join(_chip(key, count) for key, count in each.variations)
    return f"<tr><td><code>{escape(each.key)}</code><td>{chips}</tr>"


def _rules(rules: RulesCoverage) -> str:
    hits, total = sum(leaf.hits for leaf in rules.leaves), 2 * len(rules.leaves)
    tone = "yes" if hits == total else "no"
    share = f'<span class="{tone}">{hits} of {total}</span>' if total else ""
    note = f'<p class="dim">{escape(rules.note)}</p>' if rules.note else ""
    blocks = '<p class="dim">or all of</p>'.join(
        f'<div class="block">{"".join(map(_group, block))}</div>' for block in rules.blocks
    )
    heading = f"<h3><span>{escape(rules.kind)} <code>{escape(rules.key)}</code></span>{share}</h3>"
    return f"<section>{heading}{note}{blocks}</section>"


def _group(group: tuple[LeafCoverage, ...]) -> str:
    return f'<div class="group">{"".join(map(_leaf, group))}</div>'


def _leaf(leaf: LeafCoverage) -> str:
    asked = leaf.true or leaf.false or leaf.unknown
    unknown = f'<span class="chip">no fact {leaf.unknown}</span>' if leaf.unknown else ""
    chips = (
        _chip("true", leaf.true) + _chip("false", leaf.false) + unknown
        if asked
        else '<span class="chip miss">never reached</span>'
    )
    return f'<div class="leaf"><code>{escape(leaf.text)}</code><span>{chips}</span></div>'


def _chip(name: str, count: int) -> str:
    tone = "hit" if count else "miss"
    return f'<span class="chip {tone}">{escape(name)} {count or "never"}</span>'

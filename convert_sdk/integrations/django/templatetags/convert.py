"""Template tags: `{% load convert %}`, then `{% experience %}`, `{% feature %}` and `{% convert_bootstrap %}`."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from django import template
from django.template.base import FilterExpression, NodeList, Parser, Token
from django.template.base import render_value_in_context as rendered
from django.template.context import Context

from convert_sdk._core.decision import Decision, ResolvedFeature
from convert_sdk._scope import current_visitor
from convert_sdk.visitor import Visitor

register = template.Library()
_log = logging.getLogger("convert_sdk")
_BOUND = "_convert_sdk_bound"
"""On a parser: names that templates have given to decisions, by the expression of the experience."""


class Branch(NamedTuple):
    """The part of a template that is for one variation."""

    variation: FilterExpression
    nodes: NodeList


class ExperienceNode(template.Node):
    """Shows the branch of the visitor's variation, or the last one."""

    child_nodelists = ("nodelist",)

    def __init__(self, key: FilterExpression, branches: list[Branch], otherwise: NodeList) -> None:
        self.key = key
        self.branches = branches
        self.otherwise = otherwise

    @property
    def nodelist(self) -> NodeList:
        """Everything inside, for `{% extends %}`."""
        return NodeList(
            [node for each in (*self.branches, Branch(self.key, self.otherwise)) for node in each.nodes]
        )

    def render(self, context: Context) -> str:  # pyright: ignore[reportIncompatibleMethodOverride]  # Django's own gives nothing
        """The chosen branch."""
        decision = decided(context, self.key.resolve(context))
        if decision is not None and decision:
            for branch in self.branches:
                if branch.variation.resolve(context) == decision.variation_key:
                    return branch.nodes.render(context)
        return self.otherwise.render(context)


class DecisionNode(template.Node):
    """Gives a decision a name in the template."""

    def __init__(self, key: FilterExpression, name: str) -> None:
        self.key = key
        self.name = name

    def render(self, context: Context) -> str:  # pyright: ignore[reportIncompatibleMethodOverride]  # Django's own gives nothing
        """Nothing."""
        context[self.name] = decided(context, self.key.resolve(context))
        return ""


class FeatureNode(template.Node):
    """Shows a variable of a feature, or gives the feature or the variable a name."""

    def __init__(
        self,
        key: FilterExpression,
        variable: FilterExpression | None,
        default: FilterExpression | None,
        name: str,
    ) -> None:
        self.key = key
        self.variable = variable
        self.default = default
        self.name = name

    def render(self, context: Context) -> str:  # pyright: ignore[reportIncompatibleMethodOverride]  # Django's own gives nothing
        """The variable, escaped as the template is."""
        visitor = visitor_of(context)
        key: Any = self.key.resolve(context)
        feature = ResolvedFeature.disabled(key, None) if visitor is None else visitor.feature(key)
        if self.variable is None:
            context[self.name] = feature
            return ""
        name: Any = self.variable.resolve(context)
        default: object = None if self.default is None else self.default.resolve(context)
        value = feature.get(name, default)
        if self.name:
            context[self.name] = value
            return ""
        return "" if value is None else rendered(value, context)


def visitor_of(context: Context) -> Visitor | None:
    """The visitor of the request that a template is rendered for; None outside of one, where nothing is decided."""
    request = context.get("request")
    visitor: Visitor | None = getattr(request, "convert", None)
    try:
        return visitor if visitor is not None and visitor.id else current_visitor(default=None)
    except LookupError:
        return None


def decided(context: Context, key: object) -> Decision | None:
    """The visitor's decision; None without a visitor."""
    visitor = visitor_of(context)
    return None if visitor is None else visitor.decide(str(key))  # a key may be text that is translated late


@register.tag
def experience(parser: Parser, token: Token) -> template.Node:
    """`{% experience "x" %}{% variation "a" %}…{% else %}…{% endexperience %}`, or `{% experience "x" as name %}`."""
    tag, *arguments = token.split_contents()
    match arguments:
        case [key, "as", name]:
            vars(parser).setdefault(_BOUND, {})[key] = name
            return DecisionNode(parser.compile_filter(key), name)
        case [key]:
            warn_of_cache(parser, token, key)
            return blocks(parser, parser.compile_filter(key))
    raise template.TemplateSyntaxError(f'{{% {tag} "key" %}} or {{% {tag} "key" as name %}} is expected')


def blocks(parser: Parser, key: FilterExpression) -> ExperienceNode:
    """The branches up to `{% endexperience %}`."""
    before = parser.parse(("variation", "else", "endexperience"))
    if any(not isinstance(node, template.base.TextNode) or node.s.strip() for node in before):
        raise template.TemplateSyntaxError(
            "{% experience %} begins with {% variation %}: nothing stands before it"
        )
    branches: list[Branch] = []
    otherwise = NodeList()
    token = parser.next_token()
    while token.contents != "endexperience":
        name, *arguments = token.split_contents()
        if name == "else":
            otherwise = parser.parse(("endexperience",))
        elif len(arguments) != 1:
            raise template.TemplateSyntaxError('{% variation "key" %} takes one key')
        else:
            nodes = parser.parse(("variation", "else", "endexperience"))
            branches.append(Branch(parser.compile_filter(arguments[0]), nodes))
        token = parser.next_token()
    return ExperienceNode(key, branches, otherwise)


@register.tag
def feature(parser: Parser, token: Token) -> FeatureNode:
    """`{% feature "pricing" "discount" default=0 %}`, the same `as name`, or `{% feature "pricing" as name %}`."""
    tag, *arguments = token.split_contents()
    name = ""
    if len(arguments) > 2 and arguments[-2] == "as":
        *arguments, _, name = arguments
    default = None
    if arguments and arguments[-1].startswith("default="):
        default = parser.compile_filter(arguments.pop().removeprefix("default="))
    match arguments:
        case [key] if name and default is None:
            return FeatureNode(parser.compile_filter(key), None, None, name)
        case [key, variable]:
            warn_of_cache(parser, token, key)
            return FeatureNode(parser.compile_filter(key), parser.compile_filter(variable), default, name)
    raise template.TemplateSyntaxError(
        f'{{% {tag} "key" "variable" default=… %}}, the same with "as name", or {{% {tag} "key" as name %}} is expected'
    )


@register.simple_tag(name="convert_bootstrap", takes_context=True)
def bootstrap_element(
    context: Context,
    *experiences: object,
    features: str | Iterable[str] | None = None,
    expose: bool = False,
    nonce: object = None,
) -> str:
    """`{% convert_bootstrap %}`, or with keys of experiences, `features=`, `expose=True` and `nonce=`.

    `visitor.bootstrap` says more of them. Without `nonce=` it takes Django's, or that of django-csp.
    """
    visitor = visitor_of(context)
    if visitor is None:
        return ""
    nonce = nonce or context.get("csp_nonce") or getattr(context.get("request"), "csp_nonce", None)
    page = visitor.bootstrap(
        [str(each) for each in experiences] or None,
        features=[features] if isinstance(features, str) else features,
        expose=expose,
    )
    return page.script(str(nonce) if nonce else None)


_compile_bootstrap: Callable[[Parser, Token], template.Node] = register.tags["convert_bootstrap"]


@register.tag(name="convert_bootstrap")
def bootstrap_tag(parser: Parser, token: Token) -> template.Node:
    """The tag, with a warning where a cache would show it to others."""
    if any(command == "cache" for command, _ in parser.command_stack):
        _log.warning(
            "%s, line %s: {%% %s %%} stands in {%% cache %%}, whose fragment is shown to everybody: it holds the id of "
            "one visitor, and belongs outside",
            getattr(parser.origin, "template_name", None) or "a template",
            token.lineno,
            token.contents,
        )
    return _compile_bootstrap(parser, token)


def warn_of_cache(parser: Parser, token: Token, key: str) -> None:
    """Log a warning where a fragment of a cache would show one visitor's variation to all."""
    bound = vars(parser).get(_BOUND, {}).get(key)
    for command, opened in parser.command_stack:
        if command != "cache":
            continue
        varies = opened.split_contents()[3:]
        if bound is not None and any(each.partition(".")[0] == bound for each in varies):
            continue
        _log.warning(
            "%s, line %s: {%% %s %%} stands in {%% cache %%}, whose fragment is shown to everybody: name the decision "
            "before, by {%% experience %s as decision %%}, and add decision.variation_key to {%% cache %%}",
            getattr(parser.origin, "template_name", None) or "a template",
            token.lineno,
            token.contents,
            key,
        )

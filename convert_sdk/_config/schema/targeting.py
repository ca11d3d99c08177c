"""The rest of a document's entities: goals, locations, audiences, segments, features."""

from __future__ import annotations

from .values import DocumentModel, Flag, Number, Rules, Text, Texts


class TrackedItem(DocumentModel):
    """An element of a page and the event on it that counts."""

    selector: Text | None = None
    event: Text | None = None


class GoalSettings(DocumentModel):
    """The settings of a goal, by its type.

    | type | attributes |
    |---|---|
    | `dom_interaction` | `tracked_items` |
    | `scroll_percentage` | `percentage` |
    | `revenue` | `triggering_type`: `manual` or `ga` |
    | `ga_import` | `ga_event` |
    | `submits_form` | `action` |
    | `clicks_link` | `href` |
    | `clicks_element` | `selector`, `only_where_experience_runs` |
    | `advanced`, `visits_page`, `code_trigger` | none |
    """

    tracked_items: tuple[TrackedItem, ...] | None = None
    percentage: Number | None = None
    triggering_type: Text | None = None
    ga_event: Text | None = None
    action: Text | None = None
    href: Text | None = None
    selector: Text | None = None
    only_where_experience_runs: Flag | None = None


class GoalModel(DocumentModel):
    """A goal, whose conversions are counted; `GoalSettings` lists the types."""

    id: Text | None = None
    name: Text | None = None
    key: Text | None = None
    type: Text | None = None
    rules: Rules | None = None
    settings: GoalSettings | None = None


class LocationTrigger(DocumentModel):
    """The trigger of a location in the browser.

    `type` `dom_element` has a `selector` and `events` (click, hover, in_view, change), `callback` has `js`,
    `upon_run` and `manual` have nothing more.
    """

    type: Text | None = None
    selector: Text | None = None
    events: Texts | None = None
    js: Text | None = None


class LocationModel(DocumentModel):
    """A place where experiences run."""

    id: Text | None = None
    key: Text | None = None
    name: Text | None = None
    trigger: LocationTrigger | None = None
    rules: Rules | None = None


class AudienceModel(DocumentModel):
    """A group of visitors who take part; one of `type` permanent is asked only until the visitor is bucketed."""

    id: Text | None = None
    key: Text | None = None
    name: Text | None = None
    type: Text | None = None
    rules: Rules | None = None


class SegmentModel(DocumentModel):
    """A reporting group."""

    id: Text | None = None
    key: Text | None = None
    name: Text | None = None
    rules: Rules | None = None


class VariableModel(DocumentModel):
    """A variable that a feature declares; `type` is boolean, integer, float, string or json."""

    key: Text | None = None
    type: Text | None = None


class FeatureModel(DocumentModel):
    """A feature and its variables."""

    id: Text | None = None
    name: Text | None = None
    key: Text | None = None
    variables: tuple[VariableModel, ...] | None = None

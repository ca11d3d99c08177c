"""The experiences of a document: variations, their changes, and where they report."""

from __future__ import annotations

from pydantic import Field

from .project import Outliers
from .values import DocumentModel, Flag, Id, Keyed, Number, Rules, Text, Texts


class ChangeData(DocumentModel):
    """The settings of a change, by its type.

    | type | attributes |
    |---|---|
    | `defaultCode` | `css`, `js`, `custom_js` |
    | `defaultCodeMultipage` | the same, `page_id` |
    | `customCode` | `css`, `js`, `page_id` |
    | `richStructure` | `js`, `selector`, `page_id`, any other key |
    | `defaultRedirect` | `case_sensitive`, `original_pattern`, `variation_pattern` |
    | `fullStackFeature` | `feature_id`, `variables_data` |
    """

    css: Text | None = None
    js: Text | None = None
    custom_js: Text | None = None
    page_id: Text | None = None
    selector: Text | None = None
    case_sensitive: Flag | None = None
    original_pattern: Text | None = None
    variation_pattern: Text | None = None
    feature_id: Text | None = None
    variables_data: Keyed | None = None


class ChangeModel(DocumentModel):
    """One change of a variation; `ChangeData` lists the types. Its `id` is a number where the document has one."""

    id: Id | None = None
    type: Text | None = None
    data: ChangeData | None = None


class VariationModel(DocumentModel):
    """One arm of an experience; `traffic_allocation` is in percent, `status` running or stopped."""

    id: Text | None = None
    name: Text | None = None
    key: Text | None = None
    traffic_allocation: Number | None = None
    status: Text | None = None
    changes: tuple[ChangeModel, ...] | None = None


class Integration(DocumentModel):
    """An analytics system that an experience reports to besides Convert.

    `provider` is one of baidu, clicktale, clicky, cnzz, crazyegg, econda, eulerian, google_analytics,
    gosquared, heapanalytics, hotjar, mixpanel, mouseflow, piwik, segmentio, sitecatalyst, woopra, ysance.
    """

    provider: Text | None = None
    enabled: Flag | None = None
    custom_dimension: Text | None = None
    evar: Text | None = None
    type: Text | None = None
    property_ua: Text | None = Field(None, alias="property_UA")
    measurement_id: Text | None = Field(None, alias="measurementId")
    property_id: Text | None = Field(None, alias="propertyId")
    audiences: Keyed | None = None


class MatchingOptions(DocumentModel):
    """The matching of the listed audiences and locations: `any` or `all` of them."""

    audiences: Text | None = None
    locations: Text | None = None


class SplitUrlSettings(DocumentModel):
    """Settings of `split_url` experiences."""

    split_regex_support: Flag | None = None


class ExperienceSettings(DocumentModel):
    """Every setting of an experience."""

    min_order_value: Number | None = None
    max_order_value: Number | None = None
    outliers: Outliers | None = None
    placeholders: Texts | None = None
    split_url_settings: SplitUrlSettings | None = None
    matching_options: MatchingOptions | None = None


class PageModel(DocumentModel):
    """One page of a `multipage` experience."""

    id: Text | None = None
    name: Text | None = None
    url: Text | None = None


class ExperienceModel(DocumentModel):
    """One experience; where both `environment` and `environments` are empty it runs everywhere.

    `type` is one of a/b, a/a, mvt, split_url, multipage, deploy, and in full-stack projects a/b_fullstack
    and feature_rollout; `status` is draft, active, paused, completed or scheduled.
    `locations`, `audiences` and `goals` are ids.
    """

    id: Text | None = None
    name: Text | None = None
    key: Text | None = None
    type: Text | None = None
    status: Text | None = None
    version: Number | None = None
    locations: Texts | None = None
    site_area: Rules | None = None
    audiences: Texts | None = None
    goals: Texts | None = None
    multipage_pages: tuple[PageModel, ...] | None = None
    global_js: Text | None = None
    global_css: Text | None = None
    variations: tuple[VariationModel, ...] | None = None
    integrations: tuple[Integration, ...] | None = None
    environments: Texts | None = None
    environment: Text | None = None
    settings: ExperienceSettings | None = None

"""The project of a document: where it runs and how it is set."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

from pydantic import Field

from .values import DocumentModel, Flag, Number, Text, Texts, maybe_list


class CustomDomain(DocumentModel):
    """The domain that scripts and tracking use in place of Convert's own."""

    domain: Text | None = None
    version: Text | None = None


class Domain(DocumentModel):
    """One registrable domain and its hosts that may be tracked."""

    tld: Text | None = None
    hosts: Texts | None = None


class GoogleAnalytics(DocumentModel):
    """The project's Google Analytics: `property_ua` for type `ga3`, `measurement_id` for `ga4`."""

    enabled: Flag | None = None
    auto_revenue_tracking: Flag | None = None
    track_first_exposure_only: Flag | None = None
    no_wait_pageview: Flag | None = None
    type: Text | None = None
    property_ua: Text | None = Field(None, alias="property_UA")
    measurement_id: Text | None = Field(None, alias="measurementId")
    property_id: Text | None = Field(None, alias="propertyId")


class Kissmetrics(DocumentModel):
    """The project's Kissmetrics."""

    enabled: Flag | None = None


class VisitorInsights(DocumentModel):
    """The project's session recordings."""

    tracking_id: Text | None = None
    enabled: Flag | None = None
    obfuscate_text: Flag | None = None
    sampling_rate: Number | None = None


class Integrations(DocumentModel):
    """The analytics systems that the whole project reports to besides Convert."""

    google_analytics: GoogleAnalytics | None = None
    kissmetrics: Kissmetrics | None = None
    visitor_insights: VisitorInsights | None = None


class Outlier(DocumentModel):
    """The limits of unusual values: `min` and `max`, values or percentiles as `detection_type` says.

    `detection_type` is none, min_max or percentile.
    """

    detection_type: Text | None = None
    min: Number | None = None
    max: Number | None = None


class Outliers(DocumentModel):
    """The limits of unusual orders."""

    order_value: Outlier | None = None
    products_ordered_count: Outlier | None = None


class TrackingScript(DocumentModel):
    """The versions of the browser's script."""

    current_version: Text | None = None
    latest_version: Text | None = None


class ScriptSettings(DocumentModel):
    """The settings that the browser's script needs first.

    `version` is the project's own, `[ISO date and time]-[number]`, new with every change.
    """

    include_jquery: Flag | None = None
    include_jquery_v1: Flag | None = None
    disable_spa_functionality: Flag | None = None
    version: Text | None = None
    tracking_script: TrackingScript | None = None


class Settings(ScriptSettings):
    """Every setting of the project.

    `do_not_track` and `global_privacy_control` are OFF, EU ONLY, EEA ONLY or Worldwide.
    """

    allow_crossdomain_tracking: Flag | None = None
    data_anonymization: Flag | None = None
    disable_default_config: Flag | None = None
    do_not_track: Text | None = None
    global_privacy_control: Text | None = None
    do_not_track_referral: Flag | None = None
    integrations: Integrations | None = None
    min_order_value: Number | None = None
    max_order_value: Number | None = None
    outliers: Outliers | None = None
    placeholders: Texts | None = None
    global_javascript_placeholders: Texts | None = None


class Environment(DocumentModel):
    """One environment of the project."""

    label: Text | None = None
    is_default: Flag | None = None


class ProjectInfo(DocumentModel):
    """The project itself.

    `type` is fullstack or web, `utc_offset` is in seconds, `environments` goes by name.
    """

    id: Text | None = None
    name: Text | None = None
    type: Text | None = None
    utc_offset: Number | None = None
    custom_domain: CustomDomain | None = None
    domains: tuple[Domain, ...] | None = None
    global_javascript: Text | None = None
    settings: Settings | None = None
    environments: Annotated[Mapping[Text, Environment], maybe_list] | None = None


class ProjectSettings(ScriptSettings):
    """The answer of `/project-settings/{account_id}/{project_id}`."""

    account_id: Text | None = None
    project_id: Text | None = None

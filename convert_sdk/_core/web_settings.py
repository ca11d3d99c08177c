"""The settings of a project that a web request is judged by."""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple


class Area(StrEnum):
    """The part of the world in which a project heeds what browsers ask for."""

    OFF = "OFF"
    EU_ONLY = "EU ONLY"
    EEA_ONLY = "EEA ONLY"
    WORLDWIDE = "Worldwide"


class WebSettings(NamedTuple):
    """The settings that concern web requests."""

    utc_offset: float = 0.0
    """Seconds of the project's own time before UTC."""
    do_not_track: Area = Area.OFF
    global_privacy_control: Area = Area.OFF
    do_not_track_referral: bool = False
    """True reports neither source nor campaign."""


NO_WEB_SETTINGS = WebSettings()

"""The settings of a document that a web request is judged by; what cannot be read protects the visitor."""

from __future__ import annotations

from math import isfinite

from convert_sdk._core.codes import Code
from convert_sdk._core.problem import Report
from convert_sdk._core.web_settings import Area, WebSettings

from .coerce import Json, as_object, kind

_AREAS = {area.value.upper(): area for area in Area}
_LONGEST_OFFSET = 86_400
_FLAGS = {"true": True, "1": True, "false": False, "0": False, "": False}


def web_settings(project: Json, report: Report) -> WebSettings:
    """The settings of a document's project."""
    path = "$.project.settings"
    settings = as_object(project.get("settings"), path, report)
    return WebSettings(
        _offset(project.get("utc_offset"), "$.project.utc_offset", report),
        _area(settings.get("do_not_track"), f"{path}.do_not_track", report),
        _area(settings.get("global_privacy_control"), f"{path}.global_privacy_control", report),
        _flag(settings.get("do_not_track_referral"), f"{path}.do_not_track_referral", report),
    )


def _offset(value: object, path: str, report: Report) -> float:
    if value is None or value == "":
        return 0.0
    try:
        seconds = (
            float(value) if isinstance(value, (str, int, float)) and not isinstance(value, bool) else None
        )
    except (ValueError, OverflowError):
        seconds = None
    if seconds is None or not isfinite(seconds) or abs(seconds) > _LONGEST_OFFSET:
        report(path, f"expected seconds within a day, found {kind(value)}; it counts as 0", Code.WRONG_TYPE)
        return 0.0
    return seconds


def _area(value: object, path: str, report: Report) -> Area:
    if value is None or value == "":
        return Area.OFF
    area = _AREAS.get(value.strip().upper()) if isinstance(value, str) else None
    if area is None:
        report(
            path, f"expected one of {', '.join(Area)}; it counts as {Area.WORLDWIDE}", Code.UNKNOWN_PRIVACY
        )
        return Area.WORLDWIDE
    return area


def _flag(value: object, path: str, report: Report) -> bool:
    if value is None or isinstance(value, bool):
        return value is True
    flag = _FLAGS.get(str(value).lower()) if isinstance(value, (str, int)) else None
    if flag is None:
        report(path, f"expected true or false, found {kind(value)}; it counts as true", Code.WRONG_TYPE)
        return True
    return flag

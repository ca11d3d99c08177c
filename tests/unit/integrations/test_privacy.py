"""Global Privacy Control and Do Not Track, by the settings of a project."""

from __future__ import annotations

import pytest

from convert_sdk._core.consent import Consent
from convert_sdk._core.web_settings import Area, WebSettings
from convert_sdk.integrations._web.privacy import EEA, EU, asks_for_privacy, covers
from tests.documents import experience, project

from .requests import Asked

EVERYWHERE = WebSettings(do_not_track=Area.WORLDWIDE, global_privacy_control=Area.WORLDWIDE)


class TestAreas:
    def test_the_sets_have_their_members(self) -> None:
        assert (len(EU), len(EEA), EEA - EU) == (27, 30, frozenset({"IS", "LI", "NO"}))
        assert not {"GB", "UK", "CH"} & EEA

    @pytest.mark.parametrize(
        ("area", "inside", "outside"),
        [
            (Area.OFF, [], ["DE", "NO", "US", None]),
            (Area.EU_ONLY, ["DE", "de", "GR", "EL", None], ["NO", "GB", "US", "CH"]),
            (Area.EEA_ONLY, ["DE", "NO", "IS", "LI", None], ["GB", "US", "CH"]),
            (Area.WORLDWIDE, ["DE", "NO", "US", None], []),
        ],
    )
    def test_an_area_has_its_countries(
        self, area: Area, inside: list[str | None], outside: list[str | None]
    ) -> None:
        assert [country for country in inside if not covers(area, country)] == []
        assert [country for country in outside if covers(area, country)] == []


class TestSignals:
    @pytest.mark.parametrize("value", ["1", " 1 "])
    @pytest.mark.parametrize(
        ("header", "heeding", "other"),
        [
            (
                "sec_gpc",
                WebSettings(global_privacy_control=Area.EU_ONLY),
                WebSettings(do_not_track=Area.WORLDWIDE),
            ),
            (
                "dnt",
                WebSettings(do_not_track=Area.EU_ONLY),
                WebSettings(global_privacy_control=Area.WORLDWIDE),
            ),
        ],
    )
    def test_each_is_heeded_where_its_setting_covers_the_country(
        self, header: str, heeding: WebSettings, other: WebSettings, value: str
    ) -> None:
        asked = Asked(**{header: value})
        assert asks_for_privacy(asked, heeding, "DE")
        assert asks_for_privacy(asked, heeding, None)
        assert not asks_for_privacy(asked, heeding, "US")
        assert not asks_for_privacy(asked, other, "DE")

    @pytest.mark.parametrize("value", ["0", "", "true", "null", "11"])
    def test_another_value_asks_for_nothing(self, value: str) -> None:
        assert not asks_for_privacy(Asked(sec_gpc=value, dnt=value), EVERYWHERE, "DE")

    def test_no_signal_is_nothing(self) -> None:
        assert not asks_for_privacy(Asked(), EVERYWHERE, None)

    @pytest.mark.parametrize(
        ("headers", "consent", "wins", "private"),
        [
            ({"dnt": "1"}, Consent.GRANTED, True, False),
            ({"dnt": "1"}, Consent.GRANTED, False, True),
            ({"dnt": "1"}, Consent.UNKNOWN, True, True),
            ({"dnt": "1"}, Consent.DENIED, True, True),
            ({"dnt": "1"}, None, True, True),
            ({"sec_gpc": "1"}, Consent.GRANTED, True, True),
            ({"sec_gpc": "1", "dnt": "1"}, Consent.GRANTED, True, True),
        ],
    )
    def test_consent_may_override_do_not_track_alone(
        self, headers: dict[str, str], consent: Consent | None, wins: bool, private: bool
    ) -> None:
        found = asks_for_privacy(Asked(**headers), EVERYWHERE, "DE", consent, cookie_consent_wins=wins)
        assert found is private


class TestSettings:
    @pytest.mark.parametrize(
        ("word", "area"),
        [
            ("OFF", Area.OFF),
            ("EU ONLY", Area.EU_ONLY),
            ("eea only", Area.EEA_ONLY),
            ("Worldwide", Area.WORLDWIDE),
            ("WORLDWIDE", Area.WORLDWIDE),
            (None, Area.OFF),
            ("", Area.OFF),
        ],
    )
    def test_a_word_is_an_area(self, word: object, area: Area) -> None:
        made = project(
            experience(),
            project={"id": "2", "settings": {"do_not_track": word, "global_privacy_control": word}},
        )
        assert (made.web.do_not_track, made.web.global_privacy_control) == (area, area)
        assert made.problems == ()

    @pytest.mark.parametrize("odd", ["Mars", 5, True, ["EU ONLY"]])
    def test_what_is_no_area_protects_everybody_and_is_a_problem(self, odd: object) -> None:
        made = project(experience(), project={"id": "2", "settings": {"global_privacy_control": odd}})
        assert made.web.global_privacy_control is Area.WORLDWIDE
        (problem,) = made.problems
        assert (problem.path, problem.code.value) == (
            "$.project.settings.global_privacy_control",
            "unknown-privacy-setting",
        )

    def test_a_project_without_settings_heeds_nothing(self) -> None:
        assert project(experience()).web == WebSettings()

"""Analyses of documents that are damaged in any way, as files by hand are: each gives an answer."""

from __future__ import annotations

import json

from hypothesis import given, settings
from jsonschema import Draft4Validator

from convert_sdk import Client, DocumentError, Project
from convert_sdk.analysis import (
    Kind,
    check,
    counterfactual,
    describe,
    diff,
    find,
    sample_visitors,
    sarif_log,
    simulate,
)
from convert_sdk.analysis.entities import index_of
from convert_sdk.analysis.positions import Positions
from tests.strategies import damaged
from tests.unit.analysis.test_check import SARIF


@given(damaged())
@settings(max_examples=12)
def test_a_check_answers_with_places(source: bytes) -> None:
    report = check(source)
    lines = source.decode().split("\n")
    known = set(Positions(source).paths())
    for finding in report.findings:
        assert 1 <= finding.line <= len(lines)
        assert 1 <= finding.column <= len(lines[finding.line - 1]) + 1
        assert finding.path in known or finding.path.rpartition(".")[0] in known or finding.path == "$"
        assert finding.message
    fingerprints = [(each.code, each.path, each.message) for each in report.findings]
    assert len(set(fingerprints)) == len(fingerprints)


@given(damaged())
@settings(max_examples=5)
def test_a_log_is_valid(source: bytes) -> None:
    validator: Draft4Validator = SARIF
    validator.validate(json.loads(json.dumps(sarif_log(check(source), "a.json"))))


@given(damaged())
@settings(max_examples=12)
def test_the_others_answer(source: bytes) -> None:
    try:
        project = Project.parse(source)
    except DocumentError:
        return
    rows = list(sample_visitors([project], 3))
    assert simulate(project, rows).visitors == 3
    assert diff(project, project, rows).moves == ()
    visitor = Client.offline(project).visitor("v-1")
    for kind in Kind:
        for entity in index_of(project, kind):
            if entity.key:
                assert str(describe(project, find(project, entity.key, [kind])))
    for experience in project.experiences:
        if experience.key:
            assert str(counterfactual(visitor, experience.key))

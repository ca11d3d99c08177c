"""SARIF 2.1.0, the format of findings that code hosts and editors show."""

from __future__ import annotations

from convert_sdk._core.codes import Code
from convert_sdk._version import __version__

from .findings import CheckReport, Finding

SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"
_NO_FILE = {"description": {"text": "standard input"}}
"""In place of a URI: a place in an artifact must name one."""


def sarif_log(report: CheckReport, uri: str | None) -> dict[str, object]:
    """The log of one run; `uri` is the URI reference of the document, None where it is no file: standard input.

    >>> from convert_sdk.analysis import check
    >>> sarif_log(check(project), "project.json")["version"]
    '2.1.0'
    """
    codes = list(dict.fromkeys(finding.code for finding in (*report.findings, *report.ignored)))
    driver: dict[str, object] = {
        "name": "convert-sdk check",
        "version": __version__,
        "rules": [_rule(code) for code in codes],
    }
    results = [_result(finding, uri, codes) for finding in report.findings]
    results += [
        {**_result(finding, uri, codes), "suppressions": [{"kind": "external"}]} for finding in report.ignored
    ]
    run = {"tool": {"driver": driver}, "columnKind": "unicodeCodePoints", "results": results}
    return {"$schema": SCHEMA, "version": "2.1.0", "runs": [run]}


def _rule(code: Code) -> dict[str, object]:
    return {
        "id": code.value,
        "shortDescription": {"text": code.value.replace("-", " ")},
        "help": {"text": code.advice},
        "defaultConfiguration": {"level": code.severity.value},
    }


def _result(finding: Finding, uri: str | None, codes: list[Code]) -> dict[str, object]:
    return {
        "ruleId": finding.code.value,
        "ruleIndex": codes.index(finding.code),
        "level": finding.severity.value,
        "message": {"text": f"{finding.message}. {finding.advice}"},
        "locations": [
            {
                "physicalLocation": {
                    "artifactLocation": _NO_FILE if uri is None else {"uri": uri},
                    "region": {"startLine": finding.line, "startColumn": finding.column},
                },
                "logicalLocations": [{"fullyQualifiedName": finding.path, "kind": "member"}],
            }
        ],
        "partialFingerprints": {"convertSdk/v1": finding.fingerprint},
    }

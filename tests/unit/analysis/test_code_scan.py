from __future__ import annotations

import json
from pathlib import Path

import pytest

from convert_sdk import Project
from convert_sdk.analysis import CodeScan, Kind, UnusedKey, scan
from tests.documents import document, entity, experience, feature


def shop() -> Project:
    raw = document(
        experience("100", "checkout"),
        experience("200", "winter"),
        features=[feature("81", "pricing", discount="float")],
        goals=[entity("91", "purchase")],
        archived_experiences=["200"],
    )
    return Project.parse(json.dumps(raw))


def scanned(folder: Path, text: str, name: str = "shop.py") -> CodeScan:
    (folder / name).write_text(text, "utf-8")
    return scan(shop(), [folder])


@pytest.mark.parametrize(
    ("code", "kind", "key"),
    [
        ('visitor.decide("checkout")', Kind.EXPERIENCE, "checkout"),
        ('request.state.visitor.peek("checkout")', Kind.EXPERIENCE, "checkout"),
        ('(await client.visitor("v-1")).feature("pricing")', Kind.FEATURE, "pricing"),
        ('current_visitor().track("purchase", revenue=5)', Kind.GOAL, "purchase"),
        (
            'client.visitor("v-1").with_context(tracking=False).force("checkout", "a")',
            Kind.EXPERIENCE,
            "checkout",
        ),
        ('client.override(feature="pricing", variables={})', Kind.FEATURE, "pricing"),
        ('import convert_sdk\nflags.track(visitor, "purchase")', Kind.GOAL, "purchase"),
        ('import convert_sdk\nflags.decide(current_visitor(), key="checkout")', Kind.EXPERIENCE, "checkout"),
        ("import convert_sdk\nsomebody.decide('checkout')", Kind.EXPERIENCE, "checkout"),
        ("from convert_sdk.errors import ConvertError\nx.track('purchase')", Kind.GOAL, "purchase"),
    ],
)
def test_a_key_is_found(tmp_path: Path, code: str, kind: Kind, key: str) -> None:
    found = scanned(tmp_path, code)
    assert [(use.kind, use.key) for use in found.uses] == [(kind, key)]
    assert found.absent == ()


@pytest.mark.parametrize(
    "code",
    [
        'analytics.track("Signed Up")',
        'decide("checkout")',
        'visitor.track_all("x")',
        "visitor.segments()",
        "visitor.decide()",
    ],
)
def test_what_is_somebody_elses_is_not(tmp_path: Path, code: str) -> None:
    assert scanned(tmp_path, code).uses == ()


@pytest.mark.parametrize(
    "call",
    [
        'analytics.track("signup")  # convert: ignore',
        'analytics.track("signup")  #convert:ignore: another kind of event',
        "analytics.track(name)  # noqa: B009  # convert: ignore",
        'analytics.track(\n    "signup",  # convert: ignore\n)',
    ],
)
def test_a_line_that_is_somebody_elses(tmp_path: Path, call: str) -> None:
    found = scanned(tmp_path, f'import convert_sdk\n{call}\nvisitor.track("purchase")\n')
    assert ([use.key for use in found.uses], found.computed) == (["purchase"], 0)


def test_what_is_wrong_is_told(tmp_path: Path) -> None:
    found = scanned(tmp_path, 'visitor.decide("chekcout")\nvisitor.decide("winter")\nvisitor.track(name)\n')
    place = tmp_path / "shop.py"
    assert str(found).splitlines() == [
        f"{place}:1: experience 'chekcout' is not in the document: did you mean 'checkout'?",
        f"{place}:2: experience 'winter' is archived, and nobody gets it",
        "no code names the experience 'checkout'",
        "no code names the feature 'pricing'",
        "no code names the goal 'purchase'",
        "1 call with a key that is no literal: what it names is not known",
        "1 file, 2 keys, 1 absent, 1 archived",
    ]
    assert found.unused[0] == UnusedKey(Kind.EXPERIENCE, "checkout")
    assert json.loads(found.to_json())["computed"] == 1


def test_which_files_are_read(tmp_path: Path) -> None:
    for name in ("a.py", "b.txt", ".venv/c.py", "deep/d.py", "deep/__pycache__/e.py"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text('visitor.decide("checkout")', "utf-8")
    (tmp_path / "broken.py").write_text("def (", "utf-8")
    found = scan(shop(), [tmp_path])
    assert [Path(use.path).name for use in found.uses] == ["a.py", "d.py"]
    assert found.files == 3
    assert len(found.unreadable) == 1
    assert "broken.py" in found.unreadable[0]


def test_a_file_of_a_folder_that_cannot_be_read_costs_no_other(tmp_path: Path) -> None:
    dangling = tmp_path / "gone.py"
    dangling.symlink_to(tmp_path / "nowhere")
    (tmp_path / "loop").symlink_to(tmp_path, target_is_directory=True)
    (tmp_path / "nested.py").write_text("x = " + "(" * 5_000 + ")" * 5_000, "utf-8")
    (tmp_path / "signs.py").write_text("x = " + "-" * 100_000 + "1", "utf-8")
    (tmp_path / "shop.py").write_text('visitor.decide("checkout")', "utf-8")
    found = scan(shop(), [tmp_path])
    assert [use.key for use in found.uses] == ["checkout"]
    assert [Path(each.partition(": ")[0]).name for each in found.unreadable] == [
        "gone.py",
        "nested.py",
        "signs.py",
    ]
    with pytest.raises(FileNotFoundError):
        scan(shop(), [dangling])

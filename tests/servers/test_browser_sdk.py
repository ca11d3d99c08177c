"""Convert's own JavaScript SDK in Node goes on from `visitor.bootstrap`, by the lines that docs/front-end.md shows."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections import Counter
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from convert_sdk import Client, Visitor
from convert_sdk.server import Conversion, Exposure, Registry, ServedProject, running
from tests.documents import change, document, entity, every, experience, feature, leaf, variation
from tests.processes import ROOT

pytestmark = pytest.mark.servers

PACKAGE = "@convertcom/js-sdk@4.4.3"
KEY = "1/pages"
ANY = {"matching_options": {"audiences": "any"}}
ATTRIBUTES = {"plan": "pro", "country": "DE"}
"""The page gives the browser the first of them, by itself: rules ask for it."""
VISITORS = [f"visitor-{number}" for number in range(24)]


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which Node finds the SDK."""
    npm = shutil.which("npm")
    if npm is None or shutil.which("node") is None:
        pytest.skip("only where node and npm are installed: Convert's JavaScript SDK runs in them")
    folder = tmp_path_factory.mktemp("node")
    (folder / "package.json").write_text("{}")
    # What it names as peers is bundled in it already.
    options = ["--legacy-peer-deps", "--no-audit", "--no-fund", "--ignore-scripts"]
    installed = subprocess.run(
        [npm, "install", *options, PACKAGE], cwd=folder, capture_output=True, text=True, check=False
    )
    if installed.returncode:
        pytest.skip(f"only where the npm registry has {PACKAGE}: {installed.stderr[-300:]}")
    shutil.copy(ROOT / "tests" / "servers" / "browser_sdk.mjs", folder)
    return folder


class Site(NamedTuple):
    """A served project, and a client of it."""

    url: str
    client: Client
    project: ServedProject


@pytest.fixture
def site() -> Iterator[Site]:
    priced = [variation(str(each), changes=[change("81", discount=f"0.{each}")]) for each in (1, 2)]
    registry = Registry()
    served = registry.add(
        document(
            experience("100", "checkout", variations=priced),
            experience("200", "banner", variations=[variation("21"), variation("22")]),
            experience("300", "for-pros", audiences=["51"], settings=ANY),
            experience("400", "for-others", audiences=["52"], settings=ANY),
            experience("500", "for-spenders", audiences=["71"], settings=ANY),
            experience("600", "half", variations=[variation("61", 25), variation("62", 25)]),
            experience("700", "in-cart", locations=["31"]),
            audiences=[
                entity("51", "pros", every(leaf())),
                entity("52", "others", every(leaf("plan", "free"))),
            ],
            segments=[entity("71", "spenders", every(leaf("spent", 5)))],
            locations=[entity("31", "cart", every(leaf("url", "/cart")))],
            features=[feature("81", "pricing", discount="float")],
            goals=[entity("7", "purchase")],
        ),
        sdk_key=KEY,
    )
    with (
        running(registry) as server,
        Client(
            KEY,
            config_endpoint=server.url,
            track_endpoint=server.url,
            start_wait=120,
            shutdown_timeout=120,
        ) as client,
    ):
        yield Site(server.url, client, served)


class Element(HTMLParser):
    """The text of the one element of a page."""

    text = ""

    def handle_data(self, data: str) -> None:
        self.text += data


def page_of(visitor: Visitor, *experiences: str, expose: bool = False) -> dict[str, str]:
    """A page as a browser has it; one browser for each visitor."""
    element = Element(convert_charrefs=False)
    element.feed(visitor.bootstrap(experiences or None, expose=expose).script())
    return {"browser": visitor.id, "page": element.text}


def loaded(node: Path, site: Site, pages: list[dict[str, str]], goal: str | None = None) -> list[Any]:
    """What pages show that are loaded one after the other."""
    blocks = (ROOT / "docs" / "front-end.md").read_text("utf-8").split("```js\n")[1:]
    lines = "".join(block.partition("```")[0] for block in blocks)
    given = {
        "lines": lines,
        "sdkKey": KEY,
        "endpoint": site.url,
        "location": {"pathname": "/cart", "url": "/cart"},
        "pages": pages,
        "goal": goal,
    }
    command = ["node", "browser_sdk.mjs"]
    ended = subprocess.run(
        command, cwd=node, input=json.dumps(given), capture_output=True, text=True, check=False, timeout=120
    )
    assert ended.returncode == 0, ended.stderr
    shown: list[Any] = json.loads(ended.stdout)
    return shown


def exposures(site: Site) -> Counter[tuple[str, str]]:
    """How often each visitor was reported in each experience."""
    assert site.client.flush(120).sent >= 0
    events = site.project.record.events()
    return Counter((each.visitor_id, each.experience_id) for each in events if isinstance(each, Exposure))


def visitors(site: Site) -> list[Visitor]:
    return [site.client.visitor(each, ATTRIBUTES, location={"url": "/cart"}) for each in VISITORS]


def keys(page: dict[str, str]) -> dict[str, str]:
    decisions = json.loads(page["page"])["decisions"]
    return {key: decision["variation_key"] for key, decision in decisions.items()}


def test_the_browser_shows_the_same_and_reports_only_the_rest(node: Path, site: Site) -> None:
    for visitor in visitors(site):
        visitor.decide("checkout")
        visitor.decide("for-pros")
        visitor.match_segments(["spenders"], {"spent": 5})
        visitor.decide("for-spenders")
    by_server = exposures(site)
    assert by_server == Counter(
        {(each, experience): 1 for each in VISITORS for experience in ("100", "300", "500")}
    )

    pages = [page_of(visitor) for visitor in visitors(site)]
    shown = loaded(node, site, pages)
    assert [each["decisions"] for each in shown] == [keys(page) for page in pages]
    assert all(each["stays"] for each in shown)
    features = [json.loads(page["page"])["features"] for page in pages]
    assert [each["features"] for each in shown] == [
        {key: feature["variables"] for key, feature in found.items()} for found in features
    ]
    assert {value for each in shown for value in each["decisions"].values()} >= {"arm-1", "arm-2", "arm-61"}
    assert 0 < sum("half" in each["decisions"] for each in shown) < len(VISITORS)

    after = exposures(site)
    assert set(after.values()) == {1}, "nobody is reported twice"
    of_browser = {pair for pair in after if pair not in by_server}
    halves = {
        (visitor, "600")
        for visitor, found in zip(VISITORS, shown, strict=True)
        if "half" in found["decisions"]
    }
    assert of_browser == {(each, other) for each in VISITORS for other in ("200", "700")} | halves


def test_a_second_page_reports_nothing_again(node: Path, site: Site) -> None:
    pages = [page_of(visitor) for visitor in visitors(site)[:4]]
    loaded(node, site, [*pages, *pages])
    assert set(exposures(site).values()) == {1}


def test_what_was_exposed_first_is_reported_by_the_server_alone(node: Path, site: Site) -> None:
    pages = [page_of(visitor, expose=True) for visitor in visitors(site)]
    before = exposures(site)
    requests = site.project.record.summary().requests
    shown = loaded(node, site, pages)
    assert [each["decisions"] for each in shown] == [keys(page) for page in pages]
    assert exposures(site) == before
    assert site.project.record.summary().requests == requests


def test_a_goal_that_the_server_counted_is_not_counted_again(node: Path, site: Site) -> None:
    counted, other = visitors(site)[:2]
    counted.track("purchase")
    loaded(node, site, [page_of(counted), page_of(other)], goal="purchase")
    exposures(site)
    goals = Counter(each.visitor_id for each in site.project.record.events() if isinstance(each, Conversion))
    assert goals == {counted.id: 1, other.id: 1}


def test_without_tracking_the_browser_is_silent(node: Path, site: Site) -> None:
    quiet = [each.with_context(tracking=False) for each in visitors(site)[:4]]
    pages = [page_of(visitor) for visitor in quiet]
    shown = loaded(node, site, pages)
    assert [each["decisions"] for each in shown] == [keys(page) for page in pages]
    assert exposures(site) == Counter()

"""Pictures of the page for docs/images, by a real browser, of a shop that visitors walk through."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import NamedTuple

from convert_sdk import Client
from convert_sdk.demo.experiments.shoppers import Tally, shopper, walk
from convert_sdk.server import DEMO_SDK_KEY, Registry, demo_document, running
from tests.processes import ROOT
from tests.servers.page.browser import Tab, chromium

IMAGES = ROOT / "docs" / "images"
SIZE = (1200, 720)
LARGEST = 80 * 1024
VISITORS = 400


class Picture(NamedTuple):
    """A view of the page, and what is done in it before it is looked at."""

    name: str
    route: str
    shown: str
    """A text that stands in the view once it is there."""
    dark: bool = False
    prepare: Callable[[Tab], None] | None = None


def simulate(tab: Tab) -> None:
    tab.click("button", "Simulate")
    tab.sees("20,000 visitors in", within=".progress")
    tab.sees(", done", within=".progress")


def look_at_an_event(tab: Tab) -> None:
    tab.page.locator(".event", has_text="exposure").first.click()
    tab.sees("enrichData", within=".wire")


def change_the_allocation(tab: Tab) -> None:
    tab.write("Share of original, per cent", "20")
    tab.write("Share of one-page, per cent", "80")
    tab.sees("one-page", within=".outcome")


def break_tracking(tab: Tab) -> None:
    tracking = tab.page.get_by_role("region", name="Tracking")
    tracking.get_by_role("switch", name="Server error").check()
    tracking.get_by_role("switch", name="Slow").check()
    tab.sees("2 on")


FACTS = 'attributes={"country":"AT","plan":"gold","signed_in":true}&location={"path":"/boots/fjell-gtx"}'
VISITOR = f"#/visitor/recommendations?visitor=visitor-42&{FACTS}"
PICTURES = (
    Picture("project", "#/project/experiences/checkout-layout", "path begins with"),
    Picture("visitor", VISITOR, "in the range of"),
    Picture("visitor-dark", VISITOR, "in the range of", dark=True),
    Picture("traffic-dark", "#/traffic/alpine-prices", "Simulate", dark=True, prepare=simulate),
    Picture("events", "#/events", "exposure", prepare=look_at_an_event),
    Picture("edit", "#/edit/checkout-layout", "Allocation", prepare=change_the_allocation),
    Picture("faults-dark", "#/faults", "Truncated", dark=True, prepare=break_tracking),
)


def take(folder: Path) -> list[Path]:
    """Write every picture into a folder, and say where they are."""
    registry = Registry()
    registry.add(demo_document(), sdk_key=DEMO_SDK_KEY)
    written: list[Path] = []
    with running(registry) as server, chromium() as browser:
        with Client(
            DEMO_SDK_KEY, config_endpoint=server.url, track_endpoint=server.url, trust_env=False
        ) as client:
            client.wait_until_ready(10)
            for number in range(VISITORS):
                walk(client, shopper(number, 42), Tally())
        for picture in PICTURES:
            with browser.tab(server.url, SIZE, dark=picture.dark) as tab:
                tab.open(picture.route)
                tab.sees(picture.shown, within="main")
                tab.waits("document.getElementById('alive').classList.contains('on')")
                if picture.prepare is not None:
                    picture.prepare(tab)
                path = folder / f"page-{picture.name}.png"
                tab.picture(path)
                shrink(path)
                written.append(path)
    return written


def shrink(path: Path) -> None:
    """Give a picture a palette: it shows few colours, and is a third as large."""
    image = import_module("PIL.Image")
    with image.open(path) as picture:
        small = picture.convert("RGB").quantize(
            256, method=image.Quantize.MAXCOVERAGE, dither=image.Dither.NONE
        )
    small.save(path, optimize=True)


def main() -> None:
    IMAGES.mkdir(exist_ok=True)
    for path in take(IMAGES):
        size = path.stat().st_size
        print(f"{path.relative_to(ROOT)}: {size / 1024:.0f} KB")  # noqa: T201 # it is what the command says
        if size > LARGEST:
            raise SystemExit(f"{path.name} is larger than {LARGEST // 1024} KB")


if __name__ == "__main__":
    main()

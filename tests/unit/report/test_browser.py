"""The page in a real Chromium: its first screen, links, contrast, widths, dark, print."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from playwright.sync_api import Browser, Page

from darkroom.report.figure_names import FIGURES
from tests.support.chromium import browser, needs_chromium
from tests.support.looking import arguments as looking
from tests.support.report_folder import Folder, Plan
from tests.support.report_page import write

__all__ = ["browser"]

pytestmark = needs_chromium

# Contrast of text with the paper behind it, by WCAG 2.1 (relative luminance).
CONTRAST = """selector => {
    const light = color => {
        const [r, g, b] = color.match(/[\\d.]+/g).map(Number).map(v => v / 255)
            .map(v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
        return 0.2126 * r + 0.7152 * g + 0.0722 * b;
    };
    const paper = light(getComputedStyle(document.body).backgroundColor);
    return [...document.querySelectorAll(selector)].map(element => {
        const ink = light(getComputedStyle(element).color);
        return (Math.max(ink, paper) + 0.05) / (Math.min(ink, paper) + 0.05);
    });
}"""


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A page with more than five warnings, a notice, heat maps and a map."""
    plan = Plan(classes=("normal", "ill"), per_class=(30, 120), unusable=20, seeds=(0,))
    folder = Folder(tmp_path_factory.mktemp("report"), plan)
    place = folder.split_table.set_index("row")["holdout"]
    test, train = (place.index[place == part] for part in ("test", "train"))
    rows = [test[0], test[-1], test[1]]
    folder.write_copies([(int(row), int(train[0]), "near", "mirrored") for row in rows])
    table = pd.read_parquet(folder.path("summary.parquet"))
    table.attrs["notice"] = "Not for medical use."
    table.to_parquet(folder.path("summary.parquet"), index=False)
    with pytest.MonkeyPatch.context() as patch:
        write(folder, FIGURES, **looking(folder, patch))
    return Path(folder.path("report.html"))


def opened(browser: Browser, report: Path, **context: Any) -> tuple[Page, list[str]]:
    """The page in a new context, and what it complained of or asked for."""
    page, complaints = browser.new_context(**context).new_page(), []
    page.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("request", lambda r: complaints.append(r.url) if r.url[:4] == "http" else None)
    page.goto(report.as_uri())
    return page, complaints


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [(1200, 900), (390, 1200)])
def test_the_first_screen_is_the_answer_and_at_most_five_warnings(
    browser: Browser, report: Path, size: tuple[int, int], scheme: Any
) -> None:
    viewport = {"width": size[0], "height": size[1]}
    page, complaints = opened(browser, report, viewport=viewport, color_scheme=scheme)
    assert "is right on about" in page.inner_text(".answer")
    assert page.inner_text(".notice") == "Not for medical use."
    titles = page.locator(".warnings li a").all_inner_texts()
    assert titles[:2] == ["Copies across the split", "Contradicting labels"]
    assert len(titles) == 5
    last = page.locator(".warnings li").last.bounding_box()
    assert last is not None and last["y"] + last["height"] < size[1]
    wide = page.evaluate("document.documentElement.scrollWidth")
    assert wide <= size[0], "the page scrolls sideways"
    if size[0] == 1200:
        cut = page.evaluate(
            "[...document.querySelectorAll('.wide')].filter(e => e.scrollWidth > e.clientWidth + 1).length"
        )
        assert not cut, "a table or figure does not fit"
    selector = ".answer, .notice, .warnings li, .warnings a, .abstract, .caption, nav a, dd, footer"
    assert np.min(page.evaluate(CONTRAST, selector)) >= 4.5
    assert not complaints


def test_each_warning_leads_to_its_evidence_by_keyboard(browser: Browser, report: Path) -> None:
    page, complaints = opened(browser, report)
    broken = page.evaluate(
        "[...document.querySelectorAll('a[href]')].map(a => a.getAttribute('href'))"
        ".filter(href => href[0] !== '#' || !document.getElementById(href.slice(1)))"
    )
    assert broken == []
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Copies across the split"
    page.keyboard.press("Enter")
    assert page.url.endswith("#copies")
    assert not complaints


def test_it_prints_with_its_warnings(browser: Browser, report: Path) -> None:
    page, complaints = opened(browser, report)
    page.emulate_media(media="print")
    assert page.is_visible(".warnings") and not page.is_visible("nav")
    assert len(page.pdf()) > 20_000
    assert not complaints


def test_the_map_shows_its_images_by_keyboard_pointer_and_touch(
    browser: Browser, report: Path
) -> None:
    page, complaints = opened(
        browser, report, viewport={"width": 390, "height": 900}, has_touch=True
    )
    figure, tip = page.locator("figure.map"), page.locator("figure.map .tip")
    assert not tip.is_visible()
    figure.focus()
    page.keyboard.press("ArrowRight")
    first = tip.inner_text()
    assert "predicted" in first and tip.locator("img").is_visible()
    page.keyboard.press("ArrowLeft")
    assert tip.inner_text() != first
    page.keyboard.press("Escape")
    assert not tip.is_visible()
    page.locator("figure.map .drawn").scroll_into_view_if_needed()
    x, y = page.evaluate(
        """() => {
            const box = document.querySelector('figure.map .drawn').getBoundingClientRect();
            const points = [...document.querySelectorAll('figure.map li')].map(li =>
                [box.left + li.dataset.x * box.width, box.top + li.dataset.y * box.height]);
            return points.find(([x, y]) => x > 0 && x < innerWidth && y > 0 && y < innerHeight);
        }"""
    )
    page.touchscreen.tap(x, y)
    assert tip.is_visible() and ": " in tip.inner_text()
    assert not complaints


def test_every_image_and_figure_has_a_name(browser: Browser, report: Path) -> None:
    page, complaints = opened(browser, report)
    nameless = page.evaluate(
        """[...document.querySelectorAll('img, [role=img], [role=group], section, nav')].filter(e =>
            !(e.alt || e.getAttribute('aria-label') || e.querySelector('h2') || e.closest('[hidden]')))
            .map(e => e.outerHTML.slice(0, 80))"""
    )
    assert nameless == []
    assert page.locator("#looked img").count() >= 4
    assert not complaints

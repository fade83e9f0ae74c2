"""The page in a real Chromium: upload, paste, wrong file, no script, phone, dark, keyboard."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.support.chromium import browser, needs_chromium
from tests.support.small_chain import Chain
from tests.unit.serve.test_serve import some
from tests.unit.serve.test_server import address, server

__all__ = ["browser", "server"]

pytestmark = needs_chromium


@pytest.fixture
def page(browser: Browser, server: Any) -> Iterator[Page]:
    """The page, on which nothing may complain."""
    context = browser.new_context(viewport={"width": 1200, "height": 900})
    made, complaints = context.new_page(), []
    made.on("console", lambda message: complaints.append(message.text))
    made.on("pageerror", lambda error: complaints.append(str(error)))
    made.goto(address(server))
    yield made
    context.close()
    assert not complaints


def test_several_pictures_and_a_wrong_file(page: Page, chain: Chain, tmp_path: Path) -> None:
    (tmp_path / "note.png").write_text("no picture")
    page.set_input_files("#pictures", [*some(chain, 3), tmp_path / "note.png"])
    expect(page.locator("#progress")).to_have_text("4 pictures done.", timeout=30_000)
    expect(page.locator(".result")).to_have_count(4)
    expect(page.locator(".failed .trouble")).to_have_text(
        "This picture cannot be used: not an image: text."
    )
    assert page.locator(".own .bar rect").first.bounding_box()["width"] > 20  # type: ignore[index]
    link = page.locator("#csv")
    data = base64.b64decode((link.get_attribute("href") or "").split(",")[1]).decode()
    assert len(data.splitlines()) == 5 and data.count("file,predicted") == 1
    with page.expect_download() as download:
        link.click()
    assert download.value.suggested_filename == "predictions.csv"


def test_a_picture_is_pasted(page: Page, chain: Chain) -> None:
    data = base64.b64encode(some(chain)[0].read_bytes()).decode()
    page.evaluate(
        """data => {
            const bytes = Uint8Array.from(atob(data), c => c.charCodeAt(0));
            const clipboard = new DataTransfer();
            clipboard.items.add(new File([bytes], "pasted.png", {type: "image/png"}));
            document.dispatchEvent(new ClipboardEvent("paste", {clipboardData: clipboard}));
        }""",
        data,
    )
    expect(page.locator(".result .file")).to_have_text("pasted.png", timeout=30_000)


def test_the_keyboard_reaches_everything_and_each_field_has_a_name(page: Page) -> None:
    seen = []
    for _ in range(8):
        page.keyboard.press("Tab")
        seen.append(
            page.evaluate(
                "() => { const e = document.activeElement;"
                " return e.id || e.name || e.textContent.trim(); }"
            )
        )
    assert seen[0] == "Skip to the content" and {"pictures", "looked"} <= set(seen)
    nameless = page.evaluate(
        """() => [...document.querySelectorAll("input:not([type=hidden]), select, button, a")]
            .filter(e => !(e.labels?.length || e.textContent.trim())).map(e => e.outerHTML)"""
    )
    assert nameless == []
    assert page.locator("h1").count() == 1 and page.locator("html").get_attribute("lang") == "en"


def test_without_a_script(browser: Browser, server: Any, chain: Chain) -> None:
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(address(server))
    page.set_input_files("#pictures", some(chain, 2))
    page.get_by_role("button", name="Predict").click()
    expect(page.locator(".result")).to_have_count(2)
    expect(page.locator("#csv")).to_be_visible()
    context.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_phone(browser: Browser, server: Any, chain: Chain, scheme: Any) -> None:
    context = browser.new_context(
        viewport={"width": 390, "height": 844}, color_scheme=scheme, has_touch=True, is_mobile=True
    )
    page = context.new_page()
    page.goto(address(server))
    page.set_input_files("#pictures", some(chain, 1))
    expect(page.locator(".result")).to_have_count(1, timeout=30_000)
    for _ in range(2):
        assert page.evaluate("document.documentElement.scrollWidth") <= 390
        assert _contrast(page) >= 4.5
        page.goto(address(server) + "/model/shapes")
    context.close()


def _contrast(page: Page) -> float:
    """The least contrast of a text and its ground, after WCAG 2."""
    pairs = page.evaluate(
        """() => [...document.querySelectorAll("p, h1, h2, th, td, a, li, label, dd, dt, figcaption")]
            .filter(e => e.textContent.trim() && e.offsetParent).map(e => {
                let ground = e;
                while (ground && getComputedStyle(ground).backgroundColor === "rgba(0, 0, 0, 0)")
                    ground = ground.parentElement;
                const color = x => getComputedStyle(x).color, back = x => getComputedStyle(x).backgroundColor;
                return [color(e), back(ground || document.body)].map(c => c.match(/[\\d.]+/g).map(Number));
            })"""
    )

    def light(color: list[float]) -> float:
        parts = [c / 255 for c in color[:3]]
        linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    ratios = []
    for text, ground in pairs:
        high, low = sorted((light(text), light(ground)), reverse=True)
        ratios.append((high + 0.05) / (low + 0.05))
    return min(ratios)

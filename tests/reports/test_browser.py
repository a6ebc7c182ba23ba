"""The page in a real browser: complete in itself, readable on a phone, in the dark and on paper."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from hybridstore import HybridStore, ManualClock
from hybridstore.clock import DAY_US
from hybridstore.reports.account import report_account
from hybridstore.reports.page import write_page
from tests.books.trading_life import DAYS, FIRST_US, live
from tests.reports.browser import Browser, missing, open_browser
from tests.reports.sample import HOSTILE, sample_report

WIDTHS = (360, 768, 1280)
CONTRAST = """
const parse = text => {
  const found = text.match(/rgba?\\(([^)]+)\\)/);
  const [r, g, b, a = 1] = found[1].split(/[ ,\\/]+/).filter(Boolean).map(Number);
  return [r, g, b, a];
};
const over = (top, below) => top.slice(0, 3).map((value, i) => value * top[3] + below[i] * (1 - top[3]));
const light = rgb => {
  const [r, g, b] = rgb.map(v => v / 255).map(v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
};
const ground = element => {
  const layers = [];
  for (let e = element; e; e = e.parentElement) layers.push(parse(getComputedStyle(e).backgroundColor));
  let below = [255, 255, 255];
  for (const layer of layers.reverse()) below = over(layer, below);
  return below;
};
const bad = [], walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
let seen = 0;
while (walker.nextNode()) {
  const element = walker.currentNode.parentElement;
  if (!walker.currentNode.data.trim() || !element.getClientRects().length) continue;
  if (element.closest('title')) continue;
  const style = getComputedStyle(element), below = ground(element);
  const ink = over(parse(style.color), below);
  const [a, b] = [light(ink), light(below)].sort((x, y) => y - x);
  const ratio = (a + 0.05) / (b + 0.05);
  seen += 1;
  if (ratio < 4.5) bad.push([walker.currentNode.data.trim().slice(0, 40), ratio.toFixed(2)]);
}
return [seen, bad.slice(0, 10)];
"""
OVERFLOW = """
const wide = [...document.querySelectorAll('body *')].filter(e => {
  const box = e.getBoundingClientRect();
  return box.width && box.right > innerWidth + 1 && !e.closest('.scroll') && !e.closest('svg');
});
return [document.documentElement.scrollWidth, innerWidth, wide.slice(0, 5).map(e => e.outerHTML.slice(0, 120))];
"""


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    reason = missing()
    if reason is not None:
        pytest.skip(reason)
    with open_browser(tmp_path_factory.mktemp("profile")) as opened:
        yield opened


@pytest.fixture(scope="module", params=["account", "hostile"])
def page(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, browser: Browser) -> Path:
    """Return a report of a life of some months, or of made-up data with texts that must be escaped."""
    folder = tmp_path_factory.mktemp("page")
    path = folder / "report.html"
    if request.param == "hostile":
        write_page(sample_report(), path)
        return path
    root = live(folder / "store", 99).root
    with HybridStore(root, clock=ManualClock(FIRST_US + DAYS * DAY_US)) as store:
        for number, side in enumerate(("buy", "sell")):
            at_us = FIRST_US + (DAYS - 2) * DAY_US + number
            store.record_fill(
                "XYZ/USDT",
                side,
                1,
                1,
                trade_id=f"h{number}",
                order_id="h",
                strategy=HOSTILE,
                executed_at=at_us,
            )
        data = report_account(store.database, store.analytics, "default", "USDT", benchmark="BTC/USDT")
    write_page(data, path)
    return path


def test_nothing_is_asked_for_and_nothing_complains(browser: Browser, page: Path) -> None:
    browser.log("performance")
    browser.log("browser")
    browser.open(page)
    assert browser.run("return document.title")
    assert browser.log("browser") == []
    messages = [json.loads(entry["message"])["message"] for entry in browser.log("performance")]
    asked = {
        one["params"]["request"]["url"]
        for one in messages
        if one["method"] == "Network.requestWillBeSent" and one["params"]["documentURL"] == page.as_uri()
    }  # not what the browser's own first page asks for
    assert {url for url in asked if not url.startswith("data:")} == {page.as_uri()}
    assert browser.run("return document.scripts.length") == 0
    assert (
        browser.run(
            "return document.querySelectorAll('[onclick], [onerror], [onload], iframe, object').length"
        )
        == 0
    )


@pytest.mark.parametrize("width", WIDTHS)
def test_nothing_is_wider_than_the_window(browser: Browser, page: Path, width: int) -> None:
    browser.open(page)
    browser.show(width)
    scrolled, inner, wide = browser.run(OVERFLOW)
    assert (inner, wide) == (width, [])
    assert scrolled <= width


@pytest.mark.parametrize("width", WIDTHS[::2])
@pytest.mark.parametrize(
    ("scheme", "media"), [("light", "screen"), ("dark", "screen"), ("light", "print"), ("dark", "print")]
)
def test_every_text_can_be_read(browser: Browser, page: Path, width: int, scheme: str, media: str) -> None:
    browser.open(page)
    browser.show(width, scheme=scheme, media=media)
    seen, bad = browser.run(CONTRAST)
    assert seen > 100
    assert bad == []
    ground = browser.run("return getComputedStyle(document.body).backgroundColor")
    is_dark = scheme == "dark" and media == "screen"
    assert (sum(map(int, ground.strip("rgb()").split(","))) < 200) is is_dark


def test_the_page_prints(browser: Browser, page: Path) -> None:
    browser.open(page)
    printed = browser.print_pages()
    assert printed.startswith(b"%PDF")
    assert 1 <= printed.count(b"/Type /Page\n") + printed.count(b"/Type /Page ") <= 40


def test_hostile_names_are_text(browser: Browser, page: Path) -> None:
    browser.open(page)
    text = browser.run("return document.body.innerText")
    assert HOSTILE in text

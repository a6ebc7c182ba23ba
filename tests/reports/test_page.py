"""The page: complete in itself, escaped, readable in light and dark, and honest about failures."""

from __future__ import annotations

import re
from decimal import Decimal
from html.parser import HTMLParser
from importlib import resources
from typing import TYPE_CHECKING

import pytest

from hybridstore.errors import InvalidValue
from hybridstore.reports.data import Check, ReportData
from hybridstore.reports.headline import headline
from hybridstore.reports.page import PAGE_BYTES_MAX, render, write_page
from tests.reports.sample import HOSTILE, sample_report, symbol

if TYPE_CHECKING:
    from pathlib import Path

VOID = {"meta", "link", "line", "path", "rect", "br", "hr", "img", "input"}
TEXT_CONTRAST = 4.5
"""WCAG AA for text of usual size."""
MARK_CONTRAST = 3.0
"""WCAG AA for what a chart draws."""


class Outline(HTMLParser):
    """Collects what a page holds and complains about tags that do not match."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.links: list[str] = []
        self.text: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.links += [value or "" for name, value in attrs if name in {"src", "href", "srcset", "action"}]
        assert not [name for name, _ in attrs if name.startswith("on")]
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text.append(data)


def outline(html: str) -> Outline:
    parsed = Outline()
    parsed.feed(html)
    parsed.close()
    assert parsed.open == []
    return parsed


@pytest.fixture(scope="module")
def html() -> str:
    return render(sample_report())


def test_every_section_is_there(html: str) -> None:
    sections = re.findall(r'<section id="(\w+)"', html)
    wanted = ["equity", "symbols", "holdings", "latency", "tiers", "proof", "quality", "definitions"]
    assert sections == wanted


def test_the_page_needs_nothing_else(html: str) -> None:
    page = outline(html)
    assert page.links == ["data:,"]
    assert not {"script", "img", "iframe", "object", "form"} & set(page.tags)
    assert not re.search(r"url\(|@import|https?://", html)
    assert "default-src 'none'" in html


def test_text_from_the_data_is_escaped(html: str) -> None:
    page = outline(html)
    assert "<script>alert" not in html
    assert any(HOSTILE in text for text in page.text)


def test_a_page_is_small_however_long_the_curve(tmp_path: Path) -> None:
    from tests.reports.sample import equity

    data = sample_report(
        equity=equity(50_000), symbols=tuple(symbol(f"COIN{n}/USDT", 1_000, 5, "1") for n in range(100))
    )
    path = tmp_path / "report.html"
    assert write_page(data, path) == path.stat().st_size <= PAGE_BYTES_MAX


def test_a_page_that_would_be_too_large_is_refused_whole(tmp_path: Path) -> None:
    data = sample_report(symbols=tuple(symbol(f"COIN{n}/USDT", 1_000, 5, "1") for n in range(1_000)))
    with pytest.raises(InvalidValue, match=r"more than 400000.*report\.html"):
        write_page(data, tmp_path / "report.html")
    assert list(tmp_path.iterdir()) == []


def test_a_report_of_an_empty_store_has_its_definitions_only() -> None:
    source = sample_report()
    data = ReportData("Empty", "nothing", "default", "USDT", source.generated_at)
    assert re.findall(r'<section id="(\w+)"', render(data)) == ["definitions"]


def test_headline_adds_up_what_is_in_the_base_currency() -> None:
    figures = {figure.label: figure for figure in headline(sample_report())}
    assert figures["Realised"].detail == "27.805"
    assert figures["Unrealised"].detail == "4.07245"
    assert figures["Fills"].value == "806"
    assert Decimal(figures["Fees"].detail) == 4 * Decimal("204.567123456789")
    inverse_only = sample_report(symbols=(symbol("BTC/USD:BTC", 1, 4, "0.5"),), positions=())
    assert {figure.label: figure.detail for figure in headline(inverse_only)}["Realised"] == "0"


def test_a_failure_is_told_at_the_top() -> None:
    good = render(sample_report())
    assert "All 2 checks hold" in good
    failed = Check("The ledger adds up", "USDT differs by 1", passed=False)
    bad = render(sample_report(checks=(failed,)))
    assert "1 of 1 checks FAIL: The ledger adds up" in bad
    assert "FAILS" in bad


def test_a_difference_after_the_move_is_told() -> None:
    proof = sample_report().proofs[0]
    changed = type(proof)(
        proof.name,
        proof.doc,
        proof.sql,
        proof.columns,
        proof.before,
        (*proof.before[:1], ("ETH/USDT", 14_515, 1)),
    )
    html = render(sample_report(proofs=(changed,)))
    assert html.count("DIFFERENT") == 2


def themes() -> dict[str, dict[str, str]]:
    """Read the colours of each theme out of the style sheet."""
    css = resources.files("hybridstore.reports").joinpath("page.css").read_text(encoding="utf-8")
    blocks = re.findall(r":root\s*\{([^}]*)\}", css)
    light, dark, printed = (dict(re.findall(r"--([\w-]+):\s*(#[0-9a-f]+)", block)) for block in blocks)
    assert set(light) == set(dark) == set(printed)
    return {"light": light, "dark": dark, "print": printed}


def luminance(colour: str) -> float:
    channels = [int(colour[start : start + 2], 16) / 255 for start in (1, 3, 5)]
    linear = [value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4 for value in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    bright, dim = sorted((luminance(one), luminance(other)), reverse=True)
    return (bright + 0.05) / (dim + 0.05)


@pytest.mark.parametrize("theme", ["light", "dark", "print"])
def test_every_text_has_enough_contrast(theme: str) -> None:
    colours = themes()[theme]
    pairs = [
        (ink, ground) for ink in ("ink", "quiet", "accent", "gain", "loss") for ground in ("paper", "card")
    ]
    pairs += [("gain", "good-area"), ("loss", "bad-area")]
    for ink, ground in pairs:
        assert contrast(colours[ink], colours[ground]) >= TEXT_CONTRAST, (theme, ink, ground)
    for mark in ("accent", "gain", "loss"):
        assert contrast(colours[mark], colours["card"]) >= MARK_CONTRAST

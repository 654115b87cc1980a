"""The page of a run: whole, offline, honest."""

import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from tests.analysis.cases import COSTS, RULES, bars, random_signals, result
from toolkit.analysis.backtest import backtest_signals
from toolkit.analysis.report import write_report
from toolkit.analysis.svg import area_chart
from toolkit.analysis.texts import DEFINITIONS, SYNTHETIC
from toolkit.bars.series import from_arrays
from toolkit.errors import RunError

VOID = {"meta", "br", "line", "polygon", "polyline"}


class Balanced(HTMLParser):
    """Fails where a tag is not closed; keeps what could reach the network."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.links: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.links += [value or "" for name, value in attrs if name in ("src", "href")]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag in VOID

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = result("stop and target").save(tmp_path_factory.mktemp("runs"), factors=False)
    return (folder / "report.html").read_text()


def test_the_page_is_whole_small_and_needs_no_network(page: str) -> None:
    parser = Balanced()
    parser.feed(page)
    assert parser.open == [] and parser.links == []
    assert "http" not in page and "@import" not in page
    assert len(page) < 200_000


def test_it_fits_a_phone_and_both_themes(page: str) -> None:
    assert 'name="viewport" content="width=device-width' in page
    assert "prefers-color-scheme: dark" in page and "overflow-x: auto" in page


def test_it_shows_every_figure_with_its_definition_exits_ambiguity_and_config(page: str) -> None:
    for definition in DEFINITIONS.values():
        assert definition.replace("'", "&#x27;") in page
    for text in (
        "How trades ended",
        "What one bar does not tell",
        "best case",
        "taker_rate",
        "sha256",
        "combinations tried",
    ):
        assert text in page
    assert len(re.findall("<svg", page)) == 2


def test_synthetic_bars_are_said_loudly_and_real_ones_are_not(page: str, tmp_path: Path) -> None:
    assert f'<p class="synthetic">{SYNTHETIC}</p>' in page
    base = bars("1m")
    real = from_arrays(
        base.ts, base.open, base.high, base.low, base.close, base.volume,
        interval="1m", symbol="SOL/USDT", exchange="venue",
    )  # fmt: skip
    run = backtest_signals(real, random_signals(len(real), 1, 0.001), RULES["exit signal"], COSTS).save(tmp_path)
    assert SYNTHETIC not in (run / "report.html").read_text()


def test_a_run_without_trades_has_a_page_too(tmp_path: Path) -> None:
    run = result(signals=random_signals(len(bars()), 1, 0.0)).save(tmp_path, factors=False)
    assert '<td class="n">-</td>' in (run / "report.html").read_text()


def test_names_cannot_break_the_page(tmp_path: Path) -> None:
    run = backtest_signals(bars(), random_signals(len(bars()), 1), name="<script>alert(1)</script>").save(tmp_path)
    assert "<script>" not in (run / "report.html").read_text()


def test_a_folder_that_is_no_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"has no readable run.json"):
        write_report(tmp_path)


def test_long_lines_keep_their_extremes() -> None:
    values = np.sin(np.arange(5000) / 50.0)
    values[2711], values[4003] = 9.0, -7.0
    drawn = area_chart("x", values, [str(k) for k in range(5000)], base=0.0)
    points = re.search(r'polyline class="line" points="([^"]+)"', drawn)
    assert points is not None
    y = [float(p.split(",")[1]) for p in points[1].split()]
    assert len(y) <= 1502
    # Top and bottom of the drawing: the highest and the lowest value.
    assert min(y) == 8.0 and max(y) == 160.0
    assert area_chart("x", np.empty(0), [], base=0.0) == ""


def test_a_flat_line_is_drawn() -> None:
    assert "<polyline" in area_chart("x", np.full(3, 5.0), ["a", "b", "c"], base=5.0)

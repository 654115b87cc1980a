"""The portfolio's page in headless Chromium: what a reader sees, and that nothing leaves the file."""

import json
import math
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from tests.portfolio.report_case import Case, portfolio_folder
from toolkit.analysis.portfolio_report import write_portfolio_report
from toolkit.analysis.texts import figure
from toolkit.bars.synthetic import synthetic_bars
from toolkit.engine.rules import Costs, TradeRules
from toolkit.portfolio.backtest import portfolio_backtest
from toolkit.portfolio.limits import Limits
from toolkit.portfolio.members import Member

CHROMIUM = shutil.which("chromium")
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]
MARKUP = ("<img src=x onerror=alert(1)>", "</script><script>alert(2)</script>")

pytestmark = [
    pytest.mark.browser,
    pytest.mark.xdist_group("browser"),
    pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed: the page was not looked at in a browser"),
]


@pytest.fixture(scope="module")
def run_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of six instances over twenty synthetic days."""
    bars = synthetic_bars(days=24, seed=3)
    rules = TradeRules(stop=0.006, target="2R", max_hold="6h")
    members = [
        Member(name, symbol, "15m", {}, rules, Costs(taker_rate=0.0005))
        for name in ("volatility_breakout", "reversal_breakout")
        for symbol in bars
    ]
    limits = Limits(max_open=3, max_symbol=0.5)
    result = portfolio_backtest(members, bars=bars, start="2023-01-05", limits=limits)
    return result.save(tmp_path_factory.mktemp("runs"), factors=False)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as play:
        started = play.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield started
        started.close()


class Visit:
    """An open page with all that went wrong on it."""

    def __init__(self, browser: Browser, file: Path, **context: Any) -> None:
        self.context = browser.new_context(**context)
        self.page: Page = self.context.new_page()
        self.wrong: list[str] = []
        self.asked: list[str] = []
        self.page.on("console", lambda m: self.wrong.append(m.text) if m.type in ("error", "warning") else None)
        self.page.on("pageerror", lambda e: self.wrong.append(str(e)))
        self.page.on("dialog", lambda d: (self.wrong.append(f"dialog {d.message}"), d.dismiss()))
        self.page.on("request", lambda r: self.asked.append(r.url))
        self.page.goto(file.as_uri())

    def draw_all(self) -> int:
        """Scroll to every chart, which is drawn when it comes into sight; how many there are."""
        charts = self.page.locator(".plot")
        for k in range(charts.count()):
            charts.nth(k).scroll_into_view_if_needed()
            charts.nth(k).locator(".main-svg").first.wait_for()
        return charts.count()

    def __enter__(self) -> "Visit":
        return self

    def __exit__(self, *_: object) -> None:
        self.context.close()

    @property
    def outside(self) -> list[str]:
        return [url for url in self.asked if not url.startswith(("file:", "data:", "blob:"))]


def opened(browser: Browser, folder: Path, **context: Any) -> Visit:
    return Visit(browser, folder / "report.html", **({"viewport": {"width": 1440, "height": 900}} | context))


def test_the_page_opens_offline_without_an_error(browser: Browser, run_folder: Path) -> None:
    with opened(browser, run_folder, offline=True) as visit:
        assert visit.page.title().startswith("Portfolio")
        assert "SYNTHETIC" in visit.page.inner_text(".banners")
        assert visit.draw_all() >= 10
        assert (visit.wrong, visit.outside) == ([], [])


def test_figures_on_the_page_are_those_of_the_results(browser: Browser, run_folder: Path) -> None:
    results = json.loads((run_folder / "results.json").read_text())
    figures, audit = results["figures"], results["audit"]
    with opened(browser, run_folder) as visit:
        shown = visit.page.eval_on_selector_all("[data-figure]", "es => es.map(e => [e.dataset.figure, e.textContent])")
    decisions = {f"audit.{word}": f"{audit[word]:,}" for word in ("accepted", "clipped", "rejected", "vetoed")}
    expected = {name: figure(name, value) for name, value in figures.items()} | decisions
    assert {name for name, _ in shown} == set(expected)
    for name, text in shown:
        assert text.strip() == expected[name], name


def test_the_results_are_those_of_the_tables(run_folder: Path) -> None:
    """From trades.parquet and equity.parquet, by code of this test alone."""
    figures = json.loads((run_folder / "results.json").read_text())["figures"]
    capital = json.loads((run_folder / "results.json").read_text())["capital"]
    trades = pl.read_parquet(run_folder / "trades.parquet")
    equity = np.array([capital, *pl.read_parquet(run_folder / "equity.parquet")["equity"].to_list()])
    closed = [row for row in trades.iter_rows(named=True) if row["exit_ts"] is not None]
    pnl = [row["pnl"] for row in closed]
    returns = equity[1:] / equity[:-1] - 1
    n = len(returns)
    downside = math.sqrt(sum(min(r, 0.0) ** 2 for r in returns) / n)
    peaks = np.maximum.accumulate(equity)
    expected = {
        "total_return": equity[-1] / capital - 1,
        "annual_return": (equity[-1] / capital) ** (365 / n) - 1,
        "sharpe": returns.mean() / returns.std(ddof=1) * math.sqrt(365),
        "sortino": returns.mean() / downside * math.sqrt(365),
        "max_drawdown": ((peaks - equity) / peaks).max(),
        "trades": len(closed),
        "open_trades": trades.height - len(closed),
        "win_rate": sum(p > 0 for p in pnl) / len(pnl),
        "expectancy": sum(pnl) / len(pnl),
        "avg_win": sum(p for p in pnl if p > 0) / sum(p > 0 for p in pnl),
        "avg_loss": sum(p for p in pnl if p <= 0) / sum(p <= 0 for p in pnl),
        "profit_factor": sum(p for p in pnl if p > 0) / -sum(p for p in pnl if p <= 0),
        "worst_trade": min(pnl),
        "fees": sum(row["fees"] for row in trades.iter_rows(named=True)),
    }
    assert len(closed) > 30
    assert {name: figures[name] for name in expected} == pytest.approx(expected, rel=1e-9)
    assert sum(row["pnl"] for row in trades.iter_rows(named=True)) == pytest.approx(equity[-1] - capital, rel=1e-9)


def test_tables_sort_by_click_and_by_key(browser: Browser, run_folder: Path) -> None:
    with opened(browser, run_folder) as visit:
        table = visit.page.locator("#instances-table")
        head = table.locator("th", has_text="profit factor")
        column = head.evaluate("th => th.cellIndex")

        def values() -> list[float]:
            cells = table.locator(f"tbody tr td:nth-child({column + 1})")
            return [float(t.replace(",", "")) for t in cells.all_inner_texts()]

        head.locator("button").click()
        first, said = values(), head.get_attribute("aria-sort")
        assert said in ("ascending", "descending")
        assert first == sorted(first, reverse=said == "descending") and len(set(first)) > 3
        head.locator("button").press("Enter")
        assert values() == first[::-1]
        assert head.get_attribute("aria-sort") != said


def test_a_trade_opens_on_its_bars_and_closes(browser: Browser, run_folder: Path) -> None:
    with opened(browser, run_folder) as visit:
        row = visit.page.locator("tr.opens").first
        row.scroll_into_view_if_needed()
        row.click()
        dialog = visit.page.locator("dialog#trade")
        dialog.locator(".main-svg").first.wait_for()
        assert dialog.is_visible() and dialog.locator(".boxes path, .ohlc path, .candlestick path, .trace").count() > 0
        assert "entry" in dialog.inner_text().lower()
        visit.page.keyboard.press("Escape")
        assert not dialog.is_visible()
        assert visit.wrong == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_follows_the_readers_scheme_and_the_switch(browser: Browser, run_folder: Path, scheme: Any) -> None:
    def brightness(page: Page) -> int:
        colour = page.evaluate("getComputedStyle(document.body).backgroundColor")
        return sum(int(part) for part in colour[colour.index("(") + 1 : -1].split(",")[:3])

    with opened(browser, run_folder, color_scheme=scheme) as visit:
        before = brightness(visit.page)
        assert (before > 384) == (scheme == "light")
        visit.page.click("#theme")
        assert (brightness(visit.page) > 384) == (scheme == "dark")
        assert visit.wrong == []


def test_a_phone_needs_no_sideways_scroll(browser: Browser, run_folder: Path) -> None:
    phone = {"width": 390, "height": 844}
    with opened(browser, run_folder, viewport=phone, device_scale_factor=2, has_touch=True) as visit:
        visit.draw_all()
        width = visit.page.evaluate("[document.documentElement.scrollWidth, window.innerWidth]")
        assert width[0] <= width[1] == 390
        assert visit.wrong == []


def test_markup_in_names_stays_text(browser: Browser, tmp_path: Path) -> None:
    folder = portfolio_folder(tmp_path, Case(names=(*MARKUP, "trend", "range"), days=60, trades_each=12))
    write_portfolio_report(folder)
    with Visit(browser, folder / "report.html") as visit:
        assert MARKUP[0] in visit.page.inner_text("#strategies-table")
        assert visit.page.locator("img").count() == 0
        assert (visit.wrong, visit.outside) == ([], [])


def test_days_that_were_seen_are_said_first(browser: Browser, tmp_path: Path) -> None:
    folder = portfolio_folder(tmp_path, Case(in_sample=True, days=60, trades_each=12))
    write_portfolio_report(folder)
    with Visit(browser, folder / "report.html") as visit:
        assert "IN SAMPLE" in visit.page.inner_text(".banners")

"""`toolkit demo`: synthetic bars, a sweep on the first two thirds of them, a portfolio of its best on the rest."""

import contextlib
import os
import sys
import time
from importlib.resources import as_file, files
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from toolkit.cli.machine import print_json

if TYPE_CHECKING:
    from toolkit.portfolio.rebalance import RebalancePolicy
    from toolkit.portfolio.result import PortfolioResult
    from toolkit.sweep.result import SweepResult

_SYMBOLS = ("BTC/USDT", "ETH/USDT", "SOL/USDT")
_START = "2023-01-01"
# Of the sweep's rows so many are candidates of the portfolio.
_CANDIDATES = 40
_SHOWN = ("total_return", "sharpe", "max_drawdown", "trades")


def demo(
    days: Annotated[int, typer.Option(min=3, help="Days of synthetic minutes.")] = 90,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the synthetic bars.")] = 7,
    jobs: Annotated[int | None, typer.Option(help="Threads; default: every core.")] = None,
    open_: Annotated[bool, typer.Option("--open/--no-open", help="Open the report where there is a browser.")] = True,
    json_: Annotated[bool, typer.Option("--json", help="Print JSON on stdout, for a machine.")] = False,
) -> None:
    """Make SYNTHETIC bars from a seed, sweep five strategies, and run a portfolio of the best on days not swept.

    The sweep sees the first two thirds of the days. At the first day it has not seen, and every week from then on, the
    portfolio's instances and weights are chosen from what was known then; its report is named, and opened where there
    is a browser. Nothing is downloaded and your own bars are not touched: the demo has a database of its own in the
    data folder.

    \b
    Example:
      toolkit demo --days 60 --no-open
    """
    from datetime import date, timedelta

    from toolkit import settings
    from toolkit.analysis.texts import SYNTHETIC

    began = time.monotonic()
    _note(SYNTHETIC)
    db = settings.data_dir() / f"demo-seed{seed}-{days}d.duckdb"
    _store(db, days, seed)
    swept_days = days - max(1, days // 3)
    cut = (date.fromisoformat(_START) + timedelta(days=swept_days)).isoformat()
    swept = _sweep(db, cut, jobs, min_trades=min(20, max(1, swept_days // 3)))
    _note(f"a portfolio of the best, on the days from {cut} on, which the sweep has not seen")
    found = _portfolio(swept, cut, _policy(swept_days), db, jobs)
    folder = found.save()
    report = folder / "report.html"
    opened = open_ and _open(report)
    secs = time.monotonic() - began
    if json_:
        print_json(
            {
                "run": str(folder), "report": str(report), "sweep": str(swept.folder),
                "combinations": swept.combinations_tried, "secs": secs, "synthetic": True, "figures": found.metrics,
                "variants": {name: dict(variant.figures) for name, variant in found.variants.items()},
            }
        )  # fmt: skip
        return
    print(f"\n{swept.combinations_tried:,} combinations and a portfolio in {secs:.0f} s, on SYNTHETIC bars\n")
    print("\n".join(_table(found)))
    for note in found.notes:
        print(note)
    print(f"\nsweep: {swept.folder}")
    print(f"run: {folder}")
    print(f"report: {report}{' (opened)' if opened else ''}")
    print("next: toolkit data import YOUR_FILES, then toolkit sweep research/experiments/month.toml")


def _sweep(db: Path, end: str, jobs: int | None, min_trades: int) -> "SweepResult":
    from toolkit.sweep.experiment import Experiment
    from toolkit.sweep.run import SweepInterrupted, sweep

    _note("sweeping five strategies (the first time, the kernels are compiled: about a minute)")
    with as_file(files("toolkit.cli") / "demo_experiment.toml") as file:
        experiment = Experiment.from_file(file, {"start": _START, "end": end, "min_trades": min_trades})
    try:
        return sweep(experiment, db=db, jobs=jobs, progress=True)
    except SweepInterrupted as stopped:
        _note(f"interrupted: {stopped.run_id} is kept unfinished; run the demo again to start over")
        raise typer.Exit(130) from None


def _policy(swept_days: int) -> "RebalancePolicy":
    from toolkit.portfolio.rebalance import RebalancePolicy
    from toolkit.portfolio.selection import SelectionRule

    rule = SelectionRule("expectancy > 0 and win_rate >= 0.3", min_trades=3, max_correlation=0.7, top=15)
    return RebalancePolicy(every="7d", lookback=f"{swept_days}d", rule=rule, method="hrp")


def _portfolio(
    swept: "SweepResult", cut: str, policy: "RebalancePolicy", db: Path, jobs: int | None
) -> "PortfolioResult":
    from toolkit.portfolio.backtest import portfolio_backtest
    from toolkit.portfolio.limits import Limits

    limits = Limits(exposure=2.0, max_trade=0.25, max_symbol=0.6, max_gross=1.0, drawdown_halt=0.3)
    return portfolio_backtest(
        swept, top=_CANDIDATES, start=cut, policy=policy, limits=limits, db=db, jobs=jobs, progress=True
    )


def _table(found: "PortfolioResult") -> list[str]:
    """Main figures of the portfolio and of what stands beside it, a line each."""
    from toolkit.analysis.texts import figure, label

    rows = [["", *(label(name) for name in _SHOWN)]]
    rows += [[name, *(figure(n, v.figures.get(n)) for n in _SHOWN)] for name, v in found.variants.items()]
    held = figure("total_return", found.reference.get("buy_and_hold_return"))
    rows.append(["buy and hold", held, *[""] * (len(_SHOWN) - 1)])
    widths = [max(len(row[k]) for row in rows) for k in range(len(rows[0]))]
    return ["  ".join(text.rjust(w) for text, w in zip(row, widths, strict=True)).rstrip() for row in rows]


def _store(db: Path, days: int, seed: int) -> None:
    """The demo's bars into its own database; there they are the same for the same seed and days, and stay."""
    from toolkit.bars.columns import fingerprint
    from toolkit.bars.store import Source, Store, series_key
    from toolkit.bars.synthetic import EXCHANGE, synthetic_columns

    store = Store(db)
    there = {info.key.symbol for info in store.series()}
    if there >= set(_SYMBOLS):
        _note(f"synthetic bars are there already: {db}")
        return
    _note(f"making {days} days of synthetic minutes of {', '.join(_SYMBOLS)}, seed {seed}, into {db}")
    columns = synthetic_columns(_SYMBOLS, _START, days, seed)
    with store.batch() as batch:
        for symbol, bars in columns.items():
            source = Source("request", f"synthetic_columns(seed={seed}, days={days})", fingerprint(bars))
            batch.write(series_key(EXCHANGE, symbol, "1m"), bars, source)


def _open(report: Path) -> bool:
    """Whether a browser on this machine was asked to show the report; never on a server or in a pipe."""
    import webbrowser

    display = sys.platform == "darwin" or os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")
    if not display or not sys.stdout.isatty():
        return False
    with contextlib.suppress(webbrowser.Error):
        return webbrowser.open(report.resolve().as_uri())
    return False


def _note(text: str) -> None:
    print(text, file=sys.stderr, flush=True)

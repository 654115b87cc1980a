"""`toolkit demo`: synthetic bars, a sweep of the five strategies on them, and the report."""

import contextlib
import json
import os
import sys
import time
from importlib.resources import as_file, files
from pathlib import Path
from typing import Annotated

import typer

_SYMBOLS = ("BTC/USDT", "ETH/USDT", "SOL/USDT")
_START = "2023-01-01"


def demo(
    days: Annotated[int, typer.Option(min=2, help="Days of synthetic minutes.")] = 90,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the synthetic bars.")] = 7,
    jobs: Annotated[int | None, typer.Option(help="Threads; default: every core.")] = None,
    open_: Annotated[bool, typer.Option("--open/--no-open", help="Open the report where there is a browser.")] = True,
    json_: Annotated[bool, typer.Option("--json", help="Print JSON on stdout, for a machine.")] = False,
) -> None:
    """Make SYNTHETIC bars from a seed, sweep five strategies over them, and name the report.

    Nothing is downloaded and your own bars are not touched: the demo has a database of its own in the data folder.

    \b
    Example:
      toolkit demo --days 60 --no-open
    """
    from toolkit import settings
    from toolkit.analysis.texts import SYNTHETIC
    from toolkit.sweep.experiment import Experiment
    from toolkit.sweep.run import SweepInterrupted, sweep

    began = time.monotonic()
    _note(SYNTHETIC)
    db = settings.data_dir() / f"demo-seed{seed}-{days}d.duckdb"
    _store(db, days, seed)
    _note("sweeping five strategies (the first time, the kernels are compiled: about a minute)")
    with as_file(files("toolkit.cli") / "demo_experiment.toml") as file:
        experiment = Experiment.from_file(file)
    try:
        result = sweep(experiment, db=db, jobs=jobs, progress=True)
    except SweepInterrupted as stopped:
        _note(f"interrupted: {stopped.run_id} is kept unfinished; run the demo again to start over")
        raise typer.Exit(130) from None
    report = result.folder / "report.html"
    secs = time.monotonic() - began
    opened = open_ and _open(report)
    if json_:
        tried = result.combinations_tried
        print(json.dumps({"run": str(result.folder), "report": str(report), "combinations": tried, "secs": secs}))
        return
    print(f"\n{result.combinations_tried:,} combinations in {secs:.0f} s, on SYNTHETIC bars")
    print(f"run: {result.folder}")
    print(f"report: {report}{' (opened)' if opened else ''}")
    print("next: toolkit data import YOUR_FILES, then toolkit sweep research/experiments/month.toml")


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

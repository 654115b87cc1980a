"""`toolkit report`: a run, or any trades, as one page that opens offline."""

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from toolkit.cli.machine import print_json
from toolkit.errors import InputError

MODEL_RUNS = ("model-experiment", "model-train", "model-eval")


def report(
    sources: Annotated[
        list[str], typer.Argument(metavar="RUN|TRADES.CSV...", help="A run (id, folder, latest), or trades.csv files.")
    ],
    out: Annotated[Path | None, typer.Option(help="HTML file; default: report-RUN.html or report.html, here.")] = None,
    capital: Annotated[float, typer.Option(help="Money that returns of a trades.csv are measured on.")] = 100_000.0,
    title: Annotated[str | None, typer.Option(help="Heading of the page of a trades.csv.")] = None,
    json_: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Write the report of a run anew, or of trades made elsewhere, as one HTML file.

    A trades.csv needs symbol, side, entry_ts, exit_ts, and pnl or entry_price, exit_price and qty; other columns are
    ignored by name. Its figures are written beside the page as JSON.

    Example: toolkit report latest --out report.html

    Example: toolkit report trend.csv breakout.csv --capital 50000 --out both.html
    """
    files = [s for s in sources if s.lower().endswith((".csv", ".tsv", ".txt")) or Path(s).is_file()]
    if out is not None and out.suffix.lower() not in (".html", ".htm"):
        raise InputError(f"`--out` must be an HTML file, was {str(out)!r}; name it report.html, for instance")
    if files and len(files) < len(sources):
        other = next(source for source in sources if source not in files)
        raise InputError(f"{other!r} is no trades.csv and cannot be put together with {files[0]}; report it by itself")
    if not files and len(sources) > 1:
        raise InputError(f"one run has one report, {len(sources)} were named; name one, or trades.csv files")
    if files:
        _of_trades(files, out or Path("report.html"), capital, title, json_)
    else:
        _of_run(sources[0], out, json_)


def _of_trades(files: list[str], out: Path, capital: float, title: str | None, json_: bool) -> None:
    from toolkit.analysis.portfolio_report.foreign import trades_report
    from toolkit.analysis.portfolio_report.page import write_page
    from toolkit.portfolio.trades_file import read_trades

    read = read_trades(files)
    for file, names in read.ignored.items():
        print(f"{file}: ignored columns {', '.join(names)}", file=sys.stderr)
    heading = title or (f"Trades of {Path(files[0]).stem}" if len(files) == 1 else f"Trades of {len(files)} files")
    config = {"files": files, "ignored_columns": read.ignored}
    results = trades_report(read.trades, heading, out, capital=capital, config=config)
    beside = out.with_suffix(".json")
    write_page(beside, json.dumps(results, indent=2, allow_nan=False) + "\n")
    if json_:
        print_json({"report": str(out), "results": str(beside), **results})
        return
    _print_figures(results["figures"])
    for note in results["notes"]:
        print(f"\n{note}")
    print(f"report: {out}\nfigures: {beside}")


def _of_run(name: str, out: Path | None, json_: bool) -> None:
    from toolkit.analysis.portfolio_report import render_portfolio
    from toolkit.analysis.portfolio_report.page import write_page
    from toolkit.analysis.report import render
    from toolkit.analysis.runs import read_run

    run = read_run(name)
    path = out or Path(f"report-{run.run_id}.html")
    portfolio, of_models = run.info["kind"] == "portfolio", run.info["kind"] in MODEL_RUNS
    if of_models:
        from toolkit.models.report import render_model_run

        page = render_model_run(run.folder)
    else:
        page = render_portfolio(run.folder) if portfolio else render(run)
    write_page(path, page)
    figures: Mapping[str, Any] = {}
    if portfolio:
        figures = json.loads((run.folder / "results.json").read_text(encoding="utf-8"))["figures"]
    elif "metrics" in run.tables and "top" not in run.tables:
        figures = run.frame("metrics").row(0, named=True)
    if json_:
        print_json({"report": str(path), "run": run.run_id, "kind": run.info["kind"], "figures": dict(figures)})
        return
    print(f"{run.info['kind']} {run.run_id}")
    _print_figures(figures)
    print(f"report: {path}")


def _print_figures(figures: Mapping[str, Any]) -> None:
    from toolkit.analysis.texts import HEADLINE, figure, label

    names = [name for name in HEADLINE if figures.get(name) is not None]
    half = -(-len(names) // 2)
    for k in range(half):
        print("    ".join(f"{label(n):<26}{figure(n, figures[n]):>14}" for n in names[k::half]).rstrip())

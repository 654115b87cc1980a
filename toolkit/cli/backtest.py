"""`toolkit backtest`: one strategy, one series, its figures and its run folder."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from toolkit.cli.machine import print_json
from toolkit.cli.pairs import pairs

if TYPE_CHECKING:
    from toolkit.analysis.result import BacktestResult


def backtest(
    strategy: Annotated[str, typer.Argument(help="Strategy, as `toolkit strategies` lists it.")],
    symbol: Annotated[str, typer.Option(help="Stored symbol, such as BTC/USDT.")],
    interval: Annotated[str, typer.Option(help="Signal interval, such as 5m.")],
    start: Annotated[str | None, typer.Option(help="First moment that is traded, ISO, UTC; default: all.")] = None,
    end: Annotated[str | None, typer.Option(help="First moment that is left out, ISO, UTC; default: all.")] = None,
    exchange: Annotated[str | None, typer.Option(help="Exchange, where several have the symbol.")] = None,
    base: Annotated[str | None, typer.Option(help="Stored interval that orders fill on; default: finest.")] = None,
    param: Annotated[list[str] | None, typer.Option(help="Strategy parameter NAME=VALUE; repeat for more.")] = None,
    rules: Annotated[list[str] | None, typer.Option(help="Trade rule NAME=VALUE (stop=2%, max_hold=4h).")] = None,
    rules_file: Annotated[Path | None, typer.Option(help="TOML file with trade rules, exits among them.")] = None,
    cost: Annotated[list[str] | None, typer.Option(help="Cost NAME=VALUE (taker_rate=0.0005).")] = None,
    policy: Annotated[str | None, typer.Option(help="pessimistic, optimistic, ohlc, adaptive or finer.")] = None,
    side: Annotated[str | None, typer.Option(help="long, short or both.")] = None,
    notional: Annotated[float, typer.Option(help="Money of every trade, and the capital.")] = 10_000.0,
    compound: Annotated[bool, typer.Option("--compound", help="Days earn on the equity of their beginning.")] = False,
    csv: Annotated[Path | None, typer.Option(help="Folder for a CSV of the trades and one of the factors.")] = None,
    out: Annotated[Path | None, typer.Option(help="Folder of the runs; default: runs in the data folder.")] = None,
    save: Annotated[bool, typer.Option("--save/--no-save", help="Keep the run as a folder with a report.")] = True,
    strategies: Annotated[
        list[str] | None, typer.Option(metavar="MODULE", help="Module that holds strategies; repeat for more.")
    ] = None,
    db: Annotated[
        Path | None, typer.Option("--db", help="Bars database; default: bars.duckdb in the data folder.")
    ] = None,
    json_: Annotated[bool, typer.Option("--json", help="Print JSON on stdout, for a machine.")] = False,
) -> None:
    """Run one strategy over stored bars and print its figures; the run is kept as a folder with tables and a report.

    \b
    Examples:
      toolkit backtest volatility_breakout --symbol BTC/USDT --interval 5m --start 2022-01-01 --end 2023-01-01
      toolkit backtest trend_day --symbol ETH/USDT --interval 15m --rules stop=2% --rules max_hold=8h --side long
    """
    from toolkit.analysis.backtest import backtest as run_backtest

    given = _rules(rules_file, rules or []) | _named(policy=policy, side=side)
    result = run_backtest(
        strategy, symbol,
        interval=interval, start=start, end=end, exchange=exchange, base=base,
        params=pairs("--param", param or []), rules=given, costs=pairs("--cost", cost or []),
        notional=notional, compound=compound, db=db, strategies=strategies or None,
    )  # fmt: skip
    folder = result.save(out) if save else None
    files = _write_csv(result, csv) if csv is not None else []
    if json_:
        print_json(_machine(result, folder, files))
    else:
        _print(result, folder, files)


def _named(**options: str | None) -> dict[str, str]:
    return {name: value for name, value in options.items() if value is not None}


def _rules(file: Path | None, texts: list[str]) -> dict[str, Any]:
    """Rules of a TOML file (its `[rules]` table, or all of it), and options over them."""
    table: dict[str, Any] = {}
    if file is not None:
        from toolkit.toml_file import read_toml

        read = read_toml(file, "rules file")
        table = read.get("rules", read)
    return table | pairs("--rules", texts)


def _write_csv(result: "BacktestResult", folder: Path) -> list[Path]:
    """The trades and the factor values at entries, under the instance's name; an earlier file gives way."""
    from toolkit.analysis.runs import write_csv

    tables = {"trades": result.trades, "factors": result.factors()}
    paths = [folder / f"{result.instance.id}-{name}.csv" for name in tables]
    for path, frame in zip(paths, tables.values(), strict=True):
        write_csv(path, frame)
    return paths


def _machine(result: "BacktestResult", folder: Path | None, files: list[Path]) -> dict[str, Any]:
    return {
        "run": None if folder is None else str(folder),
        "csv": [str(f) for f in files],
        "config": result.config,
        "metrics": result.metrics,
        "ambiguity": result.ambiguity,
    }


def _print(result: "BacktestResult", folder: Path | None, files: list[Path]) -> None:
    from toolkit.analysis.texts import HEADLINE, SYNTHETIC, figure, label

    config, metrics, ambiguity = result.config, result.metrics, result.ambiguity
    if config["exchange"] == "synthetic":
        print(SYNTHETIC, file=sys.stderr)
    print(result.instance.id)
    print(f"{config['exchange']} {config['symbol']} {config['interval']}, {config['start']} to {config['end']}\n")
    names = [name for name in HEADLINE if name in metrics]
    half = -(-len(names) // 2)
    for k in range(half):
        cells = (f"{label(n):<26}{figure(n, metrics[n]):>14}" for n in names[k::half])
        print("    ".join(cells).rstrip())
    print(
        f"\norder of stop and target inside one bar: {ambiguity['trades']} trades undecided; profit "
        f"{ambiguity['pnl']:,.2f} ({ambiguity['policy']}), best case {ambiguity['best_pnl']:,.2f}, worst case "
        f"{ambiguity['worst_pnl']:,.2f}"
    )
    for file in files:
        print(f"csv: {file}")
    if folder is not None:
        print(f"run: {folder}\nreport: {folder / 'report.html'}")

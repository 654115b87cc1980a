"""`toolkit sweep`: every combination of an experiment, from a file or from flags."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from toolkit.cli.machine import print_json
from toolkit.errors import InputError

if TYPE_CHECKING:
    from toolkit.sweep.experiment import Experiment
    from toolkit.sweep.result import SweepResult

Several = list[str] | None
CsvMode = Literal["combined", "separate", "both", "none"]
_SHOWN = ("total_return", "sharpe", "max_drawdown", "trades", "win_rate", "expectancy", "return_at_twice_costs")


def sweep(
    file: Annotated[Path | None, typer.Argument(help="Experiment file (TOML); else --strategy and the flags.")] = None,
    strategy: Annotated[Several, typer.Option("--strategy", "-s", help="Strategy; repeat for more.")] = None,
    symbol: Annotated[Several, typer.Option("--symbol", help="Symbol; repeat for more.")] = None,
    interval: Annotated[Several, typer.Option("--interval", help="Interval; repeat for more.")] = None,
    start: Annotated[str | None, typer.Option(help="First moment traded, UTC.")] = None,
    end: Annotated[str | None, typer.Option(help="First moment left out, UTC.")] = None,
    param: Annotated[Several, typer.Option("--param", help="Parameter axis: window=48,96 or window=20:100:20.")] = None,
    rule: Annotated[Several, typer.Option("--rule", help="Trade rule axis: max_hold=1h,4h or side=long,short.")] = None,
    cost: Annotated[Several, typer.Option("--cost", help="Cost: taker_rate=0.0005.")] = None,
    sample: Annotated[int | None, typer.Option(help="Draw so many parameter points a strategy.")] = None,
    rules_sample: Annotated[int | None, typer.Option(help="Draw so many points of the trade rules.")] = None,
    method: Annotated[Literal["random", "lhs"], typer.Option(help="How samples are drawn.")] = "lhs",
    seed: Annotated[int, typer.Option(help="Seed of the samples.")] = 0,
    exchange: Annotated[str | None, typer.Option(help="Exchange, where several have the symbol.")] = None,
    base: Annotated[str | None, typer.Option(help="Stored interval that orders fill on; default: the finest.")] = None,
    notional: Annotated[float | None, typer.Option(help="Money of every trade, and the capital.")] = None,
    compound: Annotated[bool, typer.Option("--compound", help="Days earn on the equity of their beginning.")] = False,
    top: Annotated[int | None, typer.Option(help="How many of the best get their trades.")] = None,
    by: Annotated[str | None, typer.Option(help="Metric that says which are the best.")] = None,
    min_trades: Annotated[int | None, typer.Option(help="Fewest closed trades of a best one.")] = None,
    csv: Annotated[CsvMode | None, typer.Option(help="Trades as one CSV, one a combination, both, none.")] = None,
    trades: Annotated[Literal["top", "all"] | None, typer.Option(help="Whose trades are written.")] = None,
    factors: Annotated[bool | None, typer.Option(help="Write factor values at the entries of the best.")] = None,
    jobs: Annotated[int | None, typer.Option(help="Threads; default: every core.")] = None,
    resume: Annotated[str | None, typer.Option(help="Go on with this interrupted run.")] = None,
    db: Annotated[Path | None, typer.Option(help="Bars database; default: in the data folder.")] = None,
    json_: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Run symbols x intervals x strategies x parameters x trade rules, and rank what comes out.

    Metrics of every combination, and the trades and factors of the best, are in the run's folder. Ctrl-C keeps what is
    done; --resume RUN_ID goes on.

    Example: toolkit sweep research/experiments/month.toml --top 10 --by sortino

    Example: toolkit sweep -s volatility_breakout --symbol BTC/USDT --interval 5m --param window=20:100:20 --rule
    max_hold=1h,4h --rule side=long,short
    """
    from toolkit.sweep.run import SweepInterrupted
    from toolkit.sweep.run import sweep as run_sweep

    changes = {
        "symbols": symbol, "intervals": interval, "start": start, "end": end, "exchange": exchange, "base": base,
        "notional": notional, "compound": compound or None, "top": top, "by": by, "min_trades": min_trades,
    }  # fmt: skip
    samples = (_sample(sample, method, seed), _sample(rules_sample, method, seed))
    described = _described(strategy or [], param or [], rule or [], cost or [], samples)
    asked = {k: v for k, v in (("csv", csv), ("trades", trades), ("factors", factors)) if v is not None}
    try:
        result = run_sweep(
            _experiment(file, {k: v for k, v in changes.items() if v is not None}, described, resume),
            resume=resume, output=asked or None, jobs=jobs, db=db, progress=True,
        )  # fmt: skip
    except SweepInterrupted as stopped:
        typer.echo(str(stopped), err=True)
        raise typer.Exit(130) from None
    _print(result, json_)


def _described(
    strategies: list[str], params: list[str], rules: list[str], costs: list[str], samples: tuple[Any, Any]
) -> dict[str, Any]:
    """What only a whole experiment has: strategies with their axes, rules, costs and samples, where given."""
    from toolkit.sweep.flags import axis_of, pairs_of, strategies_of, value_of

    found = {
        "strategies": strategies_of(strategies, params, samples[0]),
        "rules": {name: axis_of(name, text) for name, text in pairs_of("--rule", rules).items()},
        "costs": {name: value_of(text) for name, text in pairs_of("--cost", costs).items()},
        "rules_sample": samples[1],
    }
    if not strategies and (params or samples[0]):
        raise InputError("--param and --sample describe a strategy of the flags; name it with --strategy")
    return {key: value for key, value in found.items() if value}


def _experiment(
    file: Path | None, changes: dict[str, Any], described: dict[str, Any], resume: str | None
) -> "Experiment | None":
    """The experiment that was asked for; nothing where a resumed run's own stands."""
    from toolkit.sweep.experiment import Experiment

    if file is not None:
        if described:
            raise InputError(
                f"{' and '.join(f'`{key}`' for key in described)} come from the experiment file; change them there, or "
                f"leave the file out and describe the experiment with flags"
            )
        return Experiment.from_file(file, changes)
    if resume is not None and not changes and not described:
        return None
    if "strategies" not in described:
        raise InputError("name an experiment file, or a strategy with --strategy, --symbol and --interval")
    return Experiment.from_table({**changes, **described})


def _sample(n: int | None, method: str, seed: int) -> dict[str, Any] | None:
    return None if n is None else {"n": n, "method": method, "seed": seed}


def _print(result: "SweepResult", json_: bool) -> None:
    top = result.run.frame("top")
    files = sorted(str(f.relative_to(result.folder)) for f in result.folder.rglob("*") if f.is_file())
    if json_:
        summary = {
            "run_id": result.run.run_id, "folder": str(result.folder), "combinations_tried": result.combinations_tried,
            "by": result.experiment.by, "skipped": result.run.info["skipped"], "files": files, "top": top.to_dicts(),
        }  # fmt: skip
        print_json(summary)
        return
    names = ["rank", "strategy", "symbol", "interval", "side", *_SHOWN]
    rows = [[*names, "settings"]]
    axes = _axes(result)
    for row in top.iter_rows(named=True):
        settings = (f"{name}={_cell(row[column])}" for column, name in axes.items() if row[column] is not None)
        rows.append([*(_cell(row[name]) for name in names), ", ".join(settings)])
    widths = [max(len(row[k]) for row in rows) for k in range(len(names))]
    for cells in rows:
        print("  ".join([*(text.rjust(w) for text, w in zip(cells, widths, strict=False)), cells[-1]]))
    if len(rows) == 1:
        print(f"no combination has {result.experiment.min_trades} trades and a defined {result.experiment.by}")
    print()
    print("buy and hold: " + ", ".join(_buy_and_hold(result)))
    print(f"{result.combinations_tried:,} combinations tried; the best of many is luck in part")
    print(f"{result.folder}: {', '.join(f for f in files if '/' not in f)}")


def _axes(result: "SweepResult") -> dict[str, str]:
    """Columns of the axes that have more than one value, with their names; the side has a column of its own."""
    one = result.experiment
    given = [("param_", spec.params) for spec in one.strategies]
    given += [("rule_", {**one.rules, **spec.rules}) for spec in one.strategies]
    many = {p + name: name for p, axes in given for name, axis in axes.items() if isinstance(axis, list | dict | tuple)}
    return {column: name for column, name in many.items() if column != "rule_side"}


def _buy_and_hold(result: "SweepResult") -> list[str]:
    import polars as pl

    held = result.lazy.group_by("symbol", "interval").agg(pl.col("buy_and_hold_return").first()).collect()
    spans = held.group_by("symbol", maintain_order=True).agg(pl.col("buy_and_hold_return").first()).sort("symbol")
    return [f"{symbol} {value:+.1%}" for symbol, value in spans.iter_rows()]


def _cell(value: Any) -> str:
    if value is None:
        return "-"
    return f"{value:.4g}" if isinstance(value, float) else str(value)

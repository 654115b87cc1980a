"""`toolkit factors`: the named factors, and tables of their values."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from toolkit.cli.machine import print_json
from toolkit.cli.pairs import pairs
from toolkit.errors import InputError

if TYPE_CHECKING:
    from toolkit.bars.series import Bars
    from toolkit.factors.registry import Factor
    from toolkit.factors.sets import FactorSet
    from toolkit.factors.table import FactorSpec
    from toolkit.strategy import Strategy
    from toolkit.types import IntArray

app = typer.Typer(no_args_is_help=True, help="List the named factors, and export tables of their values.")

Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@app.command("ls")
def ls(
    interval: Annotated[str, typer.Option(help="Interval on which lookbacks are counted.")] = "1m",
    json_: Json = False,
) -> None:
    """List the factors: parameters with defaults, lookback in closed bars, and what each one is.

    Sparse ones are computed only at the bars that are asked for, entries most of all. Sets are words for several
    factors. Both may need the extra lockstep[features].

    Example: toolkit factors ls --interval 5m
    """
    rows = _listing(interval)
    if json_:
        print_json(rows)
        return
    for row in rows:
        inside = ", ".join(f"{name}={value}" for name, value in row["params"].items())
        print(f"{row['name']}{f'({inside})' if inside else ''}  [{_kind(row)}]\n  {row['doc']}")


@app.command("export")
def export(
    strategy: Annotated[str | None, typer.Argument(help="Strategy whose raw entry signals are the rows.")] = None,
    symbol: Annotated[str, typer.Option(help="Symbol, such as BTC/USDT.")] = "BTC/USDT",
    interval: Annotated[str, typer.Option(help="Signal interval; resampled from the finest stored series.")] = "1m",
    start: Annotated[str | None, typer.Option(help="First moment, ISO, UTC; earlier bars only warm up.")] = None,
    end: Annotated[str | None, typer.Option(help="First moment that is left out, ISO, UTC.")] = None,
    factors: Annotated[
        str | None, typer.Option(help='Factors, such as "atr(14), 1d:range(10)"; default: a set to begin with.')
    ] = None,
    all_bars: Annotated[bool, typer.Option("--all-bars", help="A row for every bar instead of every entry.")] = False,
    param: Annotated[list[str] | None, typer.Option(help="Parameter of the strategy, window=96; repeat.")] = None,
    exchange: Annotated[str | None, typer.Option(help="Exchange, such as binance.")] = None,
    out: Annotated[Path, typer.Option(help="File, .csv or .parquet.")] = Path("factors.csv"),
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Write over a file that exists.")] = False,
    modules: Annotated[list[str] | None, typer.Option("--strategies", help="Modules that hold strategies.")] = None,
    db: Annotated[Path | None, typer.Option("--db", help="Bars database.")] = None,
    json_: Json = False,
) -> None:
    """Write factor values at a strategy's entries, or at every bar.

    A row's `ts` is the open of the bar at whose close its values are known. Values are those of the whole history:
    as many earlier bars as the factors need are loaded before --start.

    Example: toolkit factors export volatility_breakout --symbol BTC/USDT --interval 5m --start 2022-01-01 --out f.csv
    """
    from toolkit.factors.export import check_table_path, write_table
    from toolkit.factors.table import default_specs, factor_table, parse_specs
    from toolkit.strategy import get_strategy

    if strategy is None and not all_bars:
        raise InputError("the rows are a strategy's entries: name a strategy, or add --all-bars for every bar")
    if strategy is None and param:
        raise InputError(f"--param belongs to a strategy, and none is named; was {param!r}")
    check_table_path(out, overwrite)
    specs = default_specs(interval) if factors is None else parse_specs(factors)
    found = None if strategy is None else get_strategy(strategy, modules or None)
    params = None if found is None else found.params(pairs("--param", param or []))
    bars, first = _load(symbol, interval, (start, end), exchange, db, specs, found, params)
    rows, sides = _rows(bars, first, found, params, all_bars)
    columns: dict[str, Any] = {"ts": bars.ts[rows], "symbol": [bars.symbol] * len(rows)}
    columns |= {"interval": [bars.interval] * len(rows)}
    if found is not None:
        columns |= {"strategy": [found.name] * len(rows), "side": sides}
    columns |= {"close": bars.close[rows], **factor_table(bars, rows, specs)}
    count = write_table(out, columns)
    if json_:
        print_json({"file": str(out), "rows": count, "columns": list(columns)})
    else:
        print(f"{out}: {count} rows, {len(specs)} factors")


def _listing(interval: str) -> list[dict[str, Any]]:
    from toolkit.bars.intervals import interval_ms
    from toolkit.factors import factor_lookback, factor_names, get_factor
    from toolkit.factors.sets import get_set, set_names

    step = interval_ms(interval)
    rows = []
    for name in factor_names():
        found = get_factor(name)
        try:
            lookback: int | None = factor_lookback(name, step)
        except InputError:
            # A factor of the day has no value on bars longer than a day.
            lookback = None
        rows.append(_row(found, lookback, "sparse" if found.sparse else "factor"))
    return rows + [_row(one, None, "set") for name in set_names() if (one := get_set(name)) is not None]


def _row(found: "Factor | FactorSet", lookback: int | None, kind: str) -> dict[str, Any]:
    return {"name": found.name, "params": found.defaults, "lookback": lookback, "kind": kind, "doc": found.doc}


def _kind(row: dict[str, Any]) -> str:
    if row["kind"] == "set":
        return "set"
    bars = "not on these bars" if row["lookback"] is None else f"lookback {row['lookback']}"
    return f"{bars}, sparse" if row["kind"] == "sparse" else bars


def _load(
    symbol: str,
    interval: str,
    span: tuple[str | None, str | None],
    exchange: str | None,
    db: Path | None,
    specs: list["FactorSpec"],
    strategy: "Strategy | None",
    params: Any,
) -> tuple["Bars", int]:
    """The bars with what the factors and the strategy need before `start`, and the index of the first bar asked for."""
    from bisect import bisect_left

    from toolkit.bars.intervals import interval_ms
    from toolkit.bars.load import load_bars
    from toolkit.bars.moments import to_ms
    from toolkit.strategy import lookback_start

    interval_ms(interval)
    start = None if span[0] is None else to_ms(span[0], "start")
    end = None if span[1] is None else to_ms(span[1], "end")
    warmup = max(spec.warmup_ms(interval) for spec in specs)
    if strategy is not None and start is not None:
        warmup = max(warmup, start - lookback_start(strategy.lookback(params), interval, start))
    peers = {str(value) for spec in specs for name, value in spec.named_params() if name == "symbol"}
    bars = load_bars(
        symbol, interval, start, end, exchange=exchange, db=db, warmup_ms=warmup,
        peers=sorted(peers | set(strategy.peers if strategy else ())), native=strategy.native if strategy else (),
    )  # fmt: skip
    first = 0 if start is None else bisect_left(bars.ts, start)
    if first == len(bars):
        raise InputError(f"no bars of {bars.symbol} {interval} between --start {span[0]} and --end {span[1]}; widen it")
    return bars, first


def _rows(
    bars: "Bars", first: int, strategy: "Strategy | None", params: Any, all_bars: bool
) -> tuple["IntArray", list[str]]:
    """Bar numbers of the rows, and each row's side: `long`, `short`, and where every bar is a row `both` or nothing."""
    import numpy as np

    everything = np.arange(first, len(bars), dtype=np.int64)
    if strategy is None:
        return everything, []
    signals = strategy.signals(bars, params)
    # Enter and exit true on one side is no entry.
    long, short = signals.enter_long & ~signals.exit_long, signals.enter_short & ~signals.exit_short
    if all_bars:
        words = np.array(["", "long", "short", "both"])
        return everything, words[long[first:] + 2 * short[first:]].tolist()
    rows = np.concatenate([np.flatnonzero(long), np.flatnonzero(short)])
    sides = np.repeat([0, 1], [long.sum(), short.sum()])
    order = np.lexsort((sides, rows))
    order = order[rows[order] >= first]
    return rows[order], np.array(["long", "short"])[sides[order]].tolist()

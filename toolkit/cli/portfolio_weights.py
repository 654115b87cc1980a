"""`toolkit portfolio weights` and `toolkit portfolio correlations`: from daily returns of runs or trades files."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from toolkit.cli.caps import CapFamily, CapInstance, CapStrategy, CapSymbol
from toolkit.cli.machine import print_json

if TYPE_CHECKING:
    import polars as pl

    from toolkit.portfolio.track_sources import Source
    from toolkit.portfolio.weights import Weighing

Method = Literal["equal", "winners", "inverse_volatility", "hrp", "min_variance", "max_sharpe", "cvar"]
Sources = Annotated[
    list[str],
    typer.Argument(
        metavar="RUN|TRADES.CSV...", help="A run (id, folder, or latest: the newest sweep), or trades.csv files."
    ),
]
Start = Annotated[str | None, typer.Option(help="First moment looked at, UTC.")]
End = Annotated[str | None, typer.Option(help="First moment left out, UTC.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
_SHOWN_PAIRS = 10


def weights(
    sources: Sources,
    method: Annotated[Method, typer.Option(help="How the account is shared; winners: losers get nothing.")] = "hrp",
    cap_strategy: CapStrategy = 1.0,
    cap_symbol: CapSymbol = 1.0,
    cap_family: CapFamily = 1.0,
    cap_instance: CapInstance = 1.0,
    start: Start = None,
    end: End = None,
    out: Annotated[Path | None, typer.Option(help="Write instance, weight as CSV.")] = None,
    json_: Json = False,
) -> None:
    """Weigh the instances of a sweep, or the strategies of any trades.csv, by what they did on each day.

    A weight is a share of equity. Judge the weights on later days only: on those that they were learned from any method
    looks good. A trades.csv needs symbol, side, entry_ts, exit_ts, and pnl or entry_price, exit_price and qty; strategy
    or instance tells its strategies apart.

    Example: toolkit portfolio weights latest --method hrp --cap-strategy 0.3 --end 2023-01-01 --out weights.csv

    Example: toolkit portfolio weights trend.csv breakout.csv --method inverse_volatility
    """
    from toolkit.portfolio.track_sources import read_source
    from toolkit.portfolio.weights import Caps, weighing
    from toolkit.portfolio.weights_file import write_weights

    caps = Caps(cap_strategy, cap_symbol, cap_family, cap_instance)
    source = read_source(sources, start=start, end=end)
    found = weighing(source.track, method, caps)
    if out is not None:
        write_weights(out, found.weights, (str(source.first), str(source.last)))
    if json_:
        print_json(_weights_json(source, method, caps, found, out))
        return
    rows = _weight_rows(source, found)
    _table(["weight", "return", "volatility", "sharpe", "trades", "instance"], rows)
    print()
    for name, why in sorted(found.left_out.items()):
        print(f"weight 0: {name} {why}")
    if found.idle:
        print(f"{found.idle:.2%} of the account stays idle: the caps leave no instance to take it")
    for note in source.notes:
        print(note)
    print(_learned(source, method, found))
    if out is not None:
        print(f"written: {out}")


def correlations(
    sources: Sources,
    steps: Annotated[int, typer.Option(help="Instances to add, one by one.")] = 10,
    start: Start = None,
    end: End = None,
    out: Annotated[Path | None, typer.Option(help="Write the matrix as CSV.")] = None,
    json_: Json = False,
) -> None:
    """How alike the daily returns are, and which instance helps a set of equal weights most.

    Greedy: each step adds the one that gives the set the largest Sharpe ratio; marginal figures are the change that it
    makes. With --json every candidate of every step is told.

    Example: toolkit portfolio correlations latest --steps 8

    Example: toolkit portfolio correlations trend.csv breakout.csv --out correlations.csv
    """
    from toolkit.analysis.runs import write_csv
    from toolkit.portfolio.correlations import add_what_helps, correlation_matrix
    from toolkit.portfolio.track_sources import read_source

    source = read_source(sources, start=start, end=end)
    matrix = correlation_matrix(source.track)
    helps = add_what_helps(source.track, steps)
    if out is not None:
        write_csv(out, matrix)
    if json_:
        print_json(
            {
                "from": source.first, "to": source.last, "days": source.track.returns.height,
                "correlations": {row.pop("instance"): row for row in matrix.to_dicts()},
                "steps": helps.to_dicts(), "notes": list(source.notes), "file": None if out is None else str(out),
            }
        )  # fmt: skip
        return
    _print_pairs(matrix)
    print("adding what helps most, equal weights:")
    chosen = helps.filter("chosen")
    names = ("sharpe", "marginal_sharpe", "max_drawdown", "marginal_drawdown", "correlation")
    rows = [
        [str(row["step"]), *(_cell(name, row[name]) for name in names), row["instance"]]
        for row in chosen.iter_rows(named=True)
    ]
    _table(["step", *(name.replace("_", " ") for name in names), "instance"], rows)
    print()
    print(_where_it_stops(chosen))
    for note in source.notes:
        print(note)
    print(f"daily returns of {source.first} to {source.last}; what helps there need not help later")


def _weight_rows(source: "Source", found: "Weighing") -> list[list[str]]:
    """Cells of the table, the heaviest first."""
    from toolkit.portfolio.correlations import sharpe_of

    closed = source.track.trades.filter(source.track.trades["exit_ts"].is_not_null())
    counts = dict(closed["instance"].value_counts().iter_rows())
    rows = []
    for name, weight in sorted(found.weights.items(), key=lambda item: (-item[1], item[0])):
        days = source.track.returns[name].drop_nulls()
        sharpe = float(sharpe_of(days.to_numpy().reshape(-1, 1))[0]) if len(days) > 1 else None
        deviation = days.std()
        yearly = deviation * 365**0.5 if isinstance(deviation, float) else None
        figures = [_cell("return", float(days.sum())), _cell("volatility", yearly), _cell("sharpe", sharpe)]
        rows.append([f"{weight:.4f}", *figures, str(counts.get(name, 0)), name])
    return rows


def _weights_json(source: "Source", method: str, caps: Any, found: "Weighing", out: Path | None) -> dict[str, Any]:
    from dataclasses import asdict

    return {
        "method": method, "caps": asdict(caps), "learned_from": source.first, "learned_to": source.last,
        "days": found.days, "weights": found.weights, "idle": found.idle, "left_out": found.left_out,
        "notes": [*source.notes, _learned(source, method, found)], "file": None if out is None else str(out),
    }  # fmt: skip


def _learned(source: "Source", method: str, found: "Weighing") -> str:
    return (
        f"learned by {method} on {found.days} UTC days, {source.first} to {source.last}: these weights must not be "
        f"judged on those days, only on later ones"
    )


def _print_pairs(matrix: "pl.DataFrame") -> None:
    """The pairs that are most alike; the whole matrix is in the CSV and the JSON."""
    names = matrix["instance"].to_list()
    pairs = [
        (value, names[k], names[m])
        for k in range(len(names))
        for m, value in enumerate(matrix[names[k]].to_list()[:k])
        if value is not None
    ]
    if not pairs:
        print("no two instances have 3 common days on which both vary: no correlations")
        return
    mean = sum(value for value, _, _ in pairs) / len(pairs)
    print(f"{len(names)} instances, mean correlation {mean:.2f}; most alike:")
    for value, one, other in sorted(pairs, reverse=True)[:_SHOWN_PAIRS]:
        print(f"  {value:6.2f}  {one}  {other}")
    print()


def _where_it_stops(chosen: "pl.DataFrame") -> str:
    """How many of the steps raised the Sharpe ratio in a row."""
    helped = 0
    for marginal in chosen["marginal_sharpe"]:
        if marginal is None or marginal <= 0.0:
            break
        helped += 1
    if not helped:
        return "none helps: no instance has a Sharpe ratio above 0"
    if helped == len(chosen):
        return f"each of the {helped} additions raised the Sharpe ratio"
    return f"after {helped}, the next addition does not raise the Sharpe ratio"


def _cell(name: str, value: float | None) -> str:
    if value is None or value != value:
        return "-"
    return f"{value:.2%}" if name in ("return", "volatility", "max_drawdown", "marginal_drawdown") else f"{value:.2f}"


def _table(head: list[str], rows: list[list[str]]) -> None:
    """Right-aligned columns, the last one (names) as it is."""
    widths = [max(len(row[k]) for row in [head, *rows]) for k in range(len(head) - 1)]
    for cells in [head, *rows]:
        print("  ".join([*(text.rjust(w) for text, w in zip(cells, widths, strict=False)), cells[-1]]))

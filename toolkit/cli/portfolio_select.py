"""`toolkit portfolio select` and `rebalance`: a sweep becomes a deployment, a deployment the next one."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from toolkit.cli.caps import CapFamily, CapInstance, CapStrategy, CapSymbol
from toolkit.cli.machine import print_json
from toolkit.cli.pairs import pairs

if TYPE_CHECKING:
    from toolkit.portfolio.deploying import Chosen, Rebalanced
    from toolkit.portfolio.deployment import Deployment
    from toolkit.portfolio.limits import Instrument, Limits
    from toolkit.portfolio.selection import SelectionRule

Several = list[str] | None
_SHOWN = ("trades", "total_return", "sharpe", "sortino", "max_drawdown", "win_rate", "expectancy")
_EXPECTED = ("total_return", "sharpe", "sortino", "max_drawdown", "trades", "win_rate")

RuleOption = Annotated[str, typer.Option("--select", help='Rule: "expectancy > 0 and sortino > 1"; "" takes all.')]
LeastTrades = Annotated[int, typer.Option("--min-trades", help="Fewest closed trades of an instance.")]
MostCorrelated = Annotated[
    float | None, typer.Option("--max-correlation", help="Largest correlation of daily returns with one chosen before.")
]
TopOption = Annotated[int | None, typer.Option("--top", help="At most so many instances.")]
ByOption = Annotated[str, typer.Option("--by", help="Figure that ranks them, best first.")]
MethodOption = Annotated[str, typer.Option("--method", help="How they are weighed; see `toolkit portfolio weights`.")]
DbOption = Annotated[Path | None, typer.Option("--db", help="Bars database; default: in the data folder.")]
JobsOption = Annotated[int | None, typer.Option("--jobs", help="Threads; default: every core.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def select(
    run: Annotated[str, typer.Argument(help="Sweep: run id, folder, or latest, the newest sweep.")],
    rule: RuleOption = "expectancy > 0",
    min_trades: LeastTrades = 30,
    max_correlation: MostCorrelated = None,
    top: TopOption = 50,
    by: ByOption = "sharpe",
    method: MethodOption = "equal",
    cap_strategy: CapStrategy = 1.0,
    cap_symbol: CapSymbol = 1.0,
    cap_family: CapFamily = 1.0,
    cap_instance: CapInstance = 1.0,
    limits: Annotated[Path | None, typer.Option(help="TOML file with [limits] and [instruments].")] = None,
    limit: Annotated[Several, typer.Option("--limit", help="Limit over the file: max_gross=0.8.")] = None,
    capital: Annotated[float, typer.Option(help="Money of the account.")] = 100_000.0,
    candidates: Annotated[int, typer.Option(help="How many of the best are looked at day by day.")] = 300,
    effective_from: Annotated[str | None, typer.Option(help="From when it counts, UTC; default: sweep's end.")] = None,
    out: Annotated[Path | None, typer.Option(help="Write the deployment to this file.")] = None,
    db: DbOption = None,
    jobs: JobsOption = None,
    json_: JsonOption = False,
) -> None:
    """Choose instances of a sweep, weigh them, and write the deployment that an account runs.

    The rule compares figures of each one alone, joined by and, or: trades, win_rate, expectancy (share of a trade's
    notional), expectancy_r, profit_factor, sharpe, sortino, calmar, max_drawdown, total_return, annual_return,
    weeks_profitable, months_profitable. The sweep's period is in-sample: test the deployment on days after it.

    Example: toolkit portfolio select latest --select "expectancy > 0 and sortino > 1" --min-trades 30
    --max-correlation 0.5 --top 50 --method hrp --cap-symbol 0.5 --limit max_gross=0.8 --out deployment.json
    """
    from toolkit.bars.moments import to_ms
    from toolkit.portfolio.deploying import Choice, deployment_from_sweep
    from toolkit.portfolio.deployment import write_deployment
    from toolkit.portfolio.weights_caps import Caps

    kept, instruments = _limits(limits, limit or [])
    choice = Choice(
        rule=_rule(rule, min_trades, max_correlation, top, by),
        method=method,
        caps=Caps(cap_strategy, cap_symbol, cap_family, cap_instance),
        limits=kept,
        instruments=instruments,
        capital=capital,
        candidates=candidates,
        effective_from_ms=None if effective_from is None else to_ms(effective_from, "--effective-from"),
    )
    chosen = deployment_from_sweep(run, choice, db=db, jobs=jobs, progress=True)
    if out is not None:
        write_deployment(out, chosen.deployment)
    _print_chosen(chosen, out, json_)


def rebalance(
    deployment: Annotated[str, typer.Argument(help="Deployment: path, id, or latest.")],
    rule: RuleOption = "",
    lookback: Annotated[str, typer.Option(help="How far back it looks, whole days.")] = "90d",
    min_trades: LeastTrades = 1,
    max_correlation: MostCorrelated = None,
    top: TopOption = None,
    by: ByOption = "sharpe",
    method: MethodOption = "equal",
    cap_strategy: CapStrategy = 1.0,
    cap_symbol: CapSymbol = 1.0,
    cap_family: CapFamily = 1.0,
    cap_instance: CapInstance = 1.0,
    moment: Annotated[str | None, typer.Option(help="Looks at nothing after it, UTC; default: last whole day.")] = None,
    effective_from: Annotated[str | None, typer.Option(help="From when it counts, UTC; default: the moment.")] = None,
    deploy: Annotated[bool, typer.Option("--deploy", help="Keep it as the next deployment.")] = False,
    accept_code: Annotated[
        bool, typer.Option("--accept-code", help="Also where strategies' code has changed.")
    ] = False,
    db: DbOption = None,
    jobs: JobsOption = None,
    json_: JsonOption = False,
) -> None:
    """Decide anew which of a deployment's instances are on and with what weight, by the function of the backtest.

    With --deploy the next deployment is kept in the data folder, deployments/ID/deployment.json; older ones stay.

    Example: toolkit portfolio rebalance latest --lookback 90d --select "expectancy > 0" --method hrp --deploy
    """
    from toolkit.bars.moments import to_ms
    from toolkit.portfolio.deploying import rebalance_deployment
    from toolkit.portfolio.deployment import find_deployment, read_deployment, store_deployment
    from toolkit.portfolio.rebalance import RebalancePolicy
    from toolkit.portfolio.weights_caps import Caps

    chosen = _rule(rule, min_trades, max_correlation, top, by)
    policy = RebalancePolicy(
        lookback=lookback, rule=chosen, method=method, caps=Caps(cap_strategy, cap_symbol, cap_family, cap_instance)
    )
    last = read_deployment(find_deployment(deployment), accept_code=accept_code)
    done = rebalance_deployment(
        last,
        policy,
        moment_ms=None if moment is None else to_ms(moment, "--moment"),
        effective_from_ms=None if effective_from is None else to_ms(effective_from, "--effective-from"),
        db=db,
        jobs=jobs,
        progress=True,
    )
    for note in done.notes:
        typer.echo(f"note: {note}", err=True)
    kept = store_deployment(done.deployment) if deploy else None
    _print_rebalanced(last, done, kept, json_)


def _rule(conditions: str, min_trades: int, max_correlation: float | None, top: int | None, by: str) -> "SelectionRule":
    from toolkit.portfolio.selection import SelectionRule

    return SelectionRule(conditions, min_trades, max_correlation, top, by)


def _limits(file: Path | None, texts: list[str]) -> "tuple[Limits, dict[str, Instrument]]":
    from toolkit.portfolio.limits import instruments_over, limits_over, read_limits

    limits, instruments = ({}, {}) if file is None else read_limits(file)
    return limits_over(None, limits | pairs("--limit", texts)), instruments_over({}, instruments)


def _print_chosen(chosen: "Chosen", out: Path | None, json_: bool) -> None:
    deployment, source = chosen.deployment, chosen.deployment.selected_from
    figures = {row["instance"]: row for row in chosen.selection.figures.to_dicts()}
    rows = [
        {"instance": name, "weight": deployment.weights[name], **{f: figures[name][f] for f in _SHOWN}}
        for name in chosen.selection.instances
    ]
    table = deployment.table()
    if json_:
        summary = {
            "combinations_tried": chosen.tried, "kept_by_metrics": chosen.kept, "looked_at": chosen.loaded,
            "in_sample": table["selected_from"]["period"], "chosen": rows,
            "left_out": dict(chosen.selection.left_out), "expected": deployment.expected,
            "out": None if out is None else str(out), "deployment": table,
        }  # fmt: skip
        print_json(summary)
        return
    _print_rows([["instance", "weight", *_SHOWN], *([_cell(v) for v in row.values()] for row in rows)])
    period = table["selected_from"]["period"]
    print()
    print(
        f"{len(rows)} chosen of {source.combinations_tried:,} combinations tried ({chosen.kept:,} keep to the rule by "
        f"their metrics, {chosen.loaded:,} looked at day by day)"
    )
    print(
        f"in-sample: chosen and weighed on {period['start'][:16]} to {period['end'][:16]}; test it on days after that"
    )
    print("expected on those days, before limits: " + _expected(deployment))
    print(f"{out} written: deployment {deployment.id}" if out else "nothing written; --out FILE writes the deployment")


def _print_rebalanced(last: "Deployment", done: "Rebalanced", kept: Path | None, json_: bool) -> None:
    following, left_out = done.deployment, done.decision.selection.left_out
    old = {m.instance.id: last.weights[m.instance.id] for m in last.members}
    table = following.table()
    if json_:
        summary = {
            "previous": last.id, "id": following.id, "moment": _iso(done.decision.moment_ms),
            "effective_from": table["effective_from"], "off": following.off, "notes": list(done.notes),
            "weights": [
                {"instance": name, "old": weight, "new": following.weights[name], "why_not": left_out.get(name)}
                for name, weight in old.items()
            ],
            "deployed": None if kept is None else str(kept), "deployment": table,
        }  # fmt: skip
        print_json(summary)
        return
    rows = [["instance", "old", "new", ""]]
    for name, weight in old.items():
        rows.append([name, _cell(weight), _cell(following.weights[name]), left_out.get(name, "")])
    _print_rows(rows)
    print()
    print(f"as of {_iso(done.decision.moment_ms)[:16]}, counting from {table['effective_from'][:16]}")
    if following.off:
        print(f"everything is off: {following.off}")
    print(f"{kept} written, after {last.id}" if kept else "nothing written; --deploy keeps it as the next deployment")


def _iso(ms: int) -> str:
    from toolkit.portfolio.deployment import iso

    return iso(ms)


def _expected(deployment: "Deployment") -> str:
    return ", ".join(f"{name} {_cell(deployment.expected[name])}" for name in _EXPECTED)


def _print_rows(rows: list[list[str]]) -> None:
    """The first column to the left, the last as it is, those between to the right."""
    widths = [max(len(row[k]) for row in rows) for k in range(len(rows[0]))]
    for first, *middle, last in rows:
        cells = [first.ljust(widths[0]), *(c.rjust(w) for c, w in zip(middle, widths[1:], strict=False)), last]
        print("  ".join(cells).rstrip())


def _cell(value: Any) -> str:
    if value is None or value != value:
        return "-"
    return f"{value:.4g}" if isinstance(value, float) else str(value)

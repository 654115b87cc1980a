"""`toolkit portfolio backtest`: many instances on one account, its figures beside its variants', and its run folder."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from toolkit.cli.caps import CapFamily, CapInstance, CapStrategy, CapSymbol
from toolkit.cli.machine import print_json
from toolkit.cli.pairs import pairs
from toolkit.cli.retrain import Every, Latency, Window, model_plan
from toolkit.errors import InputError

if TYPE_CHECKING:
    from toolkit.portfolio.rebalance import RebalancePolicy
    from toolkit.portfolio.result import PortfolioResult
    from toolkit.portfolio.weights_caps import Caps

Several = list[str] | None
_SHOWN = (
    "total_return", "annual_return", "sharpe", "sortino", "max_drawdown", "max_drawdown_days", "trades", "win_rate",
    "profit_factor", "weeks_profitable", "exposure", "fees", "return_at_twice_costs",
)  # fmt: skip
_REASONS, _LISTED = 5, 5


def backtest(
    source: Annotated[str, typer.Argument(help="Sweep run (id, folder, latest), deployment.json, or members.toml.")],
    start: Annotated[str | None, typer.Option(help="First moment traded, UTC; default: the end of the sweep.")] = None,
    end: Annotated[str | None, typer.Option(help="First moment left out, UTC.")] = None,
    weights: Annotated[str | None, typer.Option(help="weights.csv, or a method learned before --start.")] = None,
    learn_from: Annotated[str | None, typer.Option(help="Where the history for weights begins, UTC.")] = None,
    cap_strategy: CapStrategy = 1.0,
    cap_symbol: CapSymbol = 1.0,
    cap_family: CapFamily = 1.0,
    cap_instance: CapInstance = 1.0,
    rebalance: Annotated[str | None, typer.Option(help="Choose and weigh anew so often: 7d.")] = None,
    lookback: Annotated[str | None, typer.Option(help="How far back a rebalance looks; default: 90d.")] = None,
    select: Annotated[str | None, typer.Option(help="Which are on: 'expectancy > 0 and win_rate >= 0.4'.")] = None,
    select_top: Annotated[int | None, typer.Option(help="At most so many are on.")] = None,
    select_by: Annotated[str | None, typer.Option(help="Figure that ranks them; default: sharpe.")] = None,
    select_min_trades: Annotated[
        int | None, typer.Option(help="Fewest closed trades in the lookback; default: 1.")
    ] = None,
    max_correlation: Annotated[float | None, typer.Option(help="Largest correlation with one chosen before.")] = None,
    method: Annotated[str | None, typer.Option(help="How a rebalance weighs; default: equal.")] = None,
    rebalance_latency: Annotated[
        str | None, typer.Option(help="From a rebalance to its weights counting: 10m; default: none.")
    ] = None,
    capital: Annotated[float | None, typer.Option(help="Money at the start.")] = None,
    limits: Annotated[Path | None, typer.Option(help="Limits and instruments (TOML).")] = None,
    limit: Annotated[Several, typer.Option("--limit", help="Limit: max_symbol=0.3; over the file's.")] = None,
    instrument: Annotated[Several, typer.Option("--instrument", help="BTC/USDT,lot_step=0.001,market=spot.")] = None,
    top: Annotated[int | None, typer.Option(help="How many of the sweep's best are candidates.")] = None,
    by: Annotated[str | None, typer.Option(help="Metric that says which are the sweep's best.")] = None,
    min_trades: Annotated[
        int | None,
        typer.Option(help="Fewest closed trades of a sweep's best; with --model, fewest known outcomes to learn from."),
    ] = None,
    model: Annotated[
        str | None, typer.Option(help="Entries are judged by models of this recipe.toml (or experiment's run).")
    ] = None,
    model_per: Annotated[
        str | None, typer.Option(help="What shares a model: strategy, instance, all; default: strategy.")
    ] = None,
    retrain_every: Every = None,
    train_window: Window = None,
    train_latency: Latency = None,
    accept_code: Annotated[
        bool, typer.Option("--accept-code", help="Also a deployment whose strategies' code has changed.")
    ] = False,
    factors: Annotated[bool, typer.Option(help="Write factor values at the entries.")] = True,
    save: Annotated[bool, typer.Option(help="Write the run folder.")] = True,
    out: Annotated[Path | None, typer.Option(help="Folder of the runs; default: in the data folder.")] = None,
    jobs: Annotated[int | None, typer.Option(help="Threads, and processes that learn; default: every core.")] = None,
    db: Annotated[Path | None, typer.Option(help="Bars database; default: in the data folder.")] = None,
    json_: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Run many instances on one account, with equal weight and winners only (1/0) beside it.

    Every entry passes the limits; the audit says what was asked, what was given and why. Weights by a method, and what
    a rebalance decides, are learned only from days before.

    Example: toolkit portfolio backtest latest --start 2023-01-01 --end 2024-01-01 --weights hrp --limit max_symbol=0.4

    Example: toolkit portfolio backtest latest --start 2023-01-01 --rebalance 7d --lookback 90d --select "expectancy > 0
    and weeks_profitable > 0.5" --method hrp --rebalance-latency 10m --limits limits.toml

    With --model a model is learned for each strategy while the account runs, from nothing but what was known then; the
    account without models stands beside it.

    Example: toolkit portfolio backtest latest --start 2023-01-01 --model recipe.toml --retrain-every 30trades
    --min-trades 100 --train-window 180d --train-latency 10m
    """
    from toolkit.portfolio.backtest import portfolio_backtest
    from toolkit.portfolio.weights_caps import Caps

    caps = Caps(cap_strategy, cap_symbol, cap_family, cap_instance)
    chosen = {
        "select": select, "select_top": select_top, "select_by": select_by, "select_min_trades": select_min_trades,
        "max_correlation": max_correlation,
    }  # fmt: skip
    how = {"lookback": lookback, "method": method, "rebalance_latency": rebalance_latency}
    policy = _policy(rebalance, chosen, how, caps)
    plan = model_plan(model, model_per, (retrain_every, min_trades, train_window, train_latency))
    # With models the option is theirs; a sweep's rows are then chosen by the sweep's own least number of trades.
    rows_min_trades = min_trades if plan is None else None
    asked_limits, venues = _limits(limits, limit or [], instrument or [])
    result = portfolio_backtest(
        source, start=start, end=end, weights=_weights(weights), policy=policy, caps=caps, learn_from=learn_from,
        limits=asked_limits, instruments=venues, capital=capital, top=top, by=by, min_trades=rows_min_trades, db=db,
        models=plan, accept_code=accept_code, jobs=jobs, progress=True,
    )  # fmt: skip
    if min_trades is not None and plan is not None and result.origin.source == "sweep":
        print(f"--min-trades {min_trades} is the models'; the sweep's rows are chosen by its own", file=sys.stderr)
    folder = result.save(out, factors=factors) if save else None
    if json_:
        _print_machine(result, folder)
    else:
        _print(result, folder)


def _policy(every: str | None, chosen: dict[str, Any], how: dict[str, Any], caps: "Caps") -> "RebalancePolicy | None":
    """The policy that the options describe; an option of a rebalance without one is refused, not passed over."""
    from toolkit.portfolio.rebalance import RebalancePolicy
    from toolkit.portfolio.selection import SelectionRule

    rule = {name.removeprefix("select_"): value for name, value in chosen.items() if value is not None}
    given = {name: value for name, value in how.items() if value is not None}
    if every is not None:
        rule["conditions"] = rule.pop("select", "")
        settings = {name.removeprefix("rebalance_"): value for name, value in given.items()}
        return RebalancePolicy(every=every, rule=SelectionRule(**rule), caps=caps, **settings)
    for name in [*(n for n, value in chosen.items() if value is not None), *given]:
        option = "--" + name.replace("_", "-")
        raise InputError(
            f"{option} says how a rebalance chooses or weighs, and there is none; name how often with --rebalance 7d"
            + (", or weigh once with --weights METHOD" if name == "method" else "")
        )
    return None


def _weights(text: str | None) -> Any:
    """A method's name as it is, a file with its weights and the days that they were learned on."""
    from toolkit.portfolio.weights import METHODS

    if text is None or text in METHODS:
        return text
    if not Path(text).is_file():
        raise InputError(f"--weights must be a weights.csv or one of {', '.join(METHODS)}; {text!r} is neither")
    from toolkit.portfolio.weights_file import read_weights

    return read_weights(Path(text))


def _limits(file: Path | None, texts: list[str], instruments: list[str]) -> tuple[dict[str, Any], dict[str, Any]]:
    """What the file and the options over it name; the rest stays as the source has it."""
    from toolkit.portfolio.limits import read_limits

    limits, venues = ({}, {}) if file is None else read_limits(file)
    for text in instruments:
        symbol, _, rules = text.partition(",")
        given = pairs("--instrument", [part for part in rules.split(",") if part])
        venues[symbol] = {**venues.get(symbol, {}), **given}
    return limits | pairs("--limit", texts), venues


def _print_machine(result: "PortfolioResult", folder: Path | None) -> None:
    from toolkit.portfolio.summary import results_of

    run = {"folder": None if folder is None else str(folder)}
    files = [] if folder is None else sorted(str(f.relative_to(folder)) for f in folder.rglob("*") if f.is_file())
    run_id = "" if folder is None else folder.name
    print_json({**run, "files": files, **results_of(result, run_id)})


def _print(result: "PortfolioResult", folder: Path | None) -> None:
    from toolkit.analysis.texts import SYNTHETIC, figure, label
    from toolkit.bars.series import utc
    from toolkit.portfolio import summary

    run = result.run
    for text in ([SYNTHETIC] if summary.is_synthetic(result) else []) + list(result.notes[:_LISTED]):
        print(text, file=sys.stderr)
    if len(result.notes) > _LISTED:
        print(f"{len(result.notes) - _LISTED} more notes are in results.json", file=sys.stderr)
    print(f"{len(run.members):,} candidates on one account, {utc(run.start_ms)} to {utc(run.end_ms)}\n")
    print(" " * 24 + "".join(f"{name:>14}" for name in result.variants))
    for name in _SHOWN:
        cells = (figure(name, variant.figures[name]) for variant in result.variants.values())
        print(f"{label(name):<24}" + "".join(f"{cell:>14}" for cell in cells))
    held = {name: figure(name, result.metrics[name]) for name in ("buy_and_hold_return", "buy_and_hold_max_drawdown")}
    print(f"\nbuy and hold: {held['buy_and_hold_return']}, max drawdown {held['buy_and_hold_max_drawdown']}")
    for line in [*_account_lines(result), *_model_lines(result)]:
        print(line)
    print(f"{result.origin.combinations_tried:,} combinations tried; the best of many is luck in part")
    if summary.in_sample(result):
        print("IN SAMPLE: candidates or weights were chosen on days that they are tested on here")
    if folder is not None:
        print(f"run: {folder}\nreport: {folder / 'report.html'}")


def _account_lines(result: "PortfolioResult") -> list[str]:
    """What the account did: decisions, halts, drift, undecided bars, members that need a look."""
    from toolkit.portfolio import summary

    audit, drift, ambiguity = summary.audit_counts(result), summary.drift(result), result.ambiguity
    words = ("accepted", "clipped", "rejected", "vetoed")
    lines = ["entries: " + ", ".join(f"{audit[word]:,} {word}" for word in words)]
    lines += [f"  {count:,} {reason}" for reason, count in list(audit["by_reason"].items())[:_REASONS]]
    halts = [f"{halt['ts']} ({halt['kind']})" for halt in summary.halts(result)]
    lines += [f"halts: {len(halts)}, {_some(halts)}"] if halts else []
    lines.append(
        f"largest exposure: gross {drift['max_gross_share']:.1%}, net {drift['max_net_share']:.1%}, one symbol "
        f"{drift['max_symbol_share']:.1%} of equity; beyond a limit by drift on {drift['days_over_limit']} days"
    )
    if ambiguity["trades"]:
        lines.append(
            f"order of stop and target inside one bar: {ambiguity['trades']} trades undecided; profit "
            f"{ambiguity['pnl']:,.2f}, best case {ambiguity['best_pnl']:,.2f}, worst case {ambiguity['worst_pnl']:,.2f}"
        )
    idle = [f"{row['instance']} ({row['why']})" for row in summary.never_traded(result)]
    lines += [f"never traded: {len(idle)}, {_some(idle)}"] if idle else []
    ended = [f"{row['instance']} ({row['last']})" for row in summary.ended_early(result)]
    lines += [f"bars end early: {len(ended)}, {_some(ended)}"] if ended else []
    return lines


def _model_lines(result: "PortfolioResult") -> list[str]:
    """What the models of each group did."""
    from toolkit.portfolio import summary

    lines = []
    for row in summary.models(result) or []:
        means = {"taken": row["return_taken"], "refused": row["return_refused"]}
        said = ", ".join(f"{name} {mean:+.3%}" for name, mean in means.items() if mean is not None)
        refused = f"{row['vetoed']:,} of {row['judged']:,} judged signals refused"
        lines.append(
            f"models of {row['group']}: {row['versions']} versions, {refused}{said and '; mean return ' + said}"
        )
    return lines


def _some(texts: list[str]) -> str:
    return ", ".join(texts[:_LISTED]) + (", ..." if len(texts) > _LISTED else "")

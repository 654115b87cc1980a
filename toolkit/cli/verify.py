"""`toolkit verify`: the proofs a result stands on, run on this machine, these bars and these strategies."""

import sys
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Any

import typer

from toolkit.cli.pairs import pairs

if TYPE_CHECKING:
    from toolkit.verify.cache import CacheReport
    from toolkit.verify.features import FeatureReport
    from toolkit.verify.hop import HopReport
    from toolkit.verify.lookahead import LookaheadConfig
    from toolkit.verify.results import LookaheadReport

JSON_HELP = "Print JSON on stdout, for a machine."
MODULES_HELP = "Module or package that holds strategies; repeat for more [default: those named in pyproject.toml]."
POINTS_HELP = "Most entry bars and most exit bars tested per strategy, parameter set and interval."
_MOST_SHOWN = 40

app = typer.Typer(
    rich_markup_mode=None,
    no_args_is_help=True,
    help="Prove that signals and features do not look ahead, that hop equals step, and that edits reach compiled code.",
)


@app.command()
def lookahead(
    name: str = typer.Argument("all", metavar="[STRATEGY|all]", help="A strategy, or all of them and every factor."),
    symbol: str | None = typer.Option(None, help="Only this stored symbol [default: all]."),
    interval: list[str] = typer.Option([], "--interval", "--intervals", help="Signal interval; repeat for more."),
    start: str | None = typer.Option(None, help="First moment, UTC, such as 2022-01-01."),
    end: str | None = typer.Option(None, help="First moment that is left out, UTC."),
    points: int = typer.Option(24, help=POINTS_HELP),
    seed: int = typer.Option(7, help="Seed of the choice of bars, parameters and noise."),
    strategies: list[str] = typer.Option([], "--strategies", metavar="MODULE", help=MODULES_HELP),
    param: list[str] = typer.Option([], help="Parameter NAME=VALUE instead of its default; repeat for more."),
    json: bool = typer.Option(False, "--json", help=JSON_HELP),
) -> None:
    """Hold signals, distances and factors against their own past: later bars made noise; only the declared lookback.

    Tested are entry and exit bars, the bars beside them, random others and bars beside gaps, with default and random
    parameters, on every interval. All must equal the whole history's values to the last bit. Exit code 1: they do not.
    Random parameters change every number and switch at least once; --param tests values of your own, and texts.

    \b
    Examples:
      toolkit verify lookahead
      toolkit verify lookahead volatility_breakout --symbol BTC/USDT --interval 5m --points 100
      toolkit verify lookahead trend_day --param target_r=2 --param daily_window=20
      toolkit verify lookahead all --strategies my_lab.strategies --json
    """
    from dataclasses import replace

    config = _config(symbol, interval, start, end, points, seed=seed, strategies=strategies)
    report = _lookahead(name, replace(config, params=pairs("--param", param)))
    _finish({"lookahead": _lookahead_json(report)} if json else _lookahead_text(report), report.ok)


@app.command()
def hop(
    cases: int = typer.Option(2000, help="How many random instances."),
    seed: int = typer.Option(7, help="Seed of the first instance."),
    json: bool = typer.Option(False, "--json", help=JSON_HELP),
) -> None:
    """Hold hopping against stepping every bar: trades, signals and final states of random instances, to the last bit.

    Bars have gaps, ties, jumps and empty minutes; rules cover every policy, trail, funding, timeout, veto and
    rejection. Exit code 1: something differs, or a corner of the lifecycle was not reached.

    \b
    Example:
      toolkit verify hop --cases 20000
    """
    report = _hop(cases, seed)
    _finish({"hop": _hop_json(report)} if json else _hop_text(report), report.ok)


@app.command()
def cache(json: bool = typer.Option(False, "--json", help=JSON_HELP)) -> None:
    """Edit a kernel and see that a strategy in another file that calls it changes, and that nothing else recompiles.

    \b
    Example:
      toolkit verify cache
    """
    report = _cache()
    _finish({"cache": _cache_json(report)} if json else _cache_text(report), report.ok)


@app.command()
def model(
    source: str = typer.Argument(
        "latest", help="Sweep run (id, folder, latest), deployment.json or members.toml whose signals are tested."
    ),
    name: str | None = typer.Option(None, "--model", help="Model of the registry: name, name@version or folder."),
    feature: list[str] = typer.Option([], "--feature", help="Feature to test instead of the model's; repeat for more."),
    start: str | None = typer.Option(None, help="First moment that is traded, UTC, such as 2022-01-01."),
    end: str | None = typer.Option(None, help="First moment that is left out, UTC."),
    points: int = typer.Option(200, help="Most signals that are recomputed, shared among the instances."),
    seed: int = typer.Option(7, help="Seed of the choice of signals."),
    strategies: list[str] = typer.Option([], "--strategies", metavar="MODULE", help=MODULES_HELP),
    db: Path | None = typer.Option(None, help="Bars database [default: in the data folder]."),
    json: bool = typer.Option(False, "--json", help=JSON_HELP),
) -> None:
    """Recompute what a model sees at entry signals from bars that end with each signal, on the declared lookback alone.

    The strategy must give the same signal there, and every feature must be the dataset's to the last bit: one that is
    not knows what came after. With --model, each row alone must be predicted as among the others, to the last bit.
    Exit code 1: they do not hold.

    \b
    Examples:
      toolkit verify model members.toml --start 2022-01-01
      toolkit verify model members.toml --model volatility_breakout --points 1000
      toolkit verify model latest --feature 'natr(14)' --feature '1d:rsi(14)' --json
    """
    from toolkit.verify.features import as_table, verify_model

    report = verify_model(
        source, model=name, features=tuple(feature) or None, start=start, end=end, points=points, seed=seed, db=db,
        modules=tuple(strategies) or None, progress=_progress,
    )  # fmt: skip
    _progress("")
    _finish({"model": as_table(report)} if json else _model_text(report), report.ok)


@app.command("all")
def everything(
    symbol: str | None = typer.Option(None, help="Only this stored symbol [default: all]."),
    interval: list[str] = typer.Option([], "--interval", "--intervals", help="Signal interval; repeat for more."),
    start: str | None = typer.Option(None, help="First moment, UTC, such as 2022-01-01."),
    end: str | None = typer.Option(None, help="First moment that is left out, UTC."),
    points: int = typer.Option(24, help=POINTS_HELP),
    cases: int = typer.Option(2000, help="How many random instances for hop."),
    seed: int = typer.Option(7, help="Seed of every random choice."),
    strategies: list[str] = typer.Option([], "--strategies", metavar="MODULE", help=MODULES_HELP),
    json: bool = typer.Option(False, "--json", help=JSON_HELP),
) -> None:
    """Run every proof: lookahead of all strategies and factors, hop, cache. Exit code 1: one of them failed.

    \b
    Example:
      toolkit verify all
    """
    looked = _lookahead("all", _config(symbol, interval, start, end, points, seed=seed, strategies=strategies))
    hopped = _hop(cases, seed)
    cached = _cache()
    ok = looked.ok and hopped.ok and cached.ok
    if json:
        found = {"lookahead": _lookahead_json(looked), "hop": _hop_json(hopped), "cache": _cache_json(cached)}
        _finish({"ok": ok, **found}, ok)
    tested = sum(c.points for c in looked.coverage)
    rows = [
        ("lookahead", looked.ok, f"{tested} bars tested, {len(looked.findings)} findings"),
        ("hop", hopped.ok, f"{hopped.cases} instances, {len(hopped.differences)} differ"),
        ("cache", cached.ok, f"{len(cached.runs)} processes"),
    ]
    summary = "\n".join(f"{proof:<10} {_word(good):<7} {what}" for proof, good, what in rows)
    _finish("\n\n".join([_lookahead_text(looked), _hop_text(hopped), _cache_text(cached), summary]), ok)


def _config(
    symbol: str | None,
    interval: list[str],
    start: str | None,
    end: str | None,
    points: int,
    *,
    seed: int,
    strategies: list[str],
) -> "LookaheadConfig":
    from toolkit.verify.lookahead import LookaheadConfig

    intervals = tuple(part.strip() for text in interval for part in text.split(","))
    return LookaheadConfig(
        points=points, seed=seed, symbol=symbol, start=start, end=end, intervals=intervals,
        modules=tuple(strategies) or None,
    )  # fmt: skip


def _lookahead(name: str, config: "LookaheadConfig") -> "LookaheadReport":
    from dataclasses import replace

    from toolkit.verify.lookahead import verify_lookahead

    # Factors are tested with all strategies, not each time one strategy is asked about.
    chosen = config if name == "all" else replace(config, factors=False)
    names = [] if name == "all" else [name]
    report = verify_lookahead(names, chosen, progress=lambda what: _progress(f"lookahead: {what}"))
    _progress("")
    return report


def _hop(cases: int, seed: int) -> "HopReport":
    from toolkit.verify.hop import verify_hop

    every = max(1, cases // 100)
    _progress("hop: compiling the engine")
    report = verify_hop(
        cases, seed, lambda done, of: _progress(f"hop: {done} of {of}") if done % every == 0 else None
    )  # fmt: skip
    _progress("")
    return report


def _cache() -> "CacheReport":
    from toolkit.verify.cache import verify_cache

    report = verify_cache(lambda what: _progress(f"cache: {what}"))
    _progress("")
    return report


def _lookahead_text(report: "LookaheadReport") -> str:
    from toolkit.bars.series import utc

    lines = [f"lookahead {_word(report.ok)}", f"  bars: {report.source}"]
    if report.coverage:
        bars = sum(c.points for c in report.coverage)
        entries, exits = sum(c.entries for c in report.coverage), sum(c.exits for c in report.coverage)
        span = f"{utc(min(c.first_ms for c in report.coverage))} to {utc(max(c.last_ms for c in report.coverage))}"
        lines.append(
            f"  tested: {bars} bars ({entries} entries, {exits} exits, their neighbours and others) in "
            f"{len(report.coverage)} stretches between {span} UTC"
        )
    else:
        lines.append("  nothing could be tested: no series is long enough, or none has the interval")
    lines += [f"  FOUND {finding}" for finding in report.findings[:_MOST_SHOWN]]
    if len(report.findings) > _MOST_SHOWN:
        lines.append(f"  and {len(report.findings) - _MOST_SHOWN} more (all with --json)")
    lines += [f"  skipped: {text}" for text in report.skipped]
    lines += [
        f"  never varied: {', '.join(names)} of {strategy} (give values with --param)"
        for strategy, names in report.never_varied.items()
    ]
    if report.needed:
        lines.append("  lookback in signal bars, default parameters (smallest that suffices at the tested bars)")
        lines += [f"    {row}" for row in _needed_rows(report)]
    return "\n".join(lines)


def _needed_rows(report: "LookaheadReport") -> list[str]:
    """A row a strategy and interval, the most demanding symbol counting."""
    grouped: dict[tuple[str, str], list[tuple[int, int | None]]] = {}
    for n in report.needed:
        grouped.setdefault((n.strategy, n.interval), []).append((n.declared, n.smallest))
    rows = [f"{'strategy':<30} {'interval':<8} {'declared':>9} {'smallest':>9}"]
    for (strategy, interval), values in grouped.items():
        declared = max(d for d, _ in values)
        known = [s for _, s in values if s is not None]
        smallest = str(max(known)) if len(known) == len(values) else "none"
        rows.append(f"{strategy:<30} {interval:<8} {declared:>9} {smallest:>9}")
    return rows


def _hop_text(report: "HopReport") -> str:
    share = report.steps / report.bars if report.bars else 0.0
    lines = [
        f"hop {_word(report.ok)}",
        f"  {report.cases} random instances, {report.bars} leg-bars; hopping stepped on {share:.1%} of them",
        *(f"  FOUND {difference}" for difference in report.differences),
        "  reached: " + ", ".join(f"{name} {times}" for name, times in report.reached.items()),
    ]
    if report.missing:
        lines.append(f"  NOT REACHED {', '.join(report.missing)}; raise --cases")
    return "\n".join(lines)


def _cache_text(report: "CacheReport") -> str:
    return "\n".join(
        [f"cache {_word(report.ok)}", *(f"  {'' if run.ok else 'FOUND '}{run}" for run in report.runs)]
    )  # fmt: skip


def _model_text(report: "FeatureReport") -> str:
    from toolkit.bars.series import utc

    return "\n".join(
        [
            f"model {_word(report.ok)}",
            f"  signals of {report.source}: {report.tested} of {report.rows} recomputed, with {len(report.features)} "
            f"features each, of {report.instances} instances between {utc(report.first_ms)} and "
            f"{utc(report.last_ms)} UTC",
            *(f"  FOUND {finding}" for finding in report.findings[:_MOST_SHOWN]),
        ]
    )


def _lookahead_json(report: "LookaheadReport") -> dict[str, Any]:
    from dataclasses import asdict

    return {"ok": report.ok, **asdict(report)}


def _hop_json(report: "HopReport") -> dict[str, Any]:
    from dataclasses import asdict

    return {"ok": report.ok, **asdict(report)}


def _cache_json(report: "CacheReport") -> dict[str, Any]:
    from dataclasses import asdict

    return {"ok": report.ok, "runs": [{"ok": run.ok, **asdict(run)} for run in report.runs]}


def _word(ok: bool) -> str:
    return "ok" if ok else "FAILED"


_last_line_secs = 0.0


def _progress(text: str) -> None:
    """On a terminal one line, written over; into a file a line every ten seconds."""
    global _last_line_secs
    if sys.stderr.isatty():
        print(f"\r\x1b[K{text}", end="", file=sys.stderr, flush=True)
    elif text and monotonic() - _last_line_secs > 10:
        _last_line_secs = monotonic()
        print(text, file=sys.stderr, flush=True)


def _finish(result: str | dict[str, Any], ok: bool) -> None:
    if isinstance(result, str):
        typer.echo(result)
    else:
        from json import dumps

        typer.echo(dumps(_finite(result), indent=2, allow_nan=False))
    raise typer.Exit(0 if ok else 1)


def _finite(value: Any) -> Any:
    """JSON has no NaN and no infinity: null and text stand for them."""
    if isinstance(value, dict):
        return {k: _finite(v) for k, v in value.items()}
    if isinstance(value, list):
        return [_finite(v) for v in value]
    if isinstance(value, float) and (value != value or value in (float("inf"), float("-inf"))):
        return None if value != value else str(value)
    return value

"""`LiveReport`: what a live session came to beside its backtest, for people and for machines."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from itertools import groupby
from typing import Any

import polars as pl

from toolkit.analysis.runs import Run
from toolkit.bars.series import utc
from toolkit.verify.parity_live import LiveDifference, LiveKind, differences, read_ends
from toolkit.verify.parity_report import Count
from toolkit.verify.parity_tables import RunTables

_MOST_SHOWN = 12
_BPS = 10_000


@dataclass(frozen=True)
class StrategyCosts:
    """What a strategy's fills cost beside what was assumed.

    Attributes
    ----------
    fills : entries and exits of closed trades of both. assumed_bps, realised_bps : mean slippage of a fill against its
        expected price, by notional; above 0 = worse. slippage : money, the difference of the two, above 0 = worse.
    fees_assumed, fees_realised : money, of those trades. seconds : from an order to its last fill, median.
    """

    strategy: str
    fills: int
    assumed_bps: float
    realised_bps: float
    slippage: float
    fees_assumed: float
    fees_realised: float
    seconds: float


@dataclass(frozen=True)
class VersionResult:
    """A deployed version: what its backtest over the session's bars made, and what it made."""

    deployment: str
    predicted_trades: int
    realised_trades: int
    predicted_pnl: float
    realised_pnl: float
    predicted_win_rate: float
    realised_win_rate: float


@dataclass(frozen=True)
class LiveReport:
    """A live session against the backtest of its own records.

    Attributes
    ----------
    a, b : the session and the backtest. counts : of signals, trades and decisions.
    differences : each with its cause and its money.
    """

    a: str
    b: str
    start_ms: int
    end_ms: int
    counts: tuple[Count, ...]
    differences: tuple[LiveDifference, ...] = field(repr=False)
    strategies: tuple[StrategyCosts, ...]
    versions: tuple[VersionResult, ...]

    @property
    def unexplained(self) -> tuple[LiveDifference, ...]:
        return tuple(one for one in self.differences if one.kind is LiveKind.UNEXPLAINED)

    @property
    def ok(self) -> bool:
        """Every difference has a cause, and something was compared."""
        return not self.unexplained and any(one.a for one in self.counts)

    @property
    def equal(self) -> bool:
        return not self.differences

    @property
    def certified(self) -> bool:
        """Money at a venue is never equal to the last bit."""
        return False

    def causes(self) -> list[tuple[LiveKind, int, float, LiveDifference]]:
        """By kind: how many, their money, and the one that moved most."""
        rows = sorted(self.differences, key=lambda one: list(LiveKind).index(one.kind))
        found = []
        for kind, group in groupby(rows, key=lambda one: one.kind):
            ones = list(group)
            found.append((kind, len(ones), sum(one.money for one in ones), max(ones, key=lambda one: abs(one.money))))
        return found

    def frame(self) -> pl.DataFrame:
        """A row a difference: kind, ts_ms, instance, side, money, text."""
        rows = [(str(one.kind), *one[1:]) for one in self.differences]
        kinds = {"kind": pl.String, "ts_ms": pl.Int64, "instance": pl.String, "side": pl.String, "money": pl.Float64,
                 "text": pl.String}  # fmt: skip
        return pl.DataFrame(rows, schema=kinds, orient="row")

    def to_dict(self) -> dict[str, Any]:
        """Plain data, as JSON can hold it."""
        return {
            "explained": self.ok, "a": self.a, "b": self.b, "start_ms": self.start_ms, "end_ms": self.end_ms,
            "counts": {one.kind: {"live": one.a, "backtest": one.b, "equal": one.equal} for one in self.counts},
            "causes": {str(kind): {"differences": n, "money": money} for kind, n, money, _ in self.causes()},
            "unexplained": [{**one._asdict(), "kind": str(one.kind)} for one in self.unexplained],
            "strategies": [asdict(one) for one in self.strategies],
            "versions": [asdict(one) for one in self.versions],
        }  # fmt: skip

    def __str__(self) -> str:
        lines = [
            f"live {self.a}", f"backtest of its records {self.b}",
            f"{utc(self.start_ms)} to {utc(self.end_ms)} UTC",
            f"{'':<10} {'live':>9} {'backtest':>9} {'equal':>9}",
            *(f"{one.kind:<10} {one.a:>9,} {one.b:>9,} {one.equal:>9,}" for one in self.counts),
            "", f"{'cause':<15} {'differences':>11} {'money':>12}  the largest",
        ]  # fmt: skip
        for kind, n, money, one in self.causes():
            lines.append(f"{kind:<15} {n:>11,} {money:>12,.2f}  {utc(one.ts_ms)} {one.instance} {one.side}: {one.text}")
        lines.append(f"{'all':<15} {len(self.differences):>11,} {sum(d.money for d in self.differences):>12,.2f}")
        lines += ["", f"{'':<30} {'fills':>6} {'slippage bp':>12} {'assumed':>8} {'cost more':>10} {'fees':>10} "
                      f"{'assumed':>10} {'seconds':>8}"]  # fmt: skip
        lines += [
            f"{one.strategy:<30} {one.fills:>6,} {one.realised_bps:>12.2f} {one.assumed_bps:>8.2f} "
            f"{one.slippage:>10,.2f} {one.fees_realised:>10,.2f} {one.fees_assumed:>10,.2f} {one.seconds:>8.2f}"
            for one in self.strategies
        ]
        lines += ["", f"{'deployed version':<34} {'trades':>7} {'predicted':>10} {'profit':>12} {'predicted':>12} "
                      f"{'won':>6} {'predicted':>10}"]  # fmt: skip
        lines += [
            f"{one.deployment:<34} {one.realised_trades:>7,} {one.predicted_trades:>10,} {one.realised_pnl:>12,.2f} "
            f"{one.predicted_pnl:>12,.2f} {one.realised_win_rate:>6.0%} {one.predicted_win_rate:>10.0%}"
            for one in self.versions
        ]
        for one in self.unexplained[:_MOST_SHOWN]:
            lines.append(f"UNEXPLAINED {utc(one.ts_ms)} {one.instance} {one.side}: {one.text} ({one.money:,.2f})")
        return "\n".join([*lines, "", self.verdict])

    @property
    def verdict(self) -> str:
        if self.unexplained:
            return f"NOT explained: {len(self.unexplained):,} of {len(self.differences):,} differences have no cause"
        if not self.ok:
            return "NOT explained: nothing was compared"
        return f"explained: each of {len(self.differences):,} differences has a cause at the venue or follows from one"


def live_report(live_run: Run, live: RunTables, test: RunTables) -> LiveReport:
    """Hold an exported live session against the backtest of its records."""
    found = differences(live, test, read_ends(live_run))
    fills = live_run.frame("fills") if "fills" in live_run.tables else None
    return LiveReport(
        live.name, test.name, live.start_ms, live.end_ms, tuple(_counts(live, test)), tuple(found),
        tuple(_costs(live, test, fills)), tuple(_versions(live, test, live_run.info.get("versions", {}))),
    )  # fmt: skip


def _counts(live: RunTables, test: RunTables) -> list[Count]:
    names = ["instance", "side", "ts"]
    a, b = (run.tables["signals"] for run in (live, test))
    counts = [_count("signals", a.select(names), b.select(names))]
    for word in ("accepted", "vetoed", "rejected"):
        mine, theirs = (frame.filter(pl.col("decision") == word).select(names) for frame in (a, b))
        counts.append(_count(word, mine, theirs))
    names = ["instance", "side", "signal_ts"]
    return [*counts, _count("trades", live.tables["trades"].select(names), test.tables["trades"].select(names))]


def _count(kind: str, a: pl.DataFrame, b: pl.DataFrame) -> Count:
    equal = len(a.join(b, on=a.columns, how="semi"))
    return Count(kind, len(a), len(b), equal, len(a) + len(b) - 2 * equal)


def _costs(live: RunTables, test: RunTables, fills: pl.DataFrame | None) -> list[StrategyCosts]:
    keys = ["instance", "side", "signal_ts"]
    both = live.tables["trades"].join(test.tables["trades"], on=keys, suffix="_test")
    both = both.filter(pl.col("exit_ts").is_not_null() & pl.col("exit_ts_test").is_not_null())
    secs = _seconds(fills)
    found = []
    for (strategy,), rows in sorted(both.group_by("strategy"), key=lambda one: str(one[0][0])):
        mine, theirs = _slipped(rows, ""), _slipped(rows, "_test")
        names = set(rows["trade_id"])
        took = sorted(secs[name] for name in names if name in secs)
        found.append(StrategyCosts(
            str(strategy), 2 * len(rows), theirs[0], mine[0], mine[1] - theirs[1], float(rows["fees_test"].sum()),
            float(rows["fees"].sum()), took[len(took) // 2] if took else 0.0,
        ))  # fmt: skip
    return found


def _slipped(rows: pl.DataFrame, which: str) -> tuple[float, float]:
    """Slippage against expected prices: basis points of the notional, and money; above 0 = worse."""
    sign = pl.when(pl.col("side") == "long").then(1.0).otherwise(-1.0)
    qty = pl.col(f"qty{which}")
    entry = sign * (pl.col(f"entry_price{which}") - pl.col(f"expected_entry_price{which}"))
    leave = -sign * (pl.col(f"exit_price{which}") - pl.col(f"expected_exit_price{which}"))
    notional = qty * (pl.col(f"expected_entry_price{which}") + pl.col(f"expected_exit_price{which}"))
    money, base = rows.select((qty * (entry + leave)).sum(), notional.sum().alias("base")).row(0)
    return (_BPS * money / base if base else 0.0, float(money or 0.0))


def _seconds(fills: pl.DataFrame | None) -> Mapping[str, float]:
    """From a trade's entry order to its last fill, by trade."""
    if fills is None:
        return {}
    entries = fills.filter((pl.col("kind") == "entry") & (pl.col("qty") > 0))
    last = entries.group_by("trade_id").agg(((pl.col("ts_ms") - pl.col("ordered_ms")).max() / 1000).alias("secs"))
    return dict(zip(last["trade_id"], last["secs"], strict=True))


def _versions(live: RunTables, test: RunTables, of: Mapping[str, str]) -> list[VersionResult]:
    names = sorted(set(of.values()))
    return [
        VersionResult(name, *_pairs(_results(test, of, name), _results(live, of, name)))
        for name in names
        if _results(live, of, name)[0] or _results(test, of, name)[0]
    ]


def _results(run: RunTables, of: Mapping[str, str], name: str) -> tuple[int, float, float]:
    mine = [instance for instance, version in of.items() if version == name]
    trades = run.tables["trades"].filter(pl.col("instance").is_in(mine) & pl.col("exit_ts").is_not_null())
    won = len(trades.filter(pl.col("pnl") > 0))
    return len(trades), float(trades["pnl"].sum()), won / len(trades) if len(trades) else 0.0


def _pairs(a: Sequence[Any], b: Sequence[Any]) -> list[Any]:
    return [value for pair in zip(a, b, strict=True) for value in pair]

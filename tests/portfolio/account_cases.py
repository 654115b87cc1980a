"""Random accounts: markets of different intervals and lives, instances on them, weights over time, limits, venues."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.random import Generator

from tests.portfolio.oracle import Entrant, NaiveAccount
from toolkit.bars.intervals import DAY_MS, interval_ms
from toolkit.bars.series import Bars, from_arrays
from toolkit.engine.identity import Instance
from toolkit.engine.run import prepare
from toolkit.engine.types import LONG, SHORT, Judged
from toolkit.errors import InputError
from toolkit.portfolio.limits import Instrument, Limits
from toolkit.portfolio.loading import LoadedMember
from toolkit.portfolio.members import Member
from toolkit.portfolio.schedule import WeightSchedule
from toolkit.portfolio.simulate import PortfolioRun, simulate
from toolkit.verify.random_cases import random_bars, random_costs, random_rules, random_signals, random_verdicts

FIRST_MS = 19_000 * DAY_MS
SYMBOLS = ("AAA/USDT", "BBB/USDT", "CCC/USDT")
_HIGHER = {"1m": ("1m", "5m", "15m"), "5m": ("5m", "5m", "15m", "1h"), "15m": ("15m", "1h")}
_POLICIES = ("pessimistic", "optimistic", "ohlc", "adaptive", "finer")


@dataclass(frozen=True)
class AccountCase:
    """What one account is asked to do; `predictions` and `scales` are by side, one a signal bar."""

    seed: int
    entrants: tuple[Entrant, ...]
    schedule: WeightSchedule
    limits: Limits
    capital: float
    period_ms: tuple[int, int]
    instruments: Mapping[str, Instrument]

    def __str__(self) -> str:
        bases = sorted({e.bars.base.interval for e in self.entrants})
        return f"seed {self.seed}: {len(self.entrants)} instances on {bases}, {self.limits}, {self.instruments}"

    @property
    def same_clock(self) -> bool:
        return len({e.bars.base.interval for e in self.entrants}) == 1


@dataclass(frozen=True)
class Series:
    """A market's bars, and finer ones where it has them."""

    base: Bars
    finer: Bars | None
    scale: float


def random_account(seed: int) -> AccountCase:
    """The account of a seed; equal seeds give equal accounts."""
    rng = np.random.default_rng(seed)
    one_clock = str(rng.choice(["1m", "5m", "15m"])) if rng.random() < 0.3 else None
    series = [random_series(rng, SYMBOLS[k], one_clock) for k in range(rng.integers(1, 4))]
    if one_clock is None and rng.random() < 0.4:
        series.append(random_series(rng, SYMBOLS[0], None))
    entrants = tuple(random_entrant(rng, series[rng.integers(len(series))], k) for k in range(rng.integers(1, 7)))
    sized = np.random.default_rng([seed, 1])
    entrants = tuple(replace(e, scales=random_scales(sized, e)) for e in entrants)
    order = str(sized.choice(["weight", "weight", "prediction"]))
    first = min(int(e.bars.base.ts[0]) for e in entrants)
    last = max(int(e.bars.base.ts[-1]) + e.bars.base.interval_ms for e in entrants)
    capital = float(rng.choice([1_000.0, 100_000.0]))
    names = sorted({e.symbol for e in entrants})
    schedule, limits = (
        random_schedule(rng, entrants, first, last),
        replace(random_limits(rng, capital), entry_order=order),
    )
    return AccountCase(
        seed, entrants, schedule, limits, capital,
        (first, last), {name: random_instrument(rng, capital) for name in names if rng.random() < 0.5},
    )  # fmt: skip


def random_series(rng: Generator, symbol: str, interval: str | None) -> Series:
    """Listed some time in the first day, ended some time in the next two."""
    interval = interval or str(rng.choice(["1m", "5m", "5m", "15m"]))
    step = interval_ms(interval)
    n = {"1m": 1200, "5m": 600, "15m": 200}[interval]
    n = int(rng.integers(n // 3, n))
    start = FIRST_MS + int(rng.integers(0, DAY_MS // 2 // step)) * step
    scale = float(rng.choice([0.01, 1.0, 1.0, 250.0]))
    if interval == "5m" and rng.random() < 0.3:
        finer = placed(random_bars(rng, 5 * n, "1m"), "1m", start, symbol, scale)
        return Series(placed(finer.to("5m"), "5m", start, symbol, 1.0), finer, scale)
    return Series(placed(random_bars(rng, n, "5m"), interval, start, symbol, scale), None, scale)


def placed(bars: Bars, interval: str, start_ms: int, symbol: str, scale: float) -> Bars:
    """The bars that are not filled, as a stored series of their own, on another interval, at another time and price."""
    kept = ~bars.filled
    kept[0] = True
    prices = [column[kept] * scale for column in (bars.open, bars.high, bars.low, bars.close)]
    ts = start_ms + np.flatnonzero(kept) * interval_ms(interval)
    return from_arrays(ts, *prices, bars.volume[kept], interval=interval, symbol=symbol)


def random_entrant(rng: Generator, series: Series, number: int) -> Entrant:
    base = series.base
    bars = base.to(str(rng.choice(_HIGHER[base.interval])))
    policies = _POLICIES if series.finer is not None else _POLICIES[:-1]
    rules = random_rules(rng, str(rng.choice(policies)))
    if base.interval == "15m" and rules.entry_ttl == "5m":
        rules = replace(rules, entry_ttl="15m")
    drawn = random_signals(rng, bars, float(rng.choice([0.02, 0.1, 0.3])))
    signals = drawn._replace(
        stop_distance=drawn.stop_distance * series.scale, target_distance=drawn.target_distance * series.scale
    )
    strategy = f"strategy_{rng.integers(3)}"
    name = Instance(strategy, {"number": number}, rules, base.symbol, bars.interval, "code").id
    start = int(rng.choice(base.ts)) if rng.random() < 0.15 else None
    sides = {"both": (LONG, SHORT), "long": (LONG,), "short": (SHORT,)}[rules.side]
    return Entrant(
        name, strategy, base.symbol, bars, signals, rules, replace(random_costs(rng), tick=random_tick(rng, series)),
        {side: random_verdicts(rng, len(bars)) for side in sides if rng.random() < 0.25},
        {side: random_predictions(rng, len(bars)) for side in sides if rng.random() < 0.8},
        series.finer if rules.policy == "finer" else None, start,
    )  # fmt: skip


def random_tick(rng: Generator, series: Series) -> float:
    return float(rng.choice([0.0, 0.0, 0.05 * series.scale]))


def random_scales(rng: Generator, entrant: Entrant) -> dict[int, Any]:
    """Shares of a size by side: none, all, and between."""
    n = len(entrant.bars)
    sides = [side for side in (LONG, SHORT) if rng.random() < 0.2]
    return {side: np.clip(rng.normal(0.6, 0.6, n), 0.0, 1.0) for side in sides}


def random_predictions(rng: Generator, n: int) -> Any:
    return np.where(rng.random(n) < 0.1, np.nan, rng.beta(3, 2, n))


def random_schedule(rng: Generator, entrants: tuple[Entrant, ...], first: int, last: int) -> WeightSchedule:
    """Constant, or changed at any moments with some instances off; now and then from after the start, or above 1."""
    names = tuple(e.id for e in entrants)

    def row() -> Any:
        weights = rng.dirichlet(np.ones(len(names))) * float(rng.choice([1.0, 1.0, 0.5, 2.5]))
        return weights if rng.random() < 0.3 else np.where(rng.random(len(names)) < 0.3, 0.0, weights)

    if rng.random() < 0.4:
        equal = np.full(len(names), 1.0 / len(names))
        return WeightSchedule.static(dict(zip(names, equal, strict=True)), names)
    hours = np.unique(np.sort(rng.integers(first // 60_000 - 60, last // 60_000, rng.integers(1, 7))))
    return WeightSchedule(names, hours.astype(np.int64) * 60_000, np.array([row() for _ in hours]))


def random_limits(rng: Generator, capital: float) -> Limits:
    """Any mixture of limits that do not contradict each other."""

    def maybe(value: Any, chance: float = 0.3) -> Any:
        return value if rng.random() < chance else None

    while True:
        daily, drawdown = maybe(float(rng.uniform(0.0003, 0.01))), maybe(float(rng.uniform(0.001, 0.04)), 0.2)
        try:
            return Limits(
                sizing=str(rng.choice(["weight", "weight", "risk", "notional", "prediction"])),
                exposure=float(rng.choice([0.3, 1.0, 3.0])),
                risk_per_trade=float(rng.choice([0.0005, 0.003])),
                notional_per_trade=capital * float(rng.choice([0.05, 0.5])),
                price_buffer=float(rng.choice([0.0, 0.002, 0.03])),
                max_trade=maybe(float(rng.uniform(0.05, 0.6))),
                max_trade_notional=maybe(capital * float(rng.uniform(0.05, 0.6))),
                max_symbol=maybe(float(rng.uniform(0.1, 0.8))),
                max_gross=maybe(float(rng.uniform(0.2, 1.0))),
                max_net=maybe(float(rng.uniform(0.1, 0.8))),
                leverage=float(rng.choice([1.0, 1.0, 0.5])),
                max_open=maybe(int(rng.integers(1, 6))),
                max_open_symbol=maybe(int(rng.integers(1, 4))),
                max_open_strategy=maybe(int(rng.integers(1, 4))),
                max_volume_share=maybe(float(rng.uniform(0.05, 50.0)), 0.1),
                daily_loss_halt=daily,
                drawdown_halt=drawdown,
                halt_closes=(daily is not None or drawdown is not None) and bool(rng.random() < 0.7),
            )
        except InputError:
            continue


def random_instrument(rng: Generator, capital: float) -> Instrument:
    return Instrument(
        lot_step=float(rng.choice([0.0, 0.001, 0.1, 3.0])),
        min_qty=float(rng.choice([0.0, 0.0, 2.0])),
        min_notional=float(rng.choice([0.0, 0.0, 0.02])) * capital,
        market=str(rng.choice(["swap", "swap", "swap", "spot"])),
        hedge_mode=bool(rng.random() < 0.6),
    )


def loaded(case: AccountCase) -> list[LoadedMember]:
    """The entrants as the kernel takes them."""
    members = []
    for number, e in enumerate(case.entrants):
        member = Member(e.strategy, e.symbol, e.bars.interval, {"number": number}, e.rules, e.costs)
        instance = Instance(e.strategy, {"number": number}, e.rules, e.symbol, e.bars.interval, "code")
        prepared = prepare(e.bars, e.signals, e.rules, e.costs, verdicts=e.verdicts, finer=e.finer, start_ms=e.start_ms)
        members.append(LoadedMember(member, instance, e.bars, prepared))
    return members


def compiled_run(case: AccountCase, **changed: Any) -> PortfolioRun:
    given: dict[str, Any] = {
        "loaded": loaded(case), "schedule": case.schedule, "limits": case.limits, "capital": case.capital,
        "start_ms": case.period_ms[0], "end_ms": case.period_ms[1], "instruments": case.instruments,
    } | changed  # fmt: skip
    given.setdefault("judged", judged(case.entrants, given["loaded"]))
    return simulate(**given)


def judged(entrants: Iterable[Entrant], members: Iterable[LoadedMember]) -> dict[str, dict[int, Judged]]:
    """What the entrants' arrays say of the raw entries; a side that none says anything of is left out."""
    of = {one.instance.id: one for one in members}
    return {
        entrant.id: {
            side: at_entries(entrant, one, side)
            for side in one.prepared.legs
            if side in {*entrant.verdicts, *entrant.predictions, *entrant.scales}
        }
        for entrant, one in ((e, of[e.id]) for e in entrants if e.id in of)
    }


def at_entries(entrant: Entrant, one: LoadedMember, side: int) -> Judged:
    bars = one.bars
    entry_t = one.prepared.legs[side].entry_t
    k = np.searchsorted(bars.close_ts, (entry_t + 1) * bars.base.interval_ms)
    n = len(bars)
    return Judged(
        entrant.verdicts.get(side, np.ones(n, np.uint8))[k], entrant.predictions.get(side, np.full(n, np.nan))[k],
        entrant.scales.get(side, np.ones(n))[k], np.full(len(k), -1),
    )  # fmt: skip


def naive_run(case: AccountCase) -> NaiveAccount:
    rows = zip(case.schedule.effective_ms.tolist(), case.schedule.weights.tolist(), strict=True)
    schedule = [(at, dict(zip(case.schedule.instances, row, strict=True))) for at, row in rows]
    return NaiveAccount(case.entrants, schedule, case.limits, case.capital, case.period_ms, case.instruments).run()

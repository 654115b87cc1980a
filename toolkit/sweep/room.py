"""The bars that a sweep works on: loaded symbol by symbol with the warm-up that its strategies need."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from toolkit.analysis.history import load_finer, require_traded
from toolkit.analysis.metrics import Calendar, make_calendar
from toolkit.analysis.reference import buy_and_hold
from toolkit.bars.intervals import floor_ts, interval_ms
from toolkit.bars.load import load_bars
from toolkit.bars.moments import to_ms
from toolkit.bars.series import Bars
from toolkit.bars.symbols import canonical_symbol
from toolkit.engine.identity import code_hash
from toolkit.engine.lookback import factor_start, signal_start
from toolkit.engine.market import first_t, prepare_market
from toolkit.engine.rules import parse_distance, parse_when
from toolkit.engine.types import CostRates, Market
from toolkit.errors import InputError, UnknownNameError
from toolkit.strategy import Lookback
from toolkit.sweep.experiment import Experiment, Resolved
from toolkit.sweep.plan import Plan, Study
from toolkit.sweep.rulebook import RuleBook

# Factors of one symbol, all its intervals, that are kept for the next parameters; beyond it they are dropped.
FACTOR_BYTES = 300_000_000


@dataclass(frozen=True)
class Bench:
    """A study with all that its simulations share."""

    study: Study
    bars: Bars
    book: RuleBook
    market: Market
    finer: Bars | None
    rates: CostRates
    calendar: Calendar
    reference: Mapping[str, float]
    code: str

    def params(self, number: int) -> Any:
        """The parameters of one point, defaults included."""
        what = self.study.what
        return what.strategy.params(what.params.point(number))

    def trim(self) -> None:
        """Drop the symbol's factors once they take more than `FACTOR_BYTES`."""
        if self.bars.base.factor_bytes() > FACTOR_BYTES:
            self.bars.base.drop_factors()


class Room:
    """Bars by symbol and interval, one symbol kept at a time.

    Parameters
    ----------
    given : series in memory by symbol, instead of the store's.
    db : the bars database, `bars.duckdb` in the data folder unless named.
    """

    def __init__(
        self, experiment: Experiment, plan: Plan, *, given: Mapping[str, Bars] | None = None, db: Path | None = None
    ) -> None:
        self.experiment = experiment
        self.plan = plan
        self.given = given
        self.db = db
        self._symbol = ""
        self._bars: dict[str, Bars] = {}
        self._benches: dict[int, Bench] = {}
        self._codes: dict[str, str] = {}

    @cached_property
    def start_ms(self) -> int | None:
        return None if self.experiment.start is None else to_ms(self.experiment.start, "start")

    @cached_property
    def _lookbacks(self) -> dict[int, set[tuple[tuple[str, int], ...]]]:
        """Distinct lookbacks over all parameter points, by strategy of the experiment."""
        strategies = {id(s.what): s.what for s in self.plan.studies}
        return {key: set(_lookbacks(what)) for key, what in strategies.items()}

    def bars(self, symbol: str, interval: str) -> Bars:
        """The bars of one symbol and interval, warm-up included; the symbol before is let go."""
        if symbol != self._symbol:
            self._symbol, self._bars, self._benches = symbol, {}, {}
        if interval not in self._bars:
            # A series stored at 1m serves every interval; of others each interval picks its own base.
            bases = [b.base for b in self._bars.values()]
            serves = ("1m", self.experiment.base)
            shared = next((b for b in bases if self.given is not None or b.interval in serves), None)
            with _naming(symbol, interval):
                self._bars[interval] = shared.to(interval) if shared is not None else self._load(symbol, interval)
                require_traded(self._bars[interval], self.start_ms)
        return self._bars[interval]

    def bench(self, study: Study) -> Bench:
        """What the study's units share, made once while its symbol is kept."""
        bars = self.bars(study.symbol, study.interval)
        if study.first not in self._benches:
            self._benches[study.first] = self._make_bench(study, bars)
        return self._benches[study.first]

    def _make_bench(self, study: Study, bars: Bars) -> Bench:
        base, strategy = bars.base, study.what.strategy
        finer = self._finer(bars) if _policies(study.what) & {"finer"} else None
        start_t = first_t(base)
        if self.start_ms is not None:
            start_t = max(start_t, -(-self.start_ms // base.interval_ms))
        if strategy.name not in self._codes:
            self._codes[strategy.name] = code_hash(strategy)
        calendar = make_calendar(base, start_t)
        return Bench(
            study, bars, RuleBook(study.what.rules, bars), prepare_market(base, finer), finer,
            self.experiment.costs.rates(base.interval_ms), calendar,
            buy_and_hold(float(base.open[start_t - first_t(base)]), calendar.close), self._codes[strategy.name],
        )  # fmt: skip

    def _load(self, symbol: str, interval: str) -> Bars:
        experiment = self.experiment
        end_ms = None if experiment.end is None else to_ms(experiment.end, "end")
        if self.given is not None:
            if symbol not in self.given:
                raise UnknownNameError("symbol", symbol, self.given)
            bars = self.given[symbol].base
            return (bars if end_ms is None else bars.window(int(bars.ts[0]) if len(bars) else 0, end_ms)).to(interval)
        studies = [s for s in self.plan.studies if s.symbol == symbol]
        peers = [p for p in _named(studies, "peers") if canonical_symbol(p) != symbol]
        return load_bars(
            symbol, interval, experiment.start, experiment.end, exchange=experiment.exchange, base=experiment.base,
            native=_named(studies, "native"), peers=peers, warmup_ms=self._warmup_ms(studies), db=self.db,
        )  # fmt: skip

    def _warmup_ms(self, studies: Sequence[Study]) -> int:
        """How much history before `start` the longest lookback of any parameter point or rule needs."""
        if self.start_ms is None:
            return 0
        earliest = self.start_ms
        for study in studies:
            step = interval_ms(study.interval)
            bar_ms = floor_ts(self.start_ms, step)
            name = study.what.strategy.name
            for lookback in self._lookbacks[id(study.what)]:
                earliest = min(earliest, signal_start(name, dict(lookback), study.interval, bar_ms))
            for spec in _rule_factors(study.what):
                earliest = min(earliest, factor_start(spec, study.interval, bar_ms))
        return self.start_ms - earliest

    def _finer(self, bars: Bars) -> Bars:
        found = load_finer(bars, self.db) if self.given is None else None
        if found is None:
            raise InputError(
                f"policy 'finer' needs a finer stored series of {bars.symbol} than {bars.base.interval}, on which "
                f"orders fill; name a higher `base` in the experiment, or choose another policy"
            )
        return found


@contextmanager
def _naming(symbol: str, interval: str) -> Iterator[None]:
    """Say for which series an input error came up."""
    try:
        yield
    except InputError as error:
        if symbol not in str(error):
            error.args = (f"{symbol} {interval}: {error}",)
        raise


def _named(studies: Sequence[Study], kind: str) -> list[str]:
    return sorted({name for study in studies for name in getattr(study.what.strategy, kind)})


def _lookbacks(what: Resolved) -> Iterator[tuple[tuple[str, int], ...]]:
    for number in range(len(what.params)):
        found: Lookback = what.strategy.lookback(what.strategy.params(what.params.point(number)))
        named = found if isinstance(found, Mapping) else {"signal": found}
        yield tuple(sorted(named.items()))


def _rule_values(what: Resolved, name: str) -> list[Any]:
    for k, axis in enumerate(what.rules.axes):
        if axis.name == name:
            if axis.finite:
                return list(axis.values)
            return [axis.value(code) for code in what.rules.codes(np.arange(len(what.rules)))[:, k]]
    return []


def _rule_factors(what: Resolved) -> set[str]:
    """Specifications of the factors that any of the rules reads."""
    values = [(name, value) for name in ("stop", "target", "trail") for value in _rule_values(what, name)]
    specs = {parse_distance(name, value).column for name, value in values} - {""}
    whens = {rule.when for exits in _rule_values(what, "exits") for rule in exits}
    return specs | {parse_when(when)[0] for when in whens if when is not None}


def _policies(what: Resolved) -> set[str]:
    return set(_rule_values(what, "policy"))

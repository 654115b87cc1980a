"""Members with their bars and their legs' events, ready to be simulated: `load_members`."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from toolkit.analysis.history import Span, load_finer, require_traded
from toolkit.bars.intervals import floor_ts, interval_ms
from toolkit.bars.load import load_bars
from toolkit.bars.moments import Moment, to_ms
from toolkit.bars.series import Bars
from toolkit.bars.symbols import canonical_symbol
from toolkit.engine.identity import Instance, canonical_json
from toolkit.engine.lookback import check_interval, history_start
from toolkit.engine.run import Prepared, prepare
from toolkit.engine.types import LegSignals
from toolkit.errors import InputError, UnknownNameError
from toolkit.models.features import feature_peers, features_start
from toolkit.portfolio.members import Member, check_once, instance_of
from toolkit.strategy import Strategy, get_strategy
from toolkit.sweep.local import default_jobs
from toolkit.sweep.progress import Progress
from toolkit.types import ByteArray

# Factors of one symbol that are kept for the next member; members differ, so few are asked for again.
FACTOR_BYTES = 120_000_000


@dataclass(frozen=True)
class LoadedMember:
    """A member that can be simulated.

    Attributes
    ----------
    bars : signal-interval bars, warm-up included. `bars.base` is the clock that orders fill on, one object for all
        members of one exchange, symbol and base.
    prepared : market, rules, rates and each side's events. The strategy's arrays themselves are not kept.
    """

    member: Member
    instance: Instance
    bars: Bars
    prepared: Prepared


@dataclass(frozen=True)
class _Asked:
    """A member with its strategy looked up; `place` is its position in what the caller gave."""

    place: int
    member: Member
    instance: Instance
    strategy: Strategy
    params: Any


def load_members(
    members: Iterable[Member],
    *,
    start: Moment | None = None,
    end: Moment | None = None,
    db: Path | str | None = None,
    strategies: Iterable[str] | None = None,
    bars: Mapping[str, Bars] | None = None,
    features: Iterable[str] = (),
    jobs: int | None = None,
    progress: bool = False,
) -> list[LoadedMember]:
    """Bars and events of every member, in the order given.

    The stored bars of an exchange, symbol and base are loaded once, from as far before `start` as the longest lookback
    of any of its members reaches. Signals are made once for members that differ in rules or side alone.

    Parameters
    ----------
    start, end : first moment that is traded, and the first that is left out (UTC); None = all that is stored. A symbol
        that was listed later, or ends earlier, is traded while it has bars.
    db : the database, `bars.duckdb` in the data folder unless named.
    strategies : modules that hold strategies, default as in pyproject.toml.
    bars : series in memory by symbol, instead of the store's.
    features : what models see at an entry (`models.features`): the history and the peers that they need are loaded as
        well.
    jobs : threads, default the cores that this process may use. progress : say on stderr how far it is.

    Raises
    ------
    InputError and its kinds : no members, one twice, unknown names, bars that do not reach into the period, a strategy
    that raises or returns wrong arrays; names the instance. StoreError : the database cannot be used.
    """
    span = Span(start, end, db=db)
    workers = default_jobs() if jobs is None else jobs
    if workers < 1:
        raise InputError(f"`jobs` must be at least 1, was {workers}")
    asked = _resolve(tuple(members), tuple(strategies) if strategies is not None else None)
    given = None if bars is None else {canonical_symbol(symbol): one for symbol, one in bars.items()}
    seen = tuple(features)
    shown = Progress(len(asked), shown=progress, unit="instances")
    loaded: dict[int, LoadedMember] = {}
    with ThreadPoolExecutor(workers, thread_name_prefix="members") as pool:
        for group in _groups(asked):
            for one, found in _Group(group, span, given, seen).prepare(pool, shown):
                loaded[one.place] = LoadedMember(one.member, one.instance, found[0], found[1])
    shown.close()
    return [loaded[k] for k in range(len(asked))]


def _resolve(members: Sequence[Member], modules: Sequence[str] | None) -> list[_Asked]:
    if not members:
        raise InputError("a portfolio needs at least one instance, was given none")
    known = {name: get_strategy(name, modules) for name in dict.fromkeys(m.strategy for m in members)}
    asked = []
    for place, member in enumerate(members):
        strategy = known[member.strategy]
        instance = instance_of(member, strategy)
        with _naming(instance):
            check_interval(strategy, member.interval)
        asked.append(_Asked(place, member, instance, strategy, strategy.params(member.params)))
    check_once(one.instance for one in asked)
    return asked


def _groups(asked: Sequence[_Asked]) -> list[list[_Asked]]:
    """Members that share their base bars, symbol by symbol as they first come."""
    groups: dict[tuple[str | None, ...], list[_Asked]] = {}
    for one in asked:
        member = one.member
        groups.setdefault((member.symbol, member.exchange and member.exchange.lower(), member.base), []).append(one)
    return list(groups.values())


class _Group:
    """Members of one exchange, symbol and base name."""

    def __init__(
        self, asked: Sequence[_Asked], span: Span, given: Mapping[str, Bars] | None, features: tuple[str, ...]
    ) -> None:
        self.asked = asked
        self.features = features
        self.given = given
        first = asked[0].member
        self.symbol = first.symbol
        self.span = replace(span, exchange=first.exchange, base=first.base)
        # By interval; by the base that it is resampled from.
        self._bars: dict[str, Bars] = {}
        self._finer: dict[str, Bars | None] = {}
        self._gates: dict[tuple[str | None, ...], ByteArray] = {}

    def prepare(self, pool: ThreadPoolExecutor, shown: Progress) -> Iterator[tuple[_Asked, tuple[Bars, Prepared]]]:
        """Every member with its bars and events, as they are done."""
        warmup_ms = self._warmup_ms()
        for one in sorted(self.asked, key=_loads_first):
            with _naming(one.instance):
                self._load(one, warmup_ms)
        alike: dict[str, list[_Asked]] = {}
        for one in self.asked:
            key = canonical_json([one.instance.strategy, dict(one.instance.params), one.member.interval])
            alike.setdefault(key, []).append(one)
        waiting = [(batch, pool.submit(self._events, batch)) for batch in alike.values()]
        try:
            for batch, future in waiting:
                for one, prepared in zip(batch, future.result(), strict=True):
                    yield one, (self._bars[one.member.interval], prepared)
                shown.add(len(batch))
        finally:
            for _, future in waiting:
                future.cancel()
        for series in self._bars.values():
            series.base.drop_factors()

    def _load(self, one: _Asked, warmup_ms: int) -> None:
        """The bars of a member's interval, and the finer ones where its policy reads them."""
        interval = one.member.interval
        if interval not in self._bars:
            bases = {series.base.interval: series.base for series in self._bars.values()}
            # A series stored at 1m serves every interval; of others each interval picks its own base.
            shared = [b for name, b in bases.items() if self.given is not None or name in ("1m", self.span.base)]
            base = shared[0] if shared else self._read(interval, warmup_ms).base
            self._bars[interval] = bases.get(base.interval, base).to(interval)
        series = self._bars[interval]
        require_traded(series, self.span.start_ms)
        stored = series.base.interval
        if one.member.rules.policy == "finer" and stored not in self._finer:
            self._finer[stored] = load_finer(series, self.span.db) if self.given is None else None

    def _read(self, interval: str, warmup_ms: int) -> Bars:
        span = self.span
        if self.given is not None:
            if self.symbol not in self.given:
                raise UnknownNameError("symbol", self.symbol, self.given)
            bars = self.given[self.symbol].base
            end_ms = None if span.end is None else to_ms(span.end, "end")
            return bars if end_ms is None or not len(bars) else bars.window(int(bars.ts[0]), end_ms)
        peers = {canonical_symbol(name) for name in (*self._named("peers"), *feature_peers(self.features))}
        return load_bars(
            self.symbol, interval, span.start, span.end, exchange=span.exchange, base=span.base,
            native=self._named("native"), peers=sorted(peers - {self.symbol}),
            warmup_ms=warmup_ms, db=span.db,
        )  # fmt: skip

    def _named(self, kind: str) -> list[str]:
        return sorted({name for one in self.asked for name in getattr(one.strategy, kind)})

    def _warmup_ms(self) -> int:
        """How much history before the start the longest lookback of any member, or of a feature, needs."""
        start_ms = self.span.start_ms
        if start_ms is None:
            return 0
        starts = []
        for one in self.asked:
            with _naming(one.instance):
                interval = one.member.interval
                starts.append(history_start(one.strategy, one.params, one.member.rules, interval, start_ms))
                starts.append(features_start(self.features, interval, floor_ts(start_ms, interval_ms(interval))))
        return start_ms - min(starts)

    def _events(self, batch: Sequence[_Asked]) -> list[Prepared]:
        """Events of members that differ in their rules and costs alone; the signals are forgotten."""
        first = batch[0]
        series = self._bars[first.member.interval]
        with _naming(first.instance):
            signals = first.strategy.signals(series, first.params)
        out, known = [], dict[int, LegSignals]()
        for one in batch:
            rules = one.member.rules
            finer = self._finer.get(series.base.interval) if rules.policy == "finer" else None
            with _naming(one.instance):
                prepared = prepare(series, signals, rules, one.member.costs, finer=finer, start_ms=self.span.start_ms)
            out.append(self._sharing(one, prepared, known))
        if series.base.factor_bytes() > FACTOR_BYTES:
            series.base.drop_factors()
        return out

    def _sharing(self, one: _Asked, prepared: Prepared, known: dict[int, LegSignals]) -> Prepared:
        """The same, with the equal arrays of `known` legs of these signals: a copy each would fill memory."""
        conditions = (one.member.interval, *(rule.when for rule in one.member.rules.exits if rule.when is not None))
        legs = {}
        for side, leg in prepared.legs.items():
            first = known.setdefault(side, leg)
            same = np.array_equal(leg.distances, first.distances, equal_nan=True)
            legs[side] = leg._replace(
                entry_t=first.entry_t,
                exit_t=first.exit_t,
                distances=first.distances if same else leg.distances,
                gates=self._gates.setdefault(conditions, leg.gates),
            )
        return replace(prepared, legs=legs)


def _loads_first(one: _Asked) -> tuple[bool, int]:
    """Peers must be stored finely enough for those that read them, so their intervals choose what is loaded."""
    return not one.strategy.peers, interval_ms(one.member.interval)


@contextmanager
def _naming(instance: Instance) -> Iterator[None]:
    """Say of which instance an input error came up."""
    try:
        yield
    except InputError as error:
        if instance.id not in str(error):
            error.args = (f"{instance.id}: {error}",)
        raise

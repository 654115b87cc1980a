"""No look-ahead: what is said at a bar depends on the declared lookback before it, and on nothing after it.

Two checks at every tested bar, both to the last bit (NaN equals NaN). *future*: with every later bar replaced by noise,
nothing said up to that bar changes. *lookback*: on exactly the declared bars, the newest value is that of the whole
history. A third, over all bars at once: history that begins later says the same once its lookback is covered.
"""

import gc
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.random import Generator

from toolkit.bars.intervals import interval_ms
from toolkit.bars.moments import Moment
from toolkit.bars.series import Bars
from toolkit.errors import InputError
from toolkit.strategy import Strategy, broken_strategies, get_strategy, load_strategies
from toolkit.verify.bits import differing
from toolkit.verify.needed import smallest_lookback
from toolkit.verify.noise import NoiseFuture
from toolkit.verify.points import Points, choose
from toolkit.verify.results import Coverage, Finding, LookaheadReport, Needed
from toolkit.verify.sources import Series, find_series
from toolkit.verify.subjects import (
    Arrays,
    FactorSubject,
    StrategySubject,
    Subject,
    differing_names,
    factor_subjects,
    longest_ms,
    one_varied,
    start_of,
    strategy_subjects,
    until,
    variable,
)

Progress = Callable[[str], None]

# Parameters that had another value than their default in a test, by strategy and interval.
_Varied = dict[tuple[str, str], set[str]]

# The whole history that values are compared with, and the stretch at its end in which bars are tested: so many signal
# bars, or the signal bars of so many base bars, since every tested bar is a run over the stretch.
HISTORY_BARS = 100_000
STRETCH_BARS, STRETCH_BASE_BARS, STRETCH_LEAST = 4_000, 60_000, 300
COLLECT_BARS = 2_000_000
SPARSE_POINTS = 1


@dataclass(frozen=True)
class LookaheadConfig:
    """What to test.

    Attributes
    ----------
    points : most entry bars and most exit bars tested for a strategy, parameter set and interval, shared among the
        symbols; their neighbours and twice as many random bars come on top.
    variations : random parameter sets besides the defaults, each on one of the symbols with a quarter of the points.
        The first of them changes every number and switch; one that the strategy does not take in that company is
        changed alone. 0 = the defaults (or `params`) only.
    params : values of one strategy's parameters instead of the defaults, the same in all variations.
    seed : of the choice of bars, stretches, parameters and noise.
    symbol, start, end : limit the stored bars; None = all of them.
    intervals : signal intervals; empty = all that a strategy declares.
    modules : strategy modules; None = those that pyproject.toml names.
    factors : also test every registered factor.
    """

    points: int = 24
    variations: int = 3
    seed: int = 7
    symbol: str | None = None
    start: Moment | None = None
    end: Moment | None = None
    intervals: tuple[str, ...] = ()
    modules: tuple[str, ...] | None = None
    factors: bool = True
    params: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.points < 1:
            raise InputError(f"`points` must be at least 1, was {self.points}")
        if self.variations < 0 or self.seed < 0:
            raise InputError(
                f"`variations` and `seed` must not be negative, were {self.variations} and {self.seed}"
            )  # fmt: skip
        for interval in self.intervals:
            interval_ms(interval)


def verify_lookahead(
    names: Iterable[str] = (),
    config: LookaheadConfig | None = None,
    *,
    series: Series | None = None,
    progress: Progress | None = None,
) -> LookaheadReport:
    """Test strategies (all, where none is named) and every factor for look-ahead.

    Parameters
    ----------
    series : bars to test on, instead of the stored ones.
    progress : called with a word on what is tested next.

    Raises
    ------
    UnknownNameError : no such strategy, symbol or interval. InputError : no bars in the range. StrategyError : a
        strategy raises, or returns the wrong shape or dtype, on its declared lookback.
    """
    config = config or LookaheadConfig()
    wanted = list(names)
    strategies = [get_strategy(n, config.modules) for n in wanted] or _all_of(config.modules)
    chosen = series or find_series(strategies, config.symbol, config.start, config.end)
    if config.params and len(strategies) != 1:
        raise InputError(f"parameters ({', '.join(config.params)}) are those of one strategy; name it")
    broken = [] if wanted else [str(error) for error in broken_strategies(config.modules).values()]
    report = LookaheadReport(chosen.source, skipped=[*broken, *chosen.skipped])
    share = -(-config.points // len(chosen.bars))
    varied: _Varied = {}
    held = 0
    for job in _jobs(strategies, chosen, config, share, report, varied=varied):
        if progress is not None:
            progress(f"{job.subject.name} {job.bars.symbol} {job.bars.interval}")
        tested = job.run(report)
        # A series and those made from it hold each other, and the collector does not see how large they are.
        held += len(job.bars.base)
        if held > COLLECT_BARS:
            gc.collect()
            held = 0
        if tested and isinstance(job.subject, StrategySubject):
            changed = differing_names(job.subject.params, job.subject.strategy.params())
            varied.setdefault((job.subject.name, job.bars.interval), set()).update(changed)
    for strategy in strategies:
        seen = {name for interval in strategy.intervals for name in varied.get((strategy.name, interval), ())}
        left = [name for name in strategy.params_type._fields if name not in seen]
        if left:
            report.never_varied[strategy.name] = left
    return report


def _all_of(modules: tuple[str, ...] | None) -> list[Strategy]:
    """Strategies of the named modules, without those that other modules registered."""
    from toolkit.settings import strategy_modules

    roots = modules or strategy_modules()
    found = [
        s
        for s in load_strategies(modules).values()
        if any(s.function.__module__ == m or s.function.__module__.startswith(m + ".") for m in roots)
    ]
    return sorted(found, key=lambda s: s.name)


@dataclass(frozen=True)
class _Job:
    """One subject on one series of one interval; `number` seeds its choices."""

    subject: Subject
    bars: Bars
    points: int
    seed: tuple[int, int]
    search: bool

    def run(self, report: LookaheadReport) -> bool:
        """Whether it could be tested to its end."""
        rng = np.random.default_rng(self.seed)
        lookback = longest_ms(self.subject, self.bars.interval)
        history = _history(self.bars, lookback, rng)
        first = _first_covered(self.subject, history)
        step = history.interval_ms
        if first < 0:
            report.skipped.append(
                f"{self.subject.name} on {self.bars.symbol} {self.bars.interval}: its lookback of "
                f"{-(-lookback // step)} bars is longer than the history of {len(history)}"
            )
            return False
        try:
            self._look(report, history, first, lookback, rng)
        except InputError as error:
            if isinstance(self.subject, FactorSubject) and self.subject.sparse:
                # The library that it needs may not be installed.
                named = ", ".join(spec.text for spec in self.subject.specs)
                report.skipped.append(f"{named} on {self.bars.symbol} {self.bars.interval}: {error}")
                return False
            if self.search or not isinstance(self.subject, StrategySubject):
                raise
            # Parameters drawn at random may be none that the strategy takes.
            report.skipped.append(
                f"{self.subject.name}({self.subject.params_text}) on {self.bars.symbol} {self.bars.interval}: {error}"
            )
            return False
        return True

    def _look(self, report: LookaheadReport, history: Bars, first: int, lookback: int, rng: Generator) -> None:
        base_bars = history.interval_ms // history.base.interval_ms
        first = max(first, len(history) - min(STRETCH_BARS, max(STRETCH_LEAST, STRETCH_BASE_BARS // base_bars)))
        subject = self.subject
        if isinstance(subject, FactorSubject) and subject.sparse:
            # Each value may be a fit: few bars are tested, and the values are computed there alone.
            points = choose(history, {}, first, SPARSE_POINTS, rng)
            subject = subject.asked_at(history.close_ts[points.index].tolist())
            whole = subject.arrays(history)
        else:
            whole = subject.arrays(history)
            points = choose(history, whole, first, self.points, rng)
        found = _Findings(subject, history, int(self.bars.ts[0]))
        try:
            _check_future(subject, history, points, lookback, rng, whole, found)
            _check_lookback(subject, history, points, whole, found)
        finally:
            report.findings.extend(found.all())
        report.coverage.append(
            Coverage(
                self.subject.name,
                self.subject.params_text,
                history.symbol,
                history.interval,
                first_ms=int(history.ts[first]),
                last_ms=int(history.ts[-1]),
                points=len(points.index),
                entries=points.entries,
                exits=points.exits,
            )
        )
        if self.search and isinstance(self.subject, StrategySubject):
            report.needed.append(self._needed(self.subject, history, points, whole))

    def _needed(self, subject: StrategySubject, history: Bars, points: Points, whole: Arrays) -> Needed:
        starts = [start_of(subject, history.interval, int(history.ts[i])) for i in points.index]
        declared = max(
            (int(history.close_ts[i]) - start) // history.interval_ms
            for i, start in zip(points.index, starts, strict=True)
        )
        smallest = smallest_lookback(subject, history, points, whole, declared)
        return Needed(subject.name, subject.params_text, history.symbol, history.interval, declared, smallest)


def _jobs(
    strategies: list[Strategy],
    series: Series,
    config: LookaheadConfig,
    share: int,
    report: LookaheadReport,
    *,
    varied: _Varied,
) -> Iterator[_Job]:
    number = 0
    few = -(-config.points // 4)
    for strategy in strategies:
        for interval in _intervals(strategy.intervals, config.intervals):
            usable = [b for b in series.bars if _usable(strategy, b, interval, report)]
            rng = np.random.default_rng((config.seed, number))
            subjects = strategy_subjects(strategy, config.variations, rng, config.params)
            for k, subject in enumerate(subjects):
                for j, bars in enumerate(usable):
                    if k and j != k % len(usable):
                        continue
                    number += 1
                    points = few if k else share
                    yield _Job(subject, bars.to(interval), points, (config.seed, number), search=k == 0)
            # Those that no tested set changed: the strategy may take them one at a time.
            for name in variable(strategy) if config.variations else ():
                for bars in usable:
                    if name in config.params or name in varied.get((strategy.name, interval), ()):
                        break
                    alone = one_varied(strategy, subjects[0].params, name, rng)
                    if alone is not None:
                        number += 1
                        yield _Job(alone, bars.to(interval), few, (config.seed, number), search=False)
    if not config.factors:
        return
    for interval in _intervals(sorted({i for s in strategies for i in s.intervals}, key=interval_ms), config.intervals):
        for bars in (b for b in series.bars if _fits(b, interval)):
            for factors in factor_subjects(interval, bars.peers):
                number += 1
                yield _Job(factors, bars.to(interval), -(-share // 4), (config.seed, number), search=False)


def _intervals(declared: Iterable[str], wanted: tuple[str, ...]) -> list[str]:
    return [i for i in declared if not wanted or i in wanted]


def _fits(bars: Bars, interval: str) -> bool:
    return interval_ms(interval) % bars.interval_ms == 0 and len(bars.to(interval)) > 0


def _usable(strategy: Strategy, bars: Bars, interval: str, report: LookaheadReport) -> bool:
    if not _fits(bars, interval):
        return False
    missing = [
        *(p for p in strategy.peers if p not in bars.peers),
        *(n for n in strategy.native if n not in bars.native),
    ]
    if missing:
        report.skipped.append(
            f"{strategy.name} on {bars.symbol} {interval}: no bars of {', '.join(missing)} beside these"
        )
    return not missing


def _history(bars: Bars, lookback_ms: int, rng: Generator) -> Bars:
    """At most `HISTORY_BARS` bars more than three lookbacks, from a random place of what is loaded."""
    length = min(len(bars), -(-3 * lookback_ms // bars.interval_ms) + HISTORY_BARS)
    at = int(rng.integers(0, len(bars) - length + 1))
    return bars.window(int(bars.ts[at]), int(bars.ts[at]) + length * bars.interval_ms)


def _first_covered(subject: Subject, history: Bars) -> int:
    """First bar whose declared lookback is loaded, in the series and in all that it reads; -1 where there is none."""
    others = [b for b in (*history.peers.values(), *history.native.values()) if len(b)]
    begins = int(history.base.ts[0])
    first = _covered_from(subject, history, max([begins, *(int(b.ts[0]) for b in others)]))
    return first if first < len(history) else -1


def _covered_from(subject: Subject, bars: Bars, begin_ms: int) -> int:
    """First bar whose declared lookback begins at `begin_ms` or later, the number of bars where there is none."""
    return bisect_left(range(len(bars)), begin_ms, key=lambda i: start_of(subject, bars.interval, int(bars.ts[i])))


def _check_future(
    subject: Subject, history: Bars, points: Points, lookback_ms: int, rng: Generator, whole: Arrays, found: "_Findings"
) -> None:
    # Noise is put into a shorter history, since each tested bar needs a run of its own.
    begin = max(int(history.base.ts[0]), int(history.ts[points.index[0]]) - 2 * lookback_ms)
    stretch = history.window(begin, int(history.close_ts[-1]))
    offset = len(history) - len(stretch)
    clean = subject.arrays(stretch)
    begins = _covered_from(subject, stretch, begin)
    for name, values in clean.items():
        for k in np.flatnonzero(differing(values[begins:], whole[name][offset + begins :])):
            at = begins + int(k)
            found.add("lookback", offset + at, name, whole[name][offset + at], values[at])
    noise = NoiseFuture(stretch, rng)
    for point in points.index:
        end = int(point) - offset + 1
        known = int(history.close_ts[point])
        noisy = until(subject, known).arrays(noise.after(known))
        for name, values in noisy.items():
            bad = np.flatnonzero(differing(values[:end], clean[name][:end]))
            if len(bad):
                last = int(bad[-1])
                found.add("future", offset + last, name, clean[name][last], values[last])


def _check_lookback(subject: Subject, history: Bars, points: Points, whole: Arrays, found: "_Findings") -> None:
    for point in points.index:
        start = start_of(subject, history.interval, int(history.ts[point]))
        known = int(history.close_ts[point])
        window = until(subject, known, last=True).arrays(history.window(start, known))
        for name, values in window.items():
            if differing(values[-1:], whole[name][point : point + 1]).any():
                found.add("lookback", int(point), name, whole[name][point], values[-1])


class _Findings:
    """The first finding of each check and array, and how often it came again."""

    def __init__(self, subject: Subject, history: Bars, loaded_ms: int) -> None:
        self._subject, self._history, self._loaded_ms = subject, history, loaded_ms
        self._first: dict[tuple[str, str], Finding] = {}

    def add(self, check: str, at: int, array: str, expected: object, got: object) -> None:
        known = self._first.get((check, array))
        if known is not None:
            self._first[(check, array)] = replace(known, times=known.times + 1)
            return
        ts = int(self._history.ts[at])
        self._first[(check, array)] = Finding(
            check, self._subject.name, self._subject.params_text, self._history.symbol, self._history.interval,
            (ts - self._loaded_ms) // self._history.interval_ms, ts, array, _plain(expected), _plain(got),
        )  # fmt: skip

    def all(self) -> list[Finding]:
        return list(self._first.values())


def _plain(value: object) -> float | bool:
    return bool(value) if isinstance(value, np.bool_ | bool) else float(value)  # type: ignore[arg-type]

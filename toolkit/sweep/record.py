"""Combinations of a sweep run again with their records, as backtests."""

from collections.abc import Iterable, Iterator

from toolkit.analysis.result import BacktestResult
from toolkit.engine.identity import Instance
from toolkit.engine.run import prepare, run
from toolkit.sweep.plan import Plan
from toolkit.sweep.room import Room


def record(plan: Plan, room: Room, numbers: Iterable[int]) -> Iterator[BacktestResult]:
    """The backtests of these combinations, in the order of their numbers (symbol by symbol), one at a time."""
    experiment = room.experiment
    for number in sorted(numbers):
        study = plan.study_of(number)
        bench = room.bench(study)
        param, rule, side = study.locate(number)
        strategy, params, rules = study.what.strategy, bench.params(param), bench.book.rules(rule, side)
        signals = strategy.signals(bench.bars, params)
        bench.trim()
        finer = bench.finer if rules.policy == "finer" else None
        prepared = prepare(bench.bars, signals, rules, experiment.costs, finer=finer, start_ms=room.start_ms)
        yield BacktestResult(
            instance=Instance(strategy.name, params._asdict(), rules, study.symbol, study.interval, bench.code),
            bars=bench.bars, signals_in=signals, prepared=prepared, records=run(prepared, experiment.notional),
            costs=experiment.costs, notional=experiment.notional, compound=experiment.compound, finer=finer,
        )  # fmt: skip

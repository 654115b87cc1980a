"""How much history decides what an instance does on a bar: its strategy's lookback, and that of its rules' factors."""

from typing import Any

from toolkit.bars.intervals import floor_ts, interval_ms
from toolkit.bars.moments import EARLIEST_MS
from toolkit.bars.series import utc
from toolkit.engine.rules import TradeRules, parse_distance, parse_when
from toolkit.errors import InputError
from toolkit.factors.table import parse_spec
from toolkit.strategy import Lookback, Strategy, lookback_start


def check_interval(strategy: Strategy, interval: str) -> None:
    """`InputError` for an interval that the strategy does not declare."""
    interval_ms(interval)
    if interval not in strategy.intervals:
        raise InputError(
            f"strategy {strategy.name} is not meant for interval {interval!r}; "
            f"it declares {', '.join(strategy.intervals)}"
        )


def history_start(strategy: Strategy, params: Any, rules: TradeRules, interval: str, start_ms: int) -> int:
    """Epoch ms from which history decides the signals, distances and exit conditions of the bar at `start_ms`."""
    first = floor_ts(start_ms, interval_ms(interval))
    specs = [parse_when(rule.when)[0] for rule in rules.exits if rule.when is not None]
    specs += [parse_distance(name, getattr(rules, name)).column for name in ("stop", "target", "trail")]
    starts = [factor_start(spec, interval, first) for spec in specs if spec]
    return min(start_ms, signal_start(strategy.name, strategy.lookback(params), interval, first), *starts)


def signal_start(strategy: str, lookback: Lookback, interval: str, bar_ms: int) -> int:
    """Epoch ms from which history decides the signals of the bar of `interval` that opens at `bar_ms`."""
    return _within_calendar(
        lookback_start(lookback, interval, bar_ms),
        bar_ms,
        f"the lookback of strategy {strategy} on {interval}",
        lookback,
    )


def factor_start(spec: str, interval: str, bar_ms: int) -> int:
    """Epoch ms from which history decides the value of a rule's factor on the bar that opens at `bar_ms`."""
    warmup_ms = parse_spec(spec).warmup_ms(interval)
    return _within_calendar(bar_ms - warmup_ms, bar_ms, "the lookback of a rule's factor", spec)


def _within_calendar(history_ms: int, bar_ms: int, what: str, lookback: object) -> int:
    if history_ms < EARLIEST_MS:
        raise InputError(
            f"{what} must not reach back from {utc(bar_ms)} beyond the year 1, was {lookback}; choose a shorter window"
        )
    return history_ms

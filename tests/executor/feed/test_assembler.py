"""What the assembler makes of late, repeated, disordered, missing, empty and corrected candles."""

from collections.abc import Sequence

from executor.feed.assembler import Assembler, Patience
from executor.feed.base import BarEvent, ClosedBar, Series

MINUTE = 60_000
START = 1_700_000_040_000 // MINUTE * MINUTE
A, B = Series("gate", "BTC/USDT", "1m"), Series("gate", "ETH/USDT", "1m")
FIVE = Series("gate", "BTC/USDT", "5m")
PATIENCE = Patience(decide_by_ms=10_000, fill_after_ms=30_000)


def at(minute: int, secs: float = 0.0) -> int:
    return START + minute * MINUTE + int(secs * 1000)


def bar(minute: int, close: float = 100.0, volume: float = 3.0) -> ClosedBar:
    return ClosedBar(at(minute), 100.0, max(100.0, close), min(100.0, close), close, volume)


def flat(minute: int, close: float) -> ClosedBar:
    return ClosedBar(at(minute), close, close, close, close, 0.0, filled=True)


def tell(feed: Assembler, series: Series, rows: Sequence[ClosedBar], minutes: tuple[int, int], now_ms: int) -> None:
    feed.answer(feed.ask(series, at(minutes[0]), at(minutes[1]), now_ms), rows)


def two() -> Assembler:
    return Assembler({A: START, B: START}, PATIENCE)


def given(events: Sequence[BarEvent], series: Series) -> list[ClosedBar]:
    return [found for event in events for one, found in event.bars if one == series]


def test_an_event_waits_for_all_and_is_complete_with_the_last() -> None:
    feed = two()
    tell(feed, A, [bar(0)], (0, 1), at(1, 3))
    assert feed.take(at(1, 3)) == []
    assert feed.deadline_ms == at(1, 10)
    tell(feed, B, [bar(0, 50.0)], (0, 1), at(1, 4))
    assert feed.take(at(1, 4)) == [BarEvent(at(1), ((A, bar(0)), (B, bar(0, 50.0))), "rest")]
    assert feed.deadline_ms is None
    assert feed.take(at(1, 4)) == []


def test_a_late_series_steps_in_its_own_later_events_in_order() -> None:
    feed = two()
    for minute in (0, 1):
        tell(feed, A, [bar(minute)], (minute, minute + 1), at(minute + 1, 2))
        assert feed.take(at(minute + 1, 9)) == []
        assert feed.take(at(minute + 1, 10)) == [BarEvent(at(minute + 1), ((A, bar(minute)),), "rest")]
    tell(feed, B, [bar(0), bar(1), bar(2)], (0, 3), at(3, 2))
    assert feed.take(at(3, 2)) == [
        BarEvent(at(2) + 1, ((B, bar(0)),), "rest"),
        BarEvent(at(2) + 2, ((B, bar(1)),), "rest"),
    ]
    tell(feed, A, [bar(2)], (2, 3), at(3, 3))
    assert feed.take(at(3, 3)) == [BarEvent(at(3), ((A, bar(2)), (B, bar(2))), "rest")]


def test_after_an_outage_the_first_to_come_back_waits_for_the_others() -> None:
    feed = two()
    tell(feed, A, [bar(k) for k in range(60)], (0, 60), at(60, 20))
    assert feed.take(at(60, 20)) == []
    assert feed.deadline_ms == at(60, 30)
    tell(feed, B, [bar(k) for k in range(60)], (0, 60), at(60, 25))
    events = feed.take(at(60, 25))
    assert [len(event.bars) for event in events] == [2] * 60
    assert [event.moment_ms for event in events] == [at(k + 1) for k in range(60)]


def test_twice_and_out_of_order_is_once_and_in_order() -> None:
    feed = Assembler({A: START}, PATIENCE)
    tell(feed, A, [bar(2), bar(1), bar(2)], (1, 3), at(3, 2))
    assert feed.take(at(3, 2)) == []
    tell(feed, A, [bar(1), bar(0), bar(0)], (0, 3), at(3, 2))
    assert given(feed.take(at(3, 2)), A) == [bar(0), bar(1), bar(2)]
    tell(feed, A, [bar(0), bar(1), bar(2)], (0, 3), at(3, 5))
    assert feed.take(at(3, 5)) == []
    assert feed.corrections() == []


def test_an_open_candle_is_not_given_and_its_final_values_are() -> None:
    feed = Assembler({A: START}, PATIENCE)
    tell(feed, A, [bar(0, 101.0, 1.0)], (0, 1), at(0, 40))
    tell(feed, A, [bar(0, 102.0, 2.0)], (0, 1), at(1, 1))
    assert feed.take(at(1, 1)) == []
    assert not feed.is_due(A, at(1, 1))
    feed.saw(A, at(1))
    assert feed.is_due(A, at(1, 1))
    tell(feed, A, [bar(0, 103.0, 3.0), bar(1, 99.0, 0.1)], (0, 2), at(1, 1))
    assert given(feed.take(at(1, 1)), A) == [bar(0, 103.0, 3.0)]
    assert feed.wanted(A) == at(1)


def test_missing_for_an_hour_is_filled_flat_once_later_candles_are_listed() -> None:
    feed = Assembler({A: START}, PATIENCE)
    tell(feed, A, [bar(0, 107.0)], (0, 1), at(1, 2))
    tell(feed, A, [], (1, 61), at(60, 5))
    assert given(feed.take(at(60, 59)), A) == [bar(0, 107.0)]
    tell(feed, A, [bar(61)], (1, 62), at(62, 2))
    assert given(feed.take(at(62, 2)), A) == [*(flat(k, 107.0) for k in range(1, 61)), bar(61)]


def test_a_quiet_market_is_filled_while_another_one_trades() -> None:
    feed = two()
    tell(feed, A, [bar(0), bar(1)], (0, 2), at(2, 2))
    tell(feed, B, [bar(0, 50.0)], (0, 2), at(2, 3))
    assert [len(event.bars) for event in feed.take(at(2, 9))] == [2]
    tell(feed, B, [], (1, 3), at(2, 29))
    assert [event.bars for event in feed.take(at(2, 29))] == [((A, bar(1)),)]
    feed.saw(A, at(2))
    tell(feed, B, [], (1, 3), at(2, 30))
    assert feed.take(at(2, 30)) == [BarEvent(at(2) + 1, ((B, flat(1, 50.0)),), "rest")]


def test_a_venue_that_stands_still_is_not_filled() -> None:
    feed = two()
    for series in (A, B):
        tell(feed, series, [bar(0)], (0, 1), at(1, 2))
    assert len(feed.take(at(1, 2))) == 1
    for series in (A, B):
        tell(feed, series, [], (1, 60), at(60, 2))
    assert feed.take(at(60, 2)) == []


def test_zero_volume_is_a_bar_and_not_filled() -> None:
    feed = Assembler({A: START}, PATIENCE)
    tell(feed, A, [bar(0, volume=0.0)], (0, 1), at(1, 2))
    assert given(feed.take(at(1, 2)), A) == [bar(0, volume=0.0)]
    assert not bar(0, volume=0.0).filled


def test_a_correction_is_kept_once_and_never_decided_again() -> None:
    feed = Assembler({A: START}, PATIENCE)
    tell(feed, A, [bar(0), bar(2)], (0, 3), at(3, 2))
    assert given(feed.take(at(3, 2)), A) == [bar(0), flat(1, 100.0), bar(2)]
    for _ in range(2):
        tell(feed, A, [bar(0, 105.0), bar(1, 98.0), bar(2)], (0, 3), at(3, 30))
    assert feed.take(at(3, 30)) == []
    assert feed.corrections() == [(A, bar(0, 105.0)), (A, bar(1, 98.0))]
    assert feed.corrections() == []


def test_a_volume_that_stays_unknown_is_no_correction() -> None:
    feed = Assembler({A: START}, PATIENCE)
    for _ in range(2):
        tell(feed, A, [bar(0, volume=float("nan"))], (0, 1), at(1, 2))
        feed.take(at(1, 2))
    assert feed.corrections() == []


def test_a_clock_that_jumps_ahead_fills_nothing_and_one_set_back_holds_nothing_up() -> None:
    feed = two()
    tell(feed, A, [bar(0)], (0, 1), at(1, 2))
    assert given(feed.take(at(600)), A) == [bar(0)]
    assert feed.take(at(900)) == []
    tell(feed, B, [bar(0), bar(1)], (0, 2), at(2, 3))
    tell(feed, A, [bar(1), bar(2)], (1, 3), at(2, 4))
    back = feed.take(at(-500))
    assert [event.moment_ms for event in back] == [at(1) + 1, at(2)]
    feed.saw(A, at(4))
    tell(feed, A, [bar(2), bar(3)], (2, 4), at(-500))
    assert [event.bars for event in feed.take(at(-500))] == [((A, bar(2)),)]


def test_a_series_without_a_past_begins_with_its_first_bar() -> None:
    feed = Assembler({A: START}, PATIENCE)
    tell(feed, A, [bar(3), bar(5)], (0, 6), at(6, 2))
    assert given(feed.take(at(6, 2)), A) == [bar(3), flat(4, 100.0), bar(5)]


def test_a_hole_at_the_start_is_filled_from_the_bar_before() -> None:
    feed = Assembler({A: START}, PATIENCE)
    tell(feed, A, [bar(-2, 90.0), bar(1)], (-2, 2), at(2, 2))
    assert given(feed.take(at(2, 2)), A) == [flat(0, 90.0), bar(1)]


def test_longer_bars_join_the_events_of_their_closes() -> None:
    first = START // (5 * MINUTE) * 5 * MINUTE
    feed = Assembler({A: first, FIVE: first}, PATIENCE)
    minutes = [ClosedBar(first + k * MINUTE, 1.0, 1.0, 1.0, 1.0, 1.0) for k in range(6)]
    feed.saw(A, first + 6 * MINUTE)
    end = first + 6 * MINUTE
    feed.answer(feed.ask(A, first, end, end), minutes)
    feed.answer(feed.ask(FIVE, first, end, end + PATIENCE.settle_ms), minutes[:1])
    assert [[one.base for one, _ in event.bars] for event in feed.take(first + 6 * MINUTE)] == [
        *([["1m"]] * 4), ["1m", "5m"], ["1m"],
    ]  # fmt: skip


def test_moments_go_on_behind_those_of_the_process_before() -> None:
    feed = Assembler({A: at(5), B: at(3)}, PATIENCE, after_ms=at(5))
    tell(feed, B, [bar(3), bar(4), bar(5)], (3, 6), at(6, 2))
    tell(feed, A, [bar(5)], (5, 6), at(6, 2))
    assert [(event.moment_ms, len(event.bars)) for event in feed.take(at(6, 2))] == [
        (at(5) + 1, 1), (at(5) + 2, 1), (at(6), 2),
    ]  # fmt: skip


def test_what_the_answer_does_not_speak_of_proves_nothing() -> None:
    feed = Assembler({A: START}, PATIENCE)
    tell(feed, A, [bar(0)], (0, 1), at(9))
    tell(feed, A, [bar(5)], (4, 6), at(9))
    assert given(feed.take(at(9)), A) == [bar(0)]


def test_an_answer_is_judged_by_what_was_known_when_it_was_asked() -> None:
    feed = Assembler({A: START}, PATIENCE)
    early = feed.ask(A, at(0), at(1), at(0, 59.9))
    feed.saw(A, at(1))
    feed.answer(early, [bar(0, 101.0)])
    assert feed.take(at(1, 1)) == []
    tell(feed, A, [bar(0, 102.0)], (0, 1), at(1, 1))
    assert given(feed.take(at(1, 1)), A) == [bar(0, 102.0)]

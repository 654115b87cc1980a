"""Random venues, random trouble on the way: whatever happens, each series is whole, in order and given once."""

import random
from dataclasses import dataclass, field

from hypothesis import given, settings
from hypothesis import strategies as st

from executor.feed.assembler import Assembler, Patience, Question
from executor.feed.base import BarEvent, ClosedBar, Series

MINUTE = 60_000
N = 40
START = 1_700_000_000_000 // (5 * MINUTE) * 5 * MINUTE
SERIES = (
    Series("gate", "BTC/USDT", "1m"), Series("gate", "ETH/USDT", "1m"), Series("gate", "SOL/USDT", "5m"),
)  # fmt: skip


@dataclass
class Venue:
    """What one series' candles are and when they can be had; some never are, some appear late or are corrected."""

    series: Series
    rng: random.Random
    trouble: float
    words: dict[int, list[tuple[int, ClosedBar]]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        step, rng = self.series.base_ms, self.rng
        for ts in range(START, START + N * MINUTE, step):
            if ts > START and rng.random() < self.trouble:
                continue
            said = self._bar(ts)
            late = ts > START and rng.random() < self.trouble
            appears = ts + (rng.randrange(5 * step) if late else 0)
            self.words[ts] = [(appears, said)]
            if rng.random() < self.trouble:
                self.words[ts].append((ts + step + rng.randrange(6 * step), self._bar(ts)))

    def rows(self, first: int, end: int, now: int) -> list[ClosedBar]:
        """What it answers at `now`: the open candle with another close, some rows twice, none in order."""
        found = []
        for ts, words in self.words.items():
            said = [bar for since, bar in words if since <= now]
            if first <= ts < end and said and ts <= now:
                done = now >= ts + self.series.base_ms
                found.append(said[-1] if done else said[-1]._replace(close=-1.0))
        found += [row for row in found if self.rng.random() < self.trouble]
        self.rng.shuffle(found)
        return found

    def _bar(self, ts: int) -> ClosedBar:
        return ClosedBar(ts, 1.0, 9.0, 0.5, round(1.0 + self.rng.random(), 6), float(self.rng.randrange(3)))


def run(seed: int, trouble: float, patience: Patience) -> tuple[list[Venue], list[tuple[int, BarEvent]], Assembler]:
    rng = random.Random(seed)
    venues = [Venue(series, rng, trouble) for series in SERIES]
    feed = Assembler(dict.fromkeys(SERIES, START), patience)
    on_the_way: list[tuple[int, Question, list[ClosedBar]]] = []
    events: list[tuple[int, BarEvent]] = []
    end = START + (N + 30) * MINUTE
    now = START
    while now < end:
        now = min(now + rng.randrange(1, 20_000), end)
        for venue in venues:
            since = max(START, feed.wanted(venue.series) - 3 * venue.series.base_ms)
            open_ts = now // venue.series.base_ms * venue.series.base_ms
            if rng.random() < 0.5 or now == end:
                rows = venue.rows(since, open_ts + 1, now)
                delay = rng.randrange(90_000) if rng.random() < trouble and now < end else 0
                on_the_way.append((now + delay, feed.ask(venue.series, since, open_ts + 1, now), rows))
            if rng.random() < 0.3 and open_ts in venue.words:
                feed.saw(venue.series, open_ts)
        for arrives, question, rows in on_the_way:
            if arrives <= now:
                feed.answer(question, rows)
        on_the_way = [one for one in on_the_way if one[0] > now]
        jumped = now + rng.randrange(-7_200_000, 7_200_000) if rng.random() < trouble else now
        events += [(max(now, jumped), event) for event in feed.take(jumped)]
    return venues, events, feed


@settings(max_examples=120, deadline=None)
@given(st.integers(0, 2**32), st.sampled_from([0.0, 0.1, 0.4]), st.sampled_from([0, 10_000, 90_000]))
def test_each_series_is_whole_in_order_and_given_once(seed: int, trouble: float, decide_by_ms: int) -> None:
    patience = Patience(decide_by_ms, fill_after_ms=60_000)
    venues, events, _ = run(seed, trouble, patience)
    moments = [event.moment_ms for _, event in events]
    assert moments == sorted(set(moments))
    assert all(bar.ts + series.base_ms <= event.moment_ms for _, event in events for series, bar in event.bars)
    for venue in venues:
        bars = [bar for _, event in events for series, bar in event.bars if series == venue.series]
        assert [bar.ts for bar in bars] == list(
            range(START, START + len(bars) * venue.series.base_ms, venue.series.base_ms)
        )
        assert len(bars) >= len(range(START, max(venue.words) + 1, venue.series.base_ms))
        close = bars[0].close
        for bar in bars:
            if bar.filled:
                assert bar == ClosedBar(bar.ts, close, close, close, close, 0.0, filled=True)
            else:
                assert bar in [word for _, word in venue.words[bar.ts]]
            close = bar.close


@settings(max_examples=80, deadline=None)
@given(st.integers(0, 2**32), st.sampled_from([0.1, 0.4]))
def test_the_last_word_about_every_bar_is_what_was_given_or_a_correction(seed: int, trouble: float) -> None:
    venues, events, feed = run(seed, trouble, Patience(10_000, 60_000))
    now = START + (N + 30) * MINUTE
    told: dict[tuple[Series, int], ClosedBar] = {
        (series, bar.ts): bar for _, event in events for series, bar in event.bars
    }  # fmt: skip
    told.update(((series, bar.ts), bar) for series, bar in feed.corrections())
    for venue in venues:
        feed.answer(feed.ask(venue.series, START, now, now), venue.rows(START, now, now))
    told.update(((series, bar.ts), bar) for series, bar in feed.corrections())
    assert list(feed.take(now)) == []
    for venue in venues:
        for ts, words in venue.words.items():
            assert told[venue.series, ts][1:6] == words[-1][1][1:6]


@settings(max_examples=80, deadline=None)
@given(st.integers(0, 2**32), st.sampled_from([10_000, 90_000]))
def test_nobody_is_left_out_before_the_deadline(seed: int, decide_by_ms: int) -> None:
    _, events, _ = run(seed, 0.1, Patience(decide_by_ms, 60_000))
    decided = -1
    steps = dict.fromkeys(SERIES, START)
    for now, event in events:
        moment = max(bar.ts + series.base_ms for series, bar in event.bars)
        due = {series for series in SERIES if steps[series] + series.base_ms <= moment and moment % series.base_ms == 0}
        for series, bar in event.bars:
            steps[series] = bar.ts + series.base_ms
        left_out = due - {series for series, _ in event.bars}
        if moment > decided and left_out:
            assert now >= moment + decide_by_ms
        decided = max(decided, moment)

"""A replay: the daemon's engine on a feed of stored bars, with a ledger of its own."""

import itertools
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from executor.broker.paper import PaperBroker
from executor.deployments.loading import load_document
from executor.engine.engine import Engine
from executor.feed.replay import ReplayFeed
from executor.ledger import Ledger
from toolkit import settings
from toolkit.bars.moments import check_range, to_ms
from toolkit.bars.series import utc
from toolkit.portfolio.bundle import is_bundle
from toolkit.portfolio.deployment import find_deployment

_SHOWN_EVERY = 500


@dataclass(frozen=True)
class Replayed:
    """What a replay came to. finished : it reached its end, and was not stopped before."""

    ledger: Path
    events: int
    seconds: float
    finished: bool
    trades: int
    signals: int
    equity: float


def run_replay(
    deployment: str,
    period: tuple[str, str],
    ledger: Path | None = None,
    *,
    db: Path | None = None,
    capital: float | None = None,
    accept_code: bool = False,
    stop_after: int | None = None,
    progress: Callable[[int, str], None] | None = None,
) -> Replayed:
    """Run a deployment over stored bars.

    Parameters
    ----------
    period : first moment that is traded, and the first that is left out; ISO text, UTC.
    ledger : a new one in `replays/` of the data folder unless named; one that is there goes on where it stopped.
    stop_after : so many events, then stop, as if the daemon had been stopped.

    Raises
    ------
    InputError, LedgerError, StoreError : a deployment, a range or a ledger that cannot be used; names which.
    """
    start_ms, end_ms = to_ms(period[0], "from"), to_ms(period[1], "to")
    check_range(start_ms, end_ms)
    file = find_deployment(deployment)
    path = ledger or settings.data_dir() / "replays" / f"{file.parent.name}-{time.strftime('%Y%m%d-%H%M%S')}.sqlite"
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = not path.exists()
    with Ledger.open(path, create=True, synchronous="OFF") as book:
        if fresh:
            facts = {"folder": str(file.parent)} if is_bundle(file.parent) else None
            load_document(book, file, start_ms, mode="replay", capital=capital, accept_code=accept_code, facts=facts)
        engine = Engine(book, PaperBroker())
        starts = {series: engine.next_ts(series) for series in engine.series()}
        feed = ReplayFeed(starts, end_ms, db=db)
        for series, count in engine.series().items():
            if engine.held(series) < count:
                before = starts[series]
                engine.warm(series, feed.stored(series, before - count * series.base_ms, before))
        done, began = 0, time.perf_counter()
        events = feed.replayed()
        for event in itertools.islice(events, stop_after):
            engine.on_event(event)
            done += 1
            if progress is not None and done % _SHOWN_EVERY == 0:
                progress(done, utc(event.moment_ms))
        finished = stop_after is None or next(events, None) is None
        seconds = time.perf_counter() - began
        equity = engine.close_book()
        trades, signals = (int(book.value(f"SELECT count(*) FROM {table}")) for table in ("trades", "signals"))
    return Replayed(path, done, seconds, finished, trades, signals, equity)

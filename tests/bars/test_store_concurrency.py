"""Two processes write pages while a third reads: nothing is lost, nothing fails."""

import multiprocessing
from pathlib import Path

from tests.bars.minutes import assert_same, minutes, rows
from toolkit.bars.store import Source, Store

PAGES, PAGE_BARS = 12, 500


def _write_pages(path: Path, own: str, pages: list[int]) -> None:
    store = Store(path)
    whole = minutes(PAGES * PAGE_BARS)
    for page in pages:
        part = rows(whole, slice(page * PAGE_BARS, (page + 1) * PAGE_BARS))
        source = Source("request", f"page {page}", "0" * 64)
        store.write("binance", own, "1m", part, source)
        store.write("binance", "BTC/USDT", "1m", part, source)


def _read_until(path: Path, done: "multiprocessing.synchronize.Event") -> None:
    store = Store(path)
    seen = 0
    while True:
        last_round = done.is_set()
        have = store.read("binance", "BTC/USDT", "1m")
        assert len(have["ts"]) >= seen and len(have["ts"]) % PAGE_BARS == 0
        seen = len(have["ts"])
        if last_round:
            break
    assert seen == PAGES * PAGE_BARS


def test_two_writers_and_a_reader_take_turns(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    path = tmp_path / "bars.duckdb"
    done = context.Event()
    # Both write the same series too, the second beginning at its other end.
    writers = [
        context.Process(target=_write_pages, args=(path, "ETH/USDT", list(range(PAGES)))),
        context.Process(target=_write_pages, args=(path, "SOL/USDT", list(range(PAGES))[::-1])),
    ]
    reader = context.Process(target=_read_until, args=(path, done))
    for process in (*writers, reader):
        process.start()
    for writer in writers:
        writer.join()
    done.set()
    reader.join()
    assert [process.exitcode for process in (*writers, reader)] == [0, 0, 0]
    store = Store(path)
    for symbol in ("BTC/USDT", "ETH/USDT", "SOL/USDT"):
        assert_same(store.read("binance", symbol, "1m"), minutes(PAGES * PAGE_BARS))
    # Each page of the shared series was stored by one of the two and recognised by the other.
    assert len([i for i in store.imports() if i.key.symbol == "BTC/USDT"]) == PAGES

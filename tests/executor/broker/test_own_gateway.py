"""The example of a venue that ccxt lacks trades at the local exchange, through the daemon's own way of reading it."""

from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from executor.broker.exchange import Keys
from executor.own_gateway import read_gateway
from tests.exchange.venues import GATE_KEY
from tests.executor.live import loop
from tests.executor.live.scenarios import closed_whole
from tests.executor.live.session import Session, session
from toolkit.errors import InputError

EXAMPLE = Path(__file__).parents[3] / "docs" / "examples" / "own_gateway.py"
KEYS = Keys(GATE_KEY.key, GATE_KEY.secret)


def run(folder: Path, play: Callable[[Session], Awaitable[None]]) -> None:
    async def whole() -> None:
        async with session(folder, "gate spot") as s:
            s.make_gateway = lambda: read_gateway(EXAMPLE, KEYS, {"url": f"http://{s.front.host}"})
            await play(s)

    loop.play(whole())


def test_a_trade_ends_at_the_stop_that_the_daemon_watches(tmp_path: Path) -> None:
    async def play(s: Session) -> None:
        async with s.trading():
            await s.bar()
            await s.bar(enter=True)
            await s.until(lambda: s.trade())
            assert s.held == pytest.approx(0.01998) and not s.stops
            await s.trade_at(48_950.0)
            await closed_whole(s)
            assert s.entries == 1
            assert s.trade()["exit_price"] == pytest.approx(48_950.0, rel=0.01)

    run(tmp_path, play)


def test_a_lost_answer_is_one_order(tmp_path: Path) -> None:
    async def play(s: Session) -> None:
        async with s.trading():
            await s.bar()
            s.fault("lost_response", "POST", times=1)
            await s.bar(enter=True)
            await s.until(lambda: s.trade())
            await s.bar(leave=True)
            await closed_whole(s)
            assert s.entries == 1

    run(tmp_path, play)


def test_funds_that_are_not_there_are_a_refusal(tmp_path: Path) -> None:
    async def play(s: Session) -> None:
        async with s.trading():
            await s.bar()
            s.venue.withdraw("USDT", 9_950.0)
            await s.bar(enter=True)
            await s.until(lambda: s.ledger.value("SELECT count(*) FROM orders WHERE status = 'REJECTED'"))
            assert s.entries == 0 and not s.trade()

    run(tmp_path, play)


def test_a_position_that_a_person_closed_is_booked(tmp_path: Path) -> None:
    async def play(s: Session) -> None:
        async with s.trading():
            await s.bar()
            await s.bar(enter=True)
            await s.until(lambda: s.trade())
            s.sell_by_hand()
            await s.pass_secs(8.0)
            await s.look()
            await s.until(s.is_over)
            assert s.ledger.value("SELECT count(*) FROM venue_orders WHERE client_id LIKE 'hand-%'") == 1

    run(tmp_path, play)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (None, "must be a Python file, and"),
        ("make = 1", r"has no make_gateway\(keys, options\)"),
        ("raise OSError('no disk')", "fails: OSError: no disk"),
    ],
)
def test_a_file_that_is_no_gateway_is_refused(tmp_path: Path, text: str | None, said: str) -> None:
    file = tmp_path / "mine.py"
    if text is not None:
        file.write_text(text)
    with pytest.raises(InputError, match=said):
        read_gateway(file, KEYS, {})

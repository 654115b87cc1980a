"""What goes wrong at a venue, a scenario each, and what must be so by the venue's own records."""

from collections.abc import Awaitable, Callable
from typing import NamedTuple

from executor.sandbox.book import NewOrder
from tests.executor.live.session import KINDS, Session
from toolkit.engine.types import ExitReason

SPOT = KINDS[:2]
Play = Callable[[Session], Awaitable[str]]


class Scenario(NamedTuple):
    """play : raises AssertionError where it goes wrong, else says how it ended. bare_secs : allowed without a stop."""

    name: str
    kinds: tuple[str, ...]
    bare_secs: float
    play: Play


SCENARIOS: list[Scenario] = []


def scenario(name: str, kinds: tuple[str, ...] = KINDS, bare_secs: float = 3.0) -> Callable[[Play], Play]:
    def keep(play: Play) -> Play:
        SCENARIOS.append(Scenario(name, kinds, bare_secs, play))
        return play

    return keep


async def closed_whole(s: Session) -> None:
    """The trade is over, nothing is held beyond dust, nothing of ours waits, and the money is what the venue says."""
    await s.until(s.is_over)
    least = max(s.listing.lot, s.listing.min_qty) * s.listing.contract_size
    await s.until(lambda: s.held < least and not s.venue.triggers(s.symbol) and not s.venue.open_orders(s.symbol))
    held = (s.venue.balances("swap") if s.is_swap else s.venue.balances())["USDT"].total
    assert abs(float(s.engine.account.ledger.money[0]) - held) < 1e-6


@scenario("none: a trade to its stop")
async def to_its_stop(s: Session) -> str:
    async with s.trading():
        await s.open_trade()
        assert s.held == s.trade()["qty"] and abs(s.held - 0.02) < 0.0002
        assert (s.covered(), s.stops[0].trigger_price) == (s.held, 49_000.0)
        await s.trade_at(48_990.0)
        await closed_whole(s)
        assert s.trade()["exit_reason"] == ExitReason.STOP and abs(s.trade()["exit_price"] - 48_990.0) < 500.0
    return "the stop is for what is held, and fires"


@scenario("none: a trade to its exit signal")
async def to_its_signal(s: Session) -> str:
    async with s.trading():
        await s.open_trade()
        await s.bar(50_400.0, leave=True)
        await closed_whole(s)
        assert s.trade()["exit_reason"] == ExitReason.SIGNAL and s.entries == 1
        if s.is_swap:
            said = [entry.verb for entry in s.venue.log if entry.verb in ("place", "cancel trigger")]
            assert said.index("cancel trigger") > said.index("place", said.index("place") + 1)
    return "closed; where nothing is locked, the stop goes after the fill"


@scenario("stopped and started with a trade open")
async def started_again(s: Session) -> str:
    async with s.trading():
        await s.open_trade()
        before = [one.id for one in s.stops]
    async with s.trading():
        await s.bar(50_010.0)
        await s.pass_secs(3.0)
        assert [one.id for one in s.stops] == before
        await s.trade_at(48_000.0)
        await closed_whole(s)
    return "the same stop, nothing sent"


@scenario("response lost on an entry")
async def lost_answer(s: Session) -> str:
    async with s.trading():
        await s.bar()
        s.fault("lost_response", "POST", times=1)
        await s.bar(enter=True)
        await s.until(lambda: s.trade() and s.stops)
        assert s.entries == 1
    return "one order, found by its client id"


@scenario("request lost on an entry")
async def lost_request(s: Session) -> str:
    async with s.trading():
        await s.bar()
        s.fault("lost_request", "POST", times=1)
        await s.bar(enter=True)
        await s.until(lambda: s.ledger.value("SELECT count(*) FROM venue_orders WHERE seen = 'ABSENT'"))
        await s.pass_secs(5.0)
        assert s.entries == 0 and not s.trade() and s.held == 0.0
    return "no order, the signal is refused as absent"


@scenario("killed between submit and acknowledgement", bare_secs=10.0)
async def killed(s: Session) -> str:
    async with s.trading(dies=True):
        await s.bar()
        s.fault("slow", "POST", times=1, secs=1.0)
        await s.bar(enter=True)
        await s.until(lambda: s.ledger.value("SELECT count(*) FROM venue_orders WHERE sent_ms IS NOT NULL"))
    s.faults.clear()
    async with s.trading():
        await s.until(lambda: (s.trade() and s.stops) or (s.entries == 0 and _absent(s)))
        await s.pass_secs(5.0)
        assert s.entries <= 1 and (s.held > 0.0) == bool(s.trade())
    return "one order, adopted after the restart"


def _absent(s: Session) -> bool:
    return bool(s.ledger.value("SELECT count(*) FROM venue_orders WHERE seen = 'ABSENT'"))


@scenario("partial fill of an entry, then its end")
async def partial(s: Session) -> str:
    async with s.trading():
        await s.bar()
        s.venue.set_matching(depth={s.symbol: 0.005 / s.listing.contract_size})
        await s.bar(enter=True)
        await s.until(
            lambda: s.trade() and s.stops and abs(s.covered() - s.held) <= s.listing.lot * s.listing.contract_size
        )
        await s.pass_secs(3.0)
        step = s.listing.lot * s.listing.contract_size
        assert 0.0 < s.held < 0.019 or s.is_swap
        assert s.held - step <= s.covered() <= s.held + 1e-12
    return "the stop is for what is held, net of fees"


@scenario("stop fires and fails")
async def fails(s: Session) -> str:
    async with s.trading():
        await s.open_trade()
        s.fault("trigger_fails", s.symbol, times=1)
        await s.trade_at(48_900.0)
        await closed_whole(s)
    return "sold at the market"


@scenario("stop-limit gapped through", ("gate spot",))
async def gapped(s: Session) -> str:
    async with s.trading():
        await s.open_trade()
        await s.trade_at(45_000.0)
        await closed_whole(s)
        assert s.trade()["exit_price"] < 45_500.0
    return "the limit is cancelled, sold at the market"


@scenario("stop fires, target waits")
async def sibling(s: Session) -> str:
    async with s.trading():
        await s.open_trade()
        await s.until(lambda: len(s.venue.triggers(s.symbol)) + len(s.venue.open_orders(s.symbol)) == 2)
        await s.trade_at(48_950.0)
        await closed_whole(s)
    return "the target is cancelled"


@scenario("stop cancelled by hand")
async def hand_cancel(s: Session) -> str:
    async with s.trading():
        await s.open_trade()
        gone = s.stops[0].id
        s.venue.cancel_trigger(gone)
        await s.until(lambda: s.stops and s.stops[0].id != gone)
    return "another stop is there"


@scenario("clock 90 s off")
async def skew(s: Session) -> str:
    async with s.trading():
        await s.bar()
        s.fault("skew", ms=90_000)
        await s.bar(enter=True)
        await s.until(lambda: s.trade() and s.stops)
        assert s.entries == 1
        s.faults.clear()
        await s.bar(leave=True)
        await closed_whole(s)
    return "set right, one order each"


@scenario("three rate-limit refusals")
async def busy(s: Session) -> str:
    async with s.trading():
        await s.bar()
        s.fault("rate_limit", "POST", times=3, secs=1.0)
        await s.bar(enter=True)
        await s.until(lambda: s.trade() and s.stops)
        assert s.entries == 1
    return "waited, one order"


@scenario("socket mute", bare_secs=25.0)
async def mute(s: Session) -> str:
    async with s.trading():
        await s.bar()
        s.fault("socket_mute")
        await s.bar(enter=True)
        await s.until(lambda: s.trade() and s.stops)
        assert s.entries == 1
    return "noticed, asked over REST"


@scenario("socket dropped")
async def drop(s: Session) -> str:
    async with s.trading():
        await s.open_trade()
        s.fault("socket_drop")
        await s.pass_secs(3.0)
        await s.trade_at(48_950.0)
        await closed_whole(s)
    return "opened anew, nothing missed"


@scenario("venue down for ten minutes with a trade open")
async def down(s: Session) -> str:
    async with s.trading():
        await s.open_trade()
        s.fault("down", secs=600.0)
        await s.pass_secs(300.0)
        await s.trade_at(48_950.0)
        await s.pass_secs(310.0)
        await closed_whole(s)
    return "the stop fired at the venue, learned when it was back"


@scenario("hand-placed order")
async def foreign(s: Session) -> str:
    async with s.trading():
        side = "" if not s.venue.hedge else "long"
        mine = s.venue.place(
            NewOrder(s.symbol, "buy", "limit", 100.0 if s.is_swap else 0.001, 30_000.0, position_side=side)
        )
        await s.open_trade()
        await s.look()
        assert mine.id in [one.id for one in s.venue.open_orders(s.symbol)]
        said = s.ledger.value("SELECT count(*) FROM reconciliations WHERE action = 'foreign order'")
        assert said
    return "reported and left alone"


@scenario("position closed by hand", bare_secs=30.0)
async def hand_close(s: Session) -> str:
    async with s.trading():
        await s.open_trade()
        s.sell_by_hand()
        await s.pass_secs(8.0)
        await s.look()
        await closed_whole(s)
        await s.look()
        (hand,) = s.ledger.rows("SELECT venue_id FROM venue_orders WHERE client_id LIKE 'hand-%'")
        theirs = next(one for one in s.venue.finished(s.symbol) if one.id == hand["venue_id"])
        assert abs(s.trade()["exit_price"] / (theirs.cost / theirs.filled / s.listing.contract_size) - 1.0) < 1e-9
    return "booked at its price, the rest cancelled"


@scenario("insufficient funds")
async def funds(s: Session) -> str:
    async with s.trading():
        await s.bar()
        s.venue.withdraw("USDT", 9_950.0, "swap" if s.is_swap else "spot")
        await s.bar(enter=True)
        await s.until(lambda: s.ledger.value("SELECT count(*) FROM orders WHERE status = 'REJECTED'"))
        assert s.entries == 0 and not s.trade()
    return "refused, with the venue's word"


@scenario("symbol halted")
async def halted(s: Session) -> str:
    async with s.trading():
        await s.bar()
        s.venue.set_status(s.symbol, "halted")
        await s.bar(enter=True)
        await s.until(lambda: s.ledger.value("SELECT count(*) FROM orders WHERE status = 'REJECTED'"))
        assert s.entries == 0 and s.held == 0.0
    return "refused, with the venue's word"

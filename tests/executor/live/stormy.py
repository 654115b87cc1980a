"""Random faults, hands, prices and crashes through ccxt and sockets, judged by the venue's own records."""

import random

from executor.ledger import Ledger
from tests.executor.live.session import Session
from tests.soak.checks import compare
from tests.soak.storm import Storm
from tests.soak.street import records
from toolkit.errors import VenueError

LIVES, BARS = 3, 3
# A stop has ten seconds while the venue answers; news that was lost comes by the poll ten seconds later.
BARE_SECS = 25.0


async def sequence(s: Session, seed: int) -> list[str]:
    """What is wrong in the end."""
    draw = random.Random(seed)
    storm = Storm(s.venue, s.faults, seed, s.clock() - 50_000, gap_secs=15.0)
    price = 50_000.0
    for _life in range(LIVES):
        try:
            async with s.trading(dies=draw.random() < 0.5):
                for _ in range(BARS):
                    price *= draw.choice((0.97, 0.985, 0.995, 1.0, 1.0, 1.005, 1.015, 1.03))
                    await s.bar(price, enter=draw.random() < 0.7, leave=draw.random() < 0.15)
                    for _ in range(draw.randrange(4)):
                        storm.blow(s.clock())
                        await s.pass_secs(draw.choice((0.05, 0.5, 3.0, 15.0)))
        except VenueError:
            await _wait(s, 20.0)
    wrong = await _calm(s)
    return [*wrong, *_bare(s, storm, dust(s))]


def dust(s: Session) -> float:
    """Base units: each trade may leave less than can be sold."""
    least = max(s.listing.lot, s.listing.min_qty) * s.listing.contract_size
    return least * max(1, s.entries)


async def _wait(s: Session, secs: float) -> None:
    """The daemon is down, and the market goes on."""
    until = s.clock() + 1000 * secs
    while s.clock() < until:
        await s.only_market(0.1)


async def _calm(s: Session) -> list[str]:
    """All faults end, and all is over."""
    s.faults.clear()
    s.venue.set_matching(depth={})
    async with s.trading():
        await s.pass_secs(90.0)
        await s.look()
        await s.bar(s.venue.last_price(s.symbol), leave=True)
        await s.pass_secs(60.0)
        await s.look()
        await s.pass_secs(10.0)
    with Ledger.open(s.path) as book:
        ours = {row["client_id"]: dict(row) for row in book.rows("SELECT * FROM venue_orders")}
        trades = book.rows("SELECT * FROM trades")
        waits = [row["client_id"] for row in book.rows("SELECT client_id FROM venue_orders WHERE seen = 'UNKNOWN'")]
    sizes = {name: one.contract_size for name, one in s.venue.listings.items()}
    wrong = compare(records(s.venue, s.guard, None, s.faults), ours, sizes)
    wrong += [f"trade {row['trade_id']} is still open" for row in trades if row["status"] != "CLOSED"]
    wrong += [f"it is not known what became of {name}" for name in waits]
    if s.held >= dust(s):
        wrong.append(f"{s.held} is held")
    names = [one.client_id for one in s.venue.triggers(s.symbol)] + [
        one.client_id for one in s.venue.open_orders(s.symbol)
    ]
    return wrong + [f"order {name} still waits" for name in names if "ls-" in name]


def _bare(s: Session, storm: Storm, dust: float) -> list[str]:
    """Times without a stop beyond what was stated, the times apart in which nobody could do anything about it."""
    wrong = []
    for one in s.guard.found:
        if one.qty * s.listing.contract_size < dust:
            continue
        until = one.until_ms or s.clock()
        able = (until - one.from_ms - sum(_overlap(one.from_ms, until, *span) for span in s.helpless)) / 1000
        if able > BARE_SECS:
            wrong.append(f"without a stop for {able:.1f} s from {one.from_ms}, {storm.struck}")
    return wrong


def _overlap(a: int, b: int, c: int, d: int) -> int:
    return max(0, min(b, d) - max(a, c))

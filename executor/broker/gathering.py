"""Both sides of a reconciliation: the ledger's read, the venue's asked for."""

import asyncio
import json
import math
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TypeVar

import numpy as np

from executor.broker.base import Kind
from executor.broker.holdings import short_symbols
from executor.broker.kept import Kept
from executor.broker.reconcile import reconcile, to_find
from executor.broker.tickets import OURS
from executor.broker.venue import Gateway, Listed, Seen, Ticket, Type, UnreachableVenueError, Word
from executor.broker.views import Action, Ours, Placed, Terms, Theirs, Tolerance
from executor.ledger import Ledger, Row, number
from toolkit.engine.account import CASH
from toolkit.errors import LockstepError

_LIMIT_SECS = 30.0
_AT_ONCE = 4
_T = TypeVar("_T")

_SYMBOLS = """
SELECT DISTINCT i.symbol FROM instances AS i JOIN deployments AS d ON d.id = i.deployment
WHERE d.state != 'retired' ORDER BY 1
"""
# Beside those that something may be said about: what began since, and what the venue lists.
_TRADES_OF = """
SELECT trade_id FROM venue_orders WHERE client_id IN (SELECT value FROM json_each(?))
UNION SELECT trade_id FROM venue_orders WHERE seen IN ('NEW', 'UNKNOWN', 'OPEN', 'FIRED')
UNION SELECT trade_id FROM trades WHERE status = 'ACTIVE' ORDER BY 1
"""
_PLACED = """
SELECT * FROM venue_orders WHERE trade_id IN (SELECT value FROM json_each(?)) ORDER BY created_ms, rowid
"""
_WANTED = "SELECT order_id FROM orders WHERE status IN ('NEW', 'OPEN') ORDER BY order_id"
_CLOSED = """
SELECT trade_id FROM trades WHERE status = 'CLOSED' AND trade_id IN (SELECT value FROM json_each(?)) ORDER BY trade_id
"""
_NUMBERS = """
SELECT value FROM json_each(?) WHERE value IN (SELECT venue_id FROM venue_orders)
OR value IN (SELECT fired_id FROM venue_orders) ORDER BY value
"""
_HALTED = "SELECT symbol, reason FROM symbol_halts WHERE until_ms IS NULL ORDER BY symbol"
_CAPITAL = "SELECT total(CASE kind WHEN 'withdrawal' THEN -abs(amount) ELSE amount END) FROM cash_flows"
_UNTOLD = """
SELECT count(*) FROM (SELECT trade_id, sum(filled) AS qty FROM venue_orders
    WHERE trade_id IN (SELECT value FROM json_each(?)) GROUP BY trade_id) AS v
LEFT JOIN (SELECT trade_id, sum(abs(qty)) AS qty FROM fills
    WHERE trade_id IN (SELECT value FROM json_each(?)) GROUP BY trade_id) AS f USING (trade_id)
WHERE v.qty > coalesce(f.qty, 0) * 1.000001
"""


async def compare(
    ledger: Ledger, gateway: Gateway, symbols: Iterable[str], tolerance: Tolerance, clock: Callable[[], int]
) -> list[Action]:  # fmt: skip
    """Ask the venue, look up what it lists no more, and say what differs; nothing is changed.

    Parameters
    ----------
    gateway : open for `symbols`, and for those of every trade that is not settled. clock : epoch ms.

    Raises
    ------
    UnreachableVenueError : the venue did not answer.
    """
    trades, symbols = Kept(ledger).unsettled(), list(symbols)
    theirs = await _ask(gateway, read_ours(ledger, symbols, trades), clock)
    names = [one.client_id for one in theirs.listed if one.client_id.startswith(OURS)]
    ours = read_ours(ledger, symbols, trades, names)
    theirs = replace(theirs, found=await _find(gateway, to_find(ours, theirs)))
    short = short_symbols(ours, theirs, tolerance)
    numbers: list[str] = []
    if short:
        theirs = await _explain(gateway, ours, theirs, short)
        numbers = [one.venue_id for rows in theirs.traded.values() for one in rows]
    # What was heard meanwhile counts.
    return reconcile(read_ours(ledger, symbols, trades, names, numbers), theirs, tolerance)


def traded_symbols(ledger: Ledger) -> list[str]:
    """What the ledger's deployments trade, and what trades that are not settled are of."""
    trades = json.dumps(Kept(ledger).unsettled())
    placed = [row["symbol"] for row in ledger.rows(_PLACED, (trades,))]
    return list(dict.fromkeys([*(row["symbol"] for row in ledger.rows(_SYMBOLS)), *placed]))


def read_ours(
    ledger: Ledger, symbols: Iterable[str], unsettled: Sequence[str], names: Sequence[str] = (),
    numbers: Sequence[str] = (),
) -> Ours:  # fmt: skip
    """The ledger's side.

    Parameters
    ----------
    symbols : that are traded. unsettled : trades, see `Kept.unsettled`, which is slow on a long ledger.
    names : client ids that the venue lists. numbers : of orders that filled something there.
    """
    with ledger.snapshot():
        more = [row["trade_id"] for row in ledger.rows(_TRADES_OF, (json.dumps(names),))]
        trades = json.dumps(list(dict.fromkeys([*unsettled, *more])))
        found = ledger.rows(_NUMBERS, (json.dumps(numbers),)) if numbers else ()
        return Ours(
            tuple(_placed(row) for row in ledger.rows(_PLACED, (trades,))),
            frozenset(row["order_id"] for row in ledger.rows(_WANTED)),
            frozenset(row["trade_id"] for row in ledger.rows(_CLOSED, (trades,))),
            frozenset(row["value"] for row in found), tuple(symbols),
            {row["symbol"]: row["reason"] for row in ledger.rows(_HALTED)},
            ledger.meta("currency") or "USDT", float(ledger.value(_CAPITAL)), _cash(ledger, trades),
        )  # fmt: skip


def _cash(ledger: Ledger, trades: str) -> float:
    """The account's money; NaN while fills are not in it yet."""
    if ledger.value(_UNTOLD, (trades, trades)):
        return math.nan
    money = ledger.value("SELECT money FROM account")
    return float(ledger.value(_CAPITAL)) if money is None else float(np.frombuffer(money)[CASH])


async def _ask(gateway: Gateway, ours: Ours, clock: Callable[[], int]) -> Theirs:
    asked_ms, listed, prices = clock(), list[Listed](), dict[str, float]()
    held = {one.ticket.symbol for one in ours.placed}
    terms = {
        symbol: Terms(gateway.rules(symbol), gateway.capabilities(symbol))
        for symbol in dict.fromkeys([*ours.symbols, *sorted(held)])
    }
    for symbol in terms:
        listed += await _answer(gateway.orders(symbol))
    positions = await _answer(gateway.held())
    balances = await _answer(gateway.balances())
    for symbol in sorted(held):
        if terms[symbol].can.market == "swap":
            prices[symbol] = await _answer(gateway.last_price(symbol))
    return Theirs(asked_ms, terms, tuple(listed), tuple(positions), tuple(balances), prices)


async def _explain(gateway: Gateway, ours: Ours, theirs: Theirs, symbols: Sequence[str]) -> Theirs:
    """What may have sold it: orders of ours of which no word came yet, and orders of others."""
    alive = [
        one
        for one in ours.placed
        if one.ticket.symbol in symbols and not one.seen.is_final and one.ticket.client_id not in theirs.found
    ]
    found = {**theirs.found, **await _find(gateway, alive)}
    return replace(
        theirs, found=found, traded={symbol: tuple(await _answer(gateway.traded(symbol))) for symbol in symbols}
    )


async def _find(gateway: Gateway, placed: Sequence[Placed]) -> Mapping[str, Word]:
    """What the venue's history says of them; those are left out about which it gave no answer."""
    leave = asyncio.Semaphore(_AT_ONCE)

    async def one(each: Placed) -> tuple[str, Word | None]:
        async with leave:
            try:
                return each.ticket.client_id, await _answer(gateway.find(each.ticket, each.venue_id))
            except LockstepError:
                return each.ticket.client_id, None

    answers = await asyncio.gather(*(one(each) for each in placed))
    return {name: word for name, word in answers if word is not None}


async def _answer(question: Awaitable[_T]) -> _T:
    try:
        async with asyncio.timeout(_LIMIT_SECS):
            return await question
    except TimeoutError:
        raise UnreachableVenueError(f"the venue did not answer within {_LIMIT_SECS:g} s") from None


def _placed(row: Row) -> Placed:
    ticket = Ticket(
        row["client_id"], row["order_id"], row["trade_id"], Kind(row["kind"]), row["symbol"], row["side"],
        row["position"], Type(row["type"]), row["qty"], number(row["price"]), number(row["trigger_price"]),
        bool(row["reduce_only"]), row["created_ms"],
    )  # fmt: skip
    fees = None if row["fees"] is None else json.loads(row["fees"])
    return Placed(
        ticket, Seen(row["seen"]), row["filled"], number(row["fill_price"]), fees, row["venue_id"], row["fired_id"],
        row["changed_ms"],
    )  # fmt: skip

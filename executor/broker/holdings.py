"""What is held at a venue against what our open trades hold, and the account's money.

On a spot market what is held is the whole balance of the base currency, which may hold coins that are not ours: more is
no fault, less is. A swap's one net position knows no owner: whatever our trades do not explain contradicts them.
"""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from executor.broker.settling import bookings
from executor.broker.tickets import Sent
from executor.broker.trade import Market, Trade
from executor.broker.venue import Held, Type
from executor.broker.views import Action, Ours, Terms, Theirs, Tolerance, What

_S = TypeVar("_S", Held, Trade)


@dataclass(frozen=True)
class Group:
    """What the venue counts as one: a base currency, a swap's net position, or one side of it.

    Attributes
    ----------
    symbols : of it, the first one named in actions. name : for people.
    ours, theirs : base units, above 0 = long. least : less cannot be sold. near : less is no difference.
    trades : what each open trade holds of it, above 0 = of its own side. waits : why it cannot be compared now, "" = it
        can.
    """

    symbols: tuple[str, ...]
    name: str
    market: str
    is_net: bool
    ours: float
    theirs: float
    least: float
    near: float
    trades: Mapping[str, float]
    waits: str

    @property
    def short(self) -> float:
        """How much less is held than our trades hold; 0 where it is not so, or the sides contradict each other."""
        missing = abs(self.ours) - abs(self.theirs)
        is_same_side = self.ours * self.theirs >= 0.0
        return missing if is_same_side and missing > self.near else 0.0


def groups(ours: Ours, theirs: Theirs, known: Mapping[str, Sent], tolerance: Tolerance) -> Iterator[Group]:
    """Everything that is held, by us or at the venue, as the venue counts it."""
    trades = _trades(known)
    held, by_symbol = _by_symbol(theirs.held), _by_symbol(trades.values())
    mine = {name: _held(trade, theirs.terms, ours.closed) for name, trade in trades.items()}
    keys: dict[tuple[str, str], list[str]] = {}
    for symbol in dict.fromkeys([*ours.symbols, *by_symbol, *held]):
        if symbol in theirs.terms:
            for key in _keys(symbol, theirs.terms[symbol]):
                keys.setdefault(key, []).append(symbol)
    for (_, side), symbols in keys.items():
        terms = theirs.terms[symbols[0]]
        inside = [one for symbol in symbols for one in by_symbol.get(symbol, ()) if side in ("", one.position)]
        found = [
            one.qty
            for symbol in symbols
            for one in held.get(symbol, ())
            if side in ("", "long" if one.qty > 0.0 else "short")
        ]
        spot = terms.can.market == "spot"
        # Every pair with the same base shows the same balance.
        total = max(found, default=0.0) if spot else math.fsum(found)
        tickets = [one for trade in inside for one in trade.sent.values()]
        lot = max(theirs.terms[symbol].rules.lot_step for symbol in symbols)
        net = math.fsum(mine[one.trade_id] * (1.0 if one.position == "long" else -1.0) for one in inside)
        yield Group(
            tuple(symbols), symbols[0].partition("/")[0] if spot else " ".join(filter(None, (symbols[0], side))),
            terms.can.market, not spot and not side,
            # More sold than bought is no coin less than none; the desk buys it back.
            max(net, 0.0) if spot else net, total,
            min(_least(theirs.terms[symbol]) for symbol in symbols),
            tolerance.lots * lot + _unsaid(tickets, terms),
            {one.trade_id: mine[one.trade_id] for one in inside if mine[one.trade_id] > 0.0},
            _waits(tickets, theirs.asked_ms, tolerance),
        )  # fmt: skip


def short_symbols(ours: Ours, theirs: Theirs, tolerance: Tolerance) -> list[str]:
    """Symbols of which less is held than our trades hold: how that came is to be looked up."""
    known = {one.ticket.client_id: one.sent() for one in ours.placed}
    for sent in known.values():
        word = theirs.found.get(sent.ticket.client_id)
        if word is not None:
            sent.hear(word, theirs.asked_ms)
    return [symbol for group in groups(ours, theirs, known, tolerance) if group.short for symbol in group.symbols]


def compare_held(ours: Ours, theirs: Theirs, known: Mapping[str, Sent], tolerance: Tolerance) -> Iterator[Action]:
    """What of it differs, and what follows. known : tickets that have heard all that the venue says."""
    for one in theirs.held:
        if one.symbol not in theirs.terms and one.qty:
            text = f"{one.qty:g} of {one.symbol} is held at the venue; it is not traded here and is left alone"
            yield Action(What.FOREIGN_POSITION, one.symbol, text)
    for group in groups(ours, theirs, known, tolerance):
        difference = group.theirs - group.ours
        if abs(difference) <= group.near:
            continue
        figures = f"the venue holds {group.theirs:g} of {group.name}, our open trades {group.ours:g}"
        if group.waits:
            yield Action(What.WAITS, group.symbols[0], f"{figures}; {group.waits}")
        elif group.short:
            yield from _short(group, figures, ours, theirs)
        elif group.is_net or group.ours * group.theirs < 0.0:
            yield from _contradicted(group, figures)
        elif abs(difference) >= group.least:
            yield _more(group, figures)


def compare_balances(ours: Ours, theirs: Theirs, known: Mapping[str, Sent], tolerance: Tolerance) -> Iterator[Action]:
    """Money, while nothing else is open to question."""
    totals = {one.currency: one.total for one in theirs.balances}
    if not math.isnan(ours.cash):
        low, high = _expected(ours, theirs, known)
        total, slack = totals.get(ours.currency, 0.0), tolerance.balance_share * ours.capital
        figures = (
            f"the venue has {total:,.2f} {ours.currency}, the ledger expects {low:,.2f} "
            f"(allocated {ours.capital:,.2f}, tolerance {slack:,.2f})"
        )
        if total < low - slack:
            text = f"{figures}: {low - total:,.2f} is missing; a withdrawal is told by: executor withdraw AMOUNT"
            yield Action(What.DRIFT, "", text)
        elif total > high + slack:
            yield Action(What.FOREIGN_BALANCE, "", f"{figures}: {total - high:,.2f} is not ours and is left alone")
    bases = {symbol.partition("/")[0] for symbol in theirs.terms}
    others = [f"{total:g} {name}" for name, total in totals.items() if total and name not in {ours.currency, *bases}]
    if others:
        yield Action(What.FOREIGN_BALANCE, "", f"the account also has {', '.join(others)}: not ours, left alone")


def _short(group: Group, figures: str, ours: Ours, theirs: Theirs) -> Iterator[Action]:
    found = bookings(group.symbols, group.trades, group.short, group.near, group.least, ours, theirs)
    if isinstance(found, str):
        text = f"{figures}: {group.short:g} is missing, and {found}"
        yield from (Action(What.HALT, symbol, text) for symbol in group.symbols)
        return
    numbers = ", ".join(dict.fromkeys(f"{one.word.venue_id} at {one.word.price:g}" for one in found))
    whose = ", ".join(dict.fromkeys(one.trade_id for one in found))
    text = f"{figures}: {group.short:g} was closed by hand, by order {numbers}; it is booked on {whose}"
    yield Action(What.SHORT, group.symbols[0], text, bookings=found)


def _contradicted(group: Group, figures: str) -> Iterator[Action]:
    """One net position, which is not what ours makes: orders of ours would change what is not ours."""
    symbol = group.symbols[0]
    if abs(group.ours) <= group.near:
        yield Action(What.FOREIGN_POSITION, symbol, f"{figures}: it is not ours and is left alone")
    elif group.ours * group.theirs > 0.0:
        yield _more(group, figures)
    yield Action(What.HALT, symbol, f"{figures}, and {symbol} has one net position: no order of ours fits that")


def _more(group: Group, figures: str) -> Action:
    if abs(group.ours) > group.near:
        more = abs(group.theirs) - abs(group.ours)
        return Action(What.MORE, group.symbols[0], f"{figures}: {more:g} is not ours and is left alone")
    what = What.FOREIGN_BALANCE if group.market == "spot" else What.FOREIGN_POSITION
    return Action(what, group.symbols[0], f"{figures}: it is not ours and is left alone")


def _by_symbol(rows: Iterable[_S]) -> dict[str, list[_S]]:
    found: dict[str, list[_S]] = {}
    for one in rows:
        found.setdefault(one.symbol, []).append(one)
    return found


def _trades(known: Mapping[str, Sent]) -> dict[str, Trade]:
    found: dict[str, Trade] = {}
    for name, sent in known.items():
        ticket = sent.ticket
        trade = found.setdefault(ticket.trade_id, Trade(ticket.trade_id, ticket.symbol, ticket.position))
        trade.sent[name] = sent
    return found


def _held(trade: Trade, terms: Mapping[str, Terms], closed: frozenset[str]) -> float:
    """As the desk counts it; what a closed trade left because it could not be sold is nobody's."""
    if trade.symbol not in terms:
        return 0.0
    qty = trade.held(Market(*terms[trade.symbol], price=math.nan, is_up=True, up_ms=0.0))
    return 0.0 if trade.trade_id in closed and abs(qty) < _least(terms[trade.symbol]) else qty


def _keys(symbol: str, terms: Terms) -> Sequence[tuple[str, str]]:
    if terms.can.market == "spot":
        return ((symbol.partition("/")[0], ""),)
    return ((symbol, "long"), (symbol, "short")) if terms.can.hedge else ((symbol, ""),)


def _least(terms: Terms) -> float:
    return max(terms.rules.lot_step, terms.rules.min_qty) * (1.0 - 1e-9)


def _unsaid(tickets: Sequence[Sent], terms: Terms) -> float:
    """Base units that fees may have taken, of fills that the venue has not named the fees of."""
    if terms.can.market != "spot":
        return 0.0
    return terms.rules.taker * math.fsum(one.filled for one in tickets if one.lacks_fees)


def _waits(tickets: Sequence[Sent], asked_ms: int, tolerance: Tolerance) -> str:
    """Why what is held is not to be judged at this moment."""
    for one in tickets:
        name = f"{one.ticket.kind.value} {one.ticket.client_id}"
        secs = (asked_ms - (one.changed_ms or one.ticket.created_ms)) / 1000
        if one.is_unknown:
            return f"the outcome of {name} is not known yet"
        fills_now = one.ticket.type is Type.MARKET or one.is_leaving_now
        if not one.is_final and fills_now and secs <= tolerance.filling_secs:
            return f"{name} is being filled"
        if one.filled and secs <= tolerance.fresh_secs:
            return f"{name} was filled a moment ago"
    return ""


def _expected(ours: Ours, theirs: Theirs, known: Mapping[str, Sent]) -> tuple[float, float]:
    """Money of the account's currency that the venue should show, at least and at most.

    The ledger pays for a position as for coins; a swap's margin account does not, and some venues add its open profit.
    """
    paid = profit = 0.0
    for trade in _trades(known).values():
        terms = theirs.terms.get(trade.symbol)
        if terms is None or terms.can.market == "spot":
            continue
        qty = _held(trade, theirs.terms, ours.closed) * (1.0 if trade.position == "long" else -1.0)
        entries = [one for one in trade.sent.values() if one.filled and one.ticket.side == trade.entry_side]
        bought = math.fsum(one.filled for one in entries)
        if not bought:
            continue
        mean = math.fsum(one.filled * one.price for one in entries) / bought
        paid += qty * mean
        profit += qty * (theirs.prices.get(trade.symbol, mean) - mean)
    return ours.cash + paid + min(profit, 0.0), ours.cash + paid + max(profit, 0.0)

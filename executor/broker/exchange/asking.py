"""A venue's rules of symbols, asked for without a key: what a deployment freezes."""

from collections.abc import Mapping, Sequence
from typing import Any

from executor.broker.exchange.known import quirks_of
from executor.broker.exchange.markets import Market
from executor.broker.exchange.session import Keys, Session
from executor.broker.venue import Rules


async def ask_rules(venue: str, symbols: Sequence[str], options: Mapping[str, Any]) -> dict[str, Rules]:
    """Rules by symbol, as the venue says them now.

    Raises
    ------
    UnknownNameError : the venue is not known, or does not trade a symbol. UnreachableVenueError : no answer.
    """
    quirks = {symbol: quirks_of(venue, symbol) for symbol in symbols}
    session = Session(venue, Keys("", ""), symbols, options)
    try:
        await session.load_markets()
        return {symbol: Market(session.rest.markets[symbol], quirks[symbol]).rules() for symbol in symbols}
    finally:
        await session.close()

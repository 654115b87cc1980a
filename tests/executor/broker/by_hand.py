"""The fake venue with a person at it: orders that are not ours, and what they filled."""

import asyncio
import math
from collections.abc import Sequence

from executor.broker.venue import Balance, Capabilities, Held, Listed, Seen, Type
from tests.executor.broker.fake_venue import FakeVenue


class HandVenue(FakeVenue):
    """others : foreign orders, open or filled; history : what `traded` gives. hidden : client ids that are nowhere."""

    def __init__(self, loop: asyncio.AbstractEventLoop, markets: dict[str, Capabilities], **given: object) -> None:
        super().__init__(loop, markets, **given)  # type: ignore[arg-type]
        self.others: list[Listed] = []
        self.history: list[Listed] = []
        self.sides: dict[tuple[str, str], float] = {}

    async def orders(self, symbol: str) -> Sequence[Listed]:
        found = list(await super().orders(symbol))
        return found + [one for one in self.others if one.symbol == symbol]

    async def traded(self, symbol: str) -> Sequence[Listed]:
        own = [one for one in self.records if one.filled and one.ticket.symbol == symbol]
        mine = [
            foreign(one.fired_id or one.id, symbol, one.ticket.side, one.filled, one.cost / one.filled, one.changed_ms)
            for one in own
        ]
        return await self._question("traded", lambda: [*mine, *(one for one in self.history if one.symbol == symbol)])

    async def balances(self) -> Sequence[Balance]:
        coins = [Balance(name, qty, qty) for name, qty in self.coins.items()]
        return [*await super().balances(), *coins]

    def everything(self) -> list[Held]:
        return [one for one in super().everything() if one.qty]

    def place(self, symbol: str, side: str, qty: float, price: float) -> Listed:
        """A limit order by hand."""
        one = foreign(f"x{len(self.others)}", symbol, side, qty, price, self.now_ms(), seen=Seen.OPEN)
        self.others.append(one)
        return one

    def trade(self, symbol: str, side: str, qty: float, *, coins: bool = True) -> Listed:
        """A market order by hand, filled."""
        price, sign = self.prices[symbol], 1.0 if side == "buy" else -1.0
        if self.markets[symbol].market == "swap":
            self.positions[symbol] += sign * qty
        elif coins:
            self.coins[symbol.partition("/")[0]] += sign * qty
        one = foreign(f"h{len(self.history)}", symbol, side, qty, price, self.now_ms())
        self.history.append(one)
        return one


def foreign(
    number: str, symbol: str, side: str, qty: float, price: float, ts_ms: int, *, seen: Seen = Seen.FILLED
) -> Listed:  # fmt: skip
    filled = qty if seen is Seen.FILLED else 0.0
    fees = {"USDT": qty * price * 0.002} if filled else {}
    return Listed(
        "", seen, filled, price if filled else math.nan, fees, ts_ms, number, symbol=symbol, side=side,
        type=Type.LIMIT, qty=qty, limit_price=price,
    )  # fmt: skip

"""`Account`: what the key may do, how swaps are set, and what the account holds."""

import math
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from executor.broker.exchange.markets import Market
from executor.broker.exchange.quirks import SwapSettings
from executor.broker.exchange.session import Session
from executor.broker.venue import Balance, Held, UnreachableVenueError
from toolkit.errors import VenueError


class Account:
    """One account over REST. swap : how its swaps are to be traded."""

    def __init__(self, session: Session, markets: Mapping[str, Market], swap: SwapSettings) -> None:
        self._session, self._markets, self._swap = session, markets, swap
        self._kinds = sorted({market.quirks.market for market in markets.values()})

    async def prepare(self) -> None:
        """Check the key; set and verify position mode, leverage and margin mode where swaps are traded.

        Raises
        ------
        VenueError : the key is refused, or the venue stays in another mode. UnreachableVenueError : no answer.
        """
        rest = self._session.rest
        await self._session.check_key(lambda: rest.fetch_balance({"type": self._kinds[0]}))
        swaps = [market for market in self._markets.values() if market.quirks.market == "swap"]
        if not swaps:
            return
        if swaps[0].quirks.needs_uid:
            detail = await self._session.check_key(lambda: rest.privateAccountGetDetail())
            rest.uid = self._session.stream.uid = str(detail["user_id"])
        await self._set_position_mode(swaps[0])
        for market in swaps:
            await self._set_margin(market)

    async def can_withdraw(self) -> bool | None:
        """Whether the key may take money out; None where the venue does not say."""
        rest, errors = self._session.rest, self._session.errors
        try:
            if self._session.venue == "gate":
                rows = _rows(await rest.privateAccountGetMainKeys())
                perms = [perm for row in rows if row.get("key") == rest.apiKey for perm in row.get("perms") or ()]
                if not perms:
                    return None
                return any("withdraw" in str(perm.get("name")).lower() and not perm.get("read_only") for perm in perms)
            if self._session.venue == "kucoin":
                answer = await rest.privateGetUserApiKey()
                names = {name.strip().lower() for name in str(answer["data"]["permission"]).split(",")}
                return bool(names & {"withdrawal", "withdraw", "transfer"})
            answer = await rest.sapiGetAccountApiRestrictions()
            return bool(answer["enableWithdrawals"])
        except (errors.BaseError, OSError, TypeError, ValueError, KeyError, AttributeError):
            return None

    async def held(self) -> Sequence[Held]:
        """Positions, and of spot markets what is held of the base currency, bound in orders or not."""
        found: list[Held] = []
        for kind in self._kinds:
            markets = [market for market in self._markets.values() if market.quirks.market == kind]
            quirks, rest = markets[0].quirks, self._session.rest
            if kind == "spot":
                money = await self._session.ask(quirks, "balances", partial(rest.fetch_balance, {"type": "spot"}))
                found += [
                    Held(market.symbol, total)
                    for market in markets
                    if (total := float((money.get(market.base) or {}).get("total") or 0.0))
                ]
                continue
            symbols = [market.symbol for market in markets]
            rows = await self._session.ask(quirks, "positions", partial(rest.fetch_positions, symbols))
            found += [one for row in rows if (one := self._position(row)) is not None]
        return found

    async def balances(self) -> Sequence[Balance]:
        """By currency; of spot and swap accounts together."""
        rest, sums = self._session.rest, dict[str, tuple[float, float]]()
        for kind in self._kinds:
            quirks = next(market.quirks for market in self._markets.values() if market.quirks.market == kind)
            money = await self._session.ask(quirks, "balances", partial(rest.fetch_balance, {"type": kind}))
            for currency, total in money["total"].items():
                before = sums.get(currency, (0.0, 0.0))
                free = float(money["free"].get(currency) or 0.0)
                sums[currency] = (before[0] + float(total or 0.0), before[1] + free)
        return [Balance(currency, total, free) for currency, (total, free) in sorted(sums.items()) if total or free]

    def _position(self, row: Mapping[str, Any]) -> Held | None:
        market = self._markets.get(str(row.get("symbol")))
        qty = 0.0 if market is None else market.qty(row.get("contracts"))
        if market is None or not qty:
            return None
        price = row.get("entryPrice")
        side = -1.0 if row.get("side") == "short" else 1.0
        return Held(market.symbol, side * qty, math.nan if price is None else float(price))

    async def _set_position_mode(self, market: Market) -> None:
        """Of the whole account: without hedge mode a venue refuses the second side, and with it a plain order."""
        wanted, rest = self._swap.hedge, self._session.rest
        if await self._is_hedged(market) == wanted:
            return
        try:
            await rest.set_position_mode(wanted, market.symbol)
        except self._session.errors.BaseError as error:
            raise VenueError(
                f"{market.quirks.venue} stays in {_mode(not wanted)} mode while the deployment wants {_mode(wanted)} "
                f"mode ({str(error)[:160]}); close all positions and orders of its swaps, then start again"
            ) from error
        if await self._is_hedged(market) != wanted:
            raise VenueError(f"{market.quirks.venue} did not change to {_mode(wanted)} mode; change it by hand")

    async def _is_hedged(self, market: Market) -> bool:
        rest = self._session.rest
        if market.quirks.venue == "gate":
            answer = await self._session.check_key(
                lambda: rest.privateFuturesGetSettleAccounts({"settle": market.row["settleId"]})
            )
            return str(answer["in_dual_mode"]).lower() == "true"
        answer = await self._session.check_key(lambda: rest.fetch_position_mode(market.symbol))
        return bool(answer["hedged"])

    async def _set_margin(self, market: Market) -> None:
        """Leverage and margin mode of one symbol, verified by what the venue answers."""
        rest, errors = self._session.rest, self._session.errors
        try:
            if market.quirks.venue == "gate":
                answer = await self._set_gate_margin(market)
            else:
                await self._set_margin_mode(market)
                answer = await rest.set_leverage(int(self._swap.leverage), market.symbol)
        except errors.ExchangeError as error:
            raise VenueError(
                f"{market.quirks.venue} refused {self._swap.leverage:g}x {self._swap.margin_mode} on {market.symbol} "
                f"({str(error)[:160]}); choose other settings, or close what is open there"
            ) from error
        except (errors.BaseError, OSError) as error:
            raise UnreachableVenueError(f"{market.quirks.venue} did not answer for the leverage ({error})") from error
        for row in _rows(answer):
            self._verify(market, row)

    async def _set_gate_margin(self, market: Market) -> Any:
        """Gate's one call sets both: leverage 0 is cross margin, with a limit of its own."""
        rest, is_cross = self._session.rest, self._swap.margin_mode == "cross"
        text = f"{self._swap.leverage:g}"
        request = {"settle": market.row["settleId"], "contract": market.row["id"]}
        request |= {"leverage": "0", "cross_leverage_limit": text} if is_cross else {"leverage": text}
        if self._swap.hedge:
            return await rest.privateFuturesPostSettleDualCompPositionsContractLeverage(request)
        return await rest.privateFuturesPostSettlePositionsContractLeverage(request)

    async def _set_margin_mode(self, market: Market) -> None:
        try:
            await self._session.rest.set_margin_mode(self._swap.margin_mode, market.symbol)
        except self._session.errors.NoChange:
            return

    def _verify(self, market: Market, row: Mapping[str, Any]) -> None:
        said = float(row.get("leverage") or 0.0)
        is_cross = market.quirks.venue == "gate" and said == 0.0
        if is_cross:
            said = float(row.get("cross_leverage_limit") or 0.0)
        right_mode = market.quirks.venue != "gate" or is_cross == (self._swap.margin_mode == "cross")
        if said != self._swap.leverage or not right_mode:
            raise VenueError(
                f"{market.quirks.venue} has {market.symbol} at {said:g}x {'cross' if is_cross else 'isolated'} "
                f"after {self._swap.leverage:g}x {self._swap.margin_mode} was set; set it by hand"
            )


def _rows(answer: Any) -> list[Mapping[str, Any]]:
    return list(answer) if isinstance(answer, list) else [answer]


def _mode(hedge: bool) -> str:
    return "hedge" if hedge else "one-way"

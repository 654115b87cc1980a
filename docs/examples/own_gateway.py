"""A whole `Gateway` without ccxt: Gate's spot market over REST alone; the daemon watches the stops.

`gateway = "own_gateway.py"` in [live]. Requests and signatures: https://www.gate.com/docs/developers/apiv4/en/
"""

import asyncio
import hashlib
import hmac
import json
import math
import time
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

import aiohttp

from executor.broker import venue as v
from executor.broker.exchange import Keys

_W = TypeVar("_W", bound=v.Word)
_SEEN = {"open": v.Seen.OPEN, "closed": v.Seen.FILLED, "cancelled": v.Seen.CANCELLED}
# What surely did nothing. Whatever is not on this list may have happened, and is looked up.
_REFUSALS = {"INVALID_PRECISION", "INVALID_PARAM_VALUE", "BALANCE_NOT_ENOUGH", "TRADE_RESTRICTED", "INVALID_KEY",
             "INVALID_SIGNATURE", "INVALID_CURRENCY_PAIR", "REQUEST_EXPIRED", "TOO_MANY_REQUESTS"}  # fmt: skip
_ENDED = {"ORDER_NOT_FOUND", "ORDER_CLOSED", "ORDER_CANCELLED"}


def make_gateway(keys: Keys, options: Mapping[str, Any]) -> v.Gateway:
    """What the daemon calls. options : [exchange_options] of `executor.toml`."""
    return GateSpot(keys, str(options.get("url", "https://api.gateio.ws")))


class GateSpot:
    def __init__(self, keys: Keys, url: str) -> None:
        self.name, self._keys, self._url, self._ahead_secs = "gate", keys, url, 0.0
        self._rules: dict[str, v.Rules] = {}

    async def open(self, symbols: Sequence[str]) -> None:
        self._symbols = tuple(symbols)
        self._http = aiohttp.ClientSession(self._url, timeout=aiohttp.ClientTimeout(total=5))
        self._ahead_secs = (await self._ask("GET", "/spot/time"))["server_time"] / 1000 - time.time()
        for row in await self._ask("GET", "/spot/currency_pairs"):
            fee, lot = float(row["fee"]) / 100, 10.0 ** -row["amount_precision"]
            self._rules[row["id"].replace("_", "/")] = v.Rules(
                10.0 ** -row["precision"], lot, max(float(row.get("min_base_amount") or 0), lot),
                float(row.get("min_quote_amount") or 0), 1.0, fee, fee, row["trade_status"] == "tradable",
            )  # fmt: skip

    def rules(self, symbol: str) -> v.Rules:
        return self._rules[symbol]

    def capabilities(self, symbol: str) -> v.Capabilities:
        return v.Capabilities("spot", stop=v.Place.DAEMON, target=v.Place.DAEMON)

    async def submit(self, ticket: v.Ticket) -> v.Word:
        rules, price, tif = self._rules[ticket.symbol], ticket.price, "gtc"
        if ticket.type is v.Type.MARKET:  # A market buy takes money, not a quantity; a limit 1 % beyond the price does.
            price, tif = await self.last_price(ticket.symbol) * (1.01 if ticket.side == "buy" else 0.99), "ioc"
        return _word(v.Word, await self._ask("POST", "/spot/orders", {
            "text": f"t-{ticket.client_id}", "currency_pair": _pair(ticket.symbol), "side": ticket.side,
            "type": "limit", "time_in_force": tif, "price": _plain(round(price / rules.tick) * rules.tick),
            "amount": _plain(math.floor(ticket.qty / rules.lot_step + 1e-6) * rules.lot_step),
        }))  # fmt: skip

    async def cancel(self, ticket: v.Ticket, venue_id: str) -> None:
        await self._ask("DELETE", f"/spot/orders/{venue_id}", currency_pair=_pair(ticket.symbol))

    async def find(self, ticket: v.Ticket, venue_id: str) -> v.Word:
        for row in await self._orders(ticket.symbol, "open", "finished"):
            if row["id"] == venue_id or row["text"] == f"t-{ticket.client_id}":
                return _word(v.Word, row)
        return v.Word(ticket.client_id, v.Seen.ABSENT, 0.0, math.nan, None, 0, symbol=ticket.symbol)

    async def orders(self, symbol: str) -> Sequence[v.Listed]:
        return [_listed(row) for row in await self._orders(symbol, "open")]

    async def traded(self, symbol: str) -> Sequence[v.Listed]:
        rows = await self._orders(symbol, "open", "finished")
        return [_listed(row) for row in rows if float(row["filled_amount"])]

    async def held(self) -> Sequence[v.Held]:
        total = {one.currency: one.total for one in await self.balances()}
        return [v.Held(symbol, total.get(symbol.partition("/")[0], 0.0)) for symbol in self._symbols]

    async def balances(self) -> Sequence[v.Balance]:
        rows = [(row["currency"], float(row["available"]), float(row["locked"]))
                for row in await self._ask("GET", "/spot/accounts")]  # fmt: skip
        return [v.Balance(currency, free + locked, free) for currency, free, locked in rows]

    async def last_price(self, symbol: str) -> float:
        return float((await self._ask("GET", "/spot/tickers", currency_pair=_pair(symbol)))[0]["last"])

    async def hear(self) -> v.Heard:
        """Each second: a price of each symbol, which is what watches stops, and that each is to be asked for."""
        await asyncio.sleep(1.0)
        return v.Heard(symbols=self._symbols, prices={one: await self.last_price(one) for one in self._symbols})

    async def can_withdraw(self) -> bool | None:
        return None

    async def close(self) -> None:
        await self._http.close()

    async def _orders(self, symbol: str, *statuses: str) -> list[dict[str, Any]]:
        """An order that ends between two questions is in the second."""
        found = [await self._ask("GET", "/spot/orders", currency_pair=_pair(symbol), status=one) for one in statuses]
        return [row for rows in reversed(found) for row in rows]

    async def _ask(self, method: str, path: str, body: Mapping[str, str] | None = None, **query: str) -> Any:
        """Once; None of an order that has ended."""
        unknown = v.UnreachableVenueError if method == "GET" else v.UnknownOutcomeError
        path, sent, stamp = f"/api/v4{path}", json.dumps(body) if body else "", int(time.time() + self._ahead_secs)
        asked = "&".join(f"{name}={value}" for name, value in query.items())
        text = "\n".join((method, path, asked, hashlib.sha512(sent.encode()).hexdigest(), str(stamp)))
        sign = hmac.new(self._keys.secret.encode(), text.encode(), hashlib.sha512).hexdigest()
        headers = {"KEY": self._keys.key, "SIGN": sign, "Timestamp": str(stamp), "Content-Type": "application/json"}
        try:
            async with self._http.request(method, path, params=query, data=sent, headers=headers) as answer:
                found = await answer.json(content_type=None)
        except (aiohttp.ClientError, TimeoutError, ValueError) as error:
            raise unknown(f"gate did not answer ({type(error).__name__})") from None
        if answer.ok:
            return found
        label, said = str(found.get("label")), f"gate: {found.get('label')}: {found.get('message')}"
        if label in _ENDED:
            return None
        if method == "GET" or label not in _REFUSALS:
            raise unknown(said)
        raise v.RefusedError(said, code=label, is_funds="BALANCE" in label, is_halted=label == "TRADE_RESTRICTED",
                             pause_secs=1.0 if label == "TOO_MANY_REQUESTS" else 0.0)  # fmt: skip


def _pair(symbol: str) -> str:
    return symbol.replace("/", "_")


def _plain(value: float) -> str:
    return f"{value:.12f}".rstrip("0").rstrip(".")


def _listed(row: Mapping[str, Any]) -> v.Listed:
    more = {"side": row["side"], "type": v.Type.LIMIT, "qty": float(row["amount"]), "limit_price": float(row["price"])}
    return _word(v.Listed, row, **more)


def _word(kind: type[_W], row: Mapping[str, Any], **more: Any) -> _W:
    """What an order's row says: all that was filled so far, and its fees by currency."""
    fees = {row["fee_currency"]: float(row["fee"]), "GT": float(row["gt_fee"])}
    ours = row["text"].removeprefix("t-") if row["text"].startswith("t-ls-") else ""
    return kind(
        ours, _SEEN[row["status"]], float(row["filled_amount"]), float(row["avg_deal_price"] or "nan"),
        {name: fee for name, fee in fees.items() if fee}, int(row["update_time_ms"]), row["id"],
        symbol=row["currency_pair"].replace("_", "/"), **more,
    )  # fmt: skip

"""Answers of venues as their documentation shows them, parsed by ccxt itself."""

from typing import Any

from executor.broker.exchange.known import quirks_of
from executor.broker.exchange.markets import Market
from executor.feed.venues import exchange_class

GATE_PAIR = {
    # https://www.gate.com/docs/developers/apiv4/en/#query-all-supported-currency-pairs
    "id": "ETH_USDT",
    "base": "ETH",
    "quote": "USDT",
    "fee": "0.2",
    "min_base_amount": "0.001",
    "min_quote_amount": "1.0",
    "amount_precision": 3,
    "precision": 2,
    "trade_status": "tradable",
    "sell_start": 1516378650,
    "buy_start": 1516378650,
}
GATE_CONTRACT = {
    # https://www.gate.com/docs/developers/apiv4/en/#query-all-futures-contracts
    "name": "BTC_USDT",
    "type": "direct",
    "quanto_multiplier": "0.0001",
    "maker_fee_rate": "-0.00025",
    "taker_fee_rate": "0.00075",
    "order_price_round": "0.1",
    "order_price_deviate": "0.5",
    "order_size_min": 1,
    "order_size_max": 1000000,
    "mark_price": "38026",
    "leverage_min": "1",
    "leverage_max": "100",
    "in_delisting": False,
    "status": "trading",
}
KUCOIN_SYMBOL = {
    "symbol": "BTC-USDT",
    "baseCurrency": "BTC",
    "quoteCurrency": "USDT",
    "feeCurrency": "USDT",
}


def exchange(name: str) -> Any:
    """A ccxt exchange that is connected to nothing."""
    return exchange_class(name, stream=False)({"apiKey": "k", "secret": "s", "password": "p", "uid": "1"})


def market(venue: str, symbol: str, **changes: Any) -> Market:
    """A market with round rules: tick 0.1, lot 0.001 (1 contract of 0.0001 on swaps)."""
    base, _, rest = symbol.partition("/")
    quote, _, settle = rest.partition(":")
    is_swap = bool(settle)
    separator = {"gate": "_", "kucoin": "-"}.get(venue, "")
    row: dict[str, Any] = {
        "id": f"{base}{separator}{quote}",
        "symbol": symbol,
        "base": base,
        "quote": quote,
        "baseId": base,
        "quoteId": quote,
        "settle": settle or None,
        "settleId": settle.lower() or None,
        "type": "swap" if is_swap else "spot",
        "spot": not is_swap,
        "margin": False,
        "swap": is_swap,
        "future": False,
        "option": False,
        "contract": is_swap,
        "linear": True if is_swap else None,
        "inverse": False if is_swap else None,
        "active": True,
        "contractSize": 0.0001 if is_swap else None,
        "taker": 0.001,
        "maker": 0.001,
        "precision": {"amount": 1.0 if is_swap else 0.001, "price": 0.1},
        "limits": {
            "amount": {"min": 1.0 if is_swap else 0.001, "max": None},
            "cost": {"min": None if is_swap else 1.0},
        },
        "info": {},
    }
    return Market(row | changes, quirks_of(venue, symbol))


def known(venue: str, one: Market) -> Any:
    """A ccxt exchange that knows this market."""
    found = exchange(venue)
    found.set_markets([one.row])
    return found

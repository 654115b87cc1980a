"""The venues that are traded live: one row a market.

Every line is from the venue's documentation (`sources`), from ccxt 4.5.90's source, or says that only the live venue
can settle it. `executor venues` prints it.
"""

from collections.abc import Mapping

from executor.broker.exchange.quirks import Quirks
from executor.broker.venue import Capabilities, Place
from toolkit.errors import InputError, UnknownNameError

_DAY_SECS = 86_400.0
_GATE = "https://www.gate.com/docs/developers/apiv4/en/"
_KUCOIN = "https://www.kucoin.com/docs-new/rest/spot-trading/orders/"
_BINANCE = "https://developers.binance.com/docs/"

_GATE_REFUSALS = frozenset(
    {
        "RISK_LIMIT_EXCEEDED",
        "POSITION_IN_LIQUIDATION",
        "POSITION_IN_CLOSE",
        "CONTRACT_NO_COUNTER",
        "CONTRACT_IN_DELISTING",
        "MARGIN_BALANCE_EXCEPTION",
        "TOO_MUCH_FUTURES_AVAILABLE",
        "ORDER_NOT_OWNED",
        "POSITION_CROSS_MARGIN",
    }
)
_GATE_HALTS = frozenset(
    {"TRADE_RESTRICTED", "CONTRACT_IN_DELISTING", "INVALID_CURRENCY_PAIR", "INVALID_CURRENCY", "CONTRACT_NOT_FOUND"}
)
_GATE_SKEWS = frozenset({"REQUEST_EXPIRED"})

_GATE_SPOT = Quirks(
    venue="gate",
    market="spot",
    capabilities=Capabilities(
        market="spot", stop=Place.VENUE, target=Place.VENUE, stop_is_limit=True, trigger_life_secs=_DAY_SECS
    ),
    client_param="clientOrderId",
    client_prefix="t-",
    buys_by_cost=True,
    fired_keys=("fired_order_id",),
    pages="page",
    trigger_pages="offset",
    refusals=_GATE_REFUSALS,
    halts=_GATE_HALTS,
    skews=_GATE_SKEWS,
    texts={
        "client id": "`text`, t- and at most 28 characters; no idempotency key, forgotten some time after the end",
        "market buy": "takes quote money; sent as an IOC limit beyond the last price, for exact base quantity",
        "triggers": "a list of their own; only limit orders; they expire; no balance is bound until one fires",
        "fired trigger": "names its order in `fired_order_id`; one that fails is `failed` with a reason",
        "fees": "in the order: of a buy in base, of a sell in quote, either in GT or points where so set",
        "cancel of a finished order": "ORDER_NOT_FOUND, ORDER_CLOSED or ORDER_CANCELLED",
        "unverified": "market orders from triggers are reported refused live, so stops are limits; whether a trigger "
        "keeps the client id (`trigger.text`), by which one is found whose answer was lost",
    },
    sources=(
        f"{_GATE}#create-an-order",
        f"{_GATE}#create-a-price-triggered-order",
        f"{_GATE}#query-single-auto-order-details",
        f"{_GATE}#label-list",
    ),
)
_GATE_SWAP = Quirks(
    venue="gate",
    market="swap",
    capabilities=Capabilities(market="swap", stop=Place.VENUE, target=Place.VENUE, trigger_life_secs=_DAY_SECS),
    client_param="clientOrderId",
    client_prefix="t-",
    fired_keys=("trade_id", "trade_id_string"),
    pages="offset",
    trigger_pages="offset",
    needs_uid=True,
    refusals=_GATE_REFUSALS,
    halts=_GATE_HALTS,
    skews=_GATE_SKEWS,
    texts={
        "client id": "`text`, t- and at most 28 characters; of a trigger `initial.text`",
        "amounts": "whole contracts, above 0 buys and below 0 sells; base units = contracts x quanto_multiplier",
        "triggers": "a list of their own; a market order with `reduce_only`; they expire",
        "fired trigger": "names its order in `trade_id`; `finish_as` says succeeded, cancelled, failed or expired",
        "fees": "in trades alone, in the settling currency",
        "cancel of a finished order": "ORDER_FINISHED or ORDER_NOT_FOUND",
        "position mode": "of the account (`dual_mode`); it changes only while no position and no order is open",
        "unverified": "whether a trigger placed without `expiration` lives longer than a day; whether it keeps the "
        "client id (`initial.text`), by which one is found whose answer was lost",
    },
    sources=(
        f"{_GATE}#create-a-futures-order",
        f"{_GATE}#create-a-price-triggered-order-2",
        f"{_GATE}#enable-or-disable-dual-mode",
        f"{_GATE}#label-list",
    ),
)
_KUCOIN_SPOT = Quirks(
    venue="kucoin",
    market="spot",
    capabilities=Capabilities(market="spot", stop=Place.VENUE, target=Place.VENUE),
    client_param="clientOid",
    finds_triggers_by_client=True,
    ended_triggers_vanish=True,
    fills_by_rest=True,
    trigger_pages="currentPage",
    refusals=frozenset(
        {"126002", "126004", "126006", "126007", "126009", "126011", "126015", "126037", "126042", "200009", "900001"}
    ),
    halts=frozenset({"400600", "400200", "126004", "126006", "126007", "126009", "126015", "200009", "900001"}),
    unsure=frozenset({"126033", "126044", "126038", "126039", "408000"}),
    skews=frozenset({"400002"}),
    texts={
        "client id": "`clientOid`, at most 40 characters; a second order with a used one is refused",
        "answers": "of an order or a trigger: the id alone",
        "triggers": "a list of their own (`/stop-order`), market or limit; no balance is bound until one fires",
        "fired trigger": "leaves that list and becomes an order with the same clientOid",
        "fees": "in the order over REST and in trades, not on the websocket; in the market's fee currency",
        "news": "ccxt adds up their prices, and counts a repeated one twice; fills are asked for over REST",
        "cancel of a finished order": "400100 order_not_exist_or_not_allow_to_cancel",
        "unverified": "that a fired trigger's order keeps the clientOid on every kind of account",
    },
    sources=(
        f"{_KUCOIN}add-order",
        f"{_KUCOIN}add-stop-order",
        f"{_KUCOIN}get-order-by-clientoid",
        "https://www.kucoin.com/docs-new/error-code",
        "https://www.kucoin.com/support/31880997949977",
    ),
)
_BINANCE_HALTS = frozenset({"-1121", "-4108", "-4140"})
_BINANCE_UNSURE = frozenset({"-1000", "-1001", "-1006", "-1007", "-1016"})
_BINANCE_SPOT = Quirks(
    venue="binance",
    market="spot",
    capabilities=Capabilities(market="spot", stop=Place.VENUE, target=Place.VENUE, triggers_lock=True),
    client_param="clientOrderId",
    triggers_apart=False,
    trigger_news=False,
    halts=_BINANCE_HALTS,
    unsure=_BINANCE_UNSURE,
    skews=frozenset({"-1021"}),
    texts={
        "client id": "`newClientOrderId`, at most 36 characters, unique among open orders",
        "triggers": "ordinary orders (STOP_LOSS, TAKE_PROFIT) that bind the balance",
        "fired trigger": "stays the same order",
        "fees": "in trades alone: of a buy in base, of a sell in quote, either in BNB where so set",
        "cancel of a finished order": "-2011 Unknown order sent",
        "unverified": "nothing of Binance has been tried, neither live nor against a local exchange",
    },
    sources=(
        f"{_BINANCE}binance-spot-api-docs/rest-api/trading-endpoints",
        f"{_BINANCE}binance-spot-api-docs/errors",
    ),
)
_BINANCE_SWAP = Quirks(
    venue="binanceusdm",
    market="swap",
    capabilities=Capabilities(market="swap", stop=Place.VENUE, target=Place.VENUE),
    client_param="clientOrderId",
    finds_triggers_by_client=True,
    trigger_news=False,
    fired_keys=("actualOrderId",),
    refusals=frozenset({"-2019", "-2022", "-4164"}),
    halts=_BINANCE_HALTS,
    unsure=_BINANCE_UNSURE,
    skews=frozenset({"-1021"}),
    texts={
        "client id": "`newClientOrderId`, of a trigger `clientAlgoId`; at most 36 characters",
        "triggers": "algo orders, a list of their own",
        "fired trigger": "names its order in `actualOrderId`",
        "fees": "in trades alone",
        "cancel of a finished order": "-2011 Unknown order sent",
        "position mode": "of the account; it changes only while no position and no order is open",
        "unverified": "nothing of Binance has been tried, neither live nor against a local exchange",
    },
    sources=(
        f"{_BINANCE}derivatives/usds-margined-futures/trade/rest-api/New-Order",
        f"{_BINANCE}derivatives/usds-margined-futures/error-code",
    ),
)
TABLE: Mapping[tuple[str, str], Quirks] = {
    (one.venue, one.market): one for one in (_GATE_SPOT, _GATE_SWAP, _KUCOIN_SPOT, _BINANCE_SPOT, _BINANCE_SWAP)
}


def market_of(symbol: str) -> str:
    """ "swap" where the symbol names what it settles in, otherwise "spot"."""
    return "swap" if ":" in symbol else "spot"


def quirks_of(venue: str, symbol: str) -> Quirks:
    """What is known of the symbol's market.

    Raises
    ------
    InputError : the venue is known, but not this market of it. UnknownNameError : nothing is known of the venue.
    """
    found = TABLE.get((venue, market_of(symbol)))
    if found is not None:
        return found
    markets = [market for name, market in TABLE if name == venue]
    if markets:
        raise InputError(
            f"{symbol} is a {market_of(symbol)} market; of {venue} only {', '.join(markets)} is traded live"
        )
    raise UnknownNameError("venue for live trading", venue, {name for name, _ in TABLE})

"""Modes are set and verified, the key is asked what it may do, money is read by currency."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from executor.broker.exchange.account import Account
from executor.broker.exchange.quirks import SwapSettings
from executor.broker.venue import Balance, Held
from executor.feed.venues import errors
from tests.executor.broker.exchange.rows import market
from toolkit.errors import InputError, UnknownNameError, VenueError

SPOT, SWAP = market("gate", "ETH/USDT"), market("gate", "ETH/USDT:USDT")


class Gate:
    """The part of ccxt's gate that an account needs, with a memory of its modes."""

    apiKey = "key"  # noqa: N815 - ccxt's name

    def __init__(self, **settings: Any) -> None:
        self.dual, self.leverage, self.limit = settings.get("dual", False), "10", "0"
        self.stays: bool = settings.get("stays", False)
        self.refusal: Exception | None = settings.get("refusal")
        self.perms: Any = settings.get("perms", [])
        self.venue, self.errors, self.rest, self.stream = "gate", errors(), self, self
        self.uid = ""
        self.asked: list[str] = []

    async def ask(self, quirks: Any, what: str, call: Callable[[], Any]) -> Any:
        return await call()

    async def check_key(self, call: Callable[[], Any]) -> Any:
        return await call()

    async def fetch_balance(self, params: Any) -> Any:
        if params["type"] == "spot":
            return {
                "total": {"USDT": 100.0, "ETH": 1.5, "GT": 0.0},
                "free": {"USDT": 80.0, "ETH": 1.0, "GT": 0.0},
                "ETH": {"total": 1.5, "free": 1.0},
            }
        return {"total": {"USDT": 50.0}, "free": {"USDT": 40.0}}

    async def fetch_positions(self, symbols: Any) -> Any:
        return [
            {"symbol": "ETH/USDT:USDT", "contracts": 2_500.0, "side": "short", "entryPrice": 2_000.0},
            {"symbol": "ETH/USDT:USDT", "contracts": 0.0, "side": "long", "entryPrice": None},
            {"symbol": "XRP/USDT:USDT", "contracts": 5.0, "side": "long", "entryPrice": 1.0},
        ]

    async def privateAccountGetDetail(self) -> Any:  # noqa: N802
        return {"user_id": 10_001}

    async def privateAccountGetMainKeys(self) -> Any:  # noqa: N802
        if isinstance(self.perms, Exception):
            raise self.perms
        return [{"key": "other", "perms": [{"name": "withdrawal"}]}, {"key": "key", "perms": self.perms}]

    async def privateFuturesGetSettleAccounts(self, request: Any) -> Any:  # noqa: N802
        return {"in_dual_mode": self.dual}

    async def set_position_mode(self, hedged: bool, symbol: str) -> None:
        self.asked.append(f"dual {hedged}")
        if self.refusal is not None:
            raise self.refusal
        self.dual = self.dual if self.stays else hedged

    async def privateFuturesPostSettlePositionsContractLeverage(self, request: Any) -> Any:  # noqa: N802
        self.asked.append(f"leverage {request['leverage']} {request.get('cross_leverage_limit', '')}".strip())
        if self.refusal is not None:
            raise self.refusal
        if not self.stays:
            self.leverage, self.limit = request["leverage"], request.get("cross_leverage_limit", "0")
        return {"leverage": self.leverage, "cross_leverage_limit": self.limit}

    async def privateFuturesPostSettleDualCompPositionsContractLeverage(self, request: Any) -> Any:  # noqa: N802
        return [await self.privateFuturesPostSettlePositionsContractLeverage(request)] * 2


def account(gate: Gate, swap: SwapSettings | None = None, *markets: Any) -> Account:
    found = {one.symbol: one for one in markets or (SPOT, SWAP)}
    return Account(gate, found, swap or SwapSettings())  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("swap", "dual", "asked"),
    [
        (SwapSettings(), False, ["leverage 1"]),
        (SwapSettings(leverage=3), True, ["dual False", "leverage 3"]),
        (SwapSettings(hedge=True), False, ["dual True", "leverage 1"]),
        (SwapSettings(leverage=5, margin_mode="cross"), False, ["leverage 0 5"]),
    ],
)
def test_modes_are_set_where_they_differ(swap, dual, asked):
    gate = Gate(dual=dual)
    asyncio.run(account(gate, swap).prepare())
    assert gate.asked == asked and gate.dual == swap.hedge and gate.uid == "10001"


def test_spot_alone_needs_no_modes():
    gate = Gate(dual=True)
    asyncio.run(account(gate, None, SPOT).prepare())
    assert gate.asked == [] and gate.uid == ""


@pytest.mark.parametrize(
    ("settings", "swap", "text"),
    [
        ({"dual": True, "refusal": errors().ExchangeError("POSITION_HOLDING")}, SwapSettings(), "close all positions"),
        ({"dual": True, "stays": True}, SwapSettings(), "by hand"),
        ({"stays": True}, SwapSettings(leverage=2), "at 10x isolated"),
        ({"refusal": errors().BadRequest("too high")}, SwapSettings(leverage=200), "choose other settings"),
    ],
)
def test_a_venue_that_stays_in_another_mode_is_not_traded_on(settings, swap, text):
    with pytest.raises(VenueError, match=text):
        asyncio.run(account(Gate(**settings), swap).prepare())


@pytest.mark.parametrize(
    ("perms", "can"),
    [
        ([{"name": "spot", "read_only": False}], False),
        ([{"name": "spot"}, {"name": "withdrawal", "read_only": False}], True),
        ([{"name": "withdrawal", "read_only": True}], False),
        ([], None),
        (errors().PermissionDenied("no"), None),
    ],
)
def test_whether_the_key_may_take_money_out(perms, can):
    assert asyncio.run(account(Gate(perms=perms)).can_withdraw()) is can


def test_money_of_both_accounts_is_added_by_currency():
    found = asyncio.run(account(Gate()).balances())
    assert found == [Balance("ETH", 1.5, 1.0), Balance("USDT", 150.0, 120.0)]


def test_what_is_held_is_in_base_units_and_signed():
    found = asyncio.run(account(Gate()).held())
    assert found == [
        Held("ETH/USDT", 1.5, pytest.approx(float("nan"), nan_ok=True)),
        Held("ETH/USDT:USDT", -0.25, 2_000.0),
    ]


@pytest.mark.parametrize(
    ("settings", "error"), [({"leverage": 0.5}, InputError), ({"margin_mode": "x"}, UnknownNameError)]
)
def test_settings_that_cannot_be(settings, error):
    with pytest.raises(error):
        SwapSettings(**settings)

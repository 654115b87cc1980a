"""`Market`: one symbol's rules, and the only place where base units become a venue's amounts."""

import math
from collections.abc import Mapping
from typing import Any

from executor.broker.exchange.quirks import Quirks
from executor.broker.venue import Rules

# A quantity that is a multiple of the step but for the noise of floats is that multiple.
_NOISE_STEPS, _NOISE_SHARE = 1e-6, 1e-9


class Market:
    """One symbol of ccxt's `markets`.

    Parameters
    ----------
    row : ccxt's market structure. quirks : of its venue and market. hedge : both sides may be held at once.

    Attributes
    ----------
    is_halted : an order was refused because the market is closed, after `row` was learned.
    """

    def __init__(self, row: Mapping[str, Any], quirks: Quirks, *, hedge: bool = False) -> None:
        self.quirks, self.hedge = quirks, hedge
        self.symbol = str(row["symbol"])
        self.base, self.quote = str(row["base"]), str(row["quote"])
        self.money = str(row["settle"] or row["quote"])
        self.learn(row)

    def learn(self, row: Mapping[str, Any]) -> None:
        """Take over rules that were asked for anew."""
        self.row, self.is_halted = row, False
        self.contract_size = float(row["contractSize"] or 1.0) if row["contract"] else 1.0
        self.step = float(row["precision"]["amount"])
        self.tick = float(row["precision"]["price"])

    def rules(self) -> Rules:
        """In base units. Gate's swap fees are those of the contract: ccxt gives the ones of a new account."""
        limits = self.row["limits"]
        least = float(limits["amount"]["min"] or self.step)
        return Rules(
            tick=self.tick,
            lot_step=round(self.step * self.contract_size, 15),
            min_qty=round(max(least, self.step) * self.contract_size, 15),
            min_notional=float(limits["cost"]["min"] or 0.0),
            contract_size=self.contract_size,
            maker=self._fee("maker"),
            taker=self._fee("taker"),
            is_trading=self._is_trading(),
        )

    def amount(self, qty: float) -> float:
        """The venue's amount of base units: contracts on a swap, cut off to the step."""
        steps = qty / (self.step * self.contract_size)
        nearest = round(steps)
        whole = nearest if abs(steps - nearest) <= max(_NOISE_STEPS, _NOISE_SHARE * steps) else math.floor(steps)
        # As a decimal of the step: 3 x 0.1 is 0.3.
        return round(whole * self.step, 12)

    def qty(self, amount: Any) -> float:
        """Base units of a venue's amount; what is not said is 0."""
        steps = abs(float(amount or 0.0)) / self.step
        nearest = round(steps)
        # ccxt divides money by prices where a venue counts in money: lots are whole.
        whole = nearest if abs(steps - nearest) <= 1e-3 else steps
        return round(whole * self.step * self.contract_size, 12)

    def _fee(self, role: str) -> float:
        said = self.row["info"].get(f"{role}_fee_rate") if self.row["swap"] else None
        return float(said or self.row[role] or 0.0)

    def _is_trading(self) -> bool:
        info = self.row["info"]
        if self.is_halted or self.row["active"] is False or info.get("in_delisting") in (True, "true"):
            return False
        # ccxt counts a pair that is halted on Gate's spot market as active while it may be borrowed.
        return bool(info.get("trade_status", "tradable") == "tradable")

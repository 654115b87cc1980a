"""`Scene`: an account, its market and its deployment, as both processes of a session know them."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from executor.sandbox.book import Candle, Listing, Venue
from executor.sandbox.faults import Faults
from executor.sandbox.gate import GateFront
from executor.sandbox.gate.signing import GateKey
from executor.sandbox.kucoin import ApiKey, KucoinFront
from executor.sandbox.serving import Front

KEY, SECRET, PASSWORD = "key-of-the-soak-account", "secret-of-the-soak-account", "word-of-the-soak"
# By symbol: tick, lot in base units, least quantity in base units, contract size.
_RULES = {
    "BTC/USDT": (0.1, 0.00001, 0.0001, 0.0001), "ETH/USDT": (0.01, 0.0001, 0.001, 0.01),
    "SOL/USDT": (0.001, 0.001, 0.01, 1.0),
}  # fmt: skip
TAKER = 0.0005


@dataclass(frozen=True)
class Scene:
    """What a session is about.

    Attributes
    ----------
    folder : everything is in it. venue : "gate" or "kucoin". market : "spot" or "swap". symbols : of the deployment.
    first_ms : where the market begins; bars before it are history. seed : of faults. money : USDT of the account.
    """

    folder: Path
    venue: str
    market: str
    symbols: tuple[str, ...]
    first_ms: int
    seed: int = 1
    money: float = 100_000.0

    @property
    def bars(self) -> Path:
        return self.folder / "bars.npz"

    @property
    def ledger(self) -> Path:
        return self.folder / "live.sqlite"

    @property
    def record(self) -> Path:
        """Where the exchange leaves its records."""
        return self.folder / "exchange.json"

    @property
    def wire(self) -> Path:
        """Where a daemon leaves when its orders left."""
        return self.folder / "wire.json"

    @property
    def hedge(self) -> bool:
        return self.market == "swap"

    def name(self, symbol: str) -> str:
        """The venue's name of a symbol."""
        return f"{symbol}:USDT" if self.market == "swap" else symbol

    def listing(self, symbol: str) -> Listing:
        tick, lot, least, size = _RULES[symbol]
        base, name = symbol.partition("/")[0], self.name(symbol)
        if self.market == "swap":
            return Listing(name, "swap", base, "USDT", tick, 1.0, 1.0, 0.0, size, TAKER, TAKER, "quote")
        fee_in = "base" if self.venue == "gate" else "quote"
        return Listing(name, "spot", base, "USDT", tick, lot, least, 0.1, 1.0, TAKER, TAKER, fee_in)

    def instrument(self, symbol: str) -> dict[str, Any]:
        """Of the deployment."""
        tick, lot, least, size = _RULES[symbol]
        if self.market == "swap":
            return {"lot_step": size, "min_qty": size, "min_notional": 0.0, "tick": tick, "market": "swap",
                    "hedge_mode": True}  # fmt: skip
        return {"lot_step": lot, "min_qty": least, "min_notional": 0.1, "tick": tick, "market": "spot",
                "hedge_mode": False}  # fmt: skip

    def candles(self, symbol: str) -> list[Candle]:
        with np.load(self.bars) as file:
            columns = [file[f"{symbol} {name}"].tolist() for name in ("ts", "open", "high", "low", "close", "volume")]
        return [Candle(*row) for row in zip(*columns, strict=True)]

    def put(self, path: Path) -> None:
        path.write_text(json.dumps({**asdict(self), "folder": str(self.folder)}))


def read_scene(path: Path) -> Scene:
    table = json.loads(path.read_text())
    return Scene(**{**table, "folder": Path(table["folder"]), "symbols": tuple(table["symbols"])})


def serve(scene: Scene, venue: Venue, faults: Faults, port: int) -> Front:
    """The venue's own face; stamps are judged by the machine's clock."""
    if scene.venue == "gate":
        return GateFront(venue, faults, GateKey(KEY, SECRET), port=port)
    return KucoinFront(venue, faults, ApiKey(KEY, SECRET, PASSWORD, "General,Spot"), port=port)

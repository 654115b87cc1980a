"""A bundle into a ledger: `load_bundle`."""

import json
import time
from dataclasses import dataclass
from pathlib import Path

from executor.deployments.loading import check_document, load_document
from executor.ledger import Ledger
from toolkit.errors import InputError
from toolkit.portfolio.bundle import Bundle, read_bundle
from toolkit.portfolio.bundle_seed import Seed, read_seed
from toolkit.portfolio.deployment import FILE

_KNOWN = "SELECT ts FROM bars WHERE exchange = ? AND symbol = ? AND base = ?"
_LOADED = "SELECT effective_from_ms, state FROM deployments WHERE id = ?"


@dataclass(frozen=True)
class Loaded:
    """What a load came to.

    Attributes
    ----------
    effective_from_ms : from when its weights count. state : active, or loaded until then.
    bars : how many of its bars the ledger did not have. backup : the ledger as it was before; None for a new one.
    """

    deployment: str
    ledger: Path
    effective_from_ms: int
    state: str
    instances: int
    bars: int
    backup: Path | None


def load_bundle(folder: Path, path: Path, *, capital: float | None = None, live: bool = False) -> Loaded:
    """Load a bundle into a ledger, a new one unless there is one; a running daemon takes it over at its next bar.

    Nothing is changed where anything is refused. A ledger that is there is backed up first.

    Parameters
    ----------
    capital : money of a new account, default the deployment's. live : a new account's orders go to a venue.

    Raises
    ------
    InputError : a file of the bundle is missing or changed, or an account that is there is given capital or not live.
    StrategyError : its sources are not the code that was tested. LedgerError : the ledger cannot be used.
    """
    bundle = read_bundle(folder.resolve())
    check_document(bundle.table, str(bundle.folder))
    seeds = [read_seed(file) for file in bundle.seeds]
    if path.exists():
        with Ledger.open(path, readonly=True) as ledger:
            known, mode = ledger.meta("start_ms") is not None, ledger.meta("mode")
        if known and capital is not None:
            raise InputError(
                f"{path} is an account with its own money, and `capital` {capital:g} is for a new one; change it with "
                f"`executor deposit` or `executor withdraw`"
            )
        if known and live and mode != "live":
            raise InputError(
                f"{path} is the ledger of a {mode} account, which --live would not change; name a new --ledger for the "
                f"live one"
            )
    elif capital is not None and not 0 < capital < float("inf"):
        raise InputError(f"`capital` must be a finite amount above 0, was {capital!r}")
    return _load(bundle, seeds, path, (capital, "live" if live else "dry"))


def _load(bundle: Bundle, seeds: list[Seed], path: Path, account: tuple[float | None, str]) -> Loaded:
    capital, mode = account
    backup = None
    if path.exists():
        with Ledger.open(path, readonly=True) as ledger:
            backup = ledger.backup()
    band = bundle.backtest.get("band")
    facts = {
        "folder": str(bundle.folder),
        "band": None if band is None else json.dumps(band),
        "backtest": bundle.backtest.get("run"),
    }
    # A daemon may have it open: looking through all of it for damage is its business.
    with Ledger.open(path, create=True, check=backup is None) as ledger:
        bars = sum(_keep(ledger, seed) for seed in seeds)
        load_document(ledger, bundle.folder / FILE, mode=mode, capital=capital, facts=facts)
        row = ledger.rows(_LOADED, (bundle.id,))[0]
    return Loaded(bundle.id, path, row[0], row[1], len(bundle.table["instances"]), bars, backup)


def _keep(ledger: Ledger, seed: Seed) -> int:
    """Write the bars that the ledger does not have; what it was given live stays. Returns how many there were."""
    known = {row["ts"] for row in ledger.rows(_KNOWN, (*seed.series,))}
    now = time.time_ns() // 1_000_000
    columns = [seed.columns[name].tolist() for name in ("ts", "open", "high", "low", "close", "volume", "filled")]
    exchange, symbol, base = seed.series
    rows = [
        {
            "exchange": exchange, "symbol": symbol, "base": base, "ts": ts, "open": o, "high": h, "low": low,
            "close": c, "volume": v, "filled": int(filled), "source": "store", "event": None, "recorded_ms": now,
        }
        for ts, o, h, low, c, v, filled in zip(*columns, strict=True)
        if ts not in known
    ]  # fmt: skip
    with ledger.transaction("seed"):
        ledger.put("bars", rows)
    return len(rows)

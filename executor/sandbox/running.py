"""The local exchange as a process of its own: what `executor sandbox` opens, says and keeps going."""

import asyncio
import contextlib
import os
import signal
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from executor.sandbox.book import Venue
from executor.sandbox.faults import Faults
from executor.sandbox.gate import GateFront, GateKey
from executor.sandbox.kucoin import ApiKey, KucoinFront
from executor.sandbox.serving import Front
from executor.sandbox.street import QUOTE, Street, listing_of, open_street
from toolkit.errors import InputError, UnknownNameError
from toolkit.models.toml_text import toml_text

MARKETS = {"gate": ("spot", "swap"), "kucoin": ("spot",)}
# They open nothing but a local exchange, and are the same each time.
KEYS = {"key": "local-exchange-key", "secret": "local-exchange-secret", "password": "local-exchange-word"}
_STEP_SECS = 0.05
# Of the log of requests, which `/control/log` shows.
_LOG_KEPT = 100_000


class Pace:
    """The market's clock: from now on, `speed` times as fast as time passes. monotonic : that time, seconds."""

    def __init__(self, now_ms: int, speed: float, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._now_ms, self._speed, self._monotonic = now_ms, speed, monotonic
        self._began = monotonic()

    def __call__(self) -> int:
        return self._now_ms + int((self._monotonic() - self._began) * 1000 * self._speed)

    def move(self, ms: int) -> None:
        self._now_ms += ms


@dataclass
class Local:
    """A venue behind its protocol. ends_ms : when each market's bars are over."""

    exchange: str
    market: str
    venue: Venue
    front: Front
    clock: Pace
    ends_ms: dict[str, int]

    def exchange_options(self) -> dict[str, Any]:
        """ccxt's settings for an executor, without keys. Known once it is served."""
        secret = ("apiKey", "secret", "password", "uid")
        return {name: value for name, value in self.front.ccxt_options(self.exchange).items() if name not in secret}

    def keys(self) -> dict[str, str]:
        """As a file of keys has them."""
        return {name: value for name, value in KEYS.items() if name != "password" or self.exchange == "kucoin"}

    def executor_toml(self, keys_file: Path | None) -> str:
        """What an `executor.toml` must say for `executor run --live` to trade here."""
        live = {} if keys_file is None else {"live": {"keys_file": str(keys_file.resolve())}}
        return toml_text(
            {"venue": self.exchange, "market": self.market, **live, "exchange_options": self.exchange_options()}
        )


def open_local(
    exchange: str, market: str, streets: Sequence[Street], *, balance: float, speed: float, port: int
) -> Local:
    """A venue of these markets whose account holds `balance` USDT; not served yet.

    Raises
    ------
    InputError : balance or speed not above 0, a port that is none, a symbol twice, or a market that the venue does not
        have here. UnknownNameError : an unknown venue.
    """
    if exchange not in MARKETS:
        raise UnknownNameError("local exchange", exchange, MARKETS)
    if market not in MARKETS[exchange]:
        raise InputError(f"the local {exchange} has no {market} markets; it has {' and '.join(MARKETS[exchange])}")
    for name, value in (("balance", balance), ("speed", speed)):
        if not 0 < value < float("inf"):
            raise InputError(f"{name} must be a number above 0, was {value:g}")
    if not 0 <= port < 65_536:
        raise InputError(f"port must be between 0 (a free one) and 65535, was {port}")
    if len({street.symbol for street in streets}) < len(streets):
        raise InputError("a symbol has several files of bars; name each symbol once")
    clock = Pace(time.time_ns() // 1_000_000, speed)
    listings = [listing_of(street, exchange, market) for street in streets]
    venue, faults = Venue(listings, {QUOTE: balance}, clock=clock), Faults(clock)
    ends = {
        listing.symbol: open_street(venue, street, listing, clock())
        for street, listing in zip(streets, listings, strict=True)
    }
    front: Front
    if exchange == "gate":
        front = GateFront(venue, faults, GateKey(KEYS["key"], KEYS["secret"]), port=port, move_clock=clock.move)
    else:
        key = ApiKey(KEYS["key"], KEYS["secret"], KEYS["password"], "General,Spot")
        front = KucoinFront(venue, faults, key, port=port, move_clock=clock.move)
    return Local(exchange, market, venue, front, clock, ends)


def write_keys(path: Path, keys: dict[str, str]) -> None:
    """As a file that only its owner may read.

    Raises
    ------
    InputError : another file is there, or it cannot be written.
    """
    text = toml_text(keys)
    try:
        if path.exists():
            if path.read_text() != text:
                raise InputError(f"{path} is there and is no file of the local exchange's keys; name another")
            path.chmod(0o600)
            return
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(text)
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"the keys cannot be written to {path} ({error}); name another file") from None


async def keep_going(local: Local, told: Callable[[], None]) -> None:
    """Serve until SIGINT or SIGTERM. told : called once it answers.

    Raises
    ------
    InputError : the port is taken.
    """
    ended, loop = asyncio.Event(), asyncio.get_running_loop()
    for name in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(name, ended.set)
    await local.venue.advance(local.clock())
    async with contextlib.AsyncExitStack() as stack:
        try:
            await stack.enter_async_context(local.front)
        except OSError as error:
            raise InputError(f"{local.front.host} cannot be served ({error.strerror}); name another --port") from None
        told()
        while not ended.is_set():
            await local.venue.advance(local.clock())
            del local.venue.log[:-_LOG_KEPT]
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_STEP_SECS):
                    await ended.wait()

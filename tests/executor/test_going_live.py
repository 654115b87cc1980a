"""What a live session checks before it begins: the key, the venue's rules, and where protection lives."""

import asyncio
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from executor.broker.live import LiveBroker
from executor.broker.venue import Capabilities, Place
from executor.going_live import check_key, check_rules, protection_lines
from executor.ledger import Ledger
from tests.executor.broker.fake_venue import RULES, FakeVenue
from tests.executor.broker.virtual import VirtualLoop
from toolkit.errors import InputError
from toolkit.portfolio.limits import Instrument

SYMBOL = "BTC/USDT"
SPOT = Capabilities("spot", Place.VENUE, Place.DAEMON, trigger_life_secs=86_400.0, stop_is_limit=True)
FITS = Instrument(RULES.lot_step, RULES.min_qty, RULES.min_notional, RULES.tick, "spot")


@dataclass
class Keyed:
    """A gateway whose key may take money out, or not; None = nobody knows."""

    may: bool | None
    name: str = "gate"

    async def can_withdraw(self) -> bool | None:
        return self.may


@contextmanager
def broker(folder: Path, can: Capabilities = SPOT) -> Iterator[LiveBroker]:
    loop = VirtualLoop()
    with Ledger.open(folder / "live.sqlite", create=True) as ledger:
        yield LiveBroker(ledger, FakeVenue(loop, {SYMBOL: can}))
    loop.close()


def test_a_key_that_may_withdraw_is_refused_unless_that_is_allowed() -> None:
    with pytest.raises(InputError, match=r"may take money out of gate.*`allow_withdraw_keys`"):
        asyncio.run(check_key(Keyed(True), allow_withdraw=False))
    asyncio.run(check_key(Keyed(True), allow_withdraw=True))
    asyncio.run(check_key(Keyed(False), allow_withdraw=False))


def test_a_venue_that_does_not_say_is_told_of(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        asyncio.run(check_key(Keyed(None), allow_withdraw=False))
    assert "gate does not say whether the key may take money out" in caplog.text


@pytest.mark.parametrize(
    ("mine", "said"),
    [
        (replace(FITS, lot_step=2 * RULES.lot_step), "lot_step"),
        (replace(FITS, tick=2 * RULES.tick), "tick"),
        (replace(FITS, min_notional=RULES.min_notional + 1), "min_notional"),
        (replace(FITS, market="swap"), "market"),
        (None, r"has no \[instruments\] of BTC/USDT"),
    ],
)
def test_rules_that_are_not_the_venue_s_are_refused_with_the_remedy(
    tmp_path: Path, mine: Instrument | None, said: str
) -> None:
    remedy = "executor venues .* --symbols BTC/USDT --toml, then deploy anew"
    with broker(tmp_path) as live:
        check_rules({SYMBOL: FITS}, [SYMBOL], live)
        with pytest.raises(InputError, match=rf"{said}.*{remedy}"):
            check_rules({} if mine is None else {SYMBOL: mine}, [SYMBOL], live)


def test_an_opposite_mode_of_a_swap_is_refused(tmp_path: Path) -> None:
    hedged = replace(SPOT, market="swap", hedge=True)
    with broker(tmp_path, hedged) as live, pytest.raises(InputError, match="hedge_mode"):
        check_rules({SYMBOL: replace(FITS, market="swap", hedge_mode=False)}, [SYMBOL], live)


def test_where_stops_and_targets_live_is_said_in_words(tmp_path: Path) -> None:
    with broker(tmp_path) as live:
        (line,) = protection_lines([SYMBOL], live)
    assert line.startswith("BTC/USDT (spot): stop at ") and "target watched by this daemon" in line
    assert "supervised" in line and "triggers live 24 h and are renewed" in line

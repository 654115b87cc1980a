"""A shared account against vectorbt's `cash_sharing=True`: first equal trades and value, then the time of both.

Both get signals and bars and give trades and the account's final value. Ours prepares its members, simulates every leg
through the trade lifecycle and sizes each entry; vectorbt is handed its matrix of target shares and only fills it.
"""

import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd

from tests.portfolio.vectorbt_account import members_of, our_trades, ours, random_account, their_trades, theirs

TOLERANCE = 1e-9
_YEAR_5M = 365 * 288
_ROUNDS = 3


def run(quick: bool = False) -> list[dict[str, Any]]:
    """A row for few instances that trade often, and one for many that trade less."""
    n = 5_000 if quick else _YEAR_5M
    return [_contest(n, 20, n // 150), _contest(n, 10 if quick else 100, n // 500)]


def _contest(n: int, instances: int, trades: int) -> dict[str, Any]:
    account = random_account(7, n, instances, trades=trades)
    portfolio, our_run = theirs(account), ours(account, members_of(account))
    mine, peer = our_trades(our_run, account), their_trades(portfolio)
    pd.testing.assert_frame_equal(mine, peer, check_dtype=False, rtol=TOLERANCE, atol=TOLERANCE)
    final = our_run.days["equity"][-1]
    np.testing.assert_allclose(final, portfolio.final_value(), rtol=TOLERANCE)
    members = members_of(account)
    seconds = _best(lambda: ours(account, members))
    whole = _best(lambda: ours(account, members_of(account)))
    their_seconds = _best(lambda: theirs(account).final_value())
    difference = abs(final / portfolio.final_value() - 1.0)
    span = "a year of 5m bars" if n == _YEAR_5M else f"{n:,} bars"
    return {
        "what": f"one account, {instances} instances on {span}, {len(mine):,} trades sized by equity",
        "value": f"{seconds * 1e3:.1f} ms, {seconds / len(mine) * 1e6:.2f} us a trade; {whole * 1e3:.0f} ms with the "
        f"members' preparation",
        "peer": f"vectorbt from_orders, cash_sharing: {their_seconds * 1e3:.0f} ms; every trade equal to "
        f"{TOLERANCE:g}, final value to {difference:.0e}",
        "ratio": their_seconds / whole,
        "bar": "equal to 1e-09",
    }


def _best(work: Callable[[], Any]) -> float:
    """Seconds of the quickest of a few rounds."""
    times = []
    for _ in range(_ROUNDS):
        began = time.perf_counter()
        work()
        times.append(time.perf_counter() - began)
    return min(times)

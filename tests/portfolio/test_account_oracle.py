"""The account engine against an independent re-implementation of the design's text, on random accounts."""

from collections import Counter
from typing import Any

import numpy as np
import pytest

from tests.portfolio.account_cases import AccountCase, compiled_run, naive_run, random_account
from toolkit.engine.sizing import Reason
from toolkit.engine.types import ExitReason, SignalEnd

CHUNKS, PER_CHUNK = 4, 200
_TRADE = (
    "signal_t", "entry_t", "exit_t", "side", "entry_price", "exit_price", "expected_entry_price",
    "expected_exit_price", "qty", "stop_price", "target_price", "entry_fee", "exit_fee", "funding", "best", "worst",
)  # fmt: skip
_SIGNAL = ("t", "side", "closed_t", "expires_t", "ignored", "price")
_AUDIT = (
    "ts", "member", "side", "asked", "given", "price", "weight", "equity", "gross", "net", "open_trades"
)  # fmt: skip
_DAY = (
    "ts", "open_trades", "halted", "equity", "cash", "gross", "net", "gross_share", "net_share", "symbol_share"
)  # fmt: skip
_DECISION = {1: "ACCEPTED", 2: "VETOED", 3: "REJECTED"}
_HALT = {1: "DAILY_LOSS", 2: "DRAWDOWN"}


def columns(records: Any, names: tuple[str, ...], rows: list[dict[str, Any]], what: str) -> None:
    for name in names:
        np.testing.assert_allclose(
            records[name], [row[name] for row in rows], rtol=1e-10, atol=1e-7, equal_nan=True,
            err_msg=f"{what}: {name}",
        )  # fmt: skip


def compare(case: AccountCase) -> Counter[str]:
    """Every record of both; returns how often each kind of thing was seen."""
    run, naive = compiled_run(case), naive_run(case)
    said = [(_DECISION[int(s["decision"])], SignalEnd(int(s["end"])).name) for s in run.signals]
    assert run.signal_member.tolist() == [s["member"] for s in naive.signals], f"{case}: signals"
    assert said == [(s["decision"], s["end"]) for s in naive.signals], f"{case}: signals"
    reasons = [Reason(int(r)).name for r in run.audit["reason"]]
    assert reasons == [row["reason"] for row in naive.audit], f"{case}: audit"
    assert [Reason(int(r)).name for r in run.signal_reason] == [s["reason"] for s in naive.signals], str(case)
    exits = [ExitReason(int(r)).name for r in run.trades["exit_reason"]]
    assert exits == [t["exit_reason"] for t in naive.trades], f"{case}: trades"
    assert run.trade_member.tolist() == [t["member"] for t in naive.trades], f"{case}: trades"
    assert run.trade_weight.tolist() == [t["weight"] for t in naive.trades], f"{case}: trades"
    halts = [(int(h["ts"]), _HALT[int(h["kind"])], int(h["until_ts"])) for h in run.halts]
    assert halts == [(h["ts"], h["kind"], h["until_ts"]) for h in naive.halts], f"{case}: halts"
    columns(run.halts, ("equity",), naive.halts, f"{case}: halts")
    columns(run.trades, _TRADE, naive.trades, f"{case}: trades")
    columns(run.signals, _SIGNAL, naive.signals, f"{case}: signals")
    columns(run.audit, _AUDIT, naive.audit, f"{case}: audit")
    columns(run.days, _DAY, naive.days, f"{case}: days")
    return Counter([*exits, *reasons, *(end for _, end in said), *(f"halted: {h[1]}" for h in halts)])


@pytest.mark.xdist_group("engine")
@pytest.mark.parametrize("chunk", range(CHUNKS))
def test_the_account_does_what_the_text_says(chunk: int) -> None:
    seen: Counter[str] = Counter()
    for number in range(PER_CHUNK):
        seen += compare(random_account(1_000_000 * (chunk + 1) + number))
    # A leg that is off proposes nothing, none of these accounts is ruined, and neither people nor venues act on them.
    wanted = {one.name for one in (*Reason, *ExitReason, *SignalEnd)} - {
        "OFF",
        "NO_EQUITY",
        "BY_HAND",
        "STALE",
        "UNANSWERED",
        "VENUE",
        "MANUAL",
    }
    assert wanted - set(seen) == set()

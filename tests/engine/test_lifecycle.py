"""The engine against an independent re-implementation of the design's text, on random instances."""

from typing import Any

import numpy as np
import pytest

from tests.engine.oracle import NOTIONAL, naive_run
from toolkit.engine.run import EngineRun, prepare, run
from toolkit.engine.types import ExitReason, SignalEnd
from toolkit.verify.random_cases import Case, random_case

_TRADE = (
    "signal_t", "entry_t", "exit_t", "side", "entry_price", "exit_price", "expected_entry_price",
    "expected_exit_price", "qty", "stop_price", "target_price", "entry_fee", "exit_fee", "funding", "best", "worst",
)  # fmt: skip
_SIGNAL = ("t", "side", "closed_t", "expires_t", "ignored", "price")
_DECISION = {1: "ACCEPTED", 2: "VETOED", 3: "REJECTED"}
CHUNKS, PER_CHUNK = 4, 300


def engine(case: Case) -> EngineRun:
    market = {"finer": case.finer, "start_ms": case.start_ms}
    prepared = prepare(case.bars, case.signals, case.rules, case.costs, verdicts=case.verdicts, **market)
    return run(prepared, NOTIONAL)


def same(case: Case, what: str, got: Any, want: Any) -> None:
    np.testing.assert_allclose(got, want, rtol=1e-12, atol=1e-12, equal_nan=True, err_msg=f"{case}: {what}")


@pytest.mark.xdist_group("engine")
@pytest.mark.parametrize("chunk", range(CHUNKS))
def test_engine_does_what_the_text_says(chunk: int) -> None:
    compared = 0
    for number in range(PER_CHUNK):
        case = random_case(1_000_000 * (chunk + 1) + number)
        trades, signals = naive_run(
            case.bars, case.signals, case.rules, case.costs, case.verdicts, case.finer, case.start_ms
        )  # fmt: skip
        got = engine(case)
        ends = [(s["t"], s["side"], s["decision"], s["end"]) for s in signals]
        assert [
            (int(s["t"]), int(s["side"]), _DECISION[int(s["decision"])], SignalEnd(int(s["end"])).name)
            for s in got.signals
        ] == ends, str(case)
        reasons = [ExitReason(int(r)).name for r in got.trades["exit_reason"]]
        assert reasons == [t["exit_reason"] for t in trades], str(case)
        for name in _TRADE:
            same(case, name, got.trades[name], [t[name] for t in trades])
        for name in _SIGNAL:
            same(case, name, got.signals[name], [s[name] for s in signals])
        compared += len(trades)
    assert compared > 1000

"""A live session beside its backtest: each planted difference has its cause, and its money adds up."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import polars as pl
import pytest

from toolkit.engine.sizing import REASONS, Reason
from toolkit.verify.parity_live import Ends, LiveKind, differences
from toolkit.verify.parity_tables import RunTables

MINUTE = 60_000
T0 = 1_700_000_040_000 // MINUTE * MINUTE
NAMES = ("rider-BTCUSDT-1m-aaaaaaaaaa", "rider-ETHUSDT-1m-bbbbbbbbbb")
TIME = pl.Datetime("ms", "UTC")
QUIET = Ends({})


def at(minutes: float) -> datetime:
    return datetime.fromtimestamp((T0 + minutes * MINUTE) / 1000, UTC)


def signal(name: str, minute: int, side: str = "long", decision: str = "accepted", reason: str = "trade_closed") -> Any:
    return {"instance": name, "side": side, "ts": at(minute), "decision": decision, "reason": reason}


def trade(name: str, minute: int, **changes: Any) -> dict[str, Any]:
    """One of 2 units from 100 to 110, ten minutes long, with fees of 1."""
    row = {
        "instance": name, "side": "long", "strategy": "rider", "trade_id": f"{name[-10:]}-L-{T0 + minute * MINUTE}",
        "signal_ts": at(minute), "entry_ts": at(minute), "exit_ts": at(minute + 10), "entry_price": 100.0,
        "exit_price": 110.0, "qty": 2.0, "exit_reason": "signal", "fees": 1.0, "funding": 0.0,
    } | changes  # fmt: skip
    sign = 1.0 if row["side"] == "long" else -1.0
    if row["exit_ts"] is not None and "pnl" not in changes:
        gross = sign * row["qty"] * (row["exit_price"] - row["entry_price"])
        row["pnl"] = gross - row["fees"] + row["funding"]
    return {"pnl": None} | row


def audit(name: str, minute: int, given: float = 2.0) -> dict[str, Any]:
    return {"instance": name, "side": "long", "ts": at(minute), "given": given}


def tables(**changes: list[dict[str, Any]]) -> RunTables:
    """Two trades of the first instance, one of the second between them."""
    rows = {
        "signals": [signal(NAMES[0], 0), signal(NAMES[1], 5), signal(NAMES[0], 30)],
        "trades": [trade(NAMES[0], 0), trade(NAMES[1], 5), trade(NAMES[0], 30)],
        "audit": [audit(NAMES[0], 0), audit(NAMES[1], 5), audit(NAMES[0], 30)],
    } | changes  # fmt: skip
    times = ("ts", "signal_ts", "entry_ts", "exit_ts")
    frames = {
        name: pl.DataFrame(found, infer_schema_length=None).with_columns(
            pl.col(c).cast(TIME) for c in times if c in found[0]
        )
        for name, found in rows.items()
    }
    return RunTables("run", "live", frames, T0, T0 + 100 * MINUTE, series=dict.fromkeys(NAMES, ("x", "BTC/USDT", "1m")))


TEST = tables()


def found(live: RunTables, ends: Ends = QUIET) -> dict[LiveKind, float]:
    """Money by cause."""
    money: dict[LiveKind, float] = {}
    for one in differences(live, TEST, ends):
        money[one.kind] = money.get(one.kind, 0.0) + one.money
    return money


def with_trade(k: int, **changes: Any) -> RunTables:
    rows = [trade(NAMES[0], 0), trade(NAMES[1], 5), trade(NAMES[0], 30)]
    name, minute = ((NAMES[0], 0), (NAMES[1], 5), (NAMES[0], 30))[k]
    rows[k] = trade(name, minute, **changes)
    return tables(trades=rows)


def word(text: str, kind: str = "exit", name: str = NAMES[0], minute: int = 0) -> Ends:
    return Ends({(f"{name[-10:]}-L-{T0 + minute * MINUTE}", kind): text})


def test_what_is_equal_has_no_difference() -> None:
    assert differences(tables(), TEST, QUIET) == []


@pytest.mark.parametrize(
    ("changes", "ends", "money"),
    [
        ({"entry_price": 100.5}, QUIET, {LiveKind.SLIPPAGE: -1.0}),
        ({"exit_price": 109.0}, QUIET, {LiveKind.SLIPPAGE: -2.0}),
        ({"fees": 1.25}, QUIET, {LiveKind.FEE: -0.25}),
        ({"funding": -0.1}, QUIET, {LiveKind.FUNDING: -0.1}),
        ({"qty": 1.5, "fees": 0.75}, QUIET, {LiveKind.QUANTITY: -4.75}),
        ({"qty": 1.5, "fees": 1.0}, QUIET, {LiveKind.QUANTITY: -4.75, LiveKind.FEE: -0.25}),
        ({"entry_ts": at(1.2)}, QUIET, {LiveKind.LATENCY: 0.0}),
        ({"exit_ts": at(12), "exit_price": 108.0}, QUIET, {LiveKind.LATENCY: -4.0}),
        ({"exit_ts": at(8), "exit_price": 95.0, "exit_reason": "stop"}, QUIET, {LiveKind.LEVEL: -30.0}),
        ({"exit_ts": at(8), "exit_price": 95.0, "exit_reason": "manual"}, word("byhand: x"), {LiveKind.BY_HAND: -30.0}),
        ({"exit_ts": at(1), "exit_price": 99.0, "exit_reason": "stop"}, word("unprotected: x", "stop"),
         {LiveKind.UNPROTECTED: -22.0}),
        ({"exit_ts": None}, QUIET, {LiveKind.OPEN: -19.0}),
        ({"pnl": 18.0}, QUIET, {LiveKind.UNEXPLAINED: -1.0}),
        ({"exit_ts": at(8), "exit_reason": "max_hold"}, QUIET, {LiveKind.UNEXPLAINED: 0.0}),
        ({"entry_price": 100.5, "exit_price": 109.0, "fees": 1.25, "qty": 1.5}, QUIET,
         {LiveKind.QUANTITY: -4.75, LiveKind.SLIPPAGE: -0.75 - 1.5, LiveKind.FEE: -0.5}),
    ],
)  # fmt: skip
def test_a_trade_is_taken_apart_and_its_parts_add_up(
    changes: Mapping[str, Any], ends: Ends, money: dict[LiveKind, float]
) -> None:
    live = with_trade(0, **changes)
    parts = found(live, ends)
    assert parts == pytest.approx(money)
    mine, theirs = (run.tables["trades"]["pnl"].sum() for run in (live, TEST))
    assert sum(parts.values()) == pytest.approx(mine - theirs)


def lacking(reason: str, decision: str = "rejected") -> RunTables:
    """The middle trade was not entered, for a reason."""
    return tables(
        signals=[signal(NAMES[0], 0), signal(NAMES[1], 5, decision=decision, reason=reason), signal(NAMES[0], 30)],
        trades=[trade(NAMES[0], 0), trade(NAMES[0], 30)],
    )


@pytest.mark.parametrize(
    ("live", "ends", "kind"),
    [
        (lacking(REASONS[Reason.VENUE]), QUIET, LiveKind.VENUE),
        (lacking("no room"), word("funds: not enough", "entry", NAMES[1], 5), LiveKind.VENUE),
        (lacking(REASONS[Reason.STALE]), QUIET, LiveKind.LATE_BAR),
        (lacking("vetoed by its model", "vetoed"), QUIET, LiveKind.UNEXPLAINED),
        (lacking("no room"), QUIET, LiveKind.UNEXPLAINED),
    ],
)
def test_an_entry_that_was_not_made_has_the_venues_word(live: RunTables, ends: Ends, kind: LiveKind) -> None:
    assert found(live, ends) == pytest.approx({kind: -19.0})


def test_what_the_account_decides_follows_from_an_earlier_trade_alone() -> None:
    moved = lacking("no room")
    early = replace(moved, tables={**moved.tables, "trades": tables(
        trades=[trade(NAMES[0], 0, entry_price=100.5), trade(NAMES[0], 30)]).tables["trades"]})  # fmt: skip
    assert found(early) == pytest.approx({LiveKind.SLIPPAGE: -1.0, LiveKind.ACCOUNT: -19.0})
    late = replace(moved, tables={**moved.tables, "trades": tables(
        trades=[trade(NAMES[0], 0), trade(NAMES[0], 30, entry_price=100.5)]).tables["trades"]})  # fmt: skip
    # The entry at minute 5 itself is the first that differs.
    assert found(late) == pytest.approx({LiveKind.SLIPPAGE: -1.0, LiveKind.UNEXPLAINED: -19.0})


def test_another_size_follows_from_another_account() -> None:
    rows = [trade(NAMES[0], 0, entry_price=100.5), trade(NAMES[1], 5, qty=2.1, fees=1.05), trade(NAMES[0], 30)]
    given = [audit(NAMES[0], 0), audit(NAMES[1], 5, 2.1), audit(NAMES[0], 30)]
    assert found(tables(trades=rows, audit=given)) == pytest.approx({LiveKind.SLIPPAGE: -1.0, LiveKind.ACCOUNT: 0.95})
    rows[0] = trade(NAMES[0], 0)
    assert found(tables(trades=rows, audit=given)) == pytest.approx({LiveKind.UNEXPLAINED: 0.95})


def test_a_signal_of_one_alone_follows_from_a_trade_that_ended_otherwise() -> None:
    signals = [signal(NAMES[0], 0), signal(NAMES[1], 5), signal(NAMES[0], 9, decision="rejected"), signal(NAMES[0], 30)]
    stopped = with_trade(0, exit_ts=at(8), exit_price=95.0, exit_reason="stop").tables["trades"]
    live = tables(signals=signals)
    assert found(live) == pytest.approx({LiveKind.UNEXPLAINED: 0.0})
    live = replace(live, tables={**live.tables, "trades": stopped})
    assert found(live) == pytest.approx({LiveKind.LEVEL: -30.0, LiveKind.STATE: 0.0})

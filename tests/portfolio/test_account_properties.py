"""What an account promises of every run: its books add up, no limit is passed at a decision, the future is not seen."""

import math
from collections import Counter
from dataclasses import replace
from functools import lru_cache
from typing import Any

import numpy as np
import pytest

from tests.portfolio.account_books import Books, Holding, total
from tests.portfolio.account_cases import AccountCase, compiled_run, judged, loaded, random_account
from toolkit.bars.intervals import DAY_MS
from toolkit.bars.series import Bars
from toolkit.engine.run import run as run_alone
from toolkit.engine.sizing import Reason
from toolkit.engine.types import ACCEPTED, EXIT_ORDER, NO_SIGNAL, VETOED
from toolkit.portfolio.limits import Instrument, Limits
from toolkit.portfolio.schedule import WeightSchedule
from toolkit.portfolio.simulate import PortfolioRun, simulate
from toolkit.verify.bits import differing

pytestmark = pytest.mark.xdist_group("engine")
CASES = 160
_FREE = Limits(sizing="notional", notional_per_trade=1000.0, price_buffer=0.0)


@lru_cache(maxsize=CASES)
def ran(seed: int) -> tuple[AccountCase, PortfolioRun]:
    case = random_account(seed)
    return case, compiled_run(case)


def test_cash_positions_fees_and_funding_add_up_at_every_mark_and_every_decision() -> None:
    seen = 0
    for seed in range(CASES):
        case, run = ran(seed)
        books, exact = Books(case, run), {"rel": 1e-9, "abs": 1e-7 * case.capital}
        for day in run.days:
            moment = int(day["ts"])
            held = books.open_trades(moment)
            assert day["cash"] == pytest.approx(books.cash(moment), **exact), str(case)
            assert day["equity"] == pytest.approx(books.equity(moment), **exact), str(case)
            assert day["gross"] == pytest.approx(total(held), **exact), str(case)
            assert day["net"] == pytest.approx(total(held, signed=True), **exact), str(case)
            assert day["open_trades"] == len(held), str(case)
        for row in run.audit[run.audit["reason"] != Reason.UNPAID]:
            assert row["equity"] == pytest.approx(books.equity(int(row["ts"])), **exact), str(case)
            seen += 1
        costs = run.trades["entry_fee"].sum() + run.trades["exit_fee"].sum() - run.trades["funding"].sum()
        moves = run.trades["side"] * run.trades["qty"] * (run.trades["exit_price"] - run.trades["entry_price"])
        assert run.days["equity"][-1] == pytest.approx(case.capital + moves.sum() - costs, **exact), str(case)
    assert seen > 2000


def decisions(case: AccountCase, run: PortfolioRun, books: Books) -> Any:
    """Each row of the audit that is a decision, with the books just before it."""
    signal = 0
    for row in run.audit:
        if row["reason"] == Reason.UNPAID:
            continue
        yield row, signal, [*books.open_trades(int(row["ts"])), *books.waiting(int(row["ts"]), signal)]
        signal += 1
    assert signal == len(run.signals)


def test_the_audit_says_what_was_there_and_what_was_given() -> None:
    for seed in range(CASES):
        case, run = ran(seed)
        books, exact = Books(case, run), {"rel": 1e-9, "abs": 1e-7 * case.capital}
        for row, signal, held in decisions(case, run, books):
            entrant = books.entrants[row["member"]]
            assert row["gross"] == pytest.approx(total(held), **exact), str(case)
            assert row["net"] == pytest.approx(total(held, signed=True), **exact), str(case)
            assert row["open_trades"] == len(held), str(case)
            assert row["weight"] == case.schedule.at(int(row["ts"]))[entrant.id] > 0, str(case)
            assert row["given"] == 0 or 0 < row["given"] <= row["asked"], str(case)
            assert (0 < row["given"] == row["asked"]) == (row["reason"] == Reason.FULL), str(case)
            assert (run.signals[signal]["decision"] == ACCEPTED) == (row["given"] > 0), str(case)
            assert (run.signals[signal]["decision"] == VETOED) == (row["reason"] == Reason.VETOED), str(case)


def shares_used(row: Any, held: list[Holding], symbol: str) -> dict[str, float]:
    """By limit: the money that it counts once the entry is accepted."""
    value, side = float(row["given"] * row["price"]), int(row["side"])
    return {
        "max_trade": value, "max_symbol": total([h for h in held if h.symbol == symbol]) + value,
        "max_gross": total(held) + value, "max_net": side * total(held, signed=True) + value,
    }  # fmt: skip


def test_no_limit_is_passed_at_a_decision() -> None:
    met: Counter[str] = Counter()
    for seed in range(CASES):
        case, run = ran(seed)
        books, limits, rounding = Books(case, run), case.limits, 1e-9 * case.capital
        for row, _, held in decisions(case, run, books):
            if row["given"] == 0:
                continue
            entrant, equity = books.entrants[row["member"]], float(row["equity"])
            for name, used in shares_used(row, held, entrant.symbol).items():
                share = getattr(limits, name)
                assert share is None or used <= share * equity + rounding, f"{case}: {name}"
                met[name] += share is not None
            value = float(row["given"] * row["price"])
            assert limits.max_trade_notional is None or value <= limits.max_trade_notional + rounding, str(case)
            buffer = (1 + limits.price_buffer) * (1 + entrant.costs.taker_rate)
            held_now = total(books.open_trades(int(row["ts"])))
            kept = held_now + sum(h.reserved for h in held) + value * buffer
            assert kept <= limits.leverage * equity + rounding, str(case)
            counts = {
                "max_open": len(held), "max_open_symbol": sum(h.symbol == entrant.symbol for h in held),
                "max_open_strategy": sum(h.strategy == entrant.strategy for h in held),
            }  # fmt: skip
            for name, count in counts.items():
                assert getattr(limits, name) is None or count < getattr(limits, name), f"{case}: {name}"
                met[name] += getattr(limits, name) is not None
    assert min(met.values()) > 50


def test_no_rule_of_a_venue_is_broken_at_a_decision() -> None:
    met: Counter[str] = Counter()
    for seed in range(CASES):
        case, run = ran(seed)
        books = Books(case, run)
        for row, _, held in decisions(case, run, books):
            entrant, side = books.entrants[row["member"]], int(row["side"])
            venue = case.instruments.get(entrant.symbol, Instrument())
            if row["given"] == 0:
                continue
            assert side > 0 or venue.market != "spot", str(case)
            assert venue.hedge_mode or not [h for h in held if h.symbol == entrant.symbol and h.side != side]
            assert row["given"] >= venue.min_qty, str(case)
            assert row["given"] * row["price"] >= venue.min_notional, str(case)
            if venue.lot_step:
                lots = row["given"] / venue.lot_step
                assert abs(lots - round(lots)) < 1e-6, str(case)
            met.update({"spot": venue.market == "spot", "lot": venue.lot_step > 0, "one way": not venue.hedge_mode})
    assert min(met.values()) > 20


def test_drift_beyond_a_limit_is_reported() -> None:
    drifted = 0
    for seed in range(CASES):
        case, run = ran(seed)
        books, since = Books(case, run), -1
        for day in run.days:
            moment = int(day["ts"])
            rows = run.audit[(run.audit["ts"] > since) & (run.audit["ts"] <= moment)]
            rows = rows[(rows["reason"] != Reason.UNPAID) & (rows["ts"] < moment) & (rows["equity"] > 0)]
            shares = [float((r["gross"] + r["given"] * r["price"]) / r["equity"]) for r in rows]
            now = [*books.open_trades(moment)]
            if day["equity"] > 0:
                shares.append(total(now) / float(day["equity"]))
            assert day["gross_share"] >= max(shares, default=0.0) * (1 - 1e-9), str(case)
            drifted += case.limits.max_gross is not None and day["gross_share"] > case.limits.max_gross * (1 + 1e-9)
            since = moment
    assert drifted > 0


def test_halts_stop_entries_until_they_end_and_close_only_when_asked() -> None:
    stopped = closed = 0
    for seed in range(1000, 1000 + 2 * CASES):
        case = random_account(seed)
        if case.limits.daily_loss_halt is None and case.limits.drawdown_halt is None:
            continue
        run = compiled_run(case)
        for halt in run.halts:
            until = math.inf if halt["until_ts"] < 0 else halt["until_ts"]
            during = run.audit[(run.audit["ts"] >= halt["ts"]) & (run.audit["ts"] < until)]
            assert (during["given"] == 0).all(), str(case)
            stopped += len(during)
        by_halt = int((run.trades["exit_reason"] == 7).sum())
        assert by_halt == 0 or (case.limits.halt_closes and len(run.halts)), str(case)
        closed += by_halt
    assert stopped > 100
    assert closed > 3


def test_no_stop_without_a_trade_no_trade_without_its_stop_and_one_trade_a_leg() -> None:
    for seed in range(CASES):
        case, run = ran(seed)
        entrants = sorted(case.entrants, key=lambda e: e.id)
        for member, entrant in enumerate(entrants):
            own = run.trades[run.trade_member == member]
            if entrant.rules.trail is not None or entrant.rules.stop not in (None, "signal", "1.5signal"):
                assert np.isfinite(own["stop_price"]).all(), str(case)
            assert np.isfinite(own["stop_price"][np.isin(own["exit_reason"], (1, 6))]).all(), str(case)
            for side in (1, -1):
                trades = own[own["side"] == side]
                trades = trades[np.argsort(trades["entry_t"])]
                assert (trades["entry_t"] > trades["signal_t"]).all(), str(case)
                assert (trades["entry_t"][1:] > trades["exit_t"][:-1]).all(), str(case)
        open_legs = {
            (int(m), int(t["side"])) for m, t in zip(run.trade_member, run.trades, strict=True) if t["exit_reason"] == 0
        }
        assert open_legs == {leg for leg, state in run.states.items() if state.trade.active}, str(case)
        for state in run.states.values():
            assert not (state.order.kind == EXIT_ORDER and not state.trade.active), str(case)
            assert state.signal.status != NO_SIGNAL or (state.order.kind == 0 and not state.trade.active), str(case)


def altered(case: AccountCase, moment: int) -> AccountCase:
    """The case with everything that is not known at a moment turned into something else."""
    made: dict[int, Bars] = {}

    def other(b: Bars) -> Bars:
        if id(b) not in made:
            known = b.ts + b.interval_ms <= moment
            scale = np.where(known, 1.0, 0.5)
            columns = [b.open * scale, b.high * scale, b.low * scale, b.close * scale, np.where(known, b.volume, 3.0)]
            made[id(b)] = Bars(b.symbol, b.exchange, b.interval, b.ts.copy(), *columns, b.filled & known)
        return made[id(b)]

    entrants = []
    for e in case.entrants:
        known = e.bars.close_ts <= moment

        def later(values: Any, change: Any, known: Any = known) -> Any:
            return np.where(known, values, change(values))

        signals = type(e.signals)(
            *(later(a, np.logical_not if a.dtype == np.bool_ else lambda v: v * 3) for a in e.signals)
        )
        said = {s: later(v, lambda v: 4 - v).astype(np.uint8) for s, v in e.verdicts.items()}
        predictions = {s: later(v, lambda v: 1 - v) for s, v in e.predictions.items()}
        scales = {s: later(v, lambda v: 1 - v) for s, v in e.scales.items()}
        finer = None if e.finer is None else other(e.finer)
        bars = other(e.bars.base).to(e.bars.interval)
        entrants.append(replace(
            e, bars=bars, signals=signals, verdicts=said, predictions=predictions, scales=scales, finer=finer
        ))  # fmt: skip
    weights = np.where((case.schedule.effective_ms <= moment)[:, None], case.schedule.weights, 0.123)
    schedule = WeightSchedule(case.schedule.instances, case.schedule.effective_ms, weights)
    return replace(case, entrants=tuple(entrants), schedule=schedule)


def known_by(run: PortfolioRun, books: Books, moment: int) -> dict[str, Any]:
    """Every record of what had happened by then; when a signal ends may lie in the future."""
    signals = run.signals[books.decided_ms <= moment].copy()
    signals[["end", "closed_t", "ignored"]] = 0
    closed = books.exit_ms <= moment
    return {
        "trades": run.trades[closed], "trade_member": run.trade_member[closed], "weights": run.trade_weight[closed],
        "signals": signals, "audit": run.audit[run.audit["ts"] <= moment], "days": run.days[run.days["ts"] <= moment],
        "halts": run.halts[run.halts["ts"] <= moment],
    }  # fmt: skip


def same_records(a: Any, b: Any, what: str) -> None:
    assert len(a) == len(b), what
    for name in a.dtype.names or [None]:
        x, y = (a, b) if name is None else (a[name], b[name])
        assert not differing(x, y).any(), f"{what}: {name}"


def test_changing_the_future_changes_nothing_before() -> None:
    compared = 0
    for seed in range(CASES):
        case, run = ran(seed)
        first, last = case.period_ms
        moment = first + int((last - first) * (0.2 + 0.6 * (seed % 7) / 7)) // 60_000 * 60_000
        other = altered(case, moment)
        was, now = known_by(run, Books(case, run), moment), compiled_run(other)
        for name, records in known_by(now, Books(other, now), moment).items():
            same_records(was[name], records, f"{case}: {name}")
            compared += len(records)
    assert compared > 2000


def test_one_instance_without_limits_is_its_own_backtest_to_the_bit() -> None:
    compared = 0
    for seed in range(CASES):
        case = random_account(seed)
        for one in loaded(case):
            alone = run_alone(one.prepared, _FREE.notional_per_trade)
            schedule = WeightSchedule.static({one.instance.id: 1.0}, [one.instance.id])
            run = simulate([one], schedule, _FREE, capital=1e9)
            for name in ("trades", "signals"):
                records, by = getattr(run, name), "entry_t" if name == "trades" else "t"
                same_records(
                    records[np.lexsort((-records["side"], records[by]))], getattr(alone, name), f"{case}: {name}"
                )
                compared += len(records)
    assert compared > 2000


def test_the_order_of_the_members_does_not_matter() -> None:
    for seed in range(CASES):
        case, run = ran(seed)
        other = compiled_run(case, loaded=loaded(case)[::-1])
        for name in ("trades", "trade_member", "signals", "audit", "days", "halts"):
            same_records(getattr(run, name), getattr(other, name), f"{case}: {name}")


def test_an_instance_without_weight_changes_nothing() -> None:
    for seed in range(CASES):
        case, _ = ran(seed)
        first, *rest = case.entrants
        if not rest:
            continue
        off = case.schedule.weights * (np.array(case.schedule.instances) != first.id)
        without = WeightSchedule(case.schedule.instances, case.schedule.effective_ms, off)
        there = compiled_run(case, schedule=without)
        keep = [k for k, name in enumerate(case.schedule.instances) if name != first.id]
        alone = WeightSchedule(
            tuple(case.schedule.instances[k] for k in keep), case.schedule.effective_ms, off[:, keep]
        )
        symbols = {e.symbol for e in rest}
        others = [one for one in loaded(case) if one.instance.id != first.id]
        gone = compiled_run(
            case, schedule=alone, loaded=others,
            instruments={name: rule for name, rule in case.instruments.items() if name in symbols},
            judged=judged(rest, others),
        )  # fmt: skip
        for name in ("trades", "signals", "halts"):
            same_records(getattr(there, name), getattr(gone, name), f"{case}: {name}")
        # Its bars may make the period longer.
        midnights = [run.days[run.days["ts"] % DAY_MS == 0] for run in (there, gone)]
        n = min(len(days) for days in midnights)
        same_records(midnights[0][:n], midnights[1][:n], f"{case}: days")

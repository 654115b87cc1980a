"""A session's own records give its backtest: the same trades, by the compiled account over whole histories."""

from dataclasses import replace
from pathlib import Path

import pytest

from executor.engine.recheck import backtest_of
from executor.ledger import Ledger
from tests.executor.engine.account_replay import events_of, make_engine, open_ledger, plan_of, playable
from tests.executor.engine.test_commands import ask
from tests.executor.engine.test_replay import assert_same
from tests.portfolio.account_cases import AccountCase
from toolkit.errors import LedgerError


def unjudged(seed: int) -> AccountCase:
    """A case in which no model has a say."""
    case = playable(seed)
    limits = replace(case.limits, sizing="weight") if case.limits.sizing == "prediction" else case.limits
    entrants = tuple(replace(e, verdicts={}, predictions={}, scales={}) for e in case.entrants)
    return replace(case, entrants=entrants, limits=limits)


def session_of(case: AccountCase, path: Path) -> Ledger:
    """A session in which people acted: a halt, a deposit, a close, something disabled and enabled."""
    ledger = open_ledger(case, path)
    engine = make_engine(case, ledger)
    events = events_of(case)
    n = len(events)
    acts = {
        n // 6: ("halt", ""), n // 4: ("resume", ""), n // 3: ("deposit", "more"), n // 2: ("close", "*"),
        3 * n // 5: ("disable", case.entrants[0].id), 4 * n // 5: ("enable", case.entrants[0].id),
    }  # fmt: skip
    for k, event in enumerate(events):
        if k in acts:
            ask(ledger, *acts[k], value=0.25 * case.capital)
        engine.on_event(event)
    return ledger


@pytest.mark.xdist_group("engine")
def test_a_session_with_acts_is_its_own_backtest(tmp_path: Path) -> None:
    trades = 0
    for k, seed in enumerate(range(7_200_000, 7_200_020)):
        case = unjudged(seed)
        with session_of(case, tmp_path / f"{k}.sqlite") as ledger:
            plan = plan_of(case)
            run, _ = backtest_of(ledger, lambda _, __, plan=plan: plan)
            trades += assert_same(run, ledger, case)["closed trades"]
    assert trades > 50


def test_an_empty_ledger_has_nothing_to_check(tmp_path: Path) -> None:
    case = unjudged(7_200_000)
    with open_ledger(case, tmp_path / "empty.sqlite") as ledger, pytest.raises(LedgerError, match="holds no event yet"):
        backtest_of(ledger, lambda _, __: plan_of(case))


def test_bars_that_came_late_are_no_backtest(tmp_path: Path) -> None:
    case = unjudged(7_200_001)
    ledger = open_ledger(case, tmp_path / "late.sqlite")
    engine = make_engine(case, ledger)
    events = events_of(case)
    for event in events[:-1]:
        engine.on_event(event)
    engine.on_event(replace(events[-1], moment_ms=events[-1].moment_ms + 60_000))
    with pytest.raises(LedgerError, match="after their moment"):
        backtest_of(ledger, lambda _, __: plan_of(case))

"""One life of the daemon after another: started, stopped, crashed, refused."""

import json
import os
import signal
import sqlite3
from dataclasses import replace
from pathlib import Path

import pytest

from executor.broker.paper import PaperBroker
from executor.engine.engine import Engine
from executor.feed.base import BarEvent
from executor.heartbeat import STOPPING, read
from executor.ledger import Ledger
from executor.ledger.lock import one_daemon
from executor.supervisor import SUPERVISOR
from tests.executor.daemon.rig import SEED, Rig, make_rig
from tests.executor.engine.account_replay import open_ledger, plan_of, playable
from tests.executor.engine.test_replay import assert_same
from tests.portfolio.account_cases import compiled_run
from toolkit.errors import InputError, LedgerError, VenueError

DAY = 86_400_000
SESSIONS = "SELECT ended_ms, ended_how FROM sessions ORDER BY id"
NOTICES = "SELECT level, kind, text FROM notices WHERE kind IN ('start', 'restart', 'stop', 'feed') ORDER BY id"


@pytest.fixture
def rig(tmp_path: Path) -> Rig:
    return make_rig(tmp_path)


def whole(rig: Rig) -> None:
    """The ledger is that of an undisturbed run, which is the backtest's."""
    with Ledger.open(rig.path) as ledger:
        assert_same(compiled_run(rig.case), ledger, rig.case)


def test_a_daemon_decides_what_the_backtest_does_until_its_feed_ends(rig: Rig) -> None:
    rig.run()
    whole(rig)
    assert [row["ended_how"] for row in rig.rows(SESSIONS)] == ["the feed ended"]
    assert rig.feeds[0].is_closed
    beat = read(rig.path.with_name("executor.sqlite.heartbeat"))
    assert beat is not None and (beat.state, beat.moment_ms) == (STOPPING, rig.events[-1].moment_ms)


def test_a_stop_comes_after_the_bar_at_hand_and_the_next_start_goes_on(rig: Rig) -> None:
    half = rig.events[len(rig.events) // 2].moment_ms

    def stop_at_half(event: BarEvent) -> None:
        if event.moment_ms == half:
            os.kill(os.getpid(), signal.SIGTERM)

    rig.run(before=stop_at_half)
    done = rig.rows("SELECT max(moment_ms) AS last FROM events")[0]["last"]
    assert done <= half
    rig.run()
    whole(rig)
    assert [row["ended_how"] for row in rig.rows(SESSIONS)] == ["stopped", "the feed ended"]
    assert [row["kind"] for row in rig.rows(NOTICES)] == ["start", "stop", "restart", "stop"]


def test_a_crash_leaves_no_end_and_the_next_start_says_so(rig: Rig) -> None:
    def crash(event: BarEvent) -> None:
        if event.moment_ms >= rig.events[10].moment_ms:
            raise ZeroDivisionError("no such thing")

    with pytest.raises(ZeroDivisionError):
        rig.run(before=crash)
    assert rig.rows(SESSIONS) == [{"ended_ms": None, "ended_how": None}]
    lines = [json.loads(line) for line in (rig.path.parent / "logs/executor/executor.log").read_text().splitlines()]
    assert "ZeroDivisionError: no such thing" in lines[-1]["error"]
    rig.run()
    whole(rig)
    again = rig.rows(NOTICES)[1]
    assert (again["level"], again["kind"]) == ("warning", "restart")
    assert "ended without stopping" in again["text"]


def test_a_feed_that_fails_is_opened_again_where_it_stopped(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("executor.backoff.random.random", lambda: 0.0)
    failures: list[BaseException] = [VenueError("x0 did not answer"), VenueError("x0 did not answer")]
    monkeypatch.setattr("executor.backoff.Backoff.failed", _at_once)
    rig.run(raising=failures)
    whole(rig)
    assert len(rig.feeds) == 3
    assert all(feed.is_closed for feed in rig.feeds)
    said = [row["text"] for row in rig.rows(NOTICES) if row["kind"] == "feed"]
    assert said == ["the feed failed and is opened again: x0 did not answer"]


def _at_once(self: object) -> float:
    self.failures += 1  # type: ignore[attr-defined]
    return 0.0


def test_commands_hold_from_the_next_bar_on_and_their_row_says_so(rig: Rig) -> None:
    at = rig.events[len(rig.events) // 3].moment_ms

    def halt(event: BarEvent) -> None:
        if event.moment_ms == at:
            rig.ask("halt")

    rig.run(before=halt)
    assert [row["status"] for row in rig.rows("SELECT status FROM commands")] == ["done"]
    given = rig.rows(f"SELECT given FROM audit WHERE ts_ms > {at}")
    assert given and all(row["given"] == 0.0 for row in given)


def test_a_second_daemon_and_a_ledger_of_another_mode_are_refused(rig: Rig) -> None:
    with one_daemon(rig.path), pytest.raises(LedgerError, match="works on the ledger"):
        rig.run()
    with Ledger.open(rig.path) as ledger:
        ledger.set_meta("mode", "replay")
    with pytest.raises(InputError, match="is the ledger of a replay run, and this is a dry one"):
        rig.run()
    assert rig.rows(SESSIONS) == []


def test_an_error_that_is_said_is_how_the_session_ended(rig: Rig) -> None:
    def fail(event: BarEvent) -> None:
        raise LedgerError("the disk is full; make room")

    with pytest.raises(LedgerError):
        rig.run(before=fail)
    assert rig.rows(SESSIONS)[0]["ended_how"] == "error: the disk is full; make room"
    last = rig.rows(NOTICES)[-1]
    assert (last["level"], last["kind"]) == ("error", "stop")


def test_a_backup_is_made_where_the_newest_is_older_than_a_day(rig: Rig) -> None:
    rig.run(at_end="stop")
    made = sorted((rig.path.parent / "backups").glob("*.sqlite"))
    assert len(made) == 1
    with sqlite3.connect(made[0]) as db:
        assert db.execute("PRAGMA quick_check").fetchone() == ("ok",)
    db.close()
    rig.run(at_end="stop")
    assert sorted((rig.path.parent / "backups").glob("*.sqlite")) == made


def test_a_daemon_whose_supervisor_is_gone_stops_cleanly(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(SUPERVISOR, str(os.getppid()))
    rig.run()
    monkeypatch.setenv(SUPERVISOR, "999999999")
    rig.run(at_end="wait")
    assert [row["ended_how"] for row in rig.rows(SESSIONS)] == ["the feed ended", "stopped"]


def test_a_series_that_is_only_looked_at_begins_with_the_bar_in_which_the_account_does(tmp_path: Path) -> None:
    case = playable(SEED)
    plan = plan_of(case)
    daily = plan.members[0].series._replace(base="1d")
    members = [replace(plan.members[0], native=(daily,)), *plan.members[1:]]
    noon = case.period_ms[0] // DAY * DAY + DAY // 2 + 1
    with open_ledger(case, tmp_path / "executor.sqlite") as ledger:
        ledger.set_meta("start_ms", noon)
        engine = Engine(ledger, PaperBroker(), load=lambda *_: replace(plan, members=members))
    assert engine.next_ts(daily) == noon // DAY * DAY
    for one in members:
        assert noon < engine.next_ts(one.series) <= noon + one.series.base_ms


def test_the_table_of_the_feed_says_who_is_silent_and_the_notice_comes_once(rig: Rig) -> None:
    series = sorted({series for event in rig.events for series, _ in event.bars})
    rig.run(at_end="stop", silent=dict.fromkeys(series, 1.0) | {series[0]: 900.0})
    states = {row["exchange"]: row["state"] for row in rig.rows("SELECT exchange, state FROM feed")}
    assert states[series[0].exchange] == "stale"
    assert "stale" not in {state for name, state in states.items() if name != series[0].exchange}
    notices = rig.rows("SELECT text FROM notices WHERE kind = 'feed stale'")
    assert len(notices) == 1 and series[0].symbol in notices[0]["text"]

"""The whole of `executor run --dry` on a venue of this machine: caught up, killed, started again, stopped."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from http.client import HTTPConnection
from pathlib import Path

import pytest

from executor.api import token
from executor.heartbeat import RUNNING, Heartbeat, read
from executor.ledger import Ledger
from tests.executor.daemon.venue import MINUTE, venue
from tests.executor.supervisor.sink import Sink

PATIENCE_SECS = 240


def when(found: Callable[[], Heartbeat | None]) -> Heartbeat:
    until = time.monotonic() + PATIENCE_SECS
    while time.monotonic() < until:
        beat = found()
        if beat is not None:
            return beat
        time.sleep(0.05)
    raise AssertionError("it did not come about")


def free_port() -> int:
    with socket.socket() as line:
        line.bind(("127.0.0.1", 0))
        return int(line.getsockname()[1])


def asked(ledger: Path, port: int, address: str) -> str:
    """What the daemon's API answers to who has the token."""
    line = HTTPConnection("127.0.0.1", port, timeout=20)
    try:
        line.request("GET", address, headers={"Authorization": f"Bearer {token.current(ledger)}"})
        return line.getresponse().read().decode()
    finally:
        line.close()


@pytest.mark.slow
def test_a_dry_run_catches_up_survives_a_kill_and_stops_when_told(tmp_path: Path) -> None:
    port = free_port()
    with Sink() as sink, venue(tmp_path, ping_url=f"{sink.url}/alive", api_port=port) as (ledger, config):
        began = time.time_ns() // 1_000_000
        beats = ledger.with_name("executor.sqlite.heartbeat")

        def caught_up(other_than: int = 0) -> Heartbeat | None:
            beat = read(beats)
            good = beat is not None and beat.state == RUNNING and beat.pid != other_than
            return beat if beat is not None and good and beat.moment_ms >= began // MINUTE * MINUTE else None

        command = [sys.executable, "-m", "executor", "run", "--dry", "--json", "--config", str(config)]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        try:
            first = when(caught_up)
            os.kill(first.pid, signal.SIGKILL)
            second = when(lambda: caught_up(first.pid))
            scraped = asked(ledger, port, "/metrics")
            process.send_signal(signal.SIGTERM)
            said, _ = process.communicate(timeout=60)
        finally:
            process.kill()
            process.wait()
        assert process.returncode == 0
        assert '"ended": "stopped", "restarts": 1' in said
        assert "lockstep_restarts 1.0" in scraped
        assert 'lockstep_feed_age_seconds{base="1m",exchange="gate",symbol="BTC/USDT"}' in scraped
        assert {request.path for request in sink.requests} == {"/alive"}
    with Ledger.open(ledger, readonly=True) as book:
        sessions = [tuple(row) for row in book.rows("SELECT pid, ended_how FROM sessions ORDER BY id")]
        assert sessions == [(first.pid, None), (second.pid, "stopped")]
        moments = [row[0] for row in book.rows("SELECT moment_ms FROM events ORDER BY seq")]
        assert moments == list(range(moments[0], moments[-1] + 1, MINUTE)) and len(moments) >= 120
        bars = book.rows("SELECT symbol, min(ts) AS a, max(ts) AS b, count(*) AS n FROM bars GROUP BY symbol")
        assert len(bars) == 2
        assert all(row["n"] == (row["b"] - row["a"]) // MINUTE + 1 for row in bars)
        # The windows reach back before the account's first moment; those bars are no events.
        assert book.value("SELECT count(*) FROM bars WHERE event IS NULL") > 0
        assert book.value("SELECT count(*) FROM audit") > 0
        assert {row["state"] for row in book.rows("SELECT state FROM feed")} <= {"live", "late"}

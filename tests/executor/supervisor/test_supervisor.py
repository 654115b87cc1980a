"""The supervisor with children that crash, refuse, freeze and stop."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from executor.backoff import Backoff
from executor.supervisor import REFUSED, SUPERVISOR, Supervisor, Watch
from tests.executor.supervisor.children import child, starts
from tests.executor.supervisor.sink import Sink

QUICK = Watch(limit_secs=30.0, start_secs=30.0, healthy_secs=3600.0, stop_secs=20.0, tick_secs=0.01, ping_secs=60.0)


def no_wait() -> Backoff:
    return Backoff(first_secs=0.0, most_secs=0.0)


def supervised(folder: Path, body: str, **how: object) -> Supervisor:
    given = {"watch": QUICK, "backoff": no_wait(), **how}
    return Supervisor(child(folder, body), folder / "beat", **given)  # type: ignore[arg-type]


def stop_when(holds: Callable[[], bool], number: int = signal.SIGTERM) -> threading.Thread:
    """Signal this process, which runs the supervisor, once it holds."""

    def wait() -> None:
        until = time.monotonic() + 40
        while not holds() and time.monotonic() < until:
            time.sleep(0.01)
        os.kill(os.getpid(), number)

    thread = threading.Thread(target=wait)
    thread.start()
    return thread


def test_a_child_that_crashes_is_started_again_until_one_lives(tmp_path: Path) -> None:
    body = "if number < 3:\n    beat()\n    sys.exit(1)\nlive()\n"
    boss = supervised(tmp_path, body)
    thread = stop_when(lambda: len(starts(tmp_path)) == 4 and "running" in _text(tmp_path / "beat"))
    assert boss.run() == 0
    thread.join()
    assert len(starts(tmp_path)) == 4
    assert boss.restarts == 3
    assert (tmp_path / "finished").exists()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_stop_is_passed_on_and_waits_for_the_bar_at_hand(tmp_path: Path, number: int) -> None:
    boss = supervised(tmp_path, "live(finishing=0.3)\n")
    before = signal.getsignal(number)
    thread = stop_when(lambda: (tmp_path / "beat").exists(), number)
    assert boss.run() == 0
    thread.join()
    assert (tmp_path / "finished").read_text() == "yes"
    assert not _alive(starts(tmp_path)[0])
    assert signal.getsignal(number) is before


def test_a_child_that_does_not_stop_is_killed(tmp_path: Path) -> None:
    boss = supervised(tmp_path, "beat()\nwhile True:\n    time.sleep(1)\n", watch=Watch(stop_secs=0.2, tick_secs=0.01))
    thread = stop_when(lambda: (tmp_path / "beat").exists())
    assert boss.run() == 0
    thread.join()
    assert not _alive(starts(tmp_path)[0])


def test_a_frozen_child_is_killed_and_another_one_started(tmp_path: Path) -> None:
    body = "beat()\nif number == 0:\n    time.sleep(0.3)\n    beat('running', 1)\n    time.sleep(1000)\nlive()\n"
    watch = Watch(limit_secs=0.5, start_secs=30.0, stop_secs=20.0, tick_secs=0.01)
    boss = supervised(tmp_path, body, watch=watch)
    thread = stop_when(lambda: len(starts(tmp_path)) == 2 and _alive(starts(tmp_path)[1]))
    assert boss.run() == 0
    thread.join()
    first = starts(tmp_path)[0]
    assert not _alive(first)
    assert boss.restarts == 1


def test_a_child_that_never_gives_a_sign_is_killed_after_its_longer_limit(tmp_path: Path) -> None:
    watch = Watch(limit_secs=0.01, start_secs=1.0, tick_secs=0.01)
    boss = supervised(tmp_path, "if number == 0:\n    time.sleep(1000)\nlive()\n", watch=watch)
    thread = stop_when(lambda: len(starts(tmp_path)) >= 2)
    assert boss.run() == 0
    thread.join()
    assert not _alive(starts(tmp_path)[0])


def test_a_refusal_of_the_first_start_is_final_and_a_later_one_is_not(tmp_path: Path) -> None:
    assert supervised(tmp_path, f"sys.exit({REFUSED})\n").run() == REFUSED
    assert len(starts(tmp_path)) == 1
    other = tmp_path / "other"
    other.mkdir()
    body = f"if number == 0:\n    beat()\n    time.sleep(0.3)\nif number < 3:\n    sys.exit({REFUSED})\nlive()\n"
    boss = supervised(other, body)
    thread = stop_when(lambda: len(starts(other)) == 4)
    assert boss.run() == 0
    thread.join()
    assert boss.restarts == 3


class Clock:
    """Seconds that pass where the supervisor waits. Over `end` the supervisor is told to stop."""

    def __init__(self, end: float) -> None:
        self.now, self.end, self.waits = 1000.0, 1000.0 + end, list[float]()

    def __call__(self) -> float:
        return self.now

    def wait(self, secs: float) -> None:
        self.waits.append(secs)
        self.now += secs
        if self.now >= self.end:
            os.kill(os.getpid(), signal.SIGTERM)


def test_pauses_between_crashes_grow_and_give_way_to_a_stop(tmp_path: Path) -> None:
    clock = Clock(end=62.0)
    backoff = Backoff(1.0, 300.0, chance=lambda: 0.0)
    # Of one-second looks: those at a child that is ending cost no time of this clock.
    boss = supervised(
        tmp_path, "sys.exit(1)\n", backoff=backoff, clock=clock, wait=clock.wait, watch=Watch(tick_secs=1e-9)
    )
    boss._pause = _long_pauses(boss, clock)  # type: ignore[method-assign]
    assert boss.run() == 0
    # 1 + 2 + 4 + 8 + 16 + 32 = 63: the sixth pause is cut short by the stop.
    assert backoff.failures == 6
    assert len(starts(tmp_path)) == 6


def _long_pauses(boss: Supervisor, clock: Clock) -> Callable[..., None]:
    """Its own pauses, looked at each second."""
    own = boss._pause

    def pause(*args: object) -> None:
        before, boss._watch = boss._watch, Watch(tick_secs=1.0)
        own(*args)  # type: ignore[arg-type]
        boss._watch = before

    return pause


def test_an_hour_of_health_is_a_fresh_start(tmp_path: Path) -> None:
    backoff = no_wait()
    backoff.failures = 7
    boss = supervised(tmp_path, "live()\n", backoff=backoff, watch=Watch(healthy_secs=0.2, tick_secs=0.01))
    thread = stop_when(lambda: backoff.failures == 0)
    assert boss.run() == 0
    thread.join()
    assert backoff.failures == 0


def test_the_outside_is_pinged_while_the_child_is_well_and_no_longer(tmp_path: Path) -> None:
    with Sink() as sink:
        watch = Watch(limit_secs=30.0, start_secs=30.0, stop_secs=20.0, tick_secs=0.01, ping_secs=0.3)
        # It beats for a while, then goes on without a sign, until it is told to stop.
        body = "for n in range(40):\n    beat('running', n)\n    time.sleep(0.02)\n"
        body += "(folder / 'silent').write_text('')\nwhile not stopped:\n    time.sleep(0.02)\n"
        boss = supervised(tmp_path, body, watch=watch, ping_url=f"{sink.url}/ping/secret")
        quiet: list[int] = []

        def long_silent() -> bool:
            silent = tmp_path / "silent"
            if silent.exists() and time.time() - silent.stat().st_mtime > 0.8:
                quiet.append(len(sink.requests))
            return len(quiet) > 0 and time.time() - silent.stat().st_mtime > 2.0

        thread = stop_when(long_silent)
        assert boss.run() == 0
        thread.join()
        assert len(sink.requests) >= 2
        assert {request.path for request in sink.requests} == {"/ping/secret"}
        assert len(sink.requests) == quiet[0]


def test_nobody_is_pinged_while_the_child_is_still_starting(tmp_path: Path) -> None:
    with Sink() as sink:
        body = "for n in range(20):\n    beat('starting')\n    time.sleep(0.02)\nlive()\n"
        watch = Watch(tick_secs=0.01, ping_secs=60.0)
        boss = supervised(tmp_path, body, watch=watch, ping_url=sink.url)
        thread = stop_when(lambda: len(sink.requests) == 1)
        assert boss.run() == 0
        thread.join()
        assert len(sink.requests) == 1


def test_the_child_knows_its_supervisor_and_a_heartbeat_of_another_is_not_its_own(tmp_path: Path) -> None:
    (tmp_path / "beat").write_text('{"pid": 1, "at_ms": 1, "state": "running", "moment_ms": 5}')
    body = f"(folder / 'parent').write_text(os.environ[{SUPERVISOR!r}])\nlive()\n"
    boss = supervised(tmp_path, body)
    thread = stop_when(lambda: (tmp_path / "beat").exists() and (tmp_path / "parent").exists())
    assert boss.run() == 0
    thread.join()
    assert (tmp_path / "parent").read_text() == str(os.getpid())


def test_systemd_is_told_what_it_listens_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import socket

    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as line:
        line.bind(str(tmp_path / "notify"))
        line.settimeout(10)
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        boss = supervised(tmp_path, "live()\n", watch=Watch(tick_secs=0.05))
        thread = stop_when(lambda: (tmp_path / "beat").exists())
        seen: list[bytes] = []
        listening = threading.Thread(target=lambda: _receive(line, seen))
        listening.start()
        assert boss.run() == 0
        thread.join()
        listening.join()
    assert seen[0] == b"READY=1"
    assert b"WATCHDOG=1" in seen
    assert seen[-1] == b"STOPPING=1"


def test_the_parent_carries_neither_kernels_nor_exchanges_nor_a_server() -> None:
    heavy = "{'numpy', 'numba', 'ccxt', 'aiohttp', 'apprise', 'prometheus_client', 'sqlite3'}"
    code = (
        "import sys, executor.cli.main, executor.cli.run, executor.supervisor, executor.config, executor.logs\n"
        f"print(sorted({heavy} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def _receive(line: "object", seen: list[bytes]) -> None:
    while not seen or seen[-1] != b"STOPPING=1":
        seen.append(line.recv(100))  # type: ignore[attr-defined]


def _text(path: Path) -> str:
    return path.read_text() if path.exists() else ""


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True

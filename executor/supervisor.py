"""The parent of the daemon: starts it, starts it again when it ends, and tells the outside that it lives.

It holds nothing of the daemon's but its pid and its heartbeat file, so that whatever kills the one spares the other.
"""

import logging
import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from executor import heartbeat, outside
from executor.backoff import Backoff

SUPERVISOR = "LOCKSTEP_SUPERVISOR"
"""In the daemon's environment: the pid of its supervisor."""

REFUSED = 2
"""Exit code of a daemon that was asked for something that cannot be."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Watch:
    """When what is done.

    limit_secs : without a heartbeat, before the daemon is killed; start_secs : the same until it decided on an event.
    healthy_secs : of running, after which earlier failures are forgotten. stop_secs : for its last bar, before a stop
    is forced. tick_secs : between two looks. ping_secs : between two pings.
    """

    limit_secs: float = 120.0
    start_secs: float = 600.0
    healthy_secs: float = 3600.0
    stop_secs: float = 60.0
    tick_secs: float = 0.5
    ping_secs: float = 60.0


@dataclass
class _Child:
    """A daemon that was started. changed : when its heartbeat did. first : its first one. well_since : it ran first."""

    process: "subprocess.Popen[bytes]"
    started: float
    changed: float
    beat: heartbeat.Heartbeat | None = None
    first: heartbeat.Heartbeat | None = None
    well_since: float | None = None


class Supervisor:
    """Keeps a daemon running until it is told to stop.

    Parameters
    ----------
    command : starts the daemon. beat : its heartbeat file. ping_url : "" = nobody is told.
    clock : seconds that never go back. wait : waits so many seconds.
    """

    def __init__(
        self,
        command: Sequence[str],
        beat: Path,
        *,
        ping_url: str = "",
        watch: Watch | None = None,
        backoff: Backoff | None = None,
        clock: Callable[[], float] = time.monotonic,
        wait: Callable[[float], object] = time.sleep,
    ) -> None:
        self._command, self._beat, self._ping_url = list(command), beat, ping_url
        self._watch, self._backoff, self._clock = watch or Watch(), backoff or Backoff(), clock
        # No `threading.Event`: its lock may be held by the very code that a signal interrupts.
        self._stopping = False
        self._wait = wait
        self._was_well = False
        self._pinged = -float("inf")
        self.restarts = 0

    def run(self) -> int:
        """Supervise; returns the exit code: 0 after a stop, 2 where the first daemon refused what it was asked for."""
        before = {number: signal.signal(number, self._asked) for number in (signal.SIGTERM, signal.SIGINT)}
        outside.tell_systemd("READY=1")
        try:
            return self._supervise()
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _asked(self, number: int, _: object) -> None:
        self._stopping = True

    def _supervise(self) -> int:
        while not self._stopping:
            child = self._start()
            code = self._follow(child)
            if self._stopping:
                break
            if code == REFUSED and not self._was_well:
                return REFUSED
            self._pause(child, code)
        _log.info("stopped")
        return 0

    def _start(self) -> _Child:
        # An old one would pass for the new daemon's.
        self._beat.unlink(missing_ok=True)
        # In a group of its own: an interrupt from the keyboard comes here first, and is passed on once.
        environment: Mapping[str, str] = {**os.environ, SUPERVISOR: str(os.getpid())}
        process = subprocess.Popen(self._command, env=environment, start_new_session=True)
        _log.info("the daemon runs, pid %d", process.pid)
        now = self._clock()
        return _Child(process, now, now)

    def _follow(self, child: _Child) -> int:
        """Watch a daemon until it has ended; returns its exit code, below 0 where a signal ended it."""
        while child.process.poll() is None:
            if self._stopping:
                return self._stop(child)
            self._look(child)
            self._tick()
            self._wait(self._watch.tick_secs)
        return child.process.returncode

    def _look(self, child: _Child) -> None:
        """Take its heartbeat; kill it where there was none for too long."""
        now, beat = self._clock(), heartbeat.read(self._beat)
        if beat is not None and beat.pid == child.process.pid and beat != child.beat:
            # By when it changed and not by what it says: the wall's clock may jump.
            child.beat, child.changed, child.first = beat, now, child.first or beat
            if beat.state == heartbeat.RUNNING and child.well_since is None:
                child.well_since = now
                self._was_well = True
        if child.well_since is not None and now - child.well_since >= self._watch.healthy_secs:
            self._backoff.reset()
        # The first event of all compiles what it needs, which takes long on a fresh machine.
        decided = child.first is not None and child.beat is not None and child.beat.moment_ms > child.first.moment_ms
        limit = self._watch.limit_secs if decided else self._watch.start_secs
        silent = now - child.changed
        if silent > limit:
            _log.error("the daemon (pid %d) gave no sign for %.0f s and is killed", child.process.pid, silent)
            self._kill(child)
            return
        is_well = child.beat is not None and child.beat.state == heartbeat.RUNNING and silent <= self._watch.ping_secs
        if self._ping_url and is_well and now - self._pinged >= self._watch.ping_secs:
            self._pinged = now
            outside.ping(self._ping_url)

    def _tick(self) -> None:
        outside.tell_systemd("WATCHDOG=1")

    def _stop(self, child: _Child) -> int:
        """Pass the signal on and let it finish its bar."""
        _log.info("stopping; the daemon (pid %d) finishes its bar", child.process.pid)
        with suppress(ProcessLookupError):
            child.process.send_signal(signal.SIGTERM)
        outside.tell_systemd("STOPPING=1")
        try:
            return child.process.wait(self._watch.stop_secs)
        except subprocess.TimeoutExpired:
            _log.error("the daemon did not stop within %.0f s and is killed", self._watch.stop_secs)
            return self._kill(child)

    def _kill(self, child: _Child) -> int:
        child.process.kill()
        return child.process.wait()

    def _pause(self, child: _Child, code: int) -> None:
        """Say how it ended, and wait before the next start."""
        pause = self._backoff.failed()
        self.restarts += 1
        how = f"was ended by signal {-code}" if code < 0 else f"ended with code {code}"
        _log.error(
            "the daemon %s after %.0f s; start %d follows in %.1f s",
            how, self._clock() - child.started, self.restarts + 1, pause,
        )  # fmt: skip
        until = self._clock() + pause
        while not self._stopping and (left := until - self._clock()) > 0:
            self._tick()
            self._wait(min(left, self._watch.tick_secs))

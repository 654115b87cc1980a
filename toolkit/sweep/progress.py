"""How far a long run is, on stderr: one line that moves on a terminal, a plain line now and then elsewhere."""

import sys
import time
from typing import TextIO

_MOVING_SECS, _PLAIN_SECS = 0.2, 10.0


class Progress:
    """Counts rows done of `total`, each a `unit`; a resumed run begins with `done` of them."""

    def __init__(
        self,
        total: int,
        done: int = 0,
        *,
        shown: bool = True,
        stream: TextIO | None = None,
        unit: str = "combinations",
    ) -> None:
        self.total, self.done, self._first, self._unit = total, done, done, unit
        self._stream = stream or sys.stderr
        self._shown = shown
        self._moving = self._stream.isatty()
        self._began = self._said = time.monotonic()
        self._lead: tuple[int, float] | None = None

    def add(self, rows: int) -> None:
        self.done += rows
        now = time.monotonic()
        if self._lead is None:
            # The first piece may have waited for the compiler; what is left is judged by those after it.
            self._lead = self.done, now - self._began
        if self._shown and now - self._said >= (_MOVING_SECS if self._moving else _PLAIN_SECS):
            self._said = now
            self._say(self.line(now - self._began))

    def close(self) -> None:
        """Last line, and the cursor on a new one."""
        if self._shown:
            self._say(self.line(time.monotonic() - self._began))
            if self._moving:
                self._stream.write("\n")
            self._stream.flush()

    def line(self, elapsed_secs: float) -> str:
        """Rows done, rate, time passed, and time left at the rate since the first piece was done."""
        new = self.done - self._first
        rate = new / elapsed_secs if elapsed_secs > 0 else 0.0
        lead_rows, lead_secs = self._lead or (self.done, elapsed_secs)
        left = ""
        if lead_rows < self.done < self.total and elapsed_secs > lead_secs:
            each = (elapsed_secs - lead_secs) / (self.done - lead_rows)
            left = f", {clock((self.total - self.done) * each)} left"
        share = 100.0 * self.done / self.total if self.total else 100.0
        return (
            f"{self.done:,} of {self.total:,} {self._unit} ({share:.0f} %), {rate:,.0f} a second, "
            f"{clock(elapsed_secs)} so far{left}"
        )

    def _say(self, text: str) -> None:
        self._stream.write(f"\r{text}\x1b[K" if self._moving else f"{text}\n")
        self._stream.flush()


def clock(secs: float) -> str:
    """Seconds as `42s`, `3m 05s` or `2h 07m`."""
    whole = round(secs)
    if whole < 60:
        return f"{whole}s"
    if whole < 3600:
        return f"{whole // 60}m {whole % 60:02d}s"
    return f"{whole // 3600}h {whole % 3600 // 60:02d}m"

"""What the API says beyond `executor.ledger.views`: when the daemon was heard, restarts, equity against its band."""

import time
from typing import Any

from executor.ledger import Ledger
from executor.ledger.views import HALT_NAMES, Fact, status
from toolkit.bars.intervals import interval_ms

STALE_SECS = 180.0
"""A feed or a daemon that gave no sign for so long is stale; of slow series, three of their bars."""

_SESSIONS = "SELECT id, started_ms, ended_ms, pid, version, ended_how FROM sessions ORDER BY id DESC LIMIT ?"
_HALTS = "SELECT id, ts_ms, kind, until_ms, equity FROM halts ORDER BY id DESC LIMIT ?"
_COMMANDS = """
    SELECT id, ts_ms, verb, target, value, "by", status, answer, done_ms FROM commands ORDER BY id DESC LIMIT ?
"""
_HEARD = """
    SELECT max(at) FROM (
        SELECT max(last_seen_ms) AS at FROM feed
        UNION ALL SELECT wall_ms FROM events WHERE seq = (SELECT max(seq) FROM events)
        UNION ALL SELECT max(started_ms) FROM sessions
        UNION ALL SELECT max(ended_ms) FROM sessions
    )
"""


def now_ms() -> int:
    """This machine's clock."""
    return time.time_ns() // 1_000_000


def summary(ledger: Ledger) -> Fact:
    """`views.status`, and beside it `now_ms`, `heard_ms` (the daemon's last sign in the ledger) and `health`."""
    now = now_ms()
    with ledger.snapshot():
        found = status(ledger, now)
        heard = ledger.value(_HEARD)
    return {**found, "now_ms": now, "heard_ms": heard, "stale_secs": STALE_SECS, "health": _health(found, now, heard)}


def health(ledger: Ledger) -> str:
    """ "ok", or "stale" where no daemon works on the ledger, it gave no sign for too long, or a feed is stale."""
    found = summary(ledger)
    return str(found["health"])


def _health(found: Fact, now: int, heard: int | None) -> str:
    if found["daemon"] is None:
        return "stale"
    if found["mode"] == "replay":
        return "ok"
    limits = [max(STALE_SECS, 3 * interval_ms(row["base"]) / 1000) for row in found["feed"]]
    late = any(
        row["state"] == "stale" or (row["age_secs"] or 0.0) > limit
        for row, limit in zip(found["feed"], limits, strict=True)
    )
    silent = heard is None or (now - heard) / 1000 > min(limits, default=STALE_SECS)
    return "stale" if late or silent else "ok"


def feed(ledger: Ledger) -> list[Fact]:
    """Every series with its last bar and the seconds since it last showed a sign of life."""
    rows: list[Fact] = status(ledger, now_ms())["feed"]
    return rows


def sessions(ledger: Ledger, limit: int = 20) -> list[Fact]:
    """Starts of the daemon, newest first; one without `ended_ms` runs, or was killed."""
    return [dict(row) for row in ledger.rows(_SESSIONS, (limit,))]


def halts(ledger: Ledger, limit: int = 20) -> list[Fact]:
    """Halts of the account, newest first."""
    rows: list[dict[str, Any]] = [dict(row) for row in ledger.rows(_HALTS, (limit,))]
    return [{**row, "kind": HALT_NAMES.get(row["kind"], "none")} for row in rows]


def commands(ledger: Ledger, limit: int = 20) -> list[Fact]:
    """What was asked of the daemon, newest first, and what came of it."""
    return [dict(row) for row in ledger.rows(_COMMANDS, (limit,))]

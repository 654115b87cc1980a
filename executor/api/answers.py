"""What the API says beyond `executor.ledger.views`: when the daemon was heard, restarts, equity against its band."""

import json
import math
import time
from typing import Any

from executor.ledger import Ledger
from executor.ledger.views import HALT_NAMES, Fact, status
from toolkit.bars.intervals import interval_ms
from toolkit.engine.sizing import Reason
from toolkit.settings import data_dir

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
_MODELS = """
    SELECT m.id, m.name, m.version, m.cause, m.loaded_ms, m.after_ms, m.effective_ms,
        json_array_length(m.instances) AS instances, count(s.signal_id) AS signals,
        total(s.decision = 'accepted') AS taken, total(s.decision = 'vetoed' AND s.reason != :unanswered) AS vetoed,
        total(s.reason = :unanswered) AS unanswered, avg(s.prediction) AS prediction
    FROM model_versions AS m LEFT JOIN signals AS s ON s.model_version = m.name || '@' || m.version
    WHERE m.name != '' GROUP BY m.id ORDER BY m.effective_ms IS NOT NULL, m.effective_ms DESC, m.id DESC LIMIT :limit
"""
_DEPLOYMENT = "SELECT value FROM meta WHERE key = 'deployment'"
_MOST_FEATURES = 8


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


def models(ledger: Ledger, limit: int = 100) -> Fact:
    """Versions of models that judge entries, newest first, with what they said; and their drift.

    `effective_ms` is None of one that waits for its moment (`after_ms`); `prediction` is the mean. `drift` is what
    `toolkit model drift` wrote last of the active deployment, each model's features cut to those that moved most, and
    None where it was never run.
    """
    params = {"unanswered": int(Reason.UNANSWERED), "limit": limit}
    with ledger.snapshot():
        rows = [dict(row) for row in ledger.rows(_MODELS, params)]
        deployment = ledger.value(_DEPLOYMENT)
    for row in rows:
        row |= {name: int(row[name]) for name in ("taken", "vetoed", "unanswered")}
    return {"models": rows, "drift": _drift(deployment)}


def _drift(deployment: object) -> Fact | None:
    """A file that is not there, or is no drift, is none: what it says is for looking at."""
    try:
        said = json.loads((data_dir() / "drift" / f"{deployment}.json").read_text(encoding="utf-8"))
        return {"created": said["created"], "models": [_drifted(one) for one in said["models"]]}
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return None


def _drifted(one: Fact) -> Fact:
    features = [feature for feature in one["features"] if feature.get("read", True)]
    features.sort(key=lambda feature: -(_finite(feature["psi"]) or 0.0))
    kept = ("name", "version", "verdict", "text", "rows", "rows_before", "from_ms", "until_ms")
    outcomes = {name: _finite(one["outcomes"].get(name)) for name in ("before", "now", "predicted", "auc")}
    return {
        **{name: one[name] for name in kept},
        "outcomes": {**outcomes, "verdict": one["outcomes"]["verdict"]},
        "features": [
            {"feature": f["feature"], "verdict": f["verdict"], "psi": _finite(f["psi"]), "ks": _finite(f["ks"])}
            for f in features[:_MOST_FEATURES]
        ],
    }


def _finite(value: Any) -> float | None:
    return float(value) if isinstance(value, int | float) and math.isfinite(value) else None

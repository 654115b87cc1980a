"""`tk.parity`: a backtest and a session of the executor, or two of a kind, held against each other bit for bit."""

import json
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import polars as pl

from toolkit.analysis.runs import Run, read_run
from toolkit.bars.series import utc
from toolkit.errors import InputError, RunError
from toolkit.verify.live_report import LiveReport, live_report
from toolkit.verify.parity_bars import BARS_KEY, bars_within, with_stored_bars
from toolkit.verify.parity_causes import attribute
from toolkit.verify.parity_report import Count, ParityReport
from toolkit.verify.parity_rows import Compared, compare_rows
from toolkit.verify.parity_tables import KEYS, Period, RunTables, common_period, read_tables, within

LEDGER = ".sqlite"
LIVE = "live"
_DECISION = ("decision", "reason")
# The toolkit does not import the executor.
_EXPORT = "from executor.cli.main import main; main()"
_WORDS = ("accepted", "vetoed", "rejected")


def compare(a: RunTables, b: RunTables) -> ParityReport:
    """Hold two runs against each other over the period that both cover.

    Floats are equal by their bits; NaN is null and -0.0 is 0.0, for a ledger does not tell them apart. A run without
    signals, orders, trades, decisions on entries or marks of equity proves nothing and is no certificate. What differs
    is attributed to its first causes.

    Raises
    ------
    RunError : the runs' tables do not have the same columns.
    """
    period = common_period(a, b)
    tables = {name: (within(a, name, period, b), within(b, name, period, a)) for name in KEYS}
    bars = bars_within(a, period), bars_within(b, period)
    found = {name: compare_rows(name, *both, KEYS[name]) for name, both in tables.items()}
    if bars[0] is not None and bars[1] is not None:
        found["bars"] = compare_rows("bars", bars[0], bars[1], BARS_KEY)
    rows = tuple(row for one in found.values() for row in one.rows)
    causes, numbered = attribute(rows, a, b, period.start_ms) if rows else ([], [])
    counts = (*_counts(found), *_decisions(*tables["signals"], found["signals"]))
    warnings = _warnings((a, b), period, counts, bars)
    return ParityReport(a.name, b.name, period, counts, tuple(causes), tuple(numbered), warnings)


def _counts(found: Mapping[str, Compared]) -> list[Count]:
    return [Count(name, one.a, one.b, one.equal, len(one.rows)) for name, one in found.items()]


def _decisions(a: pl.DataFrame, b: pl.DataFrame, found: Compared) -> list[Count]:
    """Signals by what was decided on them; equal are those that the other run decided alike, for the same reason."""
    counts = []
    for word in _WORDS:
        mine, theirs = (int((frame["decision"] == word).sum()) for frame in (a, b))
        odd = [row for row in found.rows if row.alone or set(row.columns) & {*_DECISION}]
        other = sum(row.a is not None and row.a["decision"] == word for row in odd)
        either = sum(word in (one["decision"] for one in (row.a, row.b) if one is not None) for row in odd)
        counts.append(Count(word, mine, theirs, mine - other, either))
    return counts


def _warnings(
    runs: tuple[RunTables, RunTables],
    period: Period,
    counts: Sequence[Count],
    bars: tuple[pl.DataFrame | None, pl.DataFrame | None],
) -> tuple[str, ...]:
    found = [f"no {one.kind} were compared" for one in counts if not max(one.a, one.b)]
    if period.start_ms >= period.end_ms:
        found.insert(0, "the runs have no period in common")
    elif period.cut:
        spans = " and ".join(f"{utc(run.start_ms)} to {utc(run.end_ms)}" for run in runs)
        found.append(f"the runs cover {spans}: compared is what both do, and open trades by their entries alone")
    if any(frame is None for frame in bars):
        found.append("bars were not compared: a run of them has none, and none are stored")
    odd = sum(one.different for one in counts if one.kind == "bars")
    if odd and not any(one.different for one in counts if one.kind != "bars"):
        found.append(f"{odd:,} bars differ, and nothing that the runs did follows from them")
    names = [set(run.tables["signals"]["instance"].drop_nulls()) for run in runs]
    for which, only in (("A", names[0] - names[1]), ("B", names[1] - names[0])):
        if only:
            shown = ", ".join(sorted(only)[:3]) + (", ..." if len(only) > 3 else "")
            found.append(f"{len(only)} instances have signals in {which} alone: {shown}")
    return tuple(found)


def parity(
    a: str | Path, b: str | Path | None = None, *, root: Path | None = None, db: Path | None = None
) -> ParityReport | LiveReport:
    """Hold two runs against each other; `.certified` says that they are equal to the last bit.

    A live session's ledger alone is held against the backtest of its own records otherwise: prices and quantities are
    the venue's, and `.ok` says that each difference has a cause.

    Parameters
    ----------
    a, b : portfolio backtests or exported sessions, by run id, folder or `latest`; or a session's ledger
        (`*.sqlite`), which is exported first, into a folder that is gone afterwards. Without `b`, a ledger is held
        against the backtest of its own records: the bars, weights and acts that the session kept.
    root : folder of the runs, default in the data folder.
    db : bars database, default in the data folder: a backtest's bars are the stored ones, held against those that a
        session decided on.

    Raises
    ------
    RunError, UnknownNameError : what is named is no such run, or cannot be read or exported.
    """
    with tempfile.TemporaryDirectory(prefix="lockstep-parity-") as folder:
        run = _run(a, root, Path(folder))
        one = read_tables(run)
        other = read_tables(_of_ledger(Path(a), "recheck", Path(folder)) if b is None else _run(b, root, Path(folder)))
        if b is None and one.kind == LIVE:
            return live_report(run, one, other)
    if b is None:
        return compare(one, other)
    return compare(with_stored_bars(one, other, db), with_stored_bars(other, one, db))


def _run(name: str | Path, root: Path | None, folder: Path) -> Run:
    """A run folder; that of a ledger is written into `folder`."""
    path = Path(name)
    if path.suffix != LEDGER:
        return read_run(path if path.is_dir() else name, root)
    return _of_ledger(path, "export", folder)


def _of_ledger(path: Path, how: str, folder: Path) -> Run:
    """What `executor export` or `executor recheck` makes of a ledger."""
    if path.suffix != LEDGER:
        raise InputError(f"one run alone must be a session's ledger (*{LEDGER}), was {path}; name a second run")
    command = [sys.executable, "-c", _EXPORT, how, str(path), "--out", str(folder), "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1].removeprefix("error: ")
        raise RunError(f"{path} cannot be used: {last}")
    return read_run(Path(json.loads(done.stdout)["run"]))

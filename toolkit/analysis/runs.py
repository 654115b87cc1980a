"""Run folders: `data/runs/<run-id>/`, written whole or not at all, never changed, read by any number of processes.

A run grows under a hidden name, `.<run-id>.partial`, and takes its own name in one rename once everything is on disk.
"""

import contextlib
import fcntl
import hashlib
import json
import os
import platform
import shutil
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from types import TracebackType
from typing import Any

import polars as pl

from toolkit import kernel_cache, settings
from toolkit.bars.columns import fingerprint
from toolkit.bars.series import Bars, utc
from toolkit.durable import durable as durable
from toolkit.durable import is_draft
from toolkit.errors import RunError, UnknownNameError

INFO_FILE = "run.json"
_LIBRARIES = ("lockstep", "numpy", "numba", "polars", "duckdb", "pyarrow")


def runs_dir() -> Path:
    """`runs/` in the data folder."""
    return settings.data_dir() / "runs"


@dataclass(frozen=True)
class Run:
    """A finished run, read lazily.

    Attributes
    ----------
    folder : `data/runs/<run-id>`.
    """

    folder: Path

    @property
    def run_id(self) -> str:
        return self.folder.name

    @cached_property
    def info(self) -> dict[str, Any]:
        """What `run.json` says: kind, config, code, versions, data, seeds, started, finished."""
        try:
            info: dict[str, Any] = json.loads((self.folder / INFO_FILE).read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise RunError(f"run {self.run_id} has no readable {INFO_FILE} ({error}); delete the folder") from None
        return info

    @property
    def tables(self) -> list[str]:
        """Names of its Parquet tables."""
        return sorted(f.stem for f in self.folder.glob("*.parquet"))

    def frame(self, table: str) -> pl.DataFrame:
        """One table; `UnknownNameError` where the run has none of that name."""
        if table not in self.tables:
            raise UnknownNameError(f"table of run {self.run_id}", table, self.tables)
        return pl.read_parquet(self.folder / f"{table}.parquet")

    def query(self, sql: str) -> pl.DataFrame:
        """The answer of DuckDB to `sql`, in which each table of the run is a view of that name."""
        return _query(sql, {name: [self.folder / f"{name}.parquet"] for name in self.tables})


def list_runs(root: Path | None = None) -> list[Run]:
    """The finished runs, oldest first."""
    folder = root or runs_dir()
    return [Run(f) for f in sorted(folder.glob("[!.]*")) if (f / INFO_FILE).is_file()]


def partial_runs(root: Path | None = None) -> list[str]:
    """Ids of the runs that were kept unfinished, oldest first."""
    return sorted(f.name[1 : -len(".partial")] for f in (root or runs_dir()).glob(".*.partial") if f.is_dir())


def read_run(run: str | Path, root: Path | None = None, *, latest_of: str | None = None) -> Run:
    """A finished run by id, by folder, or the newest (`"latest"`): of any kind, or of the one that is named."""
    if isinstance(run, Path) or os.sep in run:
        if not (Path(run) / INFO_FILE).is_file():
            raise RunError(f"{run} is no run folder: it has no {INFO_FILE}")
        return Run(Path(run).resolve())
    known = {r.run_id: r for r in list_runs(root)}
    if run == "latest" and known:
        for _, one in sorted(known.items(), reverse=True):
            if latest_of is None or one.info["kind"] == latest_of:
                return one
        raise RunError(f"there is no {latest_of} in {root or runs_dir()}, and latest is the newest; make one first")
    if run not in known:
        raise UnknownNameError("run", run, known)
    return known[run]


def query_runs(sql: str, root: Path | None = None) -> pl.DataFrame:
    """The answer of DuckDB to `sql` over all finished runs: each table name is a view over the runs that have it."""
    tables: dict[str, list[Path]] = {}
    for run in list_runs(root):
        for name in run.tables:
            tables.setdefault(name, []).append(run.folder / f"{name}.parquet")
    return _query(sql, tables)


def _query(sql: str, tables: Mapping[str, list[Path]]) -> pl.DataFrame:
    import duckdb

    with duckdb.connect() as connection:
        try:
            for name, files in tables.items():
                connection.read_parquet([str(f) for f in files], union_by_name=True).create_view(name)
            answer: pl.DataFrame = connection.sql(sql).pl()
            return answer
        except duckdb.Error as error:
            raise RunError(f"the query failed: {str(error).splitlines()[0]}; tables: {sorted(tables)}") from None


def new_run_id(kind: str, config: Mapping[str, Any]) -> str:
    """Sorts by time, says its kind: `20260102-030405-sweep-ab12cd`."""
    seed = json.dumps([dict(config), time.time_ns(), os.getpid()], default=str)
    return f"{datetime.now(UTC):%Y%m%d-%H%M%S}-{kind}-{hashlib.sha256(seed.encode()).hexdigest()[:6]}"


class RunWriter:
    """Writes one run; a context manager. `finish` makes it a run; leaving the block without it leaves nothing.

    Parameters
    ----------
    kind : "backtest", "sweep", "demo", ...
    config : everything that decided the result, as JSON can hold it.
    root : folder of the runs, `runs_dir()` unless named.
    run_id : made from time, kind and config unless named.
    keep_partial : keep the hidden folder when the block is left without `finish`, for `RunWriter.resume`.

    Raises
    ------
    RunError : the folder cannot be written (disk full, no permission), or the id is taken or held by another process.
    """

    def __init__(
        self,
        kind: str,
        config: Mapping[str, Any],
        *,
        root: Path | None = None,
        run_id: str | None = None,
        keep_partial: bool = False,
    ) -> None:
        self.run_id = run_id or new_run_id(kind, config)
        self.root = root or runs_dir()
        self.keep_partial = keep_partial
        self.final = self.root / self.run_id
        self.folder = self.root / f".{self.run_id}.partial"
        self.info: dict[str, Any] = {
            "run_id": self.run_id,
            "kind": kind,
            "config": dict(config),
            "code": code_version(),
            "versions": library_versions(),
            "started": _now(),
            "finished": None,
        }
        self._lock: int | None = None

    @classmethod
    def resume(cls, run_id: str, *, root: Path | None = None) -> "RunWriter":
        """The writer of a run that was kept unfinished; its config is `.info["config"]`, its files are in `.folder`."""
        found = partial_runs(root)
        if run_id not in found:
            raise UnknownNameError("unfinished run", run_id, found)
        folder = (root or runs_dir()) / f".{run_id}.partial"
        try:
            info = json.loads((folder / INFO_FILE).read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise RunError(f"unfinished run {run_id} cannot be read ({error}); delete {folder}") from None
        writer = cls(info["kind"], info["config"], root=root, run_id=run_id, keep_partial=True)
        writer.info["started"] = info["started"]
        return writer

    def __enter__(self) -> "RunWriter":
        if self.final.exists():
            raise RunError(f"run {self.run_id} exists, and runs are never changed; choose another id")
        with self._writing():
            self.folder.mkdir(parents=True, exist_ok=True)
            self._lock = os.open(self.folder, os.O_RDONLY)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            self._unlock()
            raise RunError(f"run {self.run_id} is being written by another process; wait for it, or stop it") from None
        try:
            self._write_info()
        except RunError:
            self._close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._close()

    def write_frame(self, name: str, frame: pl.DataFrame, csv: bool = False) -> None:
        """Write `<name>.parquet`, and with `csv` its twin `<name>.csv` (times in ISO form, UTC)."""
        with self._writing(), durable(self.folder / f"{name}.parquet") as file:
            frame.write_parquet(file)
        if csv:
            write_csv(self.folder / f"{name}.csv", frame)

    def write_text(self, name: str, text: str) -> None:
        """Write a text file under its full name, `report.html`."""
        with self._writing(), durable(self.folder / name) as file:
            file.write(text.encode())

    def note(self, **extra: Any) -> None:
        """Put `extra` into `run.json`: `data` (see `data_fingerprint`), `seeds`, figures of the run."""
        self.info |= extra
        self._write_info()

    def finish(self, **extra: Any) -> Path:
        """Put everything on disk and give the run its name; returns its folder. `extra` is noted in `run.json`."""
        self.info |= extra
        self.info["finished"] = _now()
        self._write_info()
        with self._writing():
            for file in self.folder.rglob("*"):
                # A process that was killed leaves its draft in the folder of a run that is resumed.
                if is_draft(file):
                    file.unlink()
                else:
                    _sync(file)
            _sync(self.folder)
            self.folder.rename(self.final)
            _sync(self.root)
        self._unlock()
        return self.final

    def _write_info(self) -> None:
        self.write_text(INFO_FILE, json.dumps(self.info, indent=2, default=str) + "\n")

    def _close(self) -> None:
        if not self.keep_partial:
            shutil.rmtree(self.folder, ignore_errors=True)
        self._unlock()

    def _unlock(self) -> None:
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    @contextlib.contextmanager
    def _writing(self) -> Iterator[None]:
        """A failure to write becomes a `RunError` that says why."""
        try:
            yield
        except (OSError, pl.exceptions.PolarsError) as error:
            why = getattr(error, "strerror", None) or str(error).splitlines()[0]
            kept = "what is finished is kept for resuming" if self.keep_partial else "nothing of the run is kept"
            raise RunError(
                f"run {self.run_id} cannot be written in {self.root}: {why}; make room, or point LOCKSTEP_DATA to "
                f"another folder ({kept})"
            ) from error


def write_csv(path: Path, frame: pl.DataFrame) -> None:
    """Write a CSV, times in ISO form (UTC), whole or not at all; `RunError` where it cannot be written."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with durable(path) as file:
            frame.write_csv(file, datetime_format="%Y-%m-%dT%H:%M:%S%.3fZ")
    except (OSError, pl.exceptions.PolarsError) as error:
        why = getattr(error, "strerror", None) or str(error).splitlines()[0]
        raise RunError(f"{path} cannot be written: {why}; make room, or choose another folder") from error


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def code_version() -> dict[str, str]:
    """The package's version, and a hash of every toolkit and strategy source (no git needed)."""
    digest = hashlib.sha256()
    for file in kernel_cache.source_files(settings.strategy_modules()):
        digest.update(file.name.encode() + b"\0" + hashlib.sha256(file.read_bytes()).digest())
    return {"version": library_versions()["lockstep"], "sources": digest.hexdigest()}


def library_versions() -> dict[str, str]:
    """Versions of Python and of the libraries that results come from."""
    found = {"python": sys.version.split()[0], "machine": f"{platform.system()} {platform.machine()}"}
    for name in _LIBRARIES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "not installed"
    return found


def data_fingerprint(bars: Bars) -> list[dict[str, Any]]:
    """The stored series that a result rests on: base, native and peer series, each with range and sha256.

    The hash is that of the stored bars (`Store.fingerprint` over the same range); filled bars are not part of it.
    """
    series = [bars.base, *bars.native.values(), *bars.peers.values()]
    return [_series_fingerprint(one) for one in series]


def _series_fingerprint(bars: Bars) -> dict[str, Any]:
    given = ~bars.filled
    columns = {name: getattr(bars, name)[given] for name in ("ts", "open", "high", "low", "close", "volume")}
    return {
        "exchange": bars.exchange,
        "symbol": bars.symbol,
        "interval": bars.interval,
        "bars": int(given.sum()),
        "first": utc(int(bars.ts[0])) if len(bars) else None,
        "last": utc(int(bars.ts[-1])) if len(bars) else None,
        "sha256": bars.memo("fingerprint", lambda: fingerprint(columns)),
    }


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")

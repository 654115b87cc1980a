"""A model run's folder from its beginning to its end: kept when it is interrupted, gone on with, whole at last."""

import hashlib
import json
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from toolkit.analysis.runs import INFO_FILE, Run, RunWriter, code_version, partial_runs, runs_dir
from toolkit.errors import RunError, UnknownNameError
from toolkit.models.parts import Part, is_failure
from toolkit.models.report.source import RESULTS_FILE

PARTS = "parts"
_CODE = "models_code"


class StudyInterrupted(KeyboardInterrupt):
    """Ctrl-C during a model run; what was finished is kept under `run_id`."""

    def __init__(self, run_id: str, kind: str, done: int) -> None:
        verb = kind.removeprefix("model-")
        super().__init__(
            f"interrupted: {done:,} finished parts are kept; go on with: toolkit model {verb} --resume {run_id}"
        )
        self.run_id = run_id


class Study:
    """A model run that is being written.

    Attributes
    ----------
    config : everything that decides the result, as JSON can hold it; a resumed run's own.
    parts : the folder of what is finished, see `pool.run_tasks`; every stage of a run has its own below it.
    """

    def __init__(self, writer: RunWriter) -> None:
        self.writer = writer
        self.config: Mapping[str, Any] = writer.info["config"]
        self.parts = writer.folder / PARTS

    @property
    def run_id(self) -> str:
        return self.writer.run_id

    def finish(self, results: Mapping[str, Any], data: Sequence[Mapping[str, Any]]) -> Run:
        """Write `results.json`, the report, and the run under its own name; `data` are the series that it rests on."""
        from toolkit.models.report import write_model_report

        writer = self.writer
        writer.write_text(RESULTS_FILE, json.dumps(results, indent=2, allow_nan=False) + "\n")
        writer.note(data=list(data), combinations=results.get("trials", 1))
        write_model_report(writer.folder)
        shutil.rmtree(self.parts, ignore_errors=True)
        return Run(writer.finish())


@contextmanager
def study(
    kind: str, config: Mapping[str, Any], *, root: Path | None = None, resume: str | None = None
) -> Iterator[Study]:  # fmt: skip
    """Begin a run, or go on with one that was interrupted (its own config stands).

    Raises
    ------
    RunError, UnknownNameError : it cannot be written, or cannot be resumed because there is none or code has changed.
    StudyInterrupted : Ctrl-C inside the block.
    """
    if resume is None:
        writer = RunWriter(kind, {**config, _CODE: models_code()}, root=root, keep_partial=True)
    else:
        kept_config(resume, kind, root)
        writer = RunWriter.resume(resume, root=root)
    with writer:
        one = Study(writer)
        try:
            # What failed is tried again: memory, or a library's environment, may be another one now.
            for file in [part for part in one.parts.rglob("*.npz") if is_failure(part)]:
                file.unlink()
            yield one
        except BaseException as error:
            done = sum(not is_failure(file) for file in one.parts.rglob("*.npz"))
            writer.keep_partial = done > 0
            if isinstance(error, KeyboardInterrupt) and done:
                raise StudyInterrupted(writer.run_id, kind, done) from None
            raise


def kept_config(run_id: str, kind: str, root: Path | None = None) -> dict[str, Any]:
    """The config of an interrupted run of this kind, whose code is today's."""
    found = partial_runs(root)
    if run_id not in found:
        raise UnknownNameError("unfinished run", run_id, found)
    file = (root or runs_dir()) / f".{run_id}.partial" / INFO_FILE
    try:
        info: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise RunError(f"unfinished run {run_id} cannot be read ({error}); delete {file.parent}") from None
    if info["kind"] != kind:
        raise RunError(f"run {run_id} is a {info['kind']}, not a {kind}")
    config: dict[str, Any] = info["config"]
    if info["code"] != code_version() or config[_CODE] != models_code():
        raise RunError(
            f"run {run_id} was started with other code (toolkit or strategies have changed since), so its parts do not "
            f"fit; start a new run without --resume"
        )
    return config


def models_code() -> str:
    """sha256 over the sources of this package, which `runs.code_version` leaves out."""
    digest = hashlib.sha256()
    folder = Path(__file__).parent
    for file in sorted(folder.rglob("*.py")):
        digest.update(str(file.relative_to(folder)).encode() + b"\0" + hashlib.sha256(file.read_bytes()).digest())
    return digest.hexdigest()


class StoredSeries:
    """The stored series that parts rest on, each once."""

    def __init__(self) -> None:
        self._known: dict[tuple[Any, ...], dict[str, Any]] = {}

    @property
    def rows(self) -> list[dict[str, Any]]:
        return list(self._known.values())

    def add(self, part: Part) -> None:
        """`RunError` where the store changed between this part and one before it."""
        for row in part.facts.get("data", []):
            key = tuple(row[name] for name in ("exchange", "symbol", "interval", "first", "last"))
            if self._known.setdefault(key, row)["sha256"] != row["sha256"]:
                raise RunError(
                    f"the stored bars of {row['symbol']} {row['interval']} changed while the run was made, so its "
                    f"parts do not fit; start a new run without --resume"
                )

"""`tk.sweep`: an experiment from its plan to its run folder, resumable where it was interrupted."""

import json
import shutil
import sys
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from toolkit.analysis.report import write_report
from toolkit.analysis.runs import INFO_FILE, Run, RunWriter, code_version, data_fingerprint, partial_runs, runs_dir
from toolkit.bars.series import Bars
from toolkit.bars.symbols import canonical_symbol
from toolkit.engine.identity import canonical_json
from toolkit.errors import InputError, RunError, UnknownNameError
from toolkit.strategy import broken_strategies
from toolkit.sweep.experiment import Experiment
from toolkit.sweep.local import run_units
from toolkit.sweep.parts import join_parts
from toolkit.sweep.plan import Plan, make_plan
from toolkit.sweep.result import SweepResult
from toolkit.sweep.room import Room
from toolkit.sweep.tables import Output, output_from, write_tables

PARTS = "parts"


class SweepInterrupted(KeyboardInterrupt):
    """Ctrl-C during a sweep; what was finished is kept under `run_id`."""

    def __init__(self, run_id: str, done: int, total: int) -> None:
        super().__init__(
            f"interrupted: {done:,} of {total:,} combinations are kept; go on with: toolkit sweep --resume {run_id}"
        )
        self.run_id = run_id


def sweep(
    experiment: Experiment | Path | str | None = None,
    *,
    resume: str | None = None,
    output: Output | Mapping[str, Any] | None = None,
    jobs: int | None = None,
    bars: Mapping[str, Bars] | None = None,
    db: Path | None = None,
    root: Path | None = None,
    progress: bool = False,
    **table: Any,
) -> SweepResult:
    """Run every combination of an experiment.

    Parameters
    ----------
    experiment : an `Experiment`, a TOML file, or nothing where its keys are given as keywords
        (`symbols=["BTC/USDT"], intervals=["5m"], strategies=[{"name": ..., "params": {...}}], rules={...}`).
    resume : id of an interrupted sweep to go on with; its own experiment is taken where none is given.
    output : which trades are written, and how: an `Output`, or its fields as a table (`{"csv": "none"}`).
    jobs : threads, all cores unless given.
    bars : series in memory by symbol instead of the store's; `symbols` defaults to all of them.
    db, root : the bars database and the folder of the runs, in the data folder unless named.
    progress : show how far it is on stderr.

    Raises
    ------
    InputError and its kinds : a name, value, interval or range that cannot be run; before anything is run.
    RunError : the run cannot be written, or cannot be resumed because experiment, code or bars have changed.
    SweepInterrupted : Ctrl-C; finished parts are kept for `resume`.
    """
    kept = None if resume is None else _kept(resume, root)
    asked = output_from(output) if isinstance(output, Mapping) else output
    bars = None if bars is None else _by_symbol(bars)
    given = _experiment(experiment, table, bars)
    if kept is not None:
        chosen, saved = _of_config(kept["config"])
        if given is not None and canonical_json(given.table()) != canonical_json(chosen.table()):
            raise RunError(
                f"run {resume} was started with another experiment; leave the experiment out to go on with its own, "
                f"or start a new run without --resume"
            )
        written = asked or saved
    elif given is None:
        raise InputError("a sweep needs an experiment: a TOML file, an Experiment, or its keys as keywords")
    else:
        chosen, written = given, asked or Output()
    plan = make_plan(chosen)
    written.check(plan)
    if progress:
        _announce(chosen, plan)
    room = Room(chosen, plan, given=bars, db=db)
    data = _check_bars(plan, room)
    config = {**chosen.table(), "output": asdict(written)}
    if kept is not None:
        _check_unchanged(str(resume), kept, data)
        writer = RunWriter.resume(str(resume), root=root)
        writer.info["config"] = config
    else:
        writer = RunWriter("sweep", config, root=root, keep_partial=True)
    with writer:
        writer.note(data=data, combinations=plan.rows, skipped=plan.skipped, seeds=_seeds(chosen))
        return _run(plan, room, writer, written, jobs, progress)


def _run(
    plan: Plan, room: Room, writer: RunWriter, output: Output, jobs: int | None, progress: bool
) -> SweepResult:  # fmt: skip
    parts = writer.folder / PARTS
    try:
        parts.mkdir(exist_ok=True)
        run_units(plan, room, parts, jobs=jobs, shown=progress)
        join_parts(plan, parts, writer.folder / "metrics.parquet")
        write_tables(plan, room, writer, output)
        write_report(writer.folder)
    except KeyboardInterrupt:
        raise SweepInterrupted(writer.run_id, _rows_done(plan, parts, writer), plan.rows) from None
    except BaseException:
        _rows_done(plan, parts, writer)
        raise
    shutil.rmtree(parts)
    return SweepResult(Run(writer.finish()))


def _rows_done(plan: Plan, parts: Path, writer: RunWriter) -> int:
    """Combinations with a finished part; where there is none, nothing of the run is kept."""
    there = {file.name for file in parts.glob("*.parquet")}
    writer.keep_partial = bool(there)
    return sum(unit.rows for unit in plan.units() if f"{unit.number:08d}.parquet" in there)


def _experiment(
    given: Experiment | Path | str | None, table: Mapping[str, Any], bars: Mapping[str, Bars] | None
) -> Experiment | None:
    if isinstance(given, Experiment) or given is not None:
        if table:
            raise InputError(f"give an experiment or its keys, not both; was given with {sorted(table)}")
        return given if isinstance(given, Experiment) else Experiment.from_file(given)
    if not table:
        return None
    return Experiment.from_table({"symbols": list(bars)} | dict(table) if bars else table)


def _by_symbol(bars: Mapping[str, Bars]) -> dict[str, Bars]:
    """The series under their symbols as an experiment writes them."""
    if not isinstance(bars, Mapping) or not all(isinstance(name, str) for name in bars):
        raise InputError(f"`bars` must be a mapping from symbols to Bars, was {type(bars).__name__}")
    found = {canonical_symbol(name): series for name, series in bars.items()}
    if len(found) < len(bars):
        raise InputError(f"`bars` must have each symbol once, had {', '.join(bars)}")
    return found


def _check_bars(plan: Plan, room: Room) -> list[dict[str, Any]]:
    """Load every series once before anything is run, so that a bad range or rule is told at once; what was loaded."""
    found: list[dict[str, Any]] = []
    symbols = list(dict.fromkeys(study.symbol for study in plan.studies))
    # The first symbol comes last: it stays loaded, and is the first that is run.
    for symbol in reversed(symbols):
        mine = [study for study in plan.studies if study.symbol == symbol]
        series = {id(bench.bars.base): bench.bars for bench in map(room.bench, mine)}
        found += [row for one in series.values() for row in data_fingerprint(one)]
    return found


def _announce(experiment: Experiment, plan: Plan) -> None:
    """What is about to be run, on stderr."""
    for name, interval in plan.skipped:
        print(f"left out: {name} on {interval}, an interval that it is not meant for", file=sys.stderr)
    for error in broken_strategies().values():
        print(f"left out: {error}", file=sys.stderr)
    series = len({(study.symbol, study.interval) for study in plan.studies})
    print(
        f"{experiment.name}: {plan.rows:,} combinations, {len(plan.studies)} studies on {series} series",
        file=sys.stderr,
    )


def _kept(run_id: str, root: Path | None) -> dict[str, Any]:
    """`run.json` of an interrupted sweep, as it was when it was started."""
    found = partial_runs(root)
    if run_id not in found:
        raise UnknownNameError("unfinished run", run_id, found)
    file = (root or runs_dir()) / f".{run_id}.partial" / INFO_FILE
    try:
        info: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise RunError(f"unfinished run {run_id} cannot be read ({error}); delete {file.parent}") from None
    if info["kind"] != "sweep":
        raise RunError(f"run {run_id} is a {info['kind']}, not a sweep")
    return info


def _of_config(config: Mapping[str, Any]) -> tuple[Experiment, Output]:
    table = dict(config)
    output = output_from(table.pop("output"))
    return Experiment.from_table(table), output


def _check_unchanged(run_id: str, kept: Mapping[str, Any], data: list[dict[str, Any]]) -> None:
    if kept["code"] != code_version():
        raise RunError(
            f"run {run_id} was started with other code (toolkit or strategies have changed since), so its parts do not "
            f"fit; start a new run without --resume"
        )
    if kept.get("data") != data:
        raise RunError(
            f"run {run_id} was started with other bars (the stored series have changed since), so its parts do not "
            f"fit; start a new run without --resume"
        )


def _seeds(experiment: Experiment) -> dict[str, int]:
    found = {f"{spec.name}.params": spec.sample for spec in experiment.strategies}
    found |= {f"{spec.name}.rules": spec.rules_sample or experiment.rules_sample for spec in experiment.strategies}
    return {name: sample.seed for name, sample in found.items() if sample is not None}

"""The runner on one machine: units of work on threads, each written as a Parquet part when it is done.

Threads, not processes: simulation and the strategies' kernels release the GIL, and threads share bars and factors.
"""

import os
import threading
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from pathlib import Path

import numpy as np

from toolkit.analysis.metrics import N_METRICS
from toolkit.engine.types import Rules
from toolkit.errors import InputError
from toolkit.sweep.experiment import Experiment
from toolkit.sweep.kernel import BOTH_SIDES, LONG_SIDE, SHORT_SIDE, figures
from toolkit.sweep.parts import part_file, write_part
from toolkit.sweep.plan import Plan, Unit
from toolkit.sweep.progress import Progress
from toolkit.sweep.room import Bench, Room
from toolkit.sweep.rows import RowMaker
from toolkit.types import FloatArray

_SIDES = {"long": LONG_SIDE, "short": SHORT_SIDE, "both": BOTH_SIDES}
_SHARED = Rules._fields.index("period_shared")


class StoppedError(Exception):
    """A unit was given up because the sweep is being stopped."""


def default_jobs() -> int:
    """The cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def run_units(plan: Plan, room: Room, parts: Path, *, jobs: int | None = None, shown: bool = False) -> None:
    """Run every unit of the plan that has no part yet.

    At most two units a thread wait at a time, and a unit's rows leave memory as soon as they are written, so memory
    does not grow with the plan. When it is interrupted, units under way are given up and finished parts stay.

    Raises
    ------
    RunError : a part cannot be written (disk full). StrategyError, InputError : a strategy or a rule cannot run.
    """
    workers = jobs if jobs is not None else default_jobs()
    if workers < 1:
        raise InputError(f"`jobs` must be at least 1, was {workers}")
    rows, stop = RowMaker(plan), threading.Event()

    def work(unit: Unit, bench: Bench) -> int:
        write_part(rows.frame(unit, bench, unit_figures(unit, bench, room.experiment, stop)), part_file(parts, unit))
        return unit.rows

    done = sum(u.rows for u in plan.units() if part_file(parts, u).exists())
    progress = Progress(plan.rows, done, shown=shown)
    waiting: set[Future[int]] = set()
    with ThreadPoolExecutor(workers, thread_name_prefix="sweep") as pool:
        try:
            for unit in _missing(plan, parts):
                waiting.add(pool.submit(work, unit, room.bench(unit.study)))
                if len(waiting) >= 2 * workers:
                    waiting = _collect(waiting, progress)
            while waiting:
                waiting = _collect(waiting, progress)
        except BaseException:
            stop.set()
            for future in waiting:
                future.cancel()
            raise
    progress.close()


def _collect(waiting: set[Future[int]], progress: Progress) -> set[Future[int]]:
    finished, rest = wait(waiting, return_when=FIRST_COMPLETED)
    for future in finished:
        progress.add(future.result())
    return rest


def _missing(plan: Plan, parts: Path) -> Iterator[Unit]:
    return (unit for unit in plan.units() if not part_file(parts, unit).exists())


def unit_figures(unit: Unit, bench: Bench, experiment: Experiment, stop: threading.Event | None = None) -> FloatArray:
    """float64[n_params, n_rules, n_sides, N_METRICS] of a unit; signals are made once a parameter point."""
    strategy, sides = unit.study.what.strategy, unit.study.what.sides
    numbers, exits = bench.book.table(np.arange(*unit.rules))
    out = np.empty((unit.params[1] - unit.params[0], len(numbers), len(sides), N_METRICS))
    costs = (bench.rates, experiment.notional, experiment.compound)
    # Legs that share their entry period change with the side that is run, so each side is simulated by itself.
    together = len(sides) == 1 or not numbers[:, _SHARED].any()
    groups = [list(range(len(sides)))] if together else [[j] for j in range(len(sides))]
    for k in range(len(out)):
        if stop is not None and stop.is_set():
            raise StoppedError
        legs = bench.book.legs(strategy.signals(bench.bars, bench.params(unit.params[0] + k)))
        bench.trim()
        for group in groups:
            chosen = np.array([_SIDES[sides[j]] for j in group])
            out[k][:, group] = figures((numbers, exits), bench.market, legs, costs, bench.calendar, chosen)
    return out

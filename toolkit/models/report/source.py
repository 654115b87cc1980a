"""What a model run's page is drawn from: its `results.json` and tables."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import polars as pl

from toolkit.analysis.runs import Run
from toolkit.errors import RunError

RESULTS_FILE = "results.json"
_TABLES = ("daily", "permutations", "leaderboard", "models", "comparison")
Cells = Mapping[str, Any]


@dataclass(frozen=True)
class Source:
    """A model run.

    Attributes
    ----------
    results : as `results.json` has it. tables : the run's tables by name, those that there are.
    info : `run.json`.
    """

    results: Mapping[str, Any]
    tables: Mapping[str, pl.DataFrame] = field(repr=False)
    info: Mapping[str, Any] = field(repr=False)

    @property
    def pooled(self) -> Mapping[str, Cells]:
        """By method, the comparison of all members together; nothing where a run compares nothing."""
        found: Mapping[str, Cells] = (self.results.get("pooled") or {}).get("methods", {})
        return found

    @property
    def chosen(self) -> str | None:
        """The method that the recipe names, where it was compared."""
        name = self.results.get("chosen")
        return name if name in self.pooled else None


def read_source(folder: Path) -> Source:
    """A model run's folder, finished or still being written; `RunError` where it cannot be read."""
    run = Run(folder)
    try:
        results = json.loads((folder / RESULTS_FILE).read_text(encoding="utf-8"))
        tables = {name: run.frame(name) for name in _TABLES if name in run.tables}
    except (OSError, ValueError, pl.exceptions.PolarsError) as error:
        raise RunError(f"run {run.run_id} cannot be read: {error}; run it again") from None
    return Source(results, tables, run.info)

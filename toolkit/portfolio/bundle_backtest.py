"""The backtest that a deployment is allowed out with: found among the runs, and in short."""

import contextlib
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from toolkit.analysis.runs import Run, list_runs, read_run, runs_dir
from toolkit.analysis.texts import HEADLINE
from toolkit.engine.identity import canonical_json
from toolkit.errors import InputError, RunError
from toolkit.portfolio.bundle_band import growth_band
from toolkit.portfolio.deployment import Deployment
from toolkit.portfolio.saving import RESULTS_FILE

KIND = "portfolio"


def find_backtest(deployment: Deployment, run: str | Path | None = None, root: Path | None = None) -> Run:
    """The backtest of a deployment: the run that is named, else the newest one that is of it.

    A run is of it where it names its id and ran its instances, code, costs, weights, limits, venue rules and capital.

    Raises
    ------
    InputError : the run is not of it (and why), or there is none.
    """
    if run is not None:
        found = read_run(run, root, latest_of=KIND)
        why = difference(found, deployment)
        if why is not None:
            raise InputError(
                f"run {found.run_id} is no backtest of deployment {deployment.id}: {why}; name another run"
            )
        return found
    said = ""
    for one in reversed(list_runs(root)):
        # A run that cannot be read is nobody's backtest.
        with contextlib.suppress(RunError):
            why = difference(one, deployment)
            if why is None:
                return one
            if _names(one) == deployment.id:
                said = said or f" ({one.run_id} is not it: {why})"
    raise InputError(
        f"deployment {deployment.id} has no backtest in {root or runs_dir()}{said}; test it first, with `toolkit "
        f"portfolio backtest`, or here with --backtest --start MOMENT"
    )


def difference(run: Run, deployment: Deployment) -> str | None:
    """Why a run is no backtest of the deployment; None where it is one."""
    if run.info["kind"] != KIND:
        return f"it is a {run.info['kind']}"
    config = run.info["config"]
    if _names(run) != deployment.id:
        return f"it is of {_names(run)}"
    if config.get("policy") is not None:
        return "its weights change over time"
    table = deployment.table()
    for name in ("limits", "instruments", "capital"):
        if canonical_json(config.get(name)) != canonical_json(table[name]):
            return f"its {name} are others" if name != "capital" else f"its capital is {config.get(name)}"
    return _other_members(run, deployment)


def _other_members(run: Run, deployment: Deployment) -> str | None:
    """Why its instances, their costs or weights are others."""
    frame = run.frame("members")
    ran = dict(zip(frame["instance"].to_list(), frame["costs"].to_list(), strict=True))
    costs = {m.instance.id: canonical_json(asdict(m.costs)) for m in deployment.members}
    if set(ran) != set(costs):
        other = sorted(set(ran) ^ set(costs))[0]
        return f"it ran other instances or other code, such as {other}"
    changed = sorted(name for name, text in ran.items() if text != costs[name])
    if changed:
        return f"the costs of {changed[0]} are others"
    weights = run.frame("weights")
    for name, weight in zip(weights["instance"].to_list(), weights["weight"].to_list(), strict=True):
        if weight != deployment.weights.get(name):
            return f"the weight of {name} is {weight}"
    return None


def backtest_facts(run: Run) -> dict[str, Any]:
    """What `backtest.json` holds: the run's id, period, headline figures, and the `band` of its daily returns."""
    try:
        results = json.loads((run.folder / RESULTS_FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise RunError(
            f"run {run.run_id} has no readable {RESULTS_FILE} ({error}); test the deployment again"
        ) from None
    returns = run.frame("equity")["return"].fill_null(float("nan")).to_numpy()
    return {
        "run": run.run_id,
        "period": results["period"],
        "in_sample": results["in_sample"],
        "capital": results["capital"],
        "figures": {name: results["figures"].get(name) for name in HEADLINE},
        "notes": results["notes"],
        "band": growth_band(returns),
    }


def _names(run: Run) -> str | None:
    """The deployment that a run names as its source."""
    source = run.info["config"].get("selected_from") or {}
    return source.get("run") if source.get("source") == "deployment" else None

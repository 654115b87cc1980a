"""From what a user names (a sweep, a deployment, a file, members) to the candidates of a portfolio."""

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from toolkit.analysis.runs import INFO_FILE, Run, read_run
from toolkit.bars.moments import to_ms
from toolkit.errors import InputError, UnknownNameError
from toolkit.portfolio.deployment import Deployment, read_deployment
from toolkit.portfolio.limits import Instrument, Limits, instruments_from, limits_from
from toolkit.portfolio.members import INSTANCES, Member, members_from_sweep, members_from_table, weights_from_table
from toolkit.portfolio.origin import Days, Origin
from toolkit.sweep.result import SweepResult
from toolkit.toml_file import read_toml

_KEYS = (INSTANCES, "limits", "instruments", "capital")


@dataclass(frozen=True)
class Candidates:
    """Members, what came with them, and where they came from; None = the source says nothing of it.

    Attributes
    ----------
    weights : by instance id. deployment : where they are a deployment's.
    """

    members: tuple[Member, ...]
    origin: Origin
    weights: Mapping[str, float] | None = None
    limits: Limits | None = None
    instruments: Mapping[str, Instrument] = field(default_factory=dict)
    capital: float | None = None
    deployment: Deployment | None = None


def candidates_of(
    source: Any,
    *,
    root: Path | None = None,
    strategies: Iterable[str] | None = None,
    accept_code: bool = False,
    **chosen: Any,
) -> Candidates:
    """Read a source of candidates.

    Parameters
    ----------
    source : a sweep (run id, folder, "latest" of the sweeps, `Run` or `SweepResult`), a `deployment.json` (or a
        `Deployment`), a TOML file with [[instance]] rows (and capital, [limits], [instruments]), or `Member`s.
    root : folder of the runs. strategies : modules that hold strategies. accept_code : see `read_deployment`.
    chosen : which of a sweep's rows; see `members.members_from_sweep`.

    Raises
    ------
    InputError, RunError : there is no such source, or nothing in it can be a candidate.
    """
    given = {name: value for name, value in chosen.items() if value is not None}
    run = _run_of(source, root)
    if run is not None:
        return _of_sweep(run, given)
    if given:
        names = [f"`{name}`" for name in given]
        what = str(source) if isinstance(source, str | Path) else f"a {type(source).__name__}"
        verb = "chooses" if len(names) == 1 else "choose"
        raise InputError(f"{', '.join(names)} {verb} rows of a sweep, and {what} is none; leave it out")
    if isinstance(source, str | Path):
        return _of_file(Path(source), strategies, accept_code)
    if isinstance(source, Deployment):
        return _of_deployment(source)
    members = tuple(source) if isinstance(source, Sequence) else ()
    if not members or not all(isinstance(one, Member) for one in members):
        raise InputError(
            f"a portfolio's candidates must be a sweep's run, a deployment.json, a TOML file with [[instance]], or "
            f"Members, were {type(source).__name__}"
        )
    return Candidates(members, Origin("members", combinations_tried=len(members)))


def _run_of(source: Any, root: Path | None) -> Run | None:
    """The run that is meant; nothing where it is a file or a list."""
    if isinstance(source, Run):
        return source
    if isinstance(getattr(source, "run", None), Run):
        found: Run = source.run
        return found
    if not isinstance(source, str | Path) or Path(source).is_file():
        return None
    path = Path(source)
    if path.suffix in (".json", ".toml"):
        raise InputError(f"{source} is not there; name a deployment.json, a TOML file, or a sweep's run")
    is_folder = isinstance(source, Path) or os.sep in source or (path / INFO_FILE).is_file()
    return read_run(path if is_folder else str(source), root, latest_of="sweep")


def _of_sweep(run: Run, chosen: Mapping[str, Any]) -> Candidates:
    if run.info["kind"] != "sweep":
        raise InputError(
            f"run {run.run_id} is a {run.info['kind']}, and a portfolio's candidates come from a sweep; name a sweep's "
            f"run, a deployment.json or a TOML file"
        )
    members = members_from_sweep(SweepResult(run), **chosen)
    start, end = run.info["config"].get("start"), run.info["config"].get("end")
    lasts = [to_ms(str(series["last"]), "last") for series in run.info.get("data", []) if series.get("last")]
    named_ms = None if end is None else to_ms(end, "end")
    end_ms = max(lasts, default=None) if named_ms is None else named_ms
    origin = Origin(
        "sweep", run.run_id, Days(None if start is None else to_ms(start, "start"), end_ms), None, named_ms,
        int(run.info["combinations"]), run.info.get("seeds", {}),
    )  # fmt: skip
    return Candidates(members, origin)


def _of_file(path: Path, strategies: Iterable[str] | None, accept_code: bool) -> Candidates:
    if path.suffix == ".toml":
        return _of_toml(path, strategies)
    if path.suffix == ".json":
        return _of_deployment(read_deployment(path, accept_code=accept_code, strategies=strategies))
    raise InputError(
        f"{path} is no source of candidates; name a sweep's run, a deployment.json, or a TOML file with [[instance]]"
    )


def _of_toml(path: Path, strategies: Iterable[str] | None) -> Candidates:
    table = read_toml(path, "candidates file")
    for key in table:
        if key not in _KEYS:
            raise UnknownNameError(f"key of {path.name}", key, _KEYS)
    rows = {INSTANCES: table.get(INSTANCES, [])}
    members = members_from_table(rows, strategies=strategies)
    return Candidates(
        members,
        Origin("file", path.name, combinations_tried=len(members)),
        weights_from_table(rows, members),
        limits_from(table["limits"]) if "limits" in table else None,
        instruments_from(table.get("instruments", {})),
        table.get("capital"),
    )


def _of_deployment(deployment: Deployment) -> Candidates:
    if deployment.off is not None:
        before = "" if deployment.previous is None else f", such as the one before it, {deployment.previous}"
        raise InputError(
            f"deployment {deployment.id} is off ({deployment.off}), and an account of it does nothing; name one that "
            f"is on{before}"
        )
    source = deployment.selected_from
    counts_ms = deployment.effective_from_ms
    origin = Origin(
        "deployment", deployment.id, Days(source.start_ms, source.end_ms), None, max(source.end_ms, counts_ms),
        source.combinations_tried, counts_from_ms=counts_ms,
    )  # fmt: skip
    return Candidates(
        deployment.members, origin, deployment.weights, deployment.limits, deployment.instruments, deployment.capital,
        deployment,
    )  # fmt: skip

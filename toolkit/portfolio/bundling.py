"""Writing a bundle: a deployment that was backtested, with its sources and the bars to begin with."""

import os
import shutil
from pathlib import Path

from toolkit.analysis.runs import Run
from toolkit.bars.load import stored_until
from toolkit.engine.identity import own_sources
from toolkit.errors import InputError, RunError, StrategyError
from toolkit.models.deployed import FOLDER as MODELS
from toolkit.models.deployed import copy_bundles, features_of
from toolkit.portfolio.bundle import (
    BACKTEST,
    MANIFEST,
    SEED,
    SOURCES,
    Bundle,
    is_bundle,
    read_bundle,
    write_json,
    write_manifest,
)
from toolkit.portfolio.bundle_backtest import backtest_facts
from toolkit.portfolio.bundle_code import bundle_strategies, source_path
from toolkit.portfolio.bundle_seed import reaches, write_seed
from toolkit.portfolio.deployment import FILE, Deployment, deployments_dir, write_deployment
from toolkit.strategy import Strategy, get_strategy


def write_bundle(
    deployment: Deployment, backtest: Run | None, *, db: Path | None = None, root: Path | None = None
) -> Bundle:
    """Write the bundle of a deployment, whole or not at all; one that is there already is checked and given back.

    Parameters
    ----------
    backtest : the run that it is allowed out with, see `bundle_backtest.find_backtest`; None for one that is off, which
        trades nothing.
    db : the bars database. root : folder of the deployments.

    Raises
    ------
    InputError : there is no backtest, and it is not off.
    RunError : it cannot be written, or its folder holds another deployment. StrategyError : a strategy has no file, or
        its sources do not stand alone. InputError, StoreError : bars that it needs are not stored.
    """
    if backtest is None and deployment.off is None:
        raise InputError(f"deployment {deployment.id} must be backtested before it is deployed, and has no backtest")
    folder = (root or deployments_dir()) / deployment.id
    if folder.exists() and (found := _kept(folder, deployment)) is not None:
        return found
    half = folder.with_name(f".{folder.name}.{os.getpid()}.partial")
    try:
        shutil.rmtree(half, ignore_errors=True)
        write_deployment(half / FILE, deployment)
        write_json(half / BACKTEST, {"run": None, "band": None} if backtest is None else backtest_facts(backtest))
        _write_sources(half / SOURCES, deployment)
        _write_seeds(half / SEED, deployment, db)
        copy_bundles(deployment.models, half / MODELS)
        _check_sources(half, deployment)
        write_manifest(half, deployment.id)
        _install(half, folder)
    except OSError as error:
        raise RunError(f"bundle {folder} cannot be written: {error.strerror}; make room") from error
    finally:
        shutil.rmtree(half, ignore_errors=True)
    return read_bundle(folder)


def deployed(root: Path | None = None) -> list[Path]:
    """Folders of the bundles that are kept, oldest first."""
    return sorted(file.parent for file in (root or deployments_dir()).glob(f"[!.]*/{MANIFEST}"))


def _kept(folder: Path, deployment: Deployment) -> Bundle | None:
    """The bundle that is there; None where only the deployment's file is."""
    if is_bundle(folder):
        found = read_bundle(folder)
        if found.table["checksum"] == deployment.table()["checksum"]:
            return found
        raise RunError(
            f"{folder} holds another deployment of this id, and deployments are never changed; make a new one"
        )
    if (folder / FILE).is_file():
        from toolkit.portfolio.deployment_file import checked_table

        if checked_table(folder / FILE)["checksum"] != deployment.table()["checksum"]:
            raise RunError(f"{folder} holds another deployment of this id, and deployments are never changed")
    return None


def _write_sources(root: Path, deployment: Deployment) -> None:
    """The files that the strategies' `code_hash` is made of."""
    for strategy in _strategies(deployment).values():
        file = strategy.source_file
        if not file.is_file() or strategy.function.__module__ == "__main__":
            raise StrategyError(
                f"strategy {strategy.name} has no file of its own to deploy; put it in a module of your strategies"
            )
        for module, source in own_sources(file, strategy.function.__module__).items():
            place = root / source_path(module, source)
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, place)


def _check_sources(half: Path, deployment: Deployment) -> None:
    """`StrategyError` where the copied sources do not stand alone, or are not what the deployment was made with."""
    found = bundle_strategies(half)
    for member in deployment.members:
        strategy, code = found.get(member.strategy), member.instance.code
        if strategy is None or strategy.code != code:
            raise StrategyError(
                f"the sources of {member.strategy} do not stand alone: imported from copies they are not the code that "
                f"{member.instance.id} was tested with; import what it uses at the top of its file, from its own "
                f"package"
            )


def _write_seeds(folder: Path, deployment: Deployment, db: Path | None) -> None:
    strategies = _strategies(deployment)
    at_ms = max(stored_until(m.symbol, m.interval, exchange=m.exchange, base=m.base, db=db) for m in deployment.members)
    folder.mkdir()
    members = [(m, strategies[m.strategy]) for m in deployment.members]
    for series, reach_ms in reaches(members, at_ms, features_of(deployment)).items():
        write_seed(folder, series, reach_ms, db)


def _strategies(deployment: Deployment) -> dict[str, Strategy]:
    return {name: get_strategy(name) for name in sorted({member.strategy for member in deployment.members})}


def _install(half: Path, folder: Path) -> None:
    """Give the bundle its place in one rename; where its deployment was kept before, the manifest makes it whole."""
    for path in [*half.rglob("*"), half]:
        _sync(path)
    if not folder.exists():
        half.rename(folder)
    else:
        for name in (SOURCES, SEED, MODELS):
            # What an attempt that was killed has left.
            shutil.rmtree(folder / name, ignore_errors=True)
        for name in (SOURCES, SEED, MODELS, BACKTEST, FILE, MANIFEST):
            if (half / name).exists():
                (half / name).rename(folder / name)
        _sync(folder)
    _sync(folder.parent)


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)

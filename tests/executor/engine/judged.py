"""Random accounts with small real models in the loop: what they see, how they are made, kept and deployed."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from executor.broker.paper import PaperBroker
from executor.deployments.models import load_models
from executor.engine.engine import Engine
from executor.engine.model import EntryModel
from executor.feed.base import ClosedBar
from executor.ledger import Ledger
from tests.executor.engine.account_replay import open_ledger, plan_of, series_of
from tests.portfolio.account_cases import AccountCase
from toolkit.models.applying import Application
from toolkit.models.backends.base import Budget, TrainingSet
from toolkit.models.backends.choices import backend
from toolkit.models.cleaning import fit_cleaning
from toolkit.models.features import entries_of, feature_values
from toolkit.models.store import read_info, save_model
from toolkit.models.trained import Trained
from toolkit.portfolio.loading import LoadedMember
from toolkit.types import FloatArray

FEATURES = ("natr(5)", "range_pct(10)", "rsi(4)", "minutes_since_midnight", "side", "stop_distance")
NAME = "small"


def seen_at(one: LoadedMember) -> FloatArray:
    """float64[n, k]: features at every raw entry of a member."""
    rows = [
        feature_values(one.bars, entries_of(one.bars, signals, one.prepared.rules, side), FEATURES)
        for side, signals in one.prepared.legs.items()
    ]
    return np.vstack(rows)


def trained_on(members: Sequence[LoadedMember], kind: str, method: str, seed: int) -> Trained:
    """A model of noise: its predictions differ from entry to entry, and about half of them are below its threshold."""
    x = np.vstack([np.random.default_rng(0).normal(size=(40, len(FEATURES))), *(seen_at(one) for one in members)])
    y = (np.random.default_rng(seed).random(len(x)) < 0.5).astype(np.float64)
    cleaning = fit_cleaning(x, clip=0.01, indicators=True)
    data = TrainingSet(cleaning.names(FEATURES), cleaning.clean(x), y, np.ones(len(y)))
    found = backend(kind)
    # Fit whatever there is to fit: small leaves.
    settings = {**found.settings, **({"leaf": 2} if "leaf" in found.settings else {})}
    model = found.fit(data, Budget(seed=seed), settings)
    facts = {"backend": kind, "settings": settings, "window": {"from_ms": 0, "until_ms": 86_400_000 * (seed + 1)}}
    plain = Trained(FEATURES, np.arange(len(FEATURES)), cleaning, model, Application(), facts)
    middle = float(np.median(plain.predict(x)))
    options: dict[str, Any] = {"threshold": middle} if method == "veto" else {"payoff": 2.0, "fraction": 1.0}
    return replace(plain, application=Application(method, **options))


def table_of(case: AccountCase, folder: Path | None, judged: Sequence[str]) -> dict[str, Any]:
    """A deployment's table as far as models go: the bundle judges these instances; without one nobody judges."""
    table: dict[str, Any] = {"id": "dep", "instances": [{"id": e.id} for e in case.entrants]}
    if folder is not None:
        info = read_info(folder)
        table["models"] = [
            {"name": info.name, "version": info.version, "checksum": info.checksum, "instances": list(judged)}
        ]
    return table


def kept(trained: Trained, data: Path) -> Path:
    return save_model(trained, NAME, data / "models")


def judged_ledger(case: AccountCase, path: Path, folder: Path, judged: Sequence[str]) -> Ledger:
    """A ledger as the load of a deployment with a model leaves it."""
    ledger = open_ledger(case, path)
    with ledger.transaction("load"):
        load_models(ledger, table_of(case, folder, judged), "", case.period_ms[0], first=True)
    return ledger


def warmed_engine(case: AccountCase, ledger: Ledger, model: EntryModel | None = None) -> Engine:
    """An engine whose windows hold what the case has from before its first moment."""
    plan = plan_of(case)
    engine = Engine(ledger, PaperBroker(), load=lambda _, __: plan, model=model, clock=lambda: 0)
    bases = {series_of(case)[e.id]: e.bars.base for e in case.entrants}
    for series in engine.series():
        base = bases[series]
        columns = (base.ts, base.open, base.high, base.low, base.close, base.volume, base.filled)
        rows = zip(*(column.tolist() for column in columns), strict=True)
        engine.warm(series, [ClosedBar(*row) for row in rows if row[0] < engine.next_ts(series)])
    return engine

"""Whether what a model sees, and what becomes of it, is still what it was trained on."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from toolkit.errors import InputError
from toolkit.models.dataset import Dataset
from toolkit.models.fitness import auc
from toolkit.models.shift import shift, sketch, sketch_from
from toolkit.types import FloatArray

STABLE, MOVED, DRIFTED, TOO_FEW = "stable", "moved", "drifted", "too few rows"
# Common readings of the population stability index.
MOVED_PSI, DRIFTED_PSI = 0.1, 0.25
LEAST_ROWS = 30
# Outcomes of the training set that a bundle keeps, the latest ones.
_OUTCOMES = 10_000
_DELTA = 0.002
_NAMED = 5


@dataclass(frozen=True)
class FeatureDrift:
    """How far one feature lies from where it was in training; see `shift.Shift` for the figures.

    verdict : by PSI, where it is above what chance makes of so few rows: "stable" up to 0.1, "moved", and "drifted"
        above 0.25. read : the model reads the feature, or selection left it out.
    """

    feature: str
    psi: float
    psi_chance: float
    ks: float
    ks_p: float
    missing_before: float
    missing: float
    verdict: str
    read: bool = True


@dataclass(frozen=True)
class Change:
    """A moment (epoch ms) at which an outcome told that the share of wins is another one than before.

    before : the share until then, since the change before it. after : from then on, up to the next change.
    """

    ts_ms: int
    before: float
    after: float


@dataclass(frozen=True)
class OutcomeDrift:
    """The share of entries worth taking.

    Attributes
    ----------
    before, now : in the training set, and in the recent rows; NaN without rows.
    changes : found by ADWIN (Bifet and Gavalda 2007, delta 0.002) among the recent outcomes, which it reads one by one
        as they became known, after those of the training set.
    predicted : mean prediction of the recent rows. auc : how well predictions order them; NaN without predictions, or
        with one class only.
    """

    before: float
    now: float
    changes: tuple[Change, ...]
    predicted: float = np.nan
    auc: float = np.nan

    @property
    def verdict(self) -> str:
        return DRIFTED if self.changes else STABLE


@dataclass(frozen=True)
class Drift:
    """Recent rows beside those that a model was trained on.

    rows_before, rows : how many. from_ms, until_ms : first decision and last outcome of the recent ones, None without.
    """

    rows_before: int
    rows: int
    from_ms: int | None
    until_ms: int | None
    features: tuple[FeatureDrift, ...]
    outcomes: OutcomeDrift

    @property
    def drifted(self) -> tuple[str, ...]:
        """The features that have drifted, of those that the model reads; the farthest first."""
        found = [one for one in self.features if one.verdict == DRIFTED and one.read]
        return tuple(one.feature for one in sorted(found, key=lambda one: -one.psi))

    @property
    def verdict(self) -> str:
        """The worst of features that the model reads, and outcomes."""
        if self.rows < LEAST_ROWS:
            return DRIFTED if self.outcomes.changes else TOO_FEW
        verdicts = {self.outcomes.verdict, *(one.verdict for one in self.features if one.read)}
        return next((one for one in (DRIFTED, MOVED) if one in verdicts), STABLE)

    @property
    def text(self) -> str:
        """What it comes to, in words."""
        if not self.rows:
            return "no signal since the training has a known outcome yet, so there is nothing to compare"
        read = sum(one.read for one in self.features)
        if self.rows < LEAST_ROWS:
            seen = f"{self.rows} rows are too few to say whether features have drifted ({LEAST_ROWS} are needed)"
        elif self.drifted:
            more = f" and {len(self.drifted) - _NAMED} more" if len(self.drifted) > _NAMED else ""
            seen = f"{len(self.drifted)} of {read} features have drifted: {', '.join(self.drifted[:_NAMED])}{more}"
        else:
            seen = f"none of {read} features has drifted"
        wins = (
            f"the share of entries worth taking was {self.outcomes.before:.1%} in training, is {self.outcomes.now:.1%}"
        )
        if self.outcomes.changes:
            return f"{seen}; {wins}, and it has changed {len(self.outcomes.changes)} times since by ADWIN"
        return f"{seen}; {wins}, no change by ADWIN"


def reference_of(data: Dataset) -> dict[str, Any]:
    """What drift needs of a training set, as JSON can hold it; a bundle keeps it as its fact `reference`.

    `rows`, `wins` (share), `features` (a `shift.Sketch.table` each), and `outcomes`: a 0 or 1 a row in the order in
    which they became known, the latest 10,000.
    """
    known = data.y[np.argsort(data.rows["known"], kind="stable")]
    return {
        "rows": len(data),
        "wins": float(data.y.mean()) if len(data) else None,
        "features": {name: sketch(data.x[:, k]).table() for k, name in enumerate(data.features)},
        "outcomes": "".join("1" if one else "0" for one in known[-_OUTCOMES:].tolist()),
    }


def drift(
    reference: Mapping[str, Any] | Dataset,
    recent: Dataset,
    *,
    read: tuple[str, ...] | None = None,
    predictions: FloatArray | None = None,
) -> Drift:
    """How far recent rows are from a training set.

    Parameters
    ----------
    reference : `reference_of` the training set, or itself.
    recent : rows with all of its features, decided after the training; of the same label, or outcomes do not compare.
    read : features that the model reads, None = all. predictions : float64[len(recent)], NaN where there is none.

    Raises
    ------
    InputError : the recent rows lack a feature of the training set.
    """
    before = reference_of(reference) if isinstance(reference, Dataset) else reference
    columns = {name: k for k, name in enumerate(recent.features)}
    found = []
    for name, table in before["features"].items():
        if name not in columns:
            raise InputError(f"the recent rows lack feature {name!r} of the training set; make them with its features")
        moved = shift(sketch_from(table), recent.x[:, columns[name]], len(before["features"]))
        verdict = _verdict(moved.psi, moved.psi_chance, len(recent))
        found.append(FeatureDrift(name, *moved, verdict, read is None or name in read))
    rows = recent.rows
    return Drift(
        int(before["rows"]), len(recent),
        int(rows["ts"].min()) if len(rows) else None, int(rows["known"].max()) if len(rows) else None,
        tuple(found), _outcomes(before, recent, predictions),
    )  # fmt: skip


def _verdict(psi: float, chance: float, rows: int) -> str:
    if rows < LEAST_ROWS or np.isnan(psi):
        return TOO_FEW
    if psi <= chance or psi <= MOVED_PSI:
        return STABLE
    return DRIFTED if psi > DRIFTED_PSI else MOVED


def _outcomes(before: Mapping[str, Any], recent: Dataset, predictions: FloatArray | None) -> OutcomeDrift:
    predicted, order = np.nan, np.nan
    if predictions is not None and not np.isnan(predictions).all():
        there = ~np.isnan(predictions)
        predicted, order = float(predictions[there].mean()), float(auc(predictions[there], recent.y[there]))
    return OutcomeDrift(
        np.nan if before["wins"] is None else float(before["wins"]),
        float(recent.y.mean()) if len(recent) else np.nan,
        changes(before["outcomes"], recent), predicted, order,
    )  # fmt: skip


def changes(outcomes: str, recent: Dataset) -> tuple[Change, ...]:
    """Where ADWIN finds that the share of wins changes among the recent rows; outcomes : the training set's."""
    from river import drift as of_river

    adwin: Any = of_river.ADWIN
    # Looked at after every outcome, not only after each 32nd: there are few.
    detector = adwin(delta=_DELTA, clock=1)
    for one in outcomes:
        detector.update(one == "1")
    order = np.argsort(recent.rows["known"], kind="stable")
    known, y = recent.rows["known"][order], recent.y[order]
    found: list[tuple[int, float, float]] = []
    for k, won in enumerate(y.tolist()):
        before = float(detector.estimation)
        detector.update(bool(won))
        # It forgets everything with the outcome after a change.
        if detector.drift_detected:
            found.append((k, before, float(detector.estimation)))
    ends = [k + 1 for k, _, _ in found[1:]] + [len(y)]
    return tuple(
        Change(int(known[k]), before, float(y[k + 1 : end].mean()) if end > k + 1 else after)
        for (k, before, after), end in zip(found, ends, strict=False)
    )

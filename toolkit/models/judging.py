"""What models say of a member's raw entries: the one way in which backtests, experiments and the executor ask them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from toolkit.engine.run import EngineRun, Prepared, run
from toolkit.engine.types import ACCEPTED, Judged
from toolkit.models.applying import Application
from toolkit.models.features import Entries, entries_of, feature_values
from toolkit.models.trained import Trained
from toolkit.portfolio.loading import LoadedMember
from toolkit.types import FloatArray, IntArray

NO_VERSION = -1


@dataclass(frozen=True)
class Version:
    """A model that holds from a moment on (epoch ms): for entries decided then or later, until the next one does."""

    id: str
    from_ms: int
    trained: Trained


class Predicted(NamedTuple):
    """Predictions at a leg's raw entries: float64[n] (NaN = no model yet) and int64[n], which version (-1 = none)."""

    predictions: FloatArray
    versions: IntArray


def predict_entries(one: LoadedMember, versions: Sequence[Version]) -> dict[int, Predicted]:
    """By side, what the version that holds at each raw entry predicts; entries before the first have no prediction.

    versions : ascending by `from_ms`.
    """
    prepared = one.prepared
    return {
        side: _predicted(one, entries_of(one.bars, signals, prepared.rules, side), versions)
        for side, signals in prepared.legs.items()
    }


def _predicted(one: LoadedMember, entries: Entries, versions: Sequence[Version]) -> Predicted:
    moments = one.bars.close_ts[entries.bar]
    at = np.searchsorted([v.from_ms for v in versions], moments, side="right").astype(np.int64) - 1
    predictions = np.full(len(at), np.nan)
    known: dict[tuple[str, ...], FloatArray] = {}
    asked = at >= 0
    some = Entries(entries.bar[asked], entries.side, entries.stop[asked], entries.target[asked])
    for number in np.unique(at[asked]).tolist():
        trained = versions[number].trained
        if trained.features not in known:
            known[trained.features] = feature_values(one.bars, some, trained.features)
        predictions[at == number] = trained.predict(known[trained.features][at[asked] == number])
    return Predicted(predictions, at)


def apply(predicted: Mapping[int, Predicted], applications: Sequence[Application]) -> dict[int, Judged]:
    """What predictions come to, `applications[k]` for those of version `k`; without a version everything is taken."""
    judged = {}
    for side, (predictions, versions) in predicted.items():
        verdicts, scales = np.full(len(versions), ACCEPTED, np.uint8), np.ones(len(versions))
        for number in np.unique(versions[versions >= 0]).tolist():
            mine = versions == number
            verdicts[mine], scales[mine] = applications[number].say(predictions[mine])
        judged[side] = Judged(verdicts, predictions, scales, versions)
    return judged


def judge(one: LoadedMember, versions: Sequence[Version]) -> dict[int, Judged]:
    """By side, what the versions say of the member's raw entries."""
    return apply(predict_entries(one, versions), [version.trained.application for version in versions])


def with_verdicts(prepared: Prepared, judged: Mapping[int, Judged] | None) -> Prepared:
    """The same instance with a model in the loop: what it vetoes changes what comes after."""
    if judged is None:
        return prepared
    legs = {
        side: signals._replace(verdicts=judged[side].verdicts) if side in judged else signals
        for side, signals in prepared.legs.items()
    }
    return replace(prepared, legs=legs)


def resimulate(one: LoadedMember, judged: Mapping[int, Judged] | None, notional: float = 1.0) -> EngineRun:
    """The member alone with a model in the loop, at a fixed notional a trade; shares of a size are not in it, since
    they change no path: see `scales_at`.
    """
    return run(with_verdicts(one.prepared, judged), notional)


def scales_at(one: LoadedMember, judged: Mapping[int, Judged] | None, t: IntArray, side: IntArray) -> FloatArray:
    """float64[n]: the share of a full size that signals decided at base bars `t` on `side` were given."""
    scales = np.ones(len(t))
    for which, said in (judged or {}).items():
        mine = side == which
        scales[mine] = said.scales[np.searchsorted(one.prepared.legs[which].entry_t, t[mine])]
    return scales

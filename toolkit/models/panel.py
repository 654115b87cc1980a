"""What models see at every raw entry of some members: computed once, asked by any number of models."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from toolkit.errors import InputError
from toolkit.models.dataset import Dataset
from toolkit.models.features import Entries, entries_of, feature_values
from toolkit.models.judging import NO_VERSION, Predicted
from toolkit.models.trained import Trained
from toolkit.portfolio.loading import FACTOR_BYTES, LoadedMember
from toolkit.types import FloatArray, IntArray

Predictions = Mapping[str, Mapping[int, Predicted]]


@dataclass(frozen=True, eq=False)
class Seen:
    """The raw entries of one leg in a span.

    Attributes
    ----------
    instance, side : whose they are. first, total : position of the first among all raw entries of the leg, of which
        there are `total`.
    t : int64[n], base bars at whose close they are decided. ts : int64[n], that moment, epoch ms. x : float64[n, k].
    """

    instance: str
    side: int
    first: int
    total: int
    t: IntArray
    ts: IntArray
    x: FloatArray


@dataclass(frozen=True, eq=False)
class Panel:
    """Raw entries of members with their features, as known when each is decided."""

    features: tuple[str, ...]
    legs: tuple[Seen, ...]

    def predict(self, edges: IntArray, models: Sequence[Trained | None]) -> dict[str, dict[int, Predicted]]:
        """By instance id and side: `models[k]` asked at the entries decided in `[edges[k], edges[k + 1])`.

        The version of an entry is the number of its block, -1 where there is no model. Arrays are of all raw entries.
        """
        said: dict[str, dict[int, Predicted]] = {}
        for leg in self.legs:
            predictions, versions = np.full(leg.total, np.nan), np.full(leg.total, NO_VERSION, np.int64)
            block = np.searchsorted(edges, leg.ts, side="right") - 1
            for number, model in enumerate(models):
                mine = np.flatnonzero(block == number)
                if model is not None and len(mine):
                    predictions[leg.first + mine] = model.predict(leg.x[mine])
                    versions[leg.first + mine] = number
            said.setdefault(leg.instance, {})[leg.side] = Predicted(predictions, versions)
        return said

    def at_rows(self, data: Dataset) -> FloatArray:
        """float64[len(data), k]: features of the dataset's rows; `InputError` for a row that is no raw entry here."""
        out = np.empty((len(data), len(self.features)))
        found = np.zeros(len(data), np.bool_)
        for leg in self.legs:
            if leg.instance not in data.members or not len(leg.t):
                continue
            of_leg = (data.rows["member"] == data.members.index(leg.instance)) & (data.rows["side"] == leg.side)
            mine = np.flatnonzero(of_leg)
            at = np.minimum(np.searchsorted(leg.t, data.rows["t"][mine]), len(leg.t) - 1)
            same = leg.t[at] == data.rows["t"][mine]
            out[mine[same]], found[mine[same]] = leg.x[at[same]], True
        if not found.all():
            row = data.rows[int(np.argmin(found))]
            raise InputError(
                f"row {int(np.argmin(found))} of the dataset ({data.members[row['member']]}, bar {row['t']}) is no raw "
                f"entry of these members in this period; make the dataset of the same members and bars"
            )
        return out

    def with_features(self, make: Callable[[Seen], FloatArray]) -> "Panel":
        """The same entries with other features, `make(leg)` float64[n, k]."""
        return replace(self, legs=tuple(replace(leg, x=make(leg)) for leg in self.legs))


def make_panel(loaded: Sequence[LoadedMember], features: Sequence[str], span_ms: tuple[int, int]) -> Panel:
    """Features at the raw entries that are decided in `[span_ms[0], span_ms[1]]`."""
    legs = []
    for one in loaded:
        for side, signals in one.prepared.legs.items():
            entries = entries_of(one.bars, signals, one.prepared.rules, side)
            ts = one.bars.close_ts[entries.bar]
            a, b = (int(k) for k in (np.searchsorted(ts, span_ms[0]), np.searchsorted(ts, span_ms[1], side="right")))
            some = Entries(entries.bar[a:b], side, entries.stop[a:b], entries.target[a:b])
            x = feature_values(one.bars, some, features)
            legs.append(Seen(one.instance.id, side, a, len(ts), signals.entry_t[a:b], ts[a:b], x))
        if one.bars.base.factor_bytes() > FACTOR_BYTES:
            one.bars.base.drop_factors()
    return Panel(tuple(features), tuple(legs))

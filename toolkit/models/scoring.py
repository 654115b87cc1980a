"""Predictions beside what became of the signals: on the path that members make with the model in the loop."""

import numpy as np

from toolkit.models.features import SIDE
from toolkit.models.labels import LabelRule
from toolkit.models.making import make_dataset
from toolkit.models.outcome import Period, Said
from toolkit.types import FloatArray


def judged_signals(over: Period, said: Said, label: LabelRule) -> tuple[FloatArray, FloatArray]:
    """Predictions and labels (1 or 0) of the entry signals on the members' own paths with models in the loop.

    Refused signals are labelled by their shadows. float64[n] each; signals without a prediction, or whose trade had not
    closed when the period ended, are left out.
    """
    # Any one feature does: rows and labels are what is wanted of the dataset.
    data = make_dataset(over.members, (SIDE,), label=label, judged=said, jobs=1)
    predictions = np.full(len(data), np.nan)
    for number, (one, name) in enumerate(zip(over.members, over.ids, strict=True)):
        for side, judged in said.get(name, {}).items():
            mine = np.flatnonzero((data.rows["member"] == number) & (data.rows["side"] == side))
            at = np.searchsorted(one.prepared.legs[side].entry_t, data.rows["t"][mine])
            predictions[mine] = judged.predictions[at]
    asked = ~np.isnan(predictions)
    return predictions[asked], data.y[asked]

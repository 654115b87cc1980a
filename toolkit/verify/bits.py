"""Equality to the last bit, with every NaN the same one."""

from typing import Any

import numpy as np
from numpy.typing import NDArray


def bits(values: Any) -> NDArray[Any]:
    """Bit patterns of floats (int64, all NaN alike); other types as they are."""
    array = np.asarray(values)
    if array.dtype != np.float64:
        return array
    return np.where(np.isnan(array), np.nan, array).view(np.int64)


def differing(a: Any, b: Any) -> NDArray[np.bool_]:
    """Where two arrays of one shape differ in any bit."""
    return np.asarray(bits(a) != bits(b))

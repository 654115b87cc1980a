"""Array aliases used in signatures; the dtype is part of the name."""

from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

FloatArray: TypeAlias = NDArray[np.float64]
IntArray: TypeAlias = NDArray[np.int64]
BoolArray: TypeAlias = NDArray[np.bool_]
ByteArray: TypeAlias = NDArray[np.uint8]
# A structured array of records, its dtype named where it is made.
Records: TypeAlias = np.ndarray[tuple[int], np.dtype[Any]]
# One row of `Records`; numpy types its fields no further.
Row: TypeAlias = Any

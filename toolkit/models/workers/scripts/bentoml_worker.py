"""BentoML learns nothing: that it starts, with all that models of Lockstep's own environment are read by, is enough."""

from __future__ import annotations

import bentoml  # noqa: F401
import fastapi  # noqa: F401
import lightgbm  # noqa: F401
import river  # noqa: F401
import sklearn  # noqa: F401

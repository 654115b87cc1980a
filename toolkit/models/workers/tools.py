"""`TOOLS`: the rows of what has an environment of its own and learns nothing."""

from collections.abc import Mapping

from toolkit.models.workers.library import Tool

BENTOML = Tool(
    name="bentoml",
    title="BentoML",
    licence="Apache-2.0",
    megabytes=400,
    # Of the others the versions are those of requirements.lock: a model says there what it says here, to the bit.
    packages=(
        "bentoml", "numpy", "scipy", "scikit-learn", "lightgbm", "joblib", "river", "fastapi", "starlette", "uvicorn",
    ),
    variables={"BENTOML_DO_NOT_TRACK": "True"},
)  # fmt: skip
"""Packs a model and serves it, see `toolkit.models.bento`."""

TOOLS: Mapping[str, Tool] = {BENTOML.name: BENTOML}

"""`LIBRARIES`: the row of each library that runs in an environment of its own."""

from collections.abc import Mapping

from toolkit.errors import UnknownNameError
from toolkit.models.workers.library import Library

PYCARET = Library(
    name="pycaret",
    title="PyCaret",
    licence="MIT",
    megabytes=1400,
    pythons=("3.11", "3.10", "3.9"),
    packages=("pycaret", "scikit-learn", "lightgbm", "numpy", "pandas", "scipy", "joblib"),
    # Otherwise it writes logs.log wherever it is.
    variables={"PYCARET_CUSTOM_LOGGING_PATH": "/dev/null"},
    settings={
        "models": ["lr", "nb", "lda", "rf", "et", "ada", "gbc", "lightgbm"],
        "metric": "auc",
        "trials": 10,
        "folds": 5,
        "gap_rows": 0,
    },
    choices={
        "models": (
            "lr", "knn", "nb", "dt", "rbfsvm", "gpc", "mlp", "rf", "qda", "ada", "gbc", "lda", "et", "lightgbm",
        ),
        "metric": ("auc", "accuracy", "precision", "f1", "mcc", "log_loss"),
    },
    least={"trials": 0, "folds": 2, "gap_rows": 0},
    quick={"models": ["lr"], "trials": 0, "folds": 2},
)  # fmt: skip

LIBRARIES: Mapping[str, Library] = {library.name: library for library in (PYCARET,)}


def find_library(name: str) -> Library:
    """The row of a library by its name."""
    if name not in LIBRARIES:
        raise UnknownNameError("library", name, LIBRARIES)
    return LIBRARIES[name]

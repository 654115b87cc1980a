"""`LIBRARIES`: a row of facts for each library that runs in an environment of its own."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from toolkit.errors import UnknownNameError

HERE = Path(__file__).parent
HOST = HERE / "scripts" / "host.py"
# Of what goes into a worker and comes out; the host says the same number or is not believed.
CONTRACT = 1


@dataclass(frozen=True)
class Library:
    """What Lockstep knows of a library before its environment is there.

    Attributes
    ----------
    name : of the backend, its environment and its command. title : as a person reads it.
    pythons : versions that it runs on, the preferred first. lock : requirements with hashes.
    script : its worker module, see `scripts/host.py`. megabytes : what its environment takes, about.
    packages : those whose versions a saved model depends on. variables : of its process, beside the usual ones.
    settings : with their defaults. choices : what a setting (or each item of a list) must be among.
    least : the smallest value of a number. quick : settings of a fit that only shows that it works.
    """

    name: str
    title: str
    pythons: tuple[str, ...]
    lock: Path
    script: Path
    megabytes: int
    packages: tuple[str, ...]
    variables: Mapping[str, str] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)
    choices: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    least: Mapping[str, int] = field(default_factory=dict)
    quick: Mapping[str, Any] = field(default_factory=dict)


PYCARET = Library(
    name="pycaret",
    title="PyCaret",
    pythons=("3.11", "3.10", "3.9"),
    lock=HERE / "locks" / "pycaret.txt",
    script=HERE / "scripts" / "pycaret_worker.py",
    megabytes=1400,
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

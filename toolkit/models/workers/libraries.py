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

FLAML = Library(
    name="flaml",
    title="FLAML",
    licence="MIT",
    megabytes=860,
    packages=("flaml", "scikit-learn", "lightgbm", "xgboost", "numpy", "pandas", "scipy", "joblib"),
    settings={
        "models": ["lgbm", "xgboost", "xgb_limitdepth", "rf", "extra_tree", "lrl1"],
        "metric": "auc",
        "trials": 80,
        "folds": 5,
        "gap_rows": 0,
        "most_trees": 500,
    },
    choices={
        "models": ("lgbm", "xgboost", "xgb_limitdepth", "rf", "extra_tree", "lrl1", "lrl2"),
        "metric": ("auc", "accuracy", "f1", "average_precision", "log_loss"),
    },
    least={"trials": 2, "folds": 2, "gap_rows": 0, "most_trees": 5},
    quick={"models": ["lgbm"], "trials": 12, "folds": 2},
    peak_mb=600,
)

AUTOGLUON = Library(
    name="autogluon",
    title="AutoGluon",
    licence="Apache-2.0",
    megabytes=650,
    packages=("autogluon-tabular", "autogluon-core", "scikit-learn", "lightgbm", "numpy", "pandas", "scipy", "joblib"),
    settings={
        "models": ["gbm", "rf", "xt", "lr"],
        "metric": "auc",
        "ensemble": "weighted",
        "trials": 10,
        "trees": 100,
        "validation_percent": 20,
        "gap_rows": 0,
    },
    choices={
        "models": ("gbm", "rf", "xt", "lr"),
        "metric": ("auc", "accuracy", "balanced_accuracy", "f1", "mcc", "average_precision", "log_loss"),
        "ensemble": ("weighted", "none"),
    },
    least={"trials": 1, "trees": 1, "validation_percent": 1, "gap_rows": 0},
    quick={"models": ["gbm", "lr"], "trials": 2},
    peak_mb=600,
)

AUTOKERAS = Library(
    name="autokeras",
    title="AutoKeras",
    licence="Apache-2.0",
    megabytes=950,
    packages=("autokeras", "keras", "keras-tuner", "jax", "numpy"),
    # One thread, so that sums are the same however many cores there are; small programs compile sooner in one piece.
    variables={
        "KERAS_BACKEND": "jax",
        "JAX_PLATFORMS": "cpu",
        "NPROC": "1",
        "XLA_FLAGS": (
            "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1 --xla_cpu_parallel_codegen_split_count=1"
        ),
    },
    settings={
        "metric": "auc",
        "tuner": "greedy",
        "trials": 10,
        "epochs": 30,
        "patience": 5,
        "batch_rows": 64,
        "most_units": 256,
        "validation_percent": 20,
        "gap_rows": 0,
    },
    choices={
        "metric": ("auc", "accuracy", "log_loss"),
        "tuner": ("greedy", "random"),
    },
    least={
        "trials": 1,
        "epochs": 1,
        "patience": 1,
        "batch_rows": 1,
        "most_units": 16,
        "validation_percent": 1,
        "gap_rows": 0,
    },
    quick={"trials": 1, "epochs": 12},
    peak_mb=750,
)

AUTOML_GS = Library(
    name="automl_gs",
    title="automl-gs",
    licence="MIT",
    megabytes=800,
    packages=("automl-gs", "xgboost", "scikit-learn", "numpy", "pandas"),
    # AUC may choose a learning rate of 0.0001, after whose 20 trees every probability is 0.5 to three digits.
    settings={"metric": "log_loss", "trials": 20, "epochs": 20, "validation_percent": 30, "gap_rows": 0},
    choices={"metric": ("auc", "accuracy", "f1", "precision", "recall", "log_loss")},
    least={"trials": 1, "epochs": 1, "validation_percent": 1, "gap_rows": 0},
    quick={"trials": 2},
    peak_mb=650,
)

AUTOVIML = Library(
    name="autoviml",
    title="AutoViML",
    licence="Apache-2.0",
    megabytes=1700,
    packages=("autoviml", "scikit-learn", "xgboost", "numpy", "pandas", "scipy"),
    settings={
        "models": ["linear", "forests", "xgboost"],
        "metric": "auc",
        "trials": 5,
        "folds": 5,
        "gap_rows": 0,
    },
    choices={
        "models": ("linear", "forests", "xgboost"),
        "metric": ("auc", "accuracy", "balanced_accuracy", "f1", "log_loss"),
    },
    least={"trials": 1, "folds": 2, "gap_rows": 0},
    quick={"models": ["linear"], "trials": 2, "folds": 2},
    peak_mb=650,
)

MLJAR = Library(
    name="mljar",
    title="mljar-supervised",
    licence="MIT",
    megabytes=1500,
    packages=("mljar-supervised", "scikit-learn", "lightgbm", "xgboost", "catboost", "numpy", "pandas", "joblib"),
    settings={
        "models": ["Linear", "LightGBM", "Xgboost", "Extra Trees"],
        "metric": "auc",
        "ensemble": "weighted",
        "trials": 7,
        "random_models": 2,
        "hill_climbing": 1,
        "folds": 5,
        "gap_rows": 0,
    },
    choices={
        "models": (
            "Linear", "Decision Tree", "Random Forest", "Extra Trees", "LightGBM", "Xgboost", "CatBoost",
            "Neural Network", "Nearest Neighbors",
        ),
        "metric": ("auc", "accuracy", "f1", "average_precision", "log_loss"),
        "ensemble": ("weighted", "none"),
    },
    least={"trials": 1, "random_models": 1, "hill_climbing": 0, "folds": 2, "gap_rows": 0},
    quick={"models": ["Linear", "LightGBM"], "trials": 3, "folds": 2},
    peak_mb=700,
)  # fmt: skip

TPOT = Library(
    name="tpot",
    title="TPOT",
    licence="LGPL-3.0",
    megabytes=950,
    packages=("tpot", "scikit-learn", "lightgbm", "xgboost", "numpy", "scipy", "joblib"),
    settings={
        "models": [
            "ExtraTreesClassifier", "GaussianNB", "LGBMClassifier", "LinearDiscriminantAnalysis", "LogisticRegression",
            "XGBClassifier",
        ],
        "transformers": [
            "Binarizer", "FastICA", "FeatureAgglomeration", "Nystroem", "PCA", "PowerTransformer",
            "QuantileTransformer", "RBFSampler",
        ],
        "metric": "auc",
        "trials": 20,
        "population": 10,
        "folds": 5,
        "gap_rows": 0,
    },
    choices={
        "models": (
            "AdaBoostClassifier", "BaggingClassifier", "BernoulliNB", "DecisionTreeClassifier", "ExtraTreesClassifier",
            "GaussianNB", "HistGradientBoostingClassifier", "KNeighborsClassifier", "LGBMClassifier",
            "LinearDiscriminantAnalysis", "LogisticRegression", "MLPClassifier", "QuadraticDiscriminantAnalysis",
            "RandomForestClassifier", "SGDClassifier", "XGBClassifier",
        ),
        "transformers": (
            "Passthrough", "Binarizer", "FastICA", "FeatureAgglomeration", "Nystroem", "PCA", "PowerTransformer",
            "QuantileTransformer", "RBFSampler",
        ),
        "metric": ("auc", "accuracy", "balanced_accuracy", "f1", "mcc", "average_precision", "log_loss"),
    },
    least={"trials": 1, "population": 1, "folds": 2, "gap_rows": 0},
    quick={"models": ["LogisticRegression"], "transformers": ["Passthrough"], "trials": 4, "folds": 2},
    peak_mb=700,
)  # fmt: skip

LIBRARIES: Mapping[str, Library] = {
    library.name: library for library in (PYCARET, FLAML, AUTOGLUON, AUTOKERAS, AUTOML_GS, AUTOVIML, MLJAR, TPOT)
}


def find_library(name: str) -> Library:
    """The row of a library by its name."""
    if name not in LIBRARIES:
        raise UnknownNameError("library", name, LIBRARIES)
    return LIBRARIES[name]

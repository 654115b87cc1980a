"""What every way of learning promises, held over all that run in this process."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from toolkit.errors import InputError, UnknownNameError
from toolkit.models.backends.base import Budget, TrainingSet
from toolkit.models.backends.choices import BACKENDS, backend, checked_settings
from toolkit.models.backends.trees import load as load_trees

NAMES = sorted(BACKENDS)
K = 6


def rows(n: int = 300, seed: int = 3) -> TrainingSet:
    """The first two columns tell something, the others nothing."""
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((n, K))
    y = (x[:, 0] + 0.5 * x[:, 1] + rng.standard_normal(n) > 0.0).astype(np.float64)
    weight = rng.uniform(0.5, 1.5, n)
    return TrainingSet(tuple(f"f{k}" for k in range(K)), x, y, weight / weight.mean())


def fitted(name: str, data: TrainingSet, **settings: Any) -> Any:
    return backend(name).fit(data, Budget(seed=5), checked_settings(name, settings))


@pytest.fixture(scope="module", params=NAMES)
def model(request: pytest.FixtureRequest) -> tuple[str, Any]:
    return request.param, fitted(request.param, rows())


def test_it_predicts_probabilities_that_tell_the_classes_apart(model: tuple[str, Any]) -> None:
    name, fit = model
    fresh = rows(400, seed=9)
    p = fit.predict(fresh.x)
    assert p.shape == (400,) and p.dtype == np.float64
    assert ((p >= 0.0) & (p <= 1.0)).all()
    if name == "constant":
        assert len(np.unique(p)) == 1
    else:
        assert p[fresh.y == 1.0].mean() > p[fresh.y == 0.0].mean() + 0.1


def test_a_row_is_the_same_alone_and_among_others(model: tuple[str, Any]) -> None:
    _, fit = model
    x = rows(257, seed=11).x
    whole = fit.predict(x)
    assert np.array_equal(whole, np.concatenate([fit.predict(x[k : k + 1]) for k in range(len(x))]))
    order = np.random.default_rng(1).permutation(len(x))
    assert np.array_equal(whole[order], fit.predict(x[order]))
    assert np.array_equal(whole[10:20], fit.predict(x[10:20]))
    # However the numbers lie in memory.
    assert np.array_equal(whole, fit.predict(np.asfortranarray(x)))
    wide = np.zeros((len(x), 2 * K))
    wide[:, ::2] = x
    assert np.array_equal(whole, fit.predict(wide[:, ::2]))
    assert fit.predict(x[:0]).shape == (0,)


@pytest.mark.parametrize("name", NAMES)
def test_equal_seeds_make_equal_models_whatever_jobs_are_allowed(name: str, tmp_path: Path) -> None:
    data, found = rows(), []
    for number, jobs in enumerate((1, 1, 4)):
        fit: Any = backend(name).fit(data, Budget(seed=7, jobs=jobs), checked_settings(name, {}))
        folder = tmp_path / str(number)
        folder.mkdir()
        fit.save(folder)
        found.append((fit.predict(data.x).tobytes(), {f.name: f.read_bytes() for f in sorted(folder.iterdir())}))
    assert found[0][0] == found[1][0] == found[2][0]
    if name not in ("random_forest", "gradient_boosting"):
        # Of pickles only what they predict is promised.
        assert found[0][1] == found[1][1]


def test_what_is_read_in_a_fresh_process_predicts_the_same_bits(model: tuple[str, Any], tmp_path: Path) -> None:
    name, fit = model
    x = rows(50, seed=13).x
    fit.save(tmp_path)
    np.save(tmp_path / "x.npy", x)
    code = (
        "import sys, numpy as np; from pathlib import Path; from toolkit.models.backends.choices import backend\n"
        f"p = backend({name!r}).load(Path({str(tmp_path)!r})).predict(np.load({str(tmp_path / 'x.npy')!r}))\n"
        "heavy = sorted({'pandas', 'polars', 'duckdb', 'pyarrow', 'sklearn'} & set(sys.modules))\n"
        "print(p.tobytes().hex(), ','.join(heavy))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    said, _, heavy = done.stdout.strip("\n").partition(" ")
    assert bytes.fromhex(said) == fit.predict(x).tobytes()
    if name not in ("random_forest", "gradient_boosting"):
        assert heavy == ""


def test_it_describes_itself_in_json(model: tuple[str, Any]) -> None:
    name, fit = model
    said = json.loads(json.dumps(fit.describe(), allow_nan=False))
    assert said["kind"] == name
    if name != "constant":
        assert said["settings"] == checked_settings(name, {})


@pytest.mark.parametrize("name", [n for n in NAMES if n != "mlp"])
def test_weights_count_as_rows_do(name: str) -> None:
    """Ones that weigh four times as much make ones more likely."""
    data = rows()
    heavy = np.where(data.y == 1.0, 4.0, 1.0) * data.weight
    more = fitted(name, replace(data, weight=heavy / heavy.mean())).predict(data.x)
    assert more.mean() > fitted(name, data).predict(data.x).mean() + 0.05


@pytest.mark.parametrize("name", ["lightgbm", "gradient_boosting", "constant"])
def test_missing_values_have_a_branch_of_their_own(name: str) -> None:
    data = rows(600)
    x = data.x.copy()
    x[data.y == 1.0, 3] = np.where(np.arange(int(data.y.sum())) % 2, np.nan, x[data.y == 1.0, 3])
    p = fitted(name, replace(data, x=x)).predict(x)
    assert np.isfinite(p).all()
    if name != "constant":
        # Only ones miss it.
        assert p[np.isnan(x[:, 3])].mean() > 0.7


@pytest.mark.parametrize("name", ["logistic", "mlp"])
def test_layers_are_what_scikit_learn_fitted(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    import sklearn.linear_model
    import sklearn.neural_network

    kept: list[Any] = []
    module, kind = {
        "logistic": (sklearn.linear_model, "LogisticRegression"),
        "mlp": (sklearn.neural_network, "MLPClassifier"),
    }[name]
    own = getattr(module, kind)

    def watched(*args: Any, **kwargs: Any) -> Any:
        kept.append(own(*args, **kwargs))
        return kept[-1]

    monkeypatch.setattr(module, kind, watched)
    data = rows()
    fit = fitted(name, data)
    np.testing.assert_allclose(fit.predict(data.x), kept[0].predict_proba(data.x)[:, 1], rtol=0.0, atol=1e-12)


def test_trees_of_another_version_are_refused(tmp_path: Path) -> None:
    fitted("random_forest", rows(), trees=3).save(tmp_path)
    facts = json.loads((tmp_path / "model.json").read_text())
    (tmp_path / "model.json").write_text(json.dumps({**facts, "library": "0.1"}))
    with pytest.raises(InputError, match=r"were kept by scikit-learn 0\.1, and .* is installed; train the model again"):
        load_trees(tmp_path)


@pytest.mark.parametrize(
    ("name", "settings", "sentence"),
    [
        ("lightgbm", {"trees": 0}, r"`trees` of lightgbm must be a whole number from 1 to 10000, was 0"),
        ("lightgbm", {"trees": 1.5}, r"must be a whole number"),
        ("lightgbm", {"learning_rate": True}, r"must be a number from 1e-06 to 1, was True"),
        ("logistic", {"strength": float("nan")}, r"`strength` of logistic must be a number"),
        ("mlp", {"layers": 9}, r"from 1 to 5, was 9"),
    ],
)
def test_a_setting_out_of_its_range_is_one_sentence(name: str, settings: dict[str, Any], sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        checked_settings(name, settings)


def test_names_that_are_not_there_come_with_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match=r"unknown backend 'lightgmb': did you mean 'lightgbm'"):
        backend("lightgmb")
    with pytest.raises(UnknownNameError, match=r"unknown setting of lightgbm 'leafs': did you mean 'leaf'"):
        checked_settings("lightgbm", {"leafs": 3})

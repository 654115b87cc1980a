"""The registry: bundles come back to the bit, never change, and are refused in a sentence where they are not whole."""

import json
import math
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.models.bundles import DAY_MS, FEATURES, UNTIL_MS, applied, kept, made, raw
from toolkit.errors import InputError, RunError, UnknownNameError
from toolkit.models import store
from toolkit.models.sealing import file_sums, write_json
from toolkit.models.store import (
    check_model,
    find_model,
    list_models,
    model_names,
    read_info,
    read_model,
    save_model,
    versions_of,
)

KINDS = ("constant", "logistic", "random_forest", "gradient_boosting", "lightgbm", "mlp")


@pytest.mark.parametrize("kind", KINDS)
def test_a_model_that_was_read_predicts_as_the_one_that_was_saved(tmp_path: Path, kind: str) -> None:
    trained = applied(made(kind, dataset="ab" * 32), method="kelly", fraction=0.1, cap=0.7, payoff=1 / 3)
    read = read_model(save_model(trained, "trend", tmp_path))
    x = raw(50, seed=1)
    expected = trained.predict(x)
    assert read.predict(x).tobytes() == expected.tobytes()
    # One row alone is the same row in a batch.
    assert np.concatenate([read.predict(row[None]) for row in x]).tobytes() == expected.tobytes()
    assert (read.features, read.chosen.tolist(), read.application) == (FEATURES, [0, 2, 4], trained.application)
    assert read.facts["dataset"] == "ab" * 32


def test_what_a_bundle_says(tmp_path: Path) -> None:
    said = {"scores": {"auc": 0.61, "sortino": math.nan}, "reference": {"psi": np.array([0.1, 0.2])}, "trials": 7}
    folder = save_model(made(), "trend", tmp_path, facts={**said, "rows": np.int64(400)})
    info = read_info(folder)
    assert folder == tmp_path / "trend" / info.version
    assert info.version == f"20220108T000000-{info.checksum[:12]}"
    assert (info.id, info.backend) == (f"trend@{info.version}", "lightgbm")
    assert (info.from_ms, info.until_ms) == (UNTIL_MS - 90 * DAY_MS, UNTIL_MS)
    assert info.libraries["lightgbm"]
    # What has no number is null, and what has no place of its own is kept too.
    assert info.facts["scores"] == {"auc": 0.61, "sortino": None}
    assert (info.facts["reference"], info.facts["trials"], info.facts["rows"]) == ({"psi": [0.1, 0.2]}, 7, 400)
    assert (info.facts["controls"], info.facts["version"]) == (None, info.version)
    assert sorted(p.name for p in folder.iterdir()) == ["manifest.json", "model", "model.json"]
    table = json.loads((folder / "model.json").read_text())
    assert {"schema", "name", "version", "features", "chosen", "backend", "settings", "application", "cleaning",
            "window", "dataset", "scores", "controls", "reference", "libraries"} <= set(table)  # fmt: skip


def test_the_same_model_saved_twice_is_one_bundle(tmp_path: Path) -> None:
    trained = made()
    first = save_model(trained, "trend", tmp_path)
    before = file_sums(first)
    assert save_model(trained, "trend", tmp_path) == first
    assert save_model(read_model(first), "trend", tmp_path) == first
    assert file_sums(first) == before
    assert save_model(trained, "other", tmp_path).name != first.name
    assert save_model(applied(trained, threshold=0.6), "trend", tmp_path) != first
    assert [p.name for p in (tmp_path / "trend").iterdir() if p.name.startswith(".")] == []


def test_a_damaged_bundle_is_not_written_over(tmp_path: Path) -> None:
    trained = made("constant")
    folder = save_model(trained, "trend", tmp_path)
    flip(folder)
    with pytest.raises(RunError, match=r"is kept, but damaged; delete .* was changed"):
        save_model(trained, "trend", tmp_path)
    shutil.rmtree(folder)
    assert save_model(trained, "trend", tmp_path) == folder


def test_many_who_save_at_once_write_one_bundle(tmp_path: Path) -> None:
    trained, found = made("constant"), list[Path]()
    threads = [threading.Thread(target=lambda: found.append(save_model(trained, "trend", tmp_path))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(found)) == 1
    assert len(found) == 8
    assert list((tmp_path / "trend").iterdir()) == [found[0]]


def test_names_and_versions(tmp_path: Path) -> None:
    old, new = kept(tmp_path, until_ms=UNTIL_MS), kept(tmp_path, until_ms=UNTIL_MS + DAY_MS)
    other = kept(tmp_path, "mean_reversion", "constant")
    assert find_model("trend", tmp_path) == new
    assert find_model(f"trend@{old.name}", tmp_path) == old
    assert find_model(old) == find_model(str(old)) == old
    assert versions_of("trend", tmp_path) == [old, new]
    assert model_names(tmp_path) == ["mean_reversion", "trend"]
    assert [info.folder for info in list_models(tmp_path)] == [other, old, new]
    assert [info.folder for info in list_models(tmp_path, "trend")] == [old, new]
    assert list_models(tmp_path / "none") == []
    with pytest.raises(UnknownNameError, match="did you mean 'trend'"):
        find_model("trends", tmp_path)
    with pytest.raises(UnknownNameError, match="version of model trend"):
        find_model("trend@20200101T000000-0", tmp_path)
    with pytest.raises(InputError, match="is no model bundle"):
        find_model(tmp_path)


def test_of_equal_cut_offs_the_last_one_saved_is_the_newest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folders = []
    for second in range(4):
        monkeypatch.setattr(store.time, "time_ns", lambda at=second: (1_700_000_000 + at) * 1_000_000_000)
        folders.append(save_model(applied(made("constant"), threshold=0.5 + second / 100), "trend", tmp_path))
    assert versions_of("trend", tmp_path) == folders
    assert find_model("trend", tmp_path) == folders[-1]


@pytest.mark.parametrize("name", ["", ".hidden", "a/b", "a@b", "x" * 101, "naïve", "-a", "../up"])
def test_a_name_that_no_folder_can_have(tmp_path: Path, name: str) -> None:
    with pytest.raises(InputError, match="a model's name must be"):
        save_model(made("constant"), name, tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        ({"backend": None}, "must name its `backend`"),
        ({"window": None}, "must name its training `window`"),
        ({"window": {"from_ms": 5.0, "until_ms": 6.0}}, "must name its training `window`"),
        ({"window": {"from_ms": 7, "until_ms": 6}}, "must not end before it begins"),
        ({"scores": {"auc": object()}}, "auc in scores of model 'trend' must be what JSON can hold, was a object"),
    ],
)
def test_facts_that_cannot_be_kept(tmp_path: Path, facts: dict[str, Any], expected: str) -> None:
    with pytest.raises(InputError, match=expected):
        save_model(made("constant"), "trend", tmp_path, facts=facts)
    assert list(tmp_path.iterdir()) == []


def test_a_model_that_cannot_be_written_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trained = made("constant")

    def full(folder: Path, schema: str) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(store, "seal", full)
    with pytest.raises(RunError, match="No space left on device"):
        save_model(trained, "trend", tmp_path)
    assert list((tmp_path / "trend").iterdir()) == []
    assert model_names(tmp_path) == []


def edit(**over: Any) -> Callable[[Path], None]:
    """Change `model.json`, and the manifest with it, as somebody would who knows about the manifest."""

    def change(folder: Path) -> None:
        table = json.loads((folder / "model.json").read_text())
        write_json(folder / "model.json", {**table, **over})
        manifest = json.loads((folder / "manifest.json").read_text())
        write_json(folder / "manifest.json", {**manifest, "files": file_sums(folder)})

    return change


def flip(folder: Path) -> None:
    file = next(p for p in sorted((folder / "model").rglob("*")) if p.is_file())
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(data)


@pytest.mark.parametrize(
    ("harm", "expected"),
    [
        (flip, r"was changed: the checksum of model/.* is not the one that was written"),
        (lambda f: shutil.rmtree(f / "model"), r"is not whole: model/.* is missing"),
        (lambda f: (f / "model.json").unlink(), r"is not whole: model\.json is missing"),
        (lambda f: (f / "manifest.json").unlink(), r"is no model bundle: it has no manifest\.json"),
        (lambda f: (f / "model" / "more").write_text(""), r"was changed: model/more is not of it"),
        (lambda f: (f / "manifest.json").write_text("{"), r"manifest\.json cannot be read: it is not valid JSON"),
        (lambda f: (f / "manifest.json").write_text("[]"), r"manifest\.json is no JSON object"),
        (lambda f: write_json(f / "manifest.json", {"schema": "lockstep.model/1"}), "names no files"),
        (lambda f: write_json(f / "manifest.json", {"schema": "lockstep.model/2"}), "reads 'lockstep.model/1'"),
        (edit(schema="lockstep.model/9"), "has schema 'lockstep.model/9'"),
        (edit(chosen=[1, 2, 3]), "its contents are not those of version"),
        (edit(application={"method": "veto", "threshold": 0.0}), "its contents are not those of version"),
        (edit(version="20990101T000000-000000000000"), "its contents are not those of version"),
        (edit(window=None), "is not as it is written"),
        (edit(application={"colour": 1}), "is not as it is written"),
    ],
)
def test_a_bundle_that_is_not_as_it_was_written(tmp_path: Path, harm: Callable[[Path], None], expected: str) -> None:
    folder = kept(tmp_path)
    harm(folder)
    with pytest.raises(InputError, match=expected) as caught:
        read_model(folder)
    assert "\n" not in str(caught.value)


def test_other_features_than_asked_for(tmp_path: Path) -> None:
    folder = kept(tmp_path)
    assert read_model(folder, features=list(FEATURES)).features == FEATURES
    for given, expected in [
        (FEATURES[:-1], "it needs 'side', which is not among the 4 given"),
        ((*FEATURES, "roc(10)"), r"it does not know 'roc\(10\)'"),
        (FEATURES[::-1], "the same names in another order"),
    ]:
        with pytest.raises(InputError, match=expected):
            read_model(folder, features=given)


@pytest.mark.parametrize(
    ("kind", "package", "here", "refused"),
    [
        ("random_forest", "scikit-learn", "1.0.0", True),
        ("gradient_boosting", "scikit-learn", "1.0.0", True),
        ("lightgbm", "scikit-learn", "1.0.0", False),
        ("lightgbm", "lightgbm", "3.3.5", True),
        ("lightgbm", "lightgbm", "4.99.1", False),
        ("logistic", "scikit-learn", "1.0.0", False),
    ],
)
def test_another_version_of_a_library_where_that_matters(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, package: str, here: str, refused: bool
) -> None:
    folder = kept(tmp_path, kind=kind)
    real = store.version
    monkeypatch.setattr(store, "version", lambda name: here if name == package else real(name))
    if refused:
        with pytest.raises(InputError, match=f"was made with {package} .*, and {here} is installed"):
            read_model(folder)
    else:
        assert read_model(folder).features == FEATURES


def test_a_folder_that_was_copied_is_the_same_model(tmp_path: Path) -> None:
    folder = kept(tmp_path)
    copy = shutil.copytree(folder, tmp_path / "deployment" / "models" / "trend")
    assert check_model(copy).checksum == check_model(folder).checksum


def test_a_broken_bundle_is_not_listed_and_the_rest_is(tmp_path: Path) -> None:
    broken, whole = kept(tmp_path), kept(tmp_path, until_ms=UNTIL_MS + DAY_MS)
    (broken / "model.json").write_text("{")
    assert [info.folder for info in list_models(tmp_path)] == [whole]


@pytest.mark.parametrize(
    ("kind", "brings", "may"),
    [
        ("constant", [], []),
        ("logistic", [], []),
        ("mlp", [], []),
        ("lightgbm", ["lightgbm"], []),
        ("random_forest", ["sklearn"], ["pandas", "pyarrow"]),
    ],
)
def test_reading_a_model_imports_its_backend_and_nothing_else_that_is_heavy(
    tmp_path: Path, kind: str, brings: list[str], may: list[str]
) -> None:
    folder = kept(tmp_path, kind=kind)
    heavy = ["dask", "duckdb", "fastapi", "lightgbm", "matplotlib", "numba", "pandas", "polars", "pyarrow", "river"]
    heavy += ["sklearn"]
    code = (
        "import sys, numpy as np\nfrom pathlib import Path\nfrom toolkit.models.store import read_model\n"
        f"read_model(Path({str(folder)!r})).predict(np.zeros((1, {len(FEATURES)})))\n"
        f"print(*[name for name in {heavy} if sys.modules.get(name) is not None])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    # What scikit-learn imports by itself is its own affair.
    assert [name for name in done.stdout.split() if name not in may] == brings

"""A foreign library as a way of learning: settings, bundles, and what is said where it cannot be used."""

import json
import pickle
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.models.workers.fake import fake_environment, training_set
from toolkit.errors import InputError
from toolkit.models.backends import remote
from toolkit.models.backends.base import Budget, ModelBackend
from toolkit.models.backends.remote import RemoteBackend, installed_backends, remote_backend
from toolkit.models.backends.remote_check import check_library
from toolkit.models.workers.environments import STATE_FILE, environments_root
from toolkit.models.workers.failure import WorkerError
from toolkit.models.workers.library import Library
from toolkit.models.workers.resident import close_residents


@pytest.fixture
def library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Library]:
    (tmp_path / "tmp").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "tmp"))
    yield fake_environment(tmp_path, monkeypatch)
    close_residents()


@pytest.fixture
def backend(library: Library) -> ModelBackend:
    return RemoteBackend(library)


@pytest.fixture
def bundle(backend: ModelBackend, tmp_path: Path) -> Path:
    folder = tmp_path / "bundle"
    folder.mkdir()
    backend.fit(training_set(), Budget(seed=2), {}).save(folder)
    return folder


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"depth": 3}, "unknown setting of fake 'depth'"),
        ({"models": ["slope"]}, "unknown value of `models` 'slope': did you mean 'slopes'"),
        ({"models": []}, "`models` of fake must be a list of at least one name, was \\[\\]"),
        ({"models": "slopes"}, "`models` of fake must be a list of at least one name, was 'slopes'"),
        ({"trials": -1}, "`trials` of fake must be a whole number from 0 up, was -1"),
        ({"trials": True}, "`trials` of fake must be a whole number from 0 up, was True"),
        ({"trials": 1.5}, "`trials` of fake must be a whole number from 0 up, was 1.5"),
    ],
)
def test_settings_are_checked_before_anything_is_started(
    backend: ModelBackend, settings: dict[str, object], sentence: str
) -> None:
    with pytest.raises(InputError, match=sentence):
        backend.fit(training_set(), Budget(), settings)


def test_a_bundle_predicts_as_its_model_did_to_the_bit(backend: ModelBackend, tmp_path: Path) -> None:
    x = training_set().x
    model = backend.fit(training_set(), Budget(seed=2), {})
    (tmp_path / "bundle").mkdir()
    model.save(tmp_path / "bundle")
    before = model.predict(x)
    close_residents()
    loaded = backend.load(tmp_path / "bundle")
    assert np.array_equal(loaded.predict(x), before)
    assert loaded.describe() == model.describe()
    assert not np.array_equal(loaded.predict(x), backend.fit(training_set(), Budget(seed=3), {}).predict(x))


def test_a_model_goes_between_processes(backend: ModelBackend, bundle: Path) -> None:
    x, loaded = training_set().x, backend.load(bundle)
    assert np.array_equal(pickle.loads(pickle.dumps(loaded)).predict(x), loaded.predict(x))


def test_a_seed_of_any_size_is_one(backend: ModelBackend) -> None:
    model = backend.fit(training_set(), Budget(seed=2**63 + 5), {})
    assert model.describe()["seed"] == 2**63 + 5
    assert model.describe()["chosen"]["seed"] == 5


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("model/act.json", b"{}", "'act.json' that is not the one of its manifest's checksum; train it again"),
        ("model/more.json", b"{}", "other files than its manifest says: more.json; train it again"),
        ("model/manifest.json", b"[", "has no readable manifest"),
        ("worker.json", b"{", "has no readable worker.json"),
        ("worker.json", b"{}", "has no readable worker.json"),
    ],
)
def test_a_changed_bundle_is_not_read(
    backend: ModelBackend, bundle: Path, name: str, content: bytes, sentence: str
) -> None:
    (bundle / name).write_bytes(content)
    with pytest.raises(WorkerError, match=sentence):
        backend.load(bundle)


def test_files_that_fit_their_manifest_must_be_those_that_were_saved(backend: ModelBackend, bundle: Path) -> None:
    saved = json.loads((bundle / "worker.json").read_text())
    saved["checksums"]["act.json"] = "0" * 64
    (bundle / "worker.json").write_text(json.dumps(saved))
    with pytest.raises(WorkerError, match=r"checksums are not those of its worker\.json"):
        backend.load(bundle)


@pytest.mark.parametrize("wrong", [{"library": "other"}, {"batch_rows": 0}])
def test_a_bundle_of_another_library_is_not_read(backend: ModelBackend, bundle: Path, wrong: dict[str, object]) -> None:
    saved = json.loads((bundle / "worker.json").read_text())
    for name, value in wrong.items():
        (saved if name == "library" else saved["facts"])[name] = value
    (bundle / "worker.json").write_text(json.dumps(saved))
    with pytest.raises(WorkerError, match=r"is one of '(other|fake)' or has no `batch_rows`"):
        backend.load(bundle)


def test_a_bundle_needs_the_versions_that_wrote_it(backend: ModelBackend, bundle: Path) -> None:
    state = environments_root() / "fake" / STATE_FILE
    facts = json.loads(state.read_text())
    facts["versions"]["numpy"] = "99.0"
    state.write_text(json.dumps(facts))
    with pytest.raises(
        WorkerError, match=r"was made under numpy .* and not 99\.0, its files are read by those versions"
    ):
        backend.load(bundle)


def test_only_what_is_installed_is_listed(library: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    absent = replace(library, name="absent", title="Absent")
    rows = {"fake": library, "absent": absent}
    monkeypatch.setattr(remote, "LIBRARIES", rows)
    monkeypatch.setattr("toolkit.models.workers.libraries.LIBRARIES", rows)
    assert list(installed_backends()) == ["fake"]
    assert remote_backend("fake").name == "fake"
    with pytest.raises(WorkerError, match=r"make it \(about 1 MB\) with: toolkit model backends install absent"):
        remote_backend("absent")


def test_a_model_is_warm_before_its_first_question(backend: ModelBackend, bundle: Path) -> None:
    model = RemoteBackend(backend.library).load(bundle)  # type: ignore[attr-defined]
    model.warm()
    assert np.array_equal(model.predict_within(training_set().x[:1], 30.0), model.predict(training_set().x[:1]))


def test_a_check_finds_a_plain_pattern(library: Library) -> None:
    found = check_library(library)
    assert found.problem is None
    assert found.auc is not None and found.auc > 0.9
    assert "numpy" in found.versions


def test_a_check_tells_what_is_wrong(library: Library) -> None:
    assert "ended with code 3" in str(check_library(replace(library, quick={"act": "dies"})).problem)
    state = environments_root() / "fake" / STATE_FILE
    facts = json.loads(state.read_text())
    state.write_text(json.dumps({**facts, "versions": {**facts["versions"], "numpy": "0.1"}}))
    close_residents()
    assert "was changed after it was made (numpy" in str(check_library(library).problem)

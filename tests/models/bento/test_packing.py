"""Making a bento where BentoML is a stand-in: what it holds, what it refuses, and that nothing half-made is left."""

import json
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.models.bento.places import install_stand_in
from tests.models.bundles import kept
from toolkit.errors import InputError, RunError, UnknownNameError
from toolkit.models.backends.choices import BACKENDS
from toolkit.models.bento import packing
from toolkit.models.bento.packing import pack, tag_of
from toolkit.models.bento.sources import sources_of
from toolkit.models.store import check_model, read_info
from toolkit.models.trained import Trained
from toolkit.models.workers.environments import STATE_FILE, environments_root
from toolkit.models.workers.failure import WorkerError
from toolkit.models.workers.libraries import LIBRARIES
from toolkit.models.workers.library import Library
from toolkit.types import FloatArray


@pytest.fixture
def registry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setenv("LOCKSTEP_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("LOCKSTEP_ENVS", str(tmp_path / "envs"))
    (tmp_path / "tmp").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "tmp"))
    install_stand_in()
    kept(tmp_path / "data" / "models", "trend", "constant")
    yield tmp_path / "data" / "models"
    assert list((tmp_path / "tmp").iterdir()) == []


def refused(kind: type[Exception], sentence: str, model: str = "trend") -> None:
    """That it raises, in one line, and leaves nothing."""
    bentos = packing.bentos_dir()
    before = sorted(bentos.rglob("*"))
    with pytest.raises(kind, match=sentence) as raised:
        pack(model)
    assert "\n" not in str(raised.value)
    assert sorted(bentos.rglob("*")) == before


def test_it_holds_the_bundle_and_the_sources_and_no_more(registry: Path) -> None:
    made = pack("trend")
    assert made.folder == packing.bentos_dir() / "trend" / made.info.version
    assert sorted(path.name for path in (made.folder / "src").iterdir()) == ["models", "toolkit"]
    assert check_model(made.folder / "src" / "models" / "trend" / made.info.version).checksum == made.info.checksum
    names = {path.relative_to(made.folder).as_posix() for path in made.folder.rglob("*")}
    assert "src/toolkit/models/serve/app.py" in names and "src/toolkit/models/workers/scripts/host.py" not in names
    assert not any("__pycache__" in name or "/." in name or "/cli/" in name for name in names)
    assert len(names) < 100
    assert made.folder.stat().st_mode & 0o777 == 0o755
    assert [path.name for path in made.folder.parent.iterdir()] == [made.info.version]


def test_an_older_version_is_packed_by_its_name(registry: Path) -> None:
    old = pack("trend")
    new = kept(registry, "trend", "constant", until_ms=old.info.until_ms + 86_400_000)
    assert pack("trend", registry / "new").info.version == new.name
    assert pack(f"trend@{old.info.version}", registry / "old").info.version == old.info.version


def test_its_moment_is_that_of_the_model(registry: Path) -> None:
    text = (pack("trend").folder / packing.FILE).read_text()
    assert text.count("creation_time: '20") == 1 and "+00:00'" in text


def test_names_are_those_that_bentoml_takes(registry: Path) -> None:
    info = read_info(kept(registry, "Trend.Long-" + "x" * 60, "constant"))
    name, _, version = tag_of(info).partition(":")
    assert name == ("trend.long-" + "x" * 60)[:63] and version == info.version.lower()


def test_bad_input_is_a_sentence_and_leaves_nothing(registry: Path) -> None:
    refused(UnknownNameError, "unknown model 'trends': did you mean 'trend'", "trends")
    refused(UnknownNameError, "unknown version of model trend", "trend@20200101T000000-0")
    refused(InputError, "is packed by its name, was '/etc'", "/etc")
    folder = pack("trend").folder
    refused(InputError, f"{folder} is there already; delete it, or name another folder with --out")
    with pytest.raises(RunError, match=r"cannot be written to /proc/none/at/all: .*; make room, or name another"):
        pack("trend", Path("/proc/none/at/all"))
    next((registry / "trend").glob("*/model/*")).write_text("rubbish")
    shutil.rmtree(folder)
    refused(InputError, "was changed: the checksum of model/")


def test_without_its_environment_it_says_how_to_make_it(registry: Path) -> None:
    state = environments_root() / "bentoml" / STATE_FILE
    state.write_text(json.dumps({**json.loads(state.read_text()), "lock": "another"}))
    refused(WorkerError, "was made from another lock file; make it anew with: toolkit model backends install bentoml")
    shutil.rmtree(environments_root() / "bentoml")
    refused(WorkerError, r"BentoML needs an environment .* with: toolkit model backends install bentoml")


def test_what_bentoml_refuses_is_told_in_its_last_words(registry: Path) -> None:
    script = environments_root() / "bentoml" / "bin" / "python"
    whole = script.read_text()
    script.write_text(whole.replace("#!/bin/sh\n", "#!/bin/sh\nexport LOCKSTEP_STAND_IN_FAILS=1\n"))
    refused(RunError, "could not be made; the last that it printed: Error: there is no such thing")
    script.write_text("#!/bin/sh\nexit 0\n")
    refused(RunError, "bentoml build ended without a word")
    script.unlink()
    refused(WorkerError, "is damaged; make it anew with")


def test_a_bento_that_says_something_else_is_not_kept(registry: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Other:
        def __init__(self, trained: Trained) -> None:
            self._model = trained.model

        def predict(self, x: FloatArray) -> FloatArray:
            found: FloatArray = self._model.predict(x)
            found[3] += 1e-12
            return found

    real = packing.read_model
    monkeypatch.setattr(packing, "read_model", lambda folder: replace(real(folder), model=Other(real(folder))))
    refused(RunError, r"says something else than it does here \(1 of 64 rows differ\); it is not kept")


@pytest.mark.parametrize("kind", BACKENDS)
def test_each_way_of_learning_finds_what_it_needs_there(registry: Path, kind: str) -> None:
    """Proven as it is packed."""
    kept(registry, kind, kind)
    assert pack(kind).info.backend == kind


@pytest.mark.parametrize("library", LIBRARIES.values(), ids=lambda library: library.name)
def test_a_library_takes_its_own_worker_and_lock_along(library: Library) -> None:
    names = {file.name for file in sources_of(library.name)} - {file.name for file in sources_of("lightgbm")}
    assert names - {library.sources.name} == {"host.py", "in_time.py", library.script.name, library.lock.name}

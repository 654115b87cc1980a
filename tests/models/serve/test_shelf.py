"""What is loaded: the newest version that can be read, older ones on demand, and nothing that is gone."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from tests.models.bundles import DAY_MS, UNTIL_MS, kept
from toolkit.errors import InputError, UnknownNameError
from toolkit.models.serve import shelf as module
from toolkit.models.serve.desk import UnavailableError
from toolkit.models.serve.shelf import Served, Shelf
from toolkit.models.trained import Trained


def shelf(root: Path, only: str | None = None) -> Shelf:
    found = Shelf(root, only)
    found.refresh()
    return found


def version(found: Served | None) -> str:
    assert found is not None
    return found.info.version


def break_(folder: Path) -> None:
    next((folder / "model").iterdir()).write_text("rubbish")


def versions(root: Path, count: int, name: str = "trend") -> list[Path]:
    return [kept(root, name, "constant", until_ms=UNTIL_MS + k * DAY_MS) for k in range(count)]


def test_the_newest_is_there_and_older_ones_come_when_they_are_asked_for(tmp_path: Path) -> None:
    old, mid, new = versions(tmp_path, 3)
    found = shelf(tmp_path)
    assert version(found.loaded("trend")) == version(found.loaded("trend", new.name)) == new.name
    assert found.loaded("trend", old.name) is None
    assert version(found.load("trend", old.name)) == version(found.loaded("trend", old.name)) == old.name
    assert found.load("trend", old.name) is found.loaded("trend", old.name)
    assert found.loaded("trend", mid.name) is None
    with pytest.raises(UnknownNameError, match="version of model trend"):
        found.load("trend", "20200101T000000-0")
    with pytest.raises(UnknownNameError, match="unknown model 'other'"):
        found.load("other", old.name)


def test_what_is_new_is_found_and_what_was_newest_stays_for_who_names_it(tmp_path: Path) -> None:
    (old,) = versions(tmp_path, 1)
    found = shelf(tmp_path)
    before = found.loaded("trend")
    found.refresh()
    assert found.loaded("trend") is before
    new = versions(tmp_path, 2)[1]
    other = versions(tmp_path, 1, "other")[0]
    found.refresh()
    assert (version(found.loaded("trend")), version(found.loaded("other")), len(found)) == (new.name, other.name, 2)
    assert found.loaded("trend", old.name) is before
    shutil.rmtree(tmp_path / "other")
    found.refresh()
    assert (found.loaded("other"), len(found)) == (None, 1)
    assert [one["name"] for one in found.tables()] == ["trend"]


def test_a_broken_newest_version_leaves_the_one_before_it_and_is_a_problem(tmp_path: Path) -> None:
    old, new = versions(tmp_path, 2)
    break_(new)
    found = shelf(tmp_path)
    assert version(found.loaded("trend")) == old.name
    assert "was changed" in found.problems["trend"]
    with pytest.raises(InputError, match="was changed"):
        found.load("trend", new.name)
    newest = kept(tmp_path, "trend", "constant", until_ms=UNTIL_MS + 2 * DAY_MS)
    found.refresh()
    assert (version(found.loaded("trend")), found.problems) == (newest.name, {})


def test_a_model_of_which_nothing_can_be_read_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (only,) = versions(tmp_path, 1)
    whole = shutil.copytree(only, tmp_path / ".whole")
    break_(only)
    found = shelf(tmp_path)
    assert len(found) == 0
    assert isinstance(found.unknown("trend"), UnavailableError)
    assert "was changed" in str(found.unknown("trend"))
    # It is looked at again after a while, though its folder has not changed.
    shutil.rmtree(only / "model")
    shutil.copytree(whole / "model", only / "model")
    monkeypatch.setattr(module, "RETRY_SECS", 0.0)
    found.refresh()
    assert (version(found.loaded("trend")), found.problems) == (only.name, {})


def test_whatever_a_backend_raises_is_a_problem_of_its_model_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    versions(tmp_path, 1), versions(tmp_path, 1, "other")
    real = module.read_model

    def read(folder: Path) -> Trained:
        if folder.parent.name == "trend":
            raise ZeroDivisionError("no\nleaf")
        return real(folder)

    monkeypatch.setattr(module, "read_model", read)
    found = shelf(tmp_path)
    assert found.problems["trend"].endswith("cannot be loaded: ZeroDivisionError: no leaf")
    assert [one["name"] for one in found.tables()] == ["other"]


def test_only_what_is_named_is_served(tmp_path: Path) -> None:
    old, new = versions(tmp_path, 2)
    versions(tmp_path, 1, "other")
    assert [one["version"] for one in shelf(tmp_path, "trend").tables()] == [new.name]
    fixed = shelf(tmp_path, f"trend@{old.name}")
    versions(tmp_path, 3)
    fixed.refresh()
    assert version(fixed.loaded("trend")) == old.name
    with pytest.raises(UnknownNameError):
        fixed.load("trend", new.name)


def test_no_more_than_so_many_older_ones_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "KEPT_OLDER", 2)
    folders = versions(tmp_path, 5)
    found = shelf(tmp_path)
    for folder in folders[:4]:
        found.load("trend", folder.name)
    found.retire()
    assert [found.loaded("trend", f.name) is not None for f in folders] == [False, False, True, True, True]


def test_a_model_in_a_process_of_its_own_is_started_before_it_is_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    warmed: list[str] = []
    real = module.read_model

    class Remote:
        def warm(self) -> None:
            warmed.append("here")

    monkeypatch.setattr(module, "read_model", lambda folder: replace(real(folder), model=Remote()))
    versions(tmp_path, 1)
    shelf(tmp_path)
    assert warmed == ["here"]


def test_a_registry_that_is_not_there_is_empty(tmp_path: Path) -> None:
    assert len(shelf(tmp_path / "none")) == 0

"""A bundle is whole, holds what it says, and is refused when a byte of it is another."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.executor.deployments.case import CAPITAL, Lab, make_deployment
from toolkit.analysis.runs import list_runs
from toolkit.bars.load import load_bars
from toolkit.errors import InputError, LockstepError, RunError, StrategyError
from toolkit.portfolio.backtest import portfolio_backtest
from toolkit.portfolio.bundle import find_bundle, read_bundle, sha256, write_manifest
from toolkit.portfolio.bundle_backtest import difference, find_backtest
from toolkit.portfolio.bundle_seed import read_seed
from toolkit.portfolio.bundling import deployed, write_bundle
from toolkit.portfolio.deployment import read_deployment, store_deployment
from toolkit.portfolio.limits import Limits


def test_a_bundle_holds_the_deployment_its_sources_its_backtest_and_bars(lab: Lab) -> None:
    found = read_bundle(lab.bundle.folder)
    assert found.table == lab.deployment.table()
    sources = {f.relative_to(found.folder / "sources").as_posix() for f in (found.folder / "sources").rglob("*.py")}
    # What nobody names in an import is not of the code, and not in the bundle.
    assert sources == {"bundled/kernels.py", "bundled/strategies/climb.py", "bundled/strategies/relative.py"}
    for name in sources:
        assert (found.folder / "sources" / name).read_bytes() == (lab.folder / name).read_bytes()
    assert found.backtest["run"] == list_runs()[0].run_id
    assert found.backtest["period"] == {"start": "2023-01-04 00:00", "end": "2023-01-10 00:00"}
    assert found.backtest["figures"]["trades"] > 10
    assert found.backtest["band"]["days"] == 6 and len(found.backtest["band"]["p50"]) == 366


def test_the_manifest_names_every_file_and_its_digest(lab: Lab) -> None:
    folder = lab.bundle.folder
    said = json.loads((folder / "manifest.json").read_text())
    there = {f.relative_to(folder).as_posix(): f for f in folder.rglob("*") if f.is_file()}
    there = {name: f for name, f in there.items() if name != "manifest.json" and "__pycache__" not in name}
    assert said["files"] == {name: sha256(f) for name, f in there.items()}
    assert len(said["files"]) == 2 + 3 + 3


def test_seeds_are_the_newest_stored_bars_of_every_series_that_is_read(lab: Lab) -> None:
    seeds = {seed.series: seed.columns for seed in map(read_seed, lab.bundle.seeds)}
    assert {tuple(s) for s in seeds} == {
        ("synthetic", "BTC/USDT", "1m"), ("synthetic", "BTC/USDT", "5m"), ("synthetic", "ETH/USDT", "1m"),
    }  # fmt: skip
    for series, columns in seeds.items():
        stored = load_bars(series.symbol, series.base, exchange=series.exchange, base=series.base)
        n = len(columns["ts"])
        for name in ("ts", "open", "high", "low", "close", "volume", "filled"):
            assert np.array_equal(columns[name], getattr(stored, name)[-n:], equal_nan=True)
        assert (np.diff(columns["ts"]) == stored.interval_ms).all()


def test_it_is_found_by_id_by_latest_by_its_folder_and_by_any_copy_of_its_file(lab: Lab) -> None:
    folder = lab.bundle.folder
    for name in (lab.deployment.id, "latest", str(folder), str(lab.file), str(folder / "deployment.json")):
        assert find_bundle(name).resolve() == folder.resolve()
    assert deployed() == [folder]


def test_writing_it_again_changes_nothing(lab: Lab) -> None:
    before = {f: f.stat().st_mtime_ns for f in lab.bundle.folder.rglob("*") if "__pycache__" not in f.parts}
    again = write_bundle(read_deployment(lab.file), find_backtest(lab.deployment))
    assert again.table == lab.bundle.table
    assert {f: f.stat().st_mtime_ns for f in lab.bundle.folder.rglob("*") if "__pycache__" not in f.parts} == before


def test_a_deployment_that_is_kept_becomes_a_bundle_in_its_place(lab: Lab, tmp_path: Path) -> None:
    store_deployment(lab.deployment, tmp_path)
    with pytest.raises(InputError, match=r"was not deployed: .* has no manifest\.json"):
        find_bundle(lab.deployment.id, tmp_path)
    # A first attempt that was killed half way.
    (tmp_path / lab.deployment.id / "sources").mkdir()
    (tmp_path / lab.deployment.id / "sources" / "old.py").write_text("")
    found = write_bundle(lab.deployment, find_backtest(lab.deployment), root=tmp_path)
    assert found.folder == tmp_path / lab.deployment.id
    assert read_bundle(found.folder).table == lab.bundle.table
    assert [f.name for f in tmp_path.iterdir()] == [lab.deployment.id]


def test_another_deployment_of_its_id_is_refused(lab: Lab) -> None:
    other = replace(lab.deployment, capital=1.0)
    with pytest.raises(RunError, match="holds another deployment of this id"):
        write_bundle(other, find_backtest(lab.deployment))


def test_where_it_cannot_be_written_nothing_is_left(lab: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("toolkit.portfolio.bundling.write_seed", full)
    with pytest.raises(RunError, match="No space left on device; make room"):
        write_bundle(lab.deployment, find_backtest(lab.deployment), root=tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", [
    "deployment.json", "backtest.json", "sources/bundled/kernels.py", "seed/synthetic-BTC_USDT-1m.npz",
])  # fmt: skip
def test_a_changed_file_and_a_missing_one_are_refused(lab: Lab, tmp_path: Path, name: str) -> None:
    folder = lab.copy(tmp_path / "b")
    file = folder / name
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)
    with pytest.raises(InputError, match=f"was changed: {name} is not the file that was deployed"):
        read_bundle(folder)
    file.unlink()
    with pytest.raises(InputError, match=f"is not whole: {name} is missing"):
        read_bundle(folder)


def test_a_file_more_is_refused(lab: Lab, tmp_path: Path) -> None:
    folder = lab.copy(tmp_path / "b")
    (folder / "sources" / "bundled" / "more.py").write_text("")
    with pytest.raises(InputError, match=r"sources/bundled/more.py is not of it"):
        read_bundle(folder)


@pytest.mark.parametrize(("text", "said"), [
    ("{", "cannot be read: it is not valid JSON"), ("[]", "is no JSON object"),
    ('{"schema": "lockstep.bundle/2", "files": {}}', "has schema 'lockstep.bundle/2'"),
])  # fmt: skip
def test_a_manifest_that_is_none_is_refused(lab: Lab, tmp_path: Path, text: str, said: str) -> None:
    folder = lab.copy(tmp_path / "b")
    (folder / "manifest.json").write_text(text)
    with pytest.raises(InputError, match=said):
        read_bundle(folder)


def test_without_a_backtest_of_it_there_is_none(lab: Lab, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"has no backtest in .*; test it first"):
        find_backtest(lab.deployment, None, tmp_path)
    with pytest.raises(InputError, match="must be backtested before it is deployed"):
        write_bundle(make_deployment(), None)
    other = make_deployment()
    with pytest.raises(InputError, match=f"is no backtest of deployment {other.id}: it is of {lab.deployment.id}"):
        find_backtest(other, list_runs()[0].run_id)


def test_a_run_under_other_terms_is_no_backtest_of_it(lab: Lab, tmp_path: Path) -> None:
    def said(**options: object) -> str | None:
        result = portfolio_backtest(lab.deployment, start="2023-01-08", end="2023-01-09", beside=False, **options)  # type: ignore[arg-type]
        run_folder = result.save(tmp_path, factors=False)
        (run,) = list_runs(tmp_path)
        why = difference(run, lab.deployment)
        shutil.rmtree(run_folder)
        return why

    first = lab.deployment.members[0].instance.id
    weights = {**lab.deployment.weights, first: 0.1}
    assert said() is None
    assert said(capital=CAPITAL * 2) == f"its capital is {CAPITAL * 2}"
    assert said(limits=Limits(max_gross=0.9)) == "its limits are others"
    assert said(weights=weights) == f"the weight of {first} is 0.1"


def test_one_that_is_off_needs_no_backtest(lab: Lab, tmp_path: Path) -> None:
    off = make_deployment(weights=dict.fromkeys(lab.deployment.weights, 0.0), off="nothing was good enough")
    found = write_bundle(off, None, root=tmp_path)
    assert found.backtest == {"run": None, "band": None}


def test_sources_that_do_not_stand_alone_are_refused(lab: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from toolkit.portfolio import bundling

    real = bundling.own_sources
    monkeypatch.setattr(
        bundling, "own_sources", lambda f, m: {k: v for k, v in real(f, m).items() if not k.endswith("kernels")}
    )
    with pytest.raises(LockstepError, match="of a deployment raised ModuleNotFoundError") as caught:
        write_bundle(lab.deployment, find_backtest(lab.deployment), root=tmp_path)
    assert isinstance(caught.value, StrategyError)
    assert list(tmp_path.iterdir()) == []


def test_a_bundle_made_by_hand_of_equal_files_is_equal(lab: Lab, tmp_path: Path) -> None:
    folder = lab.copy(tmp_path / "b")
    before = (folder / "manifest.json").read_bytes()
    write_manifest(folder, lab.deployment.id)
    assert (folder / "manifest.json").read_bytes() == before

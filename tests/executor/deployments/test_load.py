"""A bundle in a ledger: what is written, what is refused, and how one version follows another."""

import json
import math
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from executor.deployments import active, members
from executor.deployments.bundles import load_bundle
from executor.ledger import Ledger
from tests.executor.deployments.case import CAPITAL, COSTS, Lab
from toolkit.errors import InputError, LedgerError, StrategyError
from toolkit.portfolio.bundle import Bundle, write_manifest
from toolkit.portfolio.bundle_seed import read_seed
from toolkit.portfolio.bundling import write_bundle
from toolkit.portfolio.deployment import checksum

HOUR = 3_600_000


def load(lab: Lab, path: Path, **options: Any) -> dict[str, Any]:
    load_bundle(lab.bundle.folder, path, **options)
    return read(path)


def read(path: Path) -> dict[str, Any]:
    """Every row that a load writes, as plain values."""
    with Ledger.open(path, readonly=True) as ledger:
        tables = ("meta", "deployments", "instances", "weights", "commands", "cash_flows")
        return {name: [dict(row) for row in ledger.rows(f"SELECT * FROM {name}")] for name in tables}


def follow(lab: Lab, root: Path, **changes: Any) -> Bundle:
    """The next deployment's bundle. Its backtest is not what is looked at: it is one that is off, put on."""
    weights = dict.fromkeys(lab.deployment.weights, 0.0)
    following = lab.deployment.followed_by(weights=weights, off="not yet", **changes)
    bundle = write_bundle(following, None, root=root)
    edit(
        bundle.folder,
        lambda table: table.update(off=None, instances=[{**r, "weight": 0.2} for r in table["instances"]]),
    )
    return bundle


def edit(folder: Path, change: Callable[[dict[str, Any]], object]) -> None:
    """Another document under a right checksum and manifest."""
    file = folder / "deployment.json"
    table = json.loads(file.read_text())
    change(table)
    table["checksum"] = checksum(table)
    file.write_text(json.dumps(table))
    (folder / "manifest.json").unlink()
    write_manifest(folder, table["id"])


def test_a_new_ledger_is_a_dry_account_with_the_deployment(lab: Lab, tmp_path: Path) -> None:
    before = time.time_ns() // 1_000_000
    found = load(lab, tmp_path / "executor.sqlite")
    after = time.time_ns() // 1_000_000
    meta = {row["key"]: row["value"] for row in found["meta"]}
    assert (meta["mode"], meta["currency"], meta["deployment"]) == ("dry", "USDT", lab.deployment.id)
    assert before <= int(meta["start_ms"]) <= after
    (row,) = found["deployments"]
    assert json.loads(row["document"]) == lab.deployment.table()
    assert (row["state"], row["folder"]) == ("active", str(lab.bundle.folder))
    assert row["backtest"] == lab.bundle.backtest["run"]
    assert json.loads(row["band"]) == lab.bundle.backtest["band"]
    # It has counted for years, so it counts from now.
    assert before <= row["effective_from_ms"] <= after
    assert {row["instance"]: row["weight"] for row in found["weights"]} == lab.deployment.weights
    assert [(row["kind"], row["amount"]) for row in found["cash_flows"]] == [("allocated", CAPITAL)]
    assert {row["id"]: (row["enabled"], row["base"]) for row in found["instances"]} == {
        m.instance.id: (1, m.base) for m in lab.deployment.members
    }


def test_its_bars_are_in_the_ledger_and_those_that_were_there_stay(lab: Lab, tmp_path: Path) -> None:
    path = tmp_path / "executor.sqlite"
    seed = read_seed(lab.bundle.seeds[0])
    ts = int(seed.columns["ts"][-1])
    row = dict(zip(("exchange", "symbol", "base"), seed.series, strict=True))
    with Ledger.open(path, create=True) as ledger:
        ledger.put("bars", [{**row, "ts": ts, "close": 1.5, "source": "stream", "event": 3, "recorded_ms": 0}])
    done = load_bundle(lab.bundle.folder, path)
    seeds = [read_seed(file) for file in lab.bundle.seeds]
    assert done.bars == sum(len(one.columns["ts"]) for one in seeds) - 1
    with Ledger.open(path, readonly=True) as ledger:
        for one in seeds:
            rows = ledger.rows(
                "SELECT * FROM bars WHERE (exchange, symbol, base) = (?, ?, ?) AND source = 'store' ORDER BY ts",
                (*one.series,),
            )
            for name in ("ts", "open", "high", "low", "close", "volume"):
                expected = one.columns[name].tolist()[: len(rows)]
                assert [row[name] for row in rows] == [None if math.isnan(x) else x for x in expected]
        assert ledger.value("SELECT close FROM bars WHERE source = 'stream'") == 1.5


def test_members_and_active_are_what_the_document_says(lab: Lab, tmp_path: Path) -> None:
    load(lab, tmp_path / "executor.sqlite")
    with Ledger.open(tmp_path / "executor.sqlite") as ledger:
        found, said = members(ledger), active(ledger)
    by_id = {one.instance_id: one for one in found}
    assert (said.id, said.limits, said.instruments, said.capital) == (
        lab.deployment.id, lab.deployment.limits, lab.deployment.instruments, CAPITAL,
    )  # fmt: skip
    for member in lab.deployment.members:
        one = by_id.pop(member.instance.id)
        assert (one.symbol, one.exchange, one.base, one.interval) == (
            member.symbol, member.exchange, member.base, member.interval,
        )  # fmt: skip
        assert (one.rules, one.costs, one.weight) == (member.rules, COSTS, 0.25)
        assert one.params._asdict() == member.params
        assert one.strategy.code == member.instance.code
        assert one.strategy.function.__module__.startswith("lockstep_bundle_")
    assert by_id == {}


def test_loading_it_again_changes_nothing(lab: Lab, tmp_path: Path) -> None:
    path = tmp_path / "executor.sqlite"
    before = load(lab, path)
    assert load(lab, path) == before


def test_a_following_deployment_takes_over_and_the_daemon_is_told(lab: Lab, tmp_path: Path) -> None:
    path = tmp_path / "executor.sqlite"
    load(lab, path)
    dropped = lab.deployment.members[0].instance.id
    bundle = follow(lab, tmp_path / "next")
    kept = [m.instance.id for m in lab.deployment.members[1:]]
    edit(bundle.folder, lambda table: table.update(instances=[r for r in table["instances"] if r["id"] in kept]))
    with Ledger.open(path) as ledger:
        ledger.update("instances", {"id": kept[0]}, {"enabled": 0, "note": "by hand"})
    done = load_bundle(bundle.folder, path)
    assert done.backup is not None and done.backup.is_file()
    found = read(path)
    assert {row["id"]: row["state"] for row in found["deployments"]} == {
        lab.deployment.id: "retired", bundle.id: "active",
    }  # fmt: skip
    assert [(row["verb"], row["target"], row["status"]) for row in found["commands"]] == [
        ("reload", bundle.id, "waiting")
    ]
    assert len(found["cash_flows"]) == 1
    # What somebody switched off stays off.
    assert {row["id"]: row["enabled"] for row in found["instances"]} == {dropped: 1, kept[0]: 0, kept[1]: 1}
    with Ledger.open(path) as ledger:
        assert sorted(one.instance_id for one in members(ledger)) == sorted(kept)
        older = {one.instance_id: one for one in members(ledger, also=[dropped])}
    assert older[dropped].deployment == lab.deployment.id
    assert older[kept[0]].deployment == bundle.id


def test_one_that_counts_later_waits_beside_the_one_that_holds(lab: Lab, tmp_path: Path) -> None:
    path = tmp_path / "executor.sqlite"
    load(lab, path)
    later = time.time_ns() // 1_000_000 // HOUR * HOUR + 48 * HOUR
    bundle = follow(lab, tmp_path / "next", effective_from_ms=later)
    done = load_bundle(bundle.folder, path)
    assert (done.state, done.effective_from_ms) == ("loaded", later)
    with Ledger.open(path) as ledger:
        assert active(ledger).id == lab.deployment.id
    assert {row["effective_ms"] for row in read(path)["weights"] if row["cause"] == bundle.id} == {later}


def test_an_older_one_takes_over_again(lab: Lab, tmp_path: Path) -> None:
    path = tmp_path / "executor.sqlite"
    load(lab, path)
    load_bundle(follow(lab, tmp_path / "next").folder, path)
    load(lab, path)
    found = read(path)
    assert [row["id"] for row in found["deployments"] if row["state"] == "active"] == [lab.deployment.id]
    newest = max(row["effective_ms"] for row in found["weights"])
    assert {r["instance"]: r["weight"] for r in found["weights"] if r["effective_ms"] == newest} == (
        lab.deployment.weights
    )
    assert len(found["commands"]) == 2


def test_other_code_than_the_document_s_is_refused_and_nothing_is_written(lab: Lab, tmp_path: Path) -> None:
    folder = lab.copy(tmp_path / "b")
    kernels = folder / "sources" / "bundled" / "kernels.py"
    kernels.write_text(kernels.read_text().replace(">", "<"))
    (folder / "manifest.json").unlink()
    # As somebody would do who also makes the checksums fit.
    write_manifest(folder, lab.deployment.id)
    with pytest.raises(StrategyError, match=r"was deployed with other code .* so it would not trade what was tested"):
        load_bundle(folder, tmp_path / "executor.sqlite")
    assert not (tmp_path / "executor.sqlite").exists()


def test_a_bundle_that_is_gone_is_said_at_the_next_start(lab: Lab, tmp_path: Path) -> None:
    folder = lab.copy(tmp_path / "b")
    load_bundle(folder, tmp_path / "executor.sqlite")
    shutil.rmtree(folder)
    with (
        Ledger.open(tmp_path / "executor.sqlite") as ledger,
        pytest.raises(StrategyError, match="holds no sources of strategy 'bundled_climb'; copy the bundle back"),
    ):
        members(ledger)


@pytest.mark.parametrize(("change", "said"), [
    ({"rules": {"policy": "finer"}}, "has policy 'finer'"), ({"base": None}, "does not say the base of"),
    ({"strategy": "bundled_nowhere"}, "carries no strategy 'bundled_nowhere'"),
])  # fmt: skip
def test_what_the_executor_cannot_trade_is_refused(lab: Lab, tmp_path: Path, change: dict[str, Any], said: str) -> None:
    folder = lab.copy(tmp_path / "b")

    def changed(table: dict[str, Any]) -> None:
        row = table["instances"][0]
        row.update({k: {**row[k], **v} if isinstance(v, dict) else v for k, v in change.items()})

    edit(folder, changed)
    with pytest.raises((InputError, StrategyError), match=said):
        load_bundle(folder, tmp_path / "executor.sqlite")
    assert list(tmp_path.iterdir()) == [folder]


def test_capital_is_of_a_new_account_alone(lab: Lab, tmp_path: Path) -> None:
    path = tmp_path / "executor.sqlite"
    for wrong in (0.0, -1.0, math.nan, math.inf):
        with pytest.raises(InputError, match="`capital` must be a finite amount above 0"):
            load(lab, path, capital=wrong)
    assert not path.exists()
    assert load(lab, path, capital=1_234.5)["cash_flows"][0]["amount"] == 1_234.5
    with pytest.raises(InputError, match="is an account with its own money, and `capital` 5 is for a new one"):
        load(lab, path, capital=5.0)


def test_a_ledger_without_a_deployment_says_what_to_do(tmp_path: Path) -> None:
    with (
        Ledger.open(tmp_path / "executor.sqlite", create=True) as ledger,
        pytest.raises(LedgerError, match="has no deployment; load one: executor load DEPLOYMENT"),
    ):
        active(ledger)

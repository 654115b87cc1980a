"""Deployments: what is written is read, and every way in which a file can be wrong is one sentence."""

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from toolkit.engine.rules import Costs, ExitRule, TradeRules
from toolkit.errors import InputError, RunError, UnknownNameError
from toolkit.portfolio import members as members_module
from toolkit.portfolio.deployment import (
    SCHEMA,
    Deployment,
    Source,
    checksum,
    find_deployment,
    list_deployments,
    read_deployment,
    store_deployment,
    write_deployment,
)
from toolkit.portfolio.deployment_file import schema
from toolkit.portfolio.limits import Instrument, Limits
from toolkit.portfolio.members import Member
from toolkit.strategy import get_strategy

DAY = 1_672_531_200_000
RULES = TradeRules(
    stop="2atr(14)", target="2R", max_hold="4h", signal_timeout="20bars", side="long",
    exits=(ExitRule(), ExitRule(on="time", after="2h", max_profit=0.0)),
)  # fmt: skip


def member(window: int = 48, rules: TradeRules = RULES, **changes: Any) -> Member:
    strategy = get_strategy("volatility_breakout")
    full = strategy.params({"window": window})._asdict()
    return Member(strategy.name, "BTC/USDT", "15m", full, rules, Costs(tick=0.01), "binance", "1m", **changes)


def deployment(*members: Member, weights: Any = None, **changes: Any) -> Deployment:
    members = members or (member(48), member(96, TradeRules(stop=0.01), family="breakouts"))
    ids = [one.instance.id for one in members]
    shares = dict.fromkeys(ids, 0.5 / len(ids)) if weights is None else dict(zip(ids, weights, strict=True))
    given: dict[str, Any] = {
        "members": members, "weights": shares, "limits": Limits(max_gross=0.8, daily_loss_halt=0.05),
        "capital": 50_000.0, "effective_from_ms": DAY, "selected_from": Source("run-1", DAY - 86_400_000, DAY, 420),
        "instruments": {"BTC/USDT": Instrument(lot_step=0.001)}, "expected": {"sharpe": 1.25, "calmar": math.nan},
        "policy": {"made_by": "select"},
    }  # fmt: skip
    return Deployment(**(given | changes))


def same(a: Deployment, b: Deployment) -> bool:
    return a.table() == b.table() and a.members == b.members and a.limits == b.limits


def written(folder: Path, **changes: Any) -> tuple[Path, dict[str, Any]]:
    path = folder / "deployment.json"
    write_deployment(path, deployment(**changes))
    return path, json.loads(path.read_text())


def refused(path: Path, table: dict[str, Any] | None = None, sign: bool = True, **options: Any) -> str:
    """The one sentence that is said of a file; signed anew, so that the checksum is not what is wrong with it."""
    if table is not None:
        if sign:
            table["checksum"] = checksum(table)
        path.write_text(json.dumps(table))
    with pytest.raises(InputError) as caught:
        read_deployment(path, **options)
    said = str(caught.value)
    assert str(path) in said and "\n" not in said
    return said


def test_what_is_written_is_read(tmp_path: Path) -> None:
    first = deployment()
    write_deployment(tmp_path / "new" / "deployment.json", first)
    second = read_deployment(tmp_path / "new" / "deployment.json")
    assert same(first, second)
    assert [m.rules for m in second.members] == [m.rules for m in first.members]
    assert second.instruments == first.instruments
    assert (second.id, second.created, second.capital, second.selected_from) == (
        first.id, first.created, 50_000.0, first.selected_from,
    )  # fmt: skip
    assert math.isnan(second.expected["calmar"])
    assert [f.name for f in (tmp_path / "new").iterdir()] == ["deployment.json"]


@settings(max_examples=25, deadline=None)
@given(st.lists(st.floats(0, 1), min_size=1, max_size=5).filter(lambda w: 0 < sum(w) <= 1), st.floats(1, 1e12))
def test_any_weights_come_back_to_the_bit(weights: list[float], capital: float) -> None:
    one = deployment(*(member(20 + k) for k in range(len(weights))), weights=weights, capital=capital)
    table = json.loads(json.dumps(one.table()))
    assert table["checksum"] == checksum(table)
    assert [row["weight"] for row in table["instances"]] == weights


def test_it_keeps_to_its_schema() -> None:
    Draft202012Validator.check_schema(schema())
    table = deployment().table()
    assert table["schema"] == SCHEMA == schema()["properties"]["schema"]["const"]
    assert list(Draft202012Validator(schema()).iter_errors(table)) == []
    assert set(table) == set(schema()["required"]) == set(schema()["properties"]) - {"models"}
    row = schema()["$defs"]["instance"]
    assert set(table["instances"][0]) == set(row["required"]) == set(row["properties"])


@pytest.mark.parametrize("name", sorted({"id", "capital", "limits", "policy", "instances", "expected"}))
def test_every_edit_by_hand_is_seen(tmp_path: Path, name: str) -> None:
    path, table = written(tmp_path)
    table[name] = {"id": "other", "capital": 60_000.0, "limits": {}, "policy": {}, "expected": {}}.get(
        name, [{**table["instances"][0], "weight": 0.26}, table["instances"][1]]
    )
    assert "was changed after it was written: its checksum is" in refused(path, table, sign=False)


def test_edits_that_mean_nothing_are_none(tmp_path: Path) -> None:
    path, table = written(tmp_path)
    path.write_text(json.dumps(dict(reversed(table.items())), separators=(",", ":")))
    assert read_deployment(path).id == table["id"]


@pytest.mark.parametrize("version", ["lockstep.deployment/2", "lockstep.results/1", 1, None])
def test_another_schema_version(tmp_path: Path, version: Any) -> None:
    path, table = written(tmp_path)
    said = refused(path, {**table, "schema": version, "more": 1})
    assert f"has schema {version!r}, and this version of Lockstep reads 'lockstep.deployment/1'" in said


def test_no_deployment_at_all(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    assert "cannot be read" in refused(path)
    path.write_text("{")
    assert "is not valid JSON" in refused(path)
    path.write_text("[1]")
    assert "is no deployment" in refused(path)
    path.write_bytes(b"\xff\xfe\x00")
    assert "is not valid JSON" in refused(path)


def edit(table: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """The table with its first instance changed."""
    first, *others = table["instances"]
    return {**table, "instances": [{**first, **changes}, *others]}


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"strategy": "volatility_breakot"}, "unknown strategy 'volatility_breakot': did you mean"),
        ({"params": {"window": 48, "sped": 3}}, "unknown parameter of volatility_breakout 'sped'"),
        ({"params": {}}, "does not say parameter"),
        ({"params": {"window": "wide"}}, "does not say parameter"),
        ({"code": "0" * 64}, "the code of volatility_breakout is not the one"),
        ({"weight": -0.1}, "breaks its schema at instances[0].weight: -0.1 is less than the minimum of 0"),
        ({"weight": 0.9}, "must sum to at most 1"),
        ({"weight": math.nan}, "must be a finite number, was nan"),
        ({"weight": "0.1"}, "breaks its schema at instances[0].weight"),
        ({"rules": {"stopp": 1}}, "unknown trade rule 'stopp'"),
        ({"costs": {"taker_rate": 2}}, "fee rates are fractions"),
        ({"symbol": ""}, "breaks its schema at instances[0].symbol"),
        ({"interval": "1h"}, "is not what its row describes"),
        ({"nonsense": 1}, "breaks its schema at instances[0]"),
    ],
)
def test_bad_instances(tmp_path: Path, changes: dict[str, Any], says: str) -> None:
    path, table = written(tmp_path)
    assert says in refused(path, edit(table, **changes))


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"capital": 0}, "breaks its schema at capital"),
        ({"limits": {"max_grss": 1}}, "unknown limit 'max_grss'"),
        ({"limits": {"leverage": 3}}, "`leverage` must not be above 1"),
        ({"instruments": {"BTC/USDT": {"market": "moon"}}}, "unknown `market` 'moon'"),
        ({"instances": []}, "breaks its schema at instances"),
        ({"effective_from": "tomorrow"}, "breaks its schema at effective_from"),
        ({"effective_from": "2023-13-01T00:00Z"}, "effective_from must be"),
        ({"off": "nothing kept to the rule"}, "must have weights of 0 only"),
    ],
)
def test_bad_tables(tmp_path: Path, changes: dict[str, Any], says: str) -> None:
    path, table = written(tmp_path)
    assert says in refused(path, {**table, **changes})
    missing = {name: value for name, value in table.items() if name != next(iter(changes))}
    assert "breaks its schema at its top level" in refused(path, missing)


def test_weights_that_sum_to_nothing(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="sum to nothing"):
        deployment(weights=(0.0, 0.0))
    with pytest.raises(InputError, match="must be a finite number"):
        deployment(weights=(0.5, math.nan))
    with pytest.raises(InputError, match="must not be negative"):
        deployment(weights=(0.5, -0.1))
    with pytest.raises(UnknownNameError):
        deployment(weights=(0.5, 0.1), members=(member(7),))
    path, table = written(tmp_path)
    for row in table["instances"]:
        row["weight"] = 0.0
    assert "sum to nothing" in refused(path, table)


def test_all_off_is_a_deployment_that_says_why(tmp_path: Path) -> None:
    path, _ = written(tmp_path, weights=(0.0, 0.0), off="none of 2 instances keeps to the rule")
    assert read_deployment(path).off == "none of 2 instances keeps to the rule"


def test_an_instance_twice_is_refused() -> None:
    with pytest.raises(InputError, match="is in it twice"):
        deployment(member(), member(family="other"))


def test_other_code_only_where_it_is_accepted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, table = written(tmp_path)
    monkeypatch.setattr(members_module, "_code", lambda strategy, changed: "f" * 64)
    assert "with --accept-code" in refused(path)
    taken = read_deployment(path, accept_code=True)
    assert [m.instance.code for m in taken.members] == ["f" * 64] * 2
    assert set(taken.weights) == {m.instance.id for m in taken.members}
    assert not set(taken.weights) & {row["id"] for row in table["instances"]}
    assert list(taken.weights.values()) == [row["weight"] for row in table["instances"]]


def test_a_parameter_added_since_is_filled_where_code_is_accepted(tmp_path: Path) -> None:
    path, table = written(tmp_path)
    changed = edit(table, params={"window": 48}, code="0" * 64)
    assert "does not say parameter" in refused(path, changed)
    assert dict(read_deployment(path, accept_code=True).members[0].params) == dict(member().params)


def test_kept_ones_are_never_changed(tmp_path: Path) -> None:
    first = deployment()
    file = store_deployment(first, tmp_path)
    assert file == tmp_path / first.id / "deployment.json"
    with pytest.raises(RunError, match="are never changed"):
        store_deployment(replace(first, capital=1.0), tmp_path)
    assert same(read_deployment(file), first)
    second = first.followed_by(effective_from_ms=DAY + 1)
    assert second.previous == first.id != second.id
    store_deployment(second, tmp_path)
    assert [f.parent.name for f in list_deployments(tmp_path)] == sorted([first.id, second.id])
    assert not list(tmp_path.glob(".*"))


def test_a_failure_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(RunError, match="No space left on device"):
        store_deployment(deployment(), tmp_path)
    assert not list(tmp_path.iterdir())


def test_finding_one(tmp_path: Path) -> None:
    with pytest.raises(UnknownNameError, match="no deployment is known here"):
        find_deployment("latest", tmp_path)
    ids = [f"2023010{k}-000000-000-aaaaaa" for k in (1, 3, 2)]
    for name in ids:
        store_deployment(replace(deployment(), id=name), tmp_path)
    assert find_deployment("latest", tmp_path).parent.name == ids[1]
    assert find_deployment(ids[0], tmp_path).parent.name == ids[0]
    assert find_deployment(tmp_path / ids[2]).parent.name == ids[2]
    with pytest.raises(UnknownNameError, match="did you mean"):
        find_deployment(ids[0][:-1] + "b", tmp_path)

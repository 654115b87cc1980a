"""Growth beside its band, against loops over plain lists."""

import json
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from executor.api import growth
from executor.ledger import Ledger
from tests.executor.api import sample

HOUR, DAY = 3_600_000, 86_400_000
NOW = 1_790_000_000_000
EVERY = 10_000


def written(path: Path, marks: list[tuple[int, float]], flows: list[tuple[int, float]], effective: int) -> None:
    with Ledger.open(path, create=True, synchronous="OFF") as ledger, ledger.transaction():
        ledger.set_meta("deployment", "d")
        band = json.dumps(
            {"ts": [0.0, 1.0, 3.0], "p05": [1.0, 0.9, 0.8], "p50": [1.0, 1.1, 1.3], "p95": [1.0, 1.2, 1.8]}
        )
        ledger.put("deployments", [{"id": "d", "checksum": "", "document": "{}", "loaded_ms": 0, "band": band,
                                    "effective_from_ms": effective, "state": "active"}])  # fmt: skip
        ledger.put("equity", [
            {"ts_ms": ts, "equity": equity, "cash": equity, "gross": 0.0, "net": 0.0, "open_trades": 0}
            for ts, equity in marks
        ])  # fmt: skip
        for ts, amount in flows:
            kind = "deposit" if amount > 0 else "withdrawal"
            ledger.insert("cash_flows", {"ts_ms": ts, "kind": kind, "amount": abs(amount)})


def asked(path: Path, **options: Any) -> Any:
    with Ledger.open(path, readonly=True) as ledger:
        return growth.equity(ledger, **options)


@given(
    steps=st.lists(
        st.tuples(st.floats(-0.2, 0.25), st.sampled_from([0, 0, 0, 500.0, -300.0])), min_size=1, max_size=60
    ),
    effective_step=st.integers(-3, 40),
    points=st.integers(1, 30),
)
@settings(max_examples=60, deadline=None)
def test_growth_is_the_product_of_returns_without_cash_flows(
    steps: list[tuple[float, float]], effective_step: int, points: int
) -> None:
    """Money that comes in between two marks moves no growth, however few marks are shown."""
    start, equity, product = 20_000 * DAY, 10_000.0, 1.0
    marks, flows, products = [(start, equity)], [], [1.0]
    for k, (change, flow) in enumerate(steps):
        ts = start + (k + 1) * HOUR
        equity = equity * (1 + change) + flow
        product *= 1 + change
        if flow:
            flows.append((ts - HOUR // 2, flow))
        if equity <= 0:
            break
        marks.append((ts, equity))
        products.append(product)
    effective = start + effective_step * HOUR
    base = max((k for k, (ts, _) in enumerate(marks) if ts <= effective), default=0)
    expected = {ts: p / products[base] for (ts, _), p in zip(marks[base:], products[base:], strict=True)}
    with TemporaryDirectory() as folder:
        path = Path(folder) / "a.sqlite"
        written(path, marks, flows, effective)
        found = asked(path, points=points)
        whole = asked(path, since_ms=0, points=EVERY)
    assert found["start_ms"] == marks[base][0]
    assert [m["ts_ms"] for m in whole["marks"]] == [ts for ts, _ in marks]
    assert {m["ts_ms"]: m["growth"] for m in whole["marks"] if m["growth"] is not None} == pytest.approx(expected)
    shown = {m["ts_ms"]: m["growth"] for m in found["marks"]}
    assert shown == pytest.approx({ts: expected[ts] for ts in shown})
    assert max(shown) == marks[-1][0] and min(shown) == marks[base][0]


def test_few_points_keep_the_extremes(tmp_path: Path) -> None:
    dice = np.random.default_rng(3)
    values = 1000 * np.exp(np.cumsum(dice.normal(0, 0.01, 5000)))
    marks = [(20_000 * DAY + k * 60_000, float(v)) for k, v in enumerate(values)]
    written(tmp_path / "a.sqlite", marks, [], 20_000 * DAY)
    shown = [m["equity"] for m in asked(tmp_path / "a.sqlite", points=50)["marks"]]
    assert len(shown) <= 3 * 51 + 2
    assert (max(shown), min(shown), shown[0], shown[-1]) == (values.max(), values.min(), values[0], values[-1])


def test_since_shows_a_part_and_changes_no_growth(tmp_path: Path) -> None:
    path = tmp_path / "a.sqlite"
    sample.make(path, NOW)
    every = asked(path, points=EVERY)
    since = every["marks"][400]["ts_ms"]
    assert asked(path, since_ms=since, points=EVERY)["marks"] == every["marks"][400:]


@pytest.mark.parametrize(("hours", "equity", "where", "lines"), [
    (0, 100.0, "inside", (1.0, 1.0, 1.0)),
    (12, 100.0, "inside", (0.95, 1.05, 1.1)),
    (12, 94.0, "below", (0.95, 1.05, 1.1)),
    (48, 150.1, "above", (0.85, 1.2, 1.5)),
    (72, 80.0, "inside", (0.8, 1.3, 1.8)),
    (73, 80.0, "beyond", (None, None, None)),
])  # fmt: skip
def test_where_the_newest_mark_is_in_the_band(
    tmp_path: Path, hours: int, equity: float, where: str, lines: tuple[float | None, ...]
) -> None:
    start = 20_000 * DAY
    written(tmp_path / "a.sqlite", [(start, 100.0), (start + hours * HOUR, equity)][: 1 + bool(hours)], [], start)
    place = asked(tmp_path / "a.sqlite")["place"]
    assert (place["where"], place["growth"]) == (where, pytest.approx(equity / 100))
    assert [place[line] for line in growth.LINES] == pytest.approx(lines)


def test_before_the_deployment_takes_effect_the_band_has_not_begun(tmp_path: Path) -> None:
    written(tmp_path / "a.sqlite", [(20_000 * DAY, 100.0)], [], 20_001 * DAY)
    found = asked(tmp_path / "a.sqlite")
    assert found["place"]["where"] == "before"
    assert found["band"]["ts_ms"] == [20_001 * DAY, 20_002 * DAY, 20_004 * DAY]


def test_no_band_no_deployment_no_mark(tmp_path: Path) -> None:
    path = tmp_path / "a.sqlite"
    with Ledger.open(path, create=True) as ledger:
        assert growth.equity(ledger) == {
            "currency": None, "deployment": None, "start_ms": None, "marks": [], "band": None, "place": None,
        }  # fmt: skip
    written(path, [(20_000 * DAY, 100.0), (20_001 * DAY, 110.0)], [], 20_000 * DAY)
    with Ledger.open(path) as ledger:
        ledger.update("deployments", {"id": "d"}, {"band": None})
        found = growth.equity(ledger)
    assert (found["band"], found["place"]) == (None, None)
    assert [m["growth"] for m in found["marks"]] == pytest.approx([1.0, 1.1])


def test_marks_without_a_figure_are_left_out(tmp_path: Path) -> None:
    start = 20_000 * DAY
    written(tmp_path / "a.sqlite", [(start, 100.0), (start + 1, float("nan")), (start + 2, 105.0)], [], start)
    assert [m["growth"] for m in asked(tmp_path / "a.sqlite")["marks"]] == pytest.approx([1.0, 1.05])


def test_an_account_that_was_emptied_has_no_growth_after(tmp_path: Path) -> None:
    start = 20_000 * DAY
    marks = [(start, 100.0), (start + 2, 0.0), (start + 4, 50.0)]
    written(tmp_path / "a.sqlite", marks, [(start + 1, -100.0), (start + 3, 50.0)], start)
    assert [m["growth"] for m in asked(tmp_path / "a.sqlite")["marks"]] == [1.0, pytest.approx(1.0), None]

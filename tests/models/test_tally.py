"""Tallies come back from their parts, and add up day by day."""

from pathlib import Path

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from toolkit.models.parts import part_file, read_part, write_part
from toolkit.models.tally import BEFORE, Tally, added


def tally(day0: int, n_days: int, seed: int, permutations: int = 3) -> Tally:
    rng = np.random.default_rng(seed)
    names = (BEFORE, "before_rank", "veto", "rank")
    return Tally(
        day0,
        {name: rng.normal(size=n_days) for name in names},
        {"veto": rng.normal(size=(permutations, n_days))},
        {"noise": {"veto": rng.normal(size=(2, n_days))}, f"only {seed}": {"veto": rng.normal(size=(1, n_days))}},
        {BEFORE: 10 + seed, "before_rank": 9, "veto": 5},
        members=2,
        rows=20,
        facts={"features": ["a"]},
    )


def test_a_tally_comes_back(tmp_path: Path) -> None:
    one = tally(100, 30, 1)
    write_part(part_file(tmp_path, 0), one.part())
    found = Tally.of(read_part(part_file(tmp_path, 0)))
    assert (found.day0, found.members, found.rows, found.trades, found.facts) == (100, 2, 20, one.trades, one.facts)
    assert found.methods == ("veto", "rank")
    for a, b in ((found.daily, one.daily), (found.permuted, one.permuted), (found.controls["noise"], {})):
        assert all((a[name] == values).all() for name, values in b.items())
    assert (found.controls["noise"]["veto"] == one.controls["noise"]["veto"]).all()


def test_rank_is_compared_with_its_own_slots() -> None:
    one = tally(0, 5, 1)
    assert one.before("rank") is one.daily["before_rank"] and one.before("veto") is one.daily[BEFORE]
    assert (one.trades_before("rank"), one.trades_before("veto")) == (9, 11)


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(1, 9)), min_size=1, max_size=5))
def test_sums_are_those_of_each_day(spans: list[tuple[int, int]]) -> None:
    tallies = [tally(day0, n, seed) for seed, (day0, n) in enumerate(spans)]
    total = added(tallies)
    for day in range(min(d for d, _ in spans), max(d + n for d, n in spans)):
        mine = [one for one in tallies if one.day0 <= day < one.day0 + len(one.daily[BEFORE])]
        assert np.isclose(total.daily["veto"][day - total.day0], sum(t.daily["veto"][day - t.day0] for t in mine))
        for k in range(3):
            expected = sum(t.permuted["veto"][k, day - t.day0] for t in mine)
            assert np.isclose(total.permuted["veto"][k, day - total.day0], expected)
    assert len(total.daily["veto"]) == max(d + n for d, n in spans) - min(d for d, _ in spans)
    assert "noise" in total.controls and (len(total.controls) == 1) == (len(spans) > 1)
    assert (total.members, total.rows) == (2 * len(spans), 20 * len(spans))
    assert total.trades[BEFORE] == sum(one.trades[BEFORE] for one in tallies)

"""Batches hold every group once, of the same series each, and seeds depend on names alone."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.portfolio.stored import END, START, make_store, members
from toolkit.bars.moments import to_ms
from toolkit.models.batches import Loading, batches_of, seed_of
from toolkit.models.groups import grouped
from toolkit.portfolio.loading import load_members
from toolkit.portfolio.members import Member

SYMBOLS = ("BTC/USDT", "ETH/USDT", "SOL/USDT")


@given(st.lists(st.tuples(st.sampled_from(SYMBOLS), st.integers(1, 60)), unique=True, max_size=40), st.integers(1, 9))
def test_every_group_is_in_one_batch(chosen: list[tuple[str, int]], jobs: int) -> None:
    given = [Member("volatility_breakout", symbol, "5m", {"window": window}) for symbol, window in chosen]
    groups = grouped(given, "instance") if given else ()
    batches = batches_of(groups, jobs)
    assert sorted(task.number for batch in batches for task in batch) == list(range(len(groups)))
    for batch in batches:
        assert batch and all(groups[task.number] is task.item and task.name == task.item.name for task in batch)
        assert len({m.symbol for task in batch for m in task.item.members}) == 1
        assert len(batch) <= max(1, min(64, -(-len(given) // (2 * jobs))))


def test_a_group_beyond_the_most_has_a_batch_of_its_own() -> None:
    given = [Member("trend_day", "BTC/USDT", "1h", {"strength": k}) for k in range(1)]
    given += [Member("volatility_breakout", "BTC/USDT", "1h", {"window": k + 10}) for k in range(70)]
    assert [[task.name for task in batch] for batch in batches_of(grouped(given), 1)] == [
        ["trend_day"],
        ["volatility_breakout"],
    ]


def test_seeds_depend_on_names_alone() -> None:
    assert seed_of(1, "a", 2) == seed_of(1, "a", 2)
    assert len({seed_of(s, name, k) for s in (0, 1) for name in ("a", "b") for k in (0, 1)}) == 8
    assert 0 <= seed_of(0) < 2**32


@pytest.fixture(scope="module")
def db(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_store(tmp_path_factory.mktemp("store"))


def test_loaded_members_are_those_of_their_group(db: Path) -> None:
    given = [member for member in members() if member.symbol == "BTC/USDT" and member.interval == "5m"]
    groups = grouped(given, "instance")
    found = Loading(to_ms(START, "start"), to_ms(END, "end"), db).members(groups, ["1h:rsi(14)"])
    beside = {one.instance.id: one for one in load_members(given, start=START, end=END, db=db)}
    assert list(found) == [group.name for group in groups]
    for group in groups:
        (one,) = found[group.name]
        assert one.member == group.members[0]
        for side, leg in one.prepared.legs.items():
            other = beside[group.name].prepared.legs[side].entry_t
            assert np.array_equal(
                leg.entry_t[leg.entry_t >= one.prepared.start_t], other[other >= one.prepared.start_t]
            )

"""Retraining over time: the clock, a group's walk, and that what comes later changes nothing that was before."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.models.stand_in import FEATURES, DirectionLearner, Strict, first_ms, known_rows, members, minutes
from toolkit.bars.intervals import DAY_MS, HOUR_MS
from toolkit.bars.series import Bars
from toolkit.engine.types import ACCEPTED, VETOED
from toolkit.errors import InputError
from toolkit.models.judging import NO_VERSION, judge, resimulate
from toolkit.models.labels import LabelRule
from toolkit.models.panel import Panel
from toolkit.models.paths import NEVER, MemberPath, begun, outcomes, until
from toolkit.models.recipe import Recipe
from toolkit.models.relearning import RecipeLearner
from toolkit.models.retraining import RetrainPolicy, due_ms
from toolkit.models.walking import GroupWalk, Known, walk_group
from toolkit.portfolio.loading import LoadedMember, load_members

DAYS, START_DAY = 24, 3
POLICY = RetrainPolicy(every="20trades", min_trades=25, latency="10m")


@pytest.fixture(scope="module")
def bars() -> Mapping[str, Bars]:
    return minutes(DAYS)


@pytest.fixture(scope="module")
def loaded(bars: Mapping[str, Bars]) -> list[LoadedMember]:
    return load_members(members(), bars=bars, start=first_ms(bars, START_DAY), jobs=1)


def walk(bars: Mapping[str, Bars], policy: RetrainPolicy = POLICY, end_ms: int | None = None, **how: Any) -> GroupWalk:
    start_ms = first_ms(bars, START_DAY)
    last_ms = end_ms or first_ms(bars, DAYS)
    found = load_members(members(), bars=bars, start=start_ms, end=end_ms, jobs=1)
    return walk_group("all", found, policy, how.get("learn", DirectionLearner()), (start_ms, last_ms))


@pytest.fixture(scope="module")
def walked(bars: Mapping[str, Bars]) -> GroupWalk:
    return walk(bars)


# The clock.


@given(
    st.lists(st.tuples(st.integers(0, 60), st.integers(1, 30)), max_size=60),
    st.integers(1, 12),
    st.integers(1, 12),
    st.sampled_from([None, "20m", "45m"]),
)
def test_trades_are_counted_as_by_hand(
    signals: list[tuple[int, int]], every: int, least: int, window: str | None
) -> None:
    pairs = sorted(((began + held) * 60_000, began * 60_000) for began, held in signals)
    known = np.array([moment for moment, _ in pairs], np.int64)
    decided = np.array([moment for _, moment in pairs], np.int64)
    policy = RetrainPolicy(f"{every}trades", least, window)
    found, last = [], None
    while (due := due_ms(policy, decided, known, 0, last)) is not None:
        found.append(due)
        last = due
    # By hand: moment after moment; those of one moment come together.
    want, since = list[int](), 0
    for moment in sorted(set(known.tolist())):
        since += int((known == moment).sum())
        if want:
            enough = since >= every
        else:
            inside = (known <= moment) & (decided >= moment - (policy.window_ms or 10**9))
            enough = int(inside.sum()) >= least
        if enough:
            want.append(moment)
            since = 0
    assert found == want


def test_time_is_counted_from_the_start_whatever_is_known() -> None:
    policy = RetrainPolicy("7d", 10)
    nothing = np.empty(0, np.int64)
    assert due_ms(policy, nothing, nothing, 5, None) == 5 + 7 * DAY_MS
    assert due_ms(policy, nothing, nothing, 5, 5 + 7 * DAY_MS) == 5 + 14 * DAY_MS
    assert due_ms(policy, nothing, nothing, 5, 5 + 8 * DAY_MS) == 5 + 14 * DAY_MS


@pytest.mark.parametrize(
    ("field", "value", "part"),
    [
        ("every", "30 birds", "'30trades' or a time"),
        ("every", "0trades", "at least 1 trade"),
        ("every", "0d", "at least a minute"),
        ("every", 7, "'30trades' or a time"),
        ("min_trades", 0, "at least 1, was 0"),
        ("min_trades", True, "whole number"),
        ("train_window", "0d", "above 0"),
        ("train_window", "5bars", "must be a time"),
        ("latency", "soon", "must be a time"),
    ],
)
def test_bad_policies_say_what_and_how(field: str, value: Any, part: str) -> None:
    with pytest.raises(InputError, match=part.replace("(", r"\(")):
        RetrainPolicy(**{field: value})


# The path.


def test_a_cut_path_is_the_beginning_of_the_whole_one(loaded: list[LoadedMember], bars: Mapping[str, Bars]) -> None:
    for one in loaded:
        whole = outcomes(one, resimulate(one, None))
        end_ms = first_ms(bars, 11) + 7 * HOUR_MS
        cut = until(one, end_ms)
        part = outcomes(cut, resimulate(cut, None))
        n = len(part.signals)
        assert 0 < n < len(whole.signals)
        assert np.array_equal(whole.signals["t"][:n], part.signals["t"])
        seen = part.known != NEVER
        assert np.array_equal(seen, whole.known[:n] <= end_ms)
        assert whole.trades[:n][seen].tobytes() == part.trades[seen].tobytes()


def test_outcomes_of_accepted_and_refused_are_of_the_same_trades(loaded: list[LoadedMember]) -> None:
    one = loaded[0]
    taken = outcomes(one, resimulate(one, None))
    # Refused everywhere and without a timeout: the same raw entries, each with its shadow.
    refused = {
        side: says._replace(verdicts=np.full(len(says.verdicts), VETOED, np.uint8))
        for side, says in MemberPath(one, []).judged([]).items()
    }
    shadows = outcomes(one, resimulate(one, refused))
    both = dict(
        zip(
            zip(shadows.signals["t"].tolist(), shadows.signals["side"].tolist(), strict=True),
            shadows.trades,
            strict=True,
        )
    )
    closed = taken.trades["exit_reason"] != 0
    assert closed.sum() > 20
    for signal, trade in zip(taken.signals[closed], taken.trades[closed], strict=True):
        assert trade.tobytes() == both[int(signal["t"]), int(signal["side"])].tobytes()


# The walk.


def test_versions_hold_from_their_latency_on_and_say_what_judging_says(
    bars: Mapping[str, Bars], walked: GroupWalk
) -> None:
    start_ms = first_ms(bars, START_DAY)
    assert len(walked.versions) >= 4
    made = [one for one in walked.trainings if one.version]
    assert [one.version for one in made] == [v.id for v in walked.versions]
    assert all(one.from_ms == one.trained_until_ms + 600_000 for one in made)
    for one in load_members(members(), bars=bars, start=start_ms, jobs=1):
        alone = judge(begun(one, start_ms), walked.versions)
        for side, says in walked.judged[one.instance.id].items():
            for mine, other in zip(says, alone[side], strict=True):
                assert np.array_equal(mine, other, equal_nan=True)
        verdicts = np.concatenate([says.verdicts for says in alone.values()])
        assert {ACCEPTED, VETOED} == set(verdicts.tolist())


def test_each_cut_off_is_where_its_clock_came_due_on_the_final_path(
    bars: Mapping[str, Bars], walked: GroupWalk
) -> None:
    start_ms = first_ms(bars, START_DAY)
    known = []
    for one in load_members(members(), bars=bars, start=start_ms, jobs=1):
        path = begun(one, start_ms)
        known.append(outcomes(path, resimulate(path, walked.judged[one.instance.id])).known)
    final = np.sort(np.concatenate(known))
    final = final[final != NEVER]
    last, want = None, []
    while (due := due_ms(POLICY, final, final, start_ms, last)) is not None and due + 600_000 < first_ms(bars, DAYS):
        want.append(due)
        last = due
    assert [one.trained_until_ms for one in walked.trainings] == want


class Recorder:
    """What each training was shown."""

    features = FEATURES

    def __init__(self) -> None:
        self.rows: list[int] = []

    def __call__(self, loaded: Sequence[LoadedMember], judged: Any, known: Known, panel: Panel) -> Any:
        self.rows.append(len(known_rows(loaded, judged, known)[1]))
        return DirectionLearner()(loaded, judged, known, panel)


def test_a_window_forgets_what_is_older(bars: Mapping[str, Bars]) -> None:
    seen = Recorder()
    found = walk(bars, replace(POLICY, train_window="6d", min_trades=20), learn=seen)
    made = [one for one in found.trainings if one.version]
    assert seen.rows == [one.rows for one in made]
    assert all(one.trained_until_ms - one.trained_from_ms <= 6 * DAY_MS for one in made)
    assert made[-1].rows < sum(one.rows for one in made)


def test_a_strict_model_does_not_starve_itself(bars: Mapping[str, Bars]) -> None:
    found = walk(bars, learn=Strict())
    assert len(found.versions) >= 3
    later = found.versions[0].from_ms
    one = load_members(members(), bars=bars, start=first_ms(bars, START_DAY), jobs=1)[0]
    says = found.judged[one.instance.id]
    for side, leg in one.prepared.legs.items():
        after = (leg.entry_t + 1) * one.bars.base.interval_ms >= later
        assert (says[side].verdicts[after] == VETOED).all() and after.any()
        assert (says[side].versions[~after] == NO_VERSION).all()


def test_too_few_and_one_class_leave_a_note_and_the_version_before(bars: Mapping[str, Bars]) -> None:
    found = walk(bars, RetrainPolicy("2d", min_trades=80))
    notes = [one.note for one in found.trainings if one.note]
    assert notes and all("80 are needed" in note for note in notes)
    assert not found.trainings[-1].note

    class OneClass(DirectionLearner):
        def __call__(self, loaded: Any, judged: Any, known: Known, panel: Panel) -> Any:
            if known.until_ms > first_ms(bars, 14):
                raise InputError("all rows are of one class")
            return super().__call__(loaded, judged, known, panel)

    found = walk(bars, RetrainPolicy("2d", min_trades=80), learn=OneClass())
    assert [one.note for one in found.trainings][-1] == "all rows are of one class"
    assert (
        max(int(says.versions.max()) for legs in found.judged.values() for says in legs.values())
        == len(found.versions) - 1
    )


# Prefix invariance.


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.integers(START_DAY * 1440 + 60, DAYS * 1440 - 1),
    st.sampled_from(
        [POLICY, replace(POLICY, train_window="6d", every="13trades"), replace(POLICY, every="31h", latency="0s")]
    ),
)
def test_running_to_a_later_end_changes_nothing_before(
    bars: Mapping[str, Bars], end_minute: int, policy: RetrainPolicy
) -> None:
    end_ms = first_ms(bars) + end_minute * 60_000
    long, short = _whole(bars, policy), walk(bars, policy, end_ms)
    n = len(short.trainings)
    for mine, theirs in zip(short.trainings, long.trainings[:n], strict=True):
        assert replace(mine, secs=0.0) == replace(theirs, secs=0.0)
    assert all(one.from_ms >= end_ms for one in long.trainings[n:])
    start_ms = first_ms(bars, START_DAY)
    cut = load_members(members(), bars=bars, start=start_ms, end=end_ms, jobs=1)
    for one in cut:
        path = begun(one, start_ms)
        for side, says in short.judged[one.instance.id].items():
            k = len(path.prepared.legs[side].entry_t)
            for a, b in zip(says, long.judged[one.instance.id][side], strict=True):
                assert np.array_equal(a, b[:k], equal_nan=True)


@pytest.mark.parametrize(
    "recipe",
    [
        Recipe("lightgbm", features=FEATURES, folds=3, embargo="2h", min_trades=20, seed=3),
        Recipe("logistic", features=FEATURES, folds=2, embargo="1h", min_trades=20, method="kelly", indicators=True),
        Recipe(
            "random_forest", {"trees": 20}, FEATURES, LabelRule("barrier", max_hold="3h"), "mutual_information",
            folds=2, embargo="1h", min_trades=20, method="quantile", balance="undersample",
        ),
    ],
    ids=lambda one: one.backend,
)  # fmt: skip
def test_recipes_change_nothing_before_a_later_end_either(bars: Mapping[str, Bars], recipe: Recipe) -> None:
    start_ms, last_ms = first_ms(bars, START_DAY), first_ms(bars, 15)
    mine = [one for one in members() if one.strategy == "volatility_breakout"]
    policy = RetrainPolicy("40trades", 40, train_window="8d", latency="10m")

    def walked_to(end_ms: int) -> GroupWalk:
        found = load_members(mine, bars=bars, start=start_ms, end=end_ms, features=FEATURES, jobs=1)
        return walk_group("one", found, policy, RecipeLearner(recipe, FEATURES), (start_ms, end_ms))

    whole = walked_to(last_ms)
    assert len(whole.versions) >= 4
    for share in (0.45, 0.8):
        end_ms = start_ms + int(share * (last_ms - start_ms)) // 60_000 * 60_000 + 7 * 60_000
        part = walked_to(end_ms)
        n = len(part.trainings)
        assert 0 < n < len(whole.trainings)
        assert [replace(one, secs=0.0) for one in part.trainings] == [
            replace(one, secs=0.0) for one in whole.trainings[:n]
        ]
        for name, legs in part.judged.items():
            for side, says in legs.items():
                k = len(says.verdicts)
                for a, b in zip(says, whole.judged[name][side], strict=True):
                    assert a.tobytes() == b[:k].tobytes()


_WHOLE: dict[RetrainPolicy, GroupWalk] = {}


def _whole(bars: Mapping[str, Bars], policy: RetrainPolicy) -> GroupWalk:
    if policy not in _WHOLE:
        _WHOLE[policy] = walk(bars, policy)
    return _WHOLE[policy]

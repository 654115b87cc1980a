"""The proof out of sample: a planted predictor is found and its gain measured, nothing is found where nothing is."""

import pickle
from dataclasses import replace

import numpy as np
import pytest

from tests.models.planted import FIRST_MS, dataset, planted_members, recipe, regimes, span
from toolkit.bars.intervals import DAY_MS, HOUR_MS
from toolkit.engine.types import ACCEPTED, VETOED, Judged
from toolkit.errors import InputError, UnknownNameError
from toolkit.models.controls import CONTROLS, FUTURE, NOISE, PERMUTED, control_gains, verdict
from toolkit.models.dataset import Dataset
from toolkit.models.evaluation import RANK, Evaluation, Proof, evaluate
from toolkit.models.fitness import sortino
from toolkit.models.folds import block_edges, fold_applications, predict_folds
from toolkit.models.outcome import earned, period
from toolkit.models.significance import compare
from toolkit.models.training import said_of
from toolkit.portfolio.loading import LoadedMember

DAYS, SEED = 240, 5
PROOF = Proof(folds=3, permutations=19, jobs=2, seed=1)


@pytest.fixture(scope="module")
def loaded() -> list[LoadedMember]:
    return planted_members(DAYS, SEED, symbols=3)


@pytest.fixture(scope="module")
def data(loaded: list[LoadedMember]) -> Dataset:
    return dataset(loaded)


@pytest.fixture(scope="module")
def found(loaded: list[LoadedMember], data: Dataset) -> Evaluation:
    return evaluate(loaded, data, recipe(), span(DAYS), PROOF)


def quick(loaded: list[LoadedMember], data: Dataset, **how: object) -> Evaluation:
    proof = replace(Proof(methods=("veto",), folds=3, permutations=0, controls=False, jobs=1), **how)  # type: ignore[arg-type]
    return evaluate(loaded, data, recipe(), span(DAYS), proof)


def judgement(found: Evaluation, method: str) -> tuple[float, bool, str]:
    before, after = found.before_of(method), found.after[method]
    compared = compare(before.pooled, after.pooled, permuted=found.permuted.get(method))
    controls = {name: days[method] for name, days in found.controls.items()}
    said = verdict(compared, after.trades, control_gains(controls, before.pooled))
    return compared.difference, said.survives, said.text


def known_regimes(loaded: list[LoadedMember]) -> dict[str, dict[int, Judged]]:
    """What somebody says who knows the regime of every hour: the most that the planted factor can tell."""
    said = {}
    for k, one in enumerate(loaded):
        t = one.prepared.legs[1].entry_t
        good = regimes(DAYS, SEED + k)[t - FIRST_MS // HOUR_MS]
        verdicts = np.where(good, ACCEPTED, VETOED).astype(np.uint8)
        said[one.instance.id] = {
            1: Judged(verdicts, good.astype(np.float64), good.astype(np.float64), np.zeros(len(t), np.int64))
        }
    return said


def test_the_planted_predictor_is_found_and_its_gain_measured(loaded: list[LoadedMember], found: Evaluation) -> None:
    edges = block_edges(span(DAYS), 3)
    over = period(loaded, int(edges[0]), int(edges[-1]))
    before = float(sortino(found.before.pooled))
    most = float(sortino(earned(over, known_regimes(loaded)).pooled)) - before
    assert most > 5.0
    for method in ("veto", "quantile", "kelly"):
        gain, survives, text = judgement(found, method)
        assert survives, text
        assert text.startswith("The improvement survives: Sortino")
        # The factor is the regime but for its noise: most of what there is to gain, and not much more than that.
        assert 0.5 * most < gain < 1.5 * most, method
        assert found.fitness("auc", method) > 0.52
        assert found.fitness("sortino", method) == pytest.approx(before + gain)
        assert found.fitness("expectancy", method) == pytest.approx(float(found.after[method].returns.mean()))
        assert found.fitness("log_loss", method) > np.log(0.5)


def test_ranking_gives_the_slots_to_better_entries(found: Evaluation) -> None:
    assert found.slots == 1
    gain, _, _ = judgement(found, RANK)
    assert gain > 2.0
    compared = compare(found.before_of(RANK).pooled, found.after[RANK].pooled, permuted=found.permuted[RANK])
    assert compared.p_value == 0.05
    # With one slot each takes as many trades as the other.
    assert found.after[RANK].trades == pytest.approx(found.before_of(RANK).trades, rel=0.02)


def test_the_controls_come_out_near_zero_and_the_cheat_does_not(found: Evaluation) -> None:
    assert set(found.controls) == set(CONTROLS)
    for method in ("veto", "quantile", "kelly"):
        before = found.before.pooled
        gains = control_gains({name: days[method] for name, days in found.controls.items()}, before)
        gain, _, text = judgement(found, method)
        assert abs(gains[PERMUTED]) < 0.2 * gain, text
        assert abs(gains[NOISE]) < 0.25 * gain, text
        assert gains[FUTURE] > 2.0 * gain, text
        assert compare(before, found.after[method].pooled, permuted=found.permuted[method]).p_value == 0.05


def test_nothing_is_found_where_nothing_is_planted() -> None:
    nothing = planted_members(DAYS, SEED, drift=0.0)
    made = evaluate(
        nothing, dataset(nothing), recipe(), span(DAYS), replace(PROOF, methods=("veto", "kelly"), controls=False)
    )  # fmt: skip
    for method in made.after:
        _, survives, text = judgement(made, method)
        assert not survives, text
        assert text.startswith("No improvement that survives: ")
    assert made.fitness("auc", "veto") == pytest.approx(0.5, abs=0.05)


def test_what_comes_later_changes_nothing_before(loaded: list[LoadedMember], data: Dataset) -> None:
    """Blocks that are judged anyway say the same when the data ends with them, to the bit."""
    edges = block_edges(span(DAYS), 3)
    whole = predict_folds(loaded, data, recipe(), span(DAYS), edges)
    end_ms = int(edges[2])
    early = data.take(data.rows["known"] <= end_ms)
    short = predict_folds(loaded, early, recipe(), (span(DAYS)[0], end_ms), edges[:3])
    for name, sides in whole.predicted.items():
        before = sides[1].versions < 2
        assert np.array_equal(
            sides[1].predictions[before], short.predicted[name][1].predictions[before], equal_nan=True
        )
    chosen = fold_applications(loaded, whole, "veto", recipe())
    assert chosen[:2] == fold_applications(loaded, short, "veto", recipe())
    days = period(loaded, int(edges[0]), end_ms).n_days - 1
    a = earned(period(loaded, int(edges[0]), int(edges[-1])), said_of(whole.predicted, chosen))
    b = earned(period(loaded, int(edges[0]), end_ms), said_of(short.predicted, chosen[:2]))
    assert (a.daily[:, :days] == b.daily[:, :days]).all()


def test_each_block_is_judged_by_what_was_known_before_it(loaded: list[LoadedMember], data: Dataset) -> None:
    edges = block_edges(span(DAYS), 3)
    made = predict_folds(loaded, data, recipe(embargo="2d"), span(DAYS), edges)
    for k, model in enumerate(made.models):
        assert model.part_ms == (span(DAYS)[0], edges[k] - 2 * DAY_MS)
        known = (data.rows["known"] <= model.part_ms[1]).sum()
        assert model.rows == known
    for one in loaded:
        moments = (one.prepared.legs[1].entry_t + 1) * HOUR_MS
        block = np.searchsorted(edges, moments, side="right") - 1
        wanted = np.where((block >= 0) & (block < 3), block, -1)
        assert (made.predicted[one.instance.id][1].versions == wanted).all()


def test_the_number_of_threads_and_the_turn_change_nothing(loaded: list[LoadedMember], data: Dataset) -> None:
    proof = Proof(methods=("veto",), folds=2, permutations=3, seed=9)
    a, b = (evaluate(loaded, data, recipe(), span(DAYS), replace(proof, jobs=jobs)) for jobs in (1, 3))
    assert (a.permuted["veto"] == b.permuted["veto"]).all()
    assert (a.after["veto"].daily == b.after["veto"].daily).all()
    for name in CONTROLS:
        assert (a.controls[name]["veto"] == b.controls[name]["veto"]).all()
    # More of them are those there were, and others.
    more = evaluate(loaded, data, recipe(), span(DAYS), replace(proof, permutations=4, controls=False, jobs=1))
    assert (more.permuted["veto"][:3] == a.permuted["veto"]).all()
    assert not np.array_equal(more.permuted["veto"][3], more.permuted["veto"][2])


def test_it_is_plain_data(found: Evaluation) -> None:
    again = pickle.loads(pickle.dumps(found))
    assert (again.after["veto"].daily == found.after["veto"].daily).all()
    days = found.before.daily.shape[1]
    assert {one.shape for one in found.permuted.values()} == {(19, days)}
    shapes = {name: days_of["veto"].shape for name, days_of in found.controls.items()}
    assert shapes == dict(zip(CONTROLS, ((19, days), (3, days), (1, days), (1, days)), strict=True))
    assert len(found.members) == len(found.before.daily) == 3
    assert [fold.from_ms for fold in found.folds] == block_edges(span(DAYS), 3)[:-1].tolist()
    assert all(set(fold.applications) == set(found.after) for fold in found.folds)


def test_the_members_of_one_strategy(found: Evaluation) -> None:
    mixed = replace(found, strategies=("one", "other", "one"))
    some = mixed.of_strategy("one")
    assert some.members == (found.members[0], found.members[2])
    assert (some.before.pooled == found.before.daily[[0, 2]].sum(axis=0)).all()
    assert some.after["veto"].trades + mixed.of_strategy("other").after["veto"].trades == found.after["veto"].trades
    assert some.permuted == {}


def test_where_the_judged_blocks_begin(loaded: list[LoadedMember], data: Dataset) -> None:
    begin = FIRST_MS + 200 * DAY_MS
    made = quick(loaded, data, test_from_ms=begin, folds=1)
    assert made.before.daily.shape == (3, DAYS - 200)
    assert made.folds[0].rows > 1_000
    assert made.controls == {}
    assert made.permuted == {}
    with pytest.raises(InputError, match="`test_from_ms` must lie in the period"):
        quick(loaded, data, test_from_ms=span(DAYS)[1])


def test_a_block_that_cannot_be_learned_for_takes_everything(loaded: list[LoadedMember], data: Dataset) -> None:
    first = int(block_edges(span(DAYS), 3)[0])
    late = data.take(data.rows["known"] > first)
    made = quick(loaded, late)
    assert "a model needs at least 40" in made.folds[0].note
    assert made.folds[1].note == ""
    days = (made.folds[0].to_ms - made.folds[0].from_ms) // DAY_MS
    assert (made.after["veto"].daily[:, :days] == made.before.daily[:, :days]).all()
    assert made.after["veto"].trades < made.before.trades


def test_one_member_has_nothing_to_be_ranked_against(loaded: list[LoadedMember]) -> None:
    one = loaded[:1]
    made = quick(one, dataset(one), methods=("veto", RANK))
    assert set(made.after) == {"veto"}
    with pytest.raises(InputError, match="nothing was ranked"):
        made.before_of(RANK)


def test_a_recipe_may_say_how_many_slots(loaded: list[LoadedMember], data: Dataset) -> None:
    ranked = recipe(method="rank", options={"slots": 2})
    assert Proof().slots_of(9) == 3
    assert Proof().slots_of(9, ranked) == 2
    assert Proof(slots=5).slots_of(9, ranked) == 5


# Bad input.


def test_too_few_rows_for_any_block_are_an_error(loaded: list[LoadedMember], data: Dataset) -> None:
    with pytest.raises(InputError, match="no model could be learned for any judged block: a model needs at least 40"):
        quick(loaded, data.take(np.arange(30)))
    one_class = replace(data, y=np.ones(len(data)))
    with pytest.raises(InputError, match="no model could be learned for any judged block"):
        quick(loaded, one_class)


def test_a_bad_proof_is_refused() -> None:
    for wrong in ({"folds": 0}, {"permutations": -1}, {"slots": 0}, {"jobs": 0}, {"shift_bars": 0}, {"methods": ()}):
        with pytest.raises(InputError, match=next(iter(wrong))):
            Proof(**wrong)
    with pytest.raises(UnknownNameError, match="did you mean 'kelly'"):
        Proof(methods=("kely",))

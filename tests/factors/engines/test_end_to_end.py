"""Features of every engine through a dataset, a model, its verification, the registry, and the executor's window."""

from dataclasses import replace
from importlib.metadata import PackageNotFoundError, version

import numpy as np
import pytest

from executor.engine.signals import AtClose, Evaluator, Said, Traded
from executor.engine.windows import History
from executor.feed.base import ClosedBar, Series
from tests.factors.engines.cases import afresh, bits, forget
from toolkit.bars.intervals import DAY_MS
from toolkit.bars.series import Bars
from toolkit.bars.synthetic import synthetic_bars
from toolkit.engine.rules import TradeRules
from toolkit.errors import InputError
from toolkit.models.controls import shifted_panel
from toolkit.models.dataset import Dataset
from toolkit.models.features import check_features, feature_packages
from toolkit.models.fitting import fit
from toolkit.models.judging import Version, predict_entries
from toolkit.models.making import make_dataset
from toolkit.models.panel import make_panel
from toolkit.models.recipe import Recipe
from toolkit.models.store import check_libraries, read_info, read_model, save_model
from toolkit.models.trained import Trained
from toolkit.portfolio.loading import LoadedMember, load_members
from toolkit.portfolio.members import Member
from toolkit.strategy import get_strategy
from toolkit.types import FloatArray
from toolkit.verify.features import verify_features

WORDS = (
    "tsfresh_minimal(30)", "tsfresh(30, fft_coefficient__attr_abs__coeff_2)", "1h:tsfresh_volume(20, mean_abs_change)",
    "prophet_trend(30, 5)", "1d:prophet_residual(30, 5)", "market_state_hmm(2, 200, 50)",
    "1h:market_state_hmm_probability(2, 100, 24)", "market_state_mixture_probability(2, 200, 50, 10)",
    "market_state_terciles(100, 10)", "side", "stop_distance",
)  # fmt: skip
FEATURES = check_features(WORDS, ["15m"])
RULES = TradeRules(stop="1atr(14)", target="2R", max_hold="6h")
MEMBER = Member("volatility_breakout", "BTC/USDT", "15m", {"window": 12}, RULES)


@pytest.fixture(scope="module")
def loaded() -> list[LoadedMember]:
    bars = synthetic_bars(("BTC/USDT",), days=56, interval="15m")
    start = int(bars["BTC/USDT"].ts[0]) + 42 * DAY_MS
    return load_members([MEMBER], bars=bars, start=start, features=WORDS, jobs=1)


@pytest.fixture(scope="module")
def data(loaded: list[LoadedMember]) -> Dataset:
    with afresh():
        return make_dataset(loaded, WORDS, jobs=2)


@pytest.fixture(scope="module")
def trained(data: Dataset) -> Trained:
    return fit(data, Recipe(backend="logistic", features=WORDS, min_trades=20, indicators=True))


def test_a_dataset_and_a_model_of_them_are_verified(
    loaded: list[LoadedMember], data: Dataset, trained: Trained
) -> None:
    assert data.features == FEATURES
    assert len(FEATURES) == 20
    assert np.isfinite(data.x).all()
    assert (np.ptp(data.x, axis=0) > 0)[[k for k, name in enumerate(FEATURES) if "length" not in name]].all()
    forget()
    report = verify_features(loaded, data, points=12, trained=trained)
    assert report.findings == []
    assert report.tested == 12
    first, last = int(data.rows["ts"].min()), int(data.rows["ts"].max())
    ahead = shifted_panel(loaded, make_panel(loaded, data.features, (first, last)), 40).at_rows(data)
    cheat = verify_features(loaded, replace(data, x=ahead), points=4)
    peeking = {one.feature for one in cheat.findings if one.check == "future"}
    assert {"tsfresh(30, mean)", "market_state_mixture_probability(2, 200, 50, 10)"} <= peeking


def test_entries_are_judged_from_the_values_of_the_dataset(
    loaded: list[LoadedMember], data: Dataset, trained: Trained
) -> None:
    one = loaded[0]
    said = predict_entries(one, [Version("v", 0, trained)])
    for row, prediction in zip(data.rows, trained.predict(data.x), strict=True):
        at = int(np.searchsorted(one.prepared.legs[int(row["side"])].entry_t, row["t"]))
        assert said[int(row["side"])].predictions[at] == prediction


def test_the_executor_sees_the_same_bits_in_its_window(loaded: list[LoadedMember], data: Dataset) -> None:
    one, bars = loaded[0], loaded[0].bars.base
    strategy = get_strategy("volatility_breakout")
    traded = Traded(
        "one",
        "dep",
        strategy,
        strategy.params(MEMBER.params),
        RULES,
        MEMBER.costs,
        Series("x", "BTC/USDT", "1m"),
        "15m",
    )
    base_bars, higher = traded.bars_needed(FEATURES)
    history = History(traded.series, base_bars, higher)
    feed = iter(closed(bars))
    bar = next(feed)
    for number in np.linspace(0, len(data) - 1, 5).astype(int).tolist():
        row = data.rows[number]
        while bar.ts < row["ts"]:
            history.append(bar)
            bar = next(feed)
        leg, side = one.prepared.legs[int(row["side"])], int(row["side"])
        distances = leg.distances[:, int(np.searchsorted(leg.entry_t, row["t"]))]
        said = AtClose({side: Said(True, False, distances)}, 0)
        with afresh():
            seen: FloatArray = Evaluator({traded.series: history}).features(
                traded, side, said, int(row["ts"]), FEATURES
            )
        assert bits(seen[0]) == bits(data.x[number])


def closed(bars: Bars) -> list[ClosedBar]:
    columns = (bars.ts, bars.open, bars.high, bars.low, bars.close, bars.volume, bars.filled)
    return [ClosedBar(*row) for row in zip(*(column.tolist() for column in columns), strict=True)]


def test_a_bundle_is_bound_to_the_versions_that_made_its_features(
    trained: Trained, data: Dataset, tmp_path: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LOCKSTEP_DATA", str(tmp_path))
    window = {"from_ms": 0, "until_ms": DAY_MS}
    folder = save_model(trained, "engines", facts={"window": window})
    assert feature_packages(FEATURES) == (
        "tsfresh", "statsmodels", "scipy", "PyWavelets", "pandas", "prophet", "cmdstanpy", "hmmlearn", "scikit-learn",
    )  # fmt: skip
    info = read_info(folder)
    assert set(feature_packages(FEATURES)) <= set(info.libraries)
    assert read_model(folder).predict(data.x).tobytes() == trained.predict(data.x).tobytes()
    other = replace(info, libraries={**info.libraries, "prophet": "1.0"})
    with pytest.raises(InputError, match=r"was made with prophet 1\.0, and .* is installed"):
        check_libraries(other)

    def without_prophet(package: str) -> str:
        if package == "prophet":
            raise PackageNotFoundError(package)
        return version(package)

    # Who cannot compute the features only predicts.
    monkeypatch.setattr("toolkit.models.store.version", without_prophet)
    check_libraries(replace(info, libraries={**info.libraries, "statsmodels": "0.1"}))
    monkeypatch.undo()
    with pytest.raises(InputError, match=r"was made with statsmodels 0\.1, and .* is installed"):
        check_libraries(replace(info, libraries={**info.libraries, "statsmodels": "0.1"}))

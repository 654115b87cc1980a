"""`toolkit verify model`: honest features pass, and whatever knows what came after a signal is flagged."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner, Result

from toolkit.bars.intervals import DAY_MS
from toolkit.bars.series import Bars
from toolkit.bars.store import Source, Store
from toolkit.bars.synthetic import synthetic_bars, synthetic_columns
from toolkit.cli.main import app
from toolkit.engine.rules import TradeRules
from toolkit.errors import InputError
from toolkit.factors.registry import Param, factor, factors_apart
from toolkit.models.applying import Application
from toolkit.models.controls import shifted_panel
from toolkit.models.dataset import Dataset
from toolkit.models.fitting import fit
from toolkit.models.making import make_dataset
from toolkit.models.panel import make_panel
from toolkit.models.recipe import Recipe
from toolkit.models.store import save_model
from toolkit.models.trained import Trained
from toolkit.portfolio.candidates import candidates_of
from toolkit.portfolio.loading import LoadedMember, load_members
from toolkit.portfolio.members import Member
from toolkit.types import FloatArray
from toolkit.verify.features import FeatureReport, as_table, verify_features

FEATURES = (
    "natr(14)", "zscore(20)", "rsi(10)", "1d:natr(3)", "minutes_since_midnight", "side", "stop_distance",
    "target_distance",
)  # fmt: skip
DAYS = 30


@pytest.fixture(scope="module")
def bars() -> dict[str, Bars]:
    return synthetic_bars(("BTC/USDT", "ETH/USDT"), days=DAYS, interval="5m")


def members() -> list[Member]:
    finer = TradeRules(stop="1atr(14)", target="2R", max_hold="6h", signal_timeout="1h")
    plain = TradeRules(stop=0.01, max_hold="12h", policy="adaptive")
    return [
        Member("volatility_breakout", "BTC/USDT", "15m", {"window": 12}, finer),
        Member("reversal_breakout", "ETH/USDT", "5m", {}, plain),
    ]


def load(bars: dict[str, Bars], names: Sequence[str] = FEATURES) -> list[LoadedMember]:
    start = int(bars["BTC/USDT"].ts[0]) + 6 * DAY_MS
    return load_members(members(), bars=bars, start=start, features=names, jobs=1)


@pytest.fixture(scope="module")
def loaded(bars: dict[str, Bars]) -> list[LoadedMember]:
    return load(bars)


@pytest.fixture(scope="module")
def data(loaded: list[LoadedMember]) -> Dataset:
    return make_dataset(loaded, FEATURES, jobs=1)


@pytest.fixture
def own_factors() -> Iterator[None]:
    """Factors that a test registers are gone after it."""
    with factors_apart():
        yield


def checks(report: FeatureReport) -> set[tuple[str, str]]:
    return {(one.check, one.feature) for one in report.findings}


def test_honest_features_pass(loaded: list[LoadedMember], data: Dataset) -> None:
    report = verify_features(loaded, data, points=60)
    assert report.findings == []
    assert report.ok
    assert report.tested == 60
    assert report.rows == len(data)
    assert report.instances == 2
    assert verify_features(loaded, data, points=10**6).tested == len(data)


def test_the_cheat_of_the_controls_is_flagged(loaded: list[LoadedMember], data: Dataset) -> None:
    first, last = int(data.rows["ts"].min()), int(data.rows["ts"].max())
    ahead = shifted_panel(loaded, make_panel(loaded, data.features, (first, last)), 10)
    report = verify_features(loaded, replace(data, x=ahead.at_rows(data)), points=40)
    assert not report.ok
    assert ("future", "natr(14)") in checks(report)
    assert ("future", "zscore(20)") in checks(report)
    assert {check for check, _ in checks(report)} == {"future"}
    assert not {"side", "stop_distance"} & {feature for _, feature in checks(report)}
    one = next(f for f in report.findings if f.feature == "rsi(10)")
    assert one.times > 10
    assert "is not what the bars up to the signal give, so it knows what came after" in str(one)
    # Old values are none that the bars up to the signal give either.
    behind = shifted_panel(loaded, make_panel(loaded, data.features, (first, last)), -10)
    assert not verify_features(loaded, replace(data, x=behind.at_rows(data)), points=20).ok


def test_one_value_that_is_a_bit_off_is_flagged(loaded: list[LoadedMember], data: Dataset) -> None:
    x = data.x.copy()
    x[17, 1] = np.nextafter(x[17, 1], np.inf)
    report = verify_features(loaded, replace(data, x=x), points=10**6)
    assert checks(report) == {("future", "zscore(20)")}
    assert report.findings[0].times == 1
    assert report.findings[0].given == x[17, 1]
    assert report.findings[0].found == data.x[17, 1]


def test_a_factor_that_peeks_is_flagged(bars: dict[str, Bars], own_factors: None) -> None:
    @factor("next_close", params=(Param("bars", 3),), lookback=lambda interval_ms, bars: 1)
    def next_close(series: Bars, bars: int) -> FloatArray:
        """The close so many bars later, over this one."""
        return np.append(series.close[bars:], np.full(bars, np.nan)) / series.close

    names = ("natr(14)", "next_close(3)")
    loaded = load(bars, names)
    report = verify_features(loaded, make_dataset(loaded, names, jobs=1), points=30)
    assert checks(report) == {("future", "next_close(3)")}


def test_a_lookback_that_is_understated_is_flagged(bars: dict[str, Bars], own_factors: None) -> None:
    @factor("mean_so_far", lookback=lambda interval_ms: 5)
    def mean_so_far(series: Bars) -> FloatArray:
        """Mean close since loaded history began."""
        return np.cumsum(series.close) / np.arange(1, len(series) + 1)

    names = ("mean_so_far", "natr(14)")
    loaded = load(bars, names)
    report = verify_features(loaded, make_dataset(loaded, names, jobs=1), points=30)
    assert checks(report) == {("lookback", "mean_so_far")}
    assert "is another one on the declared lookback alone" in str(report.findings[0])


def test_a_row_that_is_no_signal_is_flagged(loaded: list[LoadedMember], data: Dataset) -> None:
    moved = data.rows.copy()
    moved["t"][3] += 3
    moved["ts"][3] += 3 * 300_000
    report = verify_features(loaded, replace(data, rows=moved), points=10**6)
    assert ("signal", "the row") in checks(report)
    assert "give no entry signal" in str(report.findings[0])


class Batched:
    """A model whose prediction of a row depends on the rows beside it."""

    def predict(self, x: FloatArray) -> FloatArray:
        return np.full(len(x), 0.5 + 0.1 * np.tanh(np.nanmean(x[:, 0])))


class Plain:
    def predict(self, x: FloatArray) -> FloatArray:
        out: FloatArray = 0.5 + 0.1 * np.tanh(np.nan_to_num(x[:, 0]))
        return out

    def clean(self, x: FloatArray) -> FloatArray:
        return x


def trained(model: object) -> Trained:
    return Trained(FEATURES, np.arange(len(FEATURES)), Plain(), model, Application())  # type: ignore[arg-type]


def test_a_model_must_predict_a_row_alone_as_among_others(loaded: list[LoadedMember], data: Dataset) -> None:
    assert verify_features(loaded, data, points=20, trained=trained(Plain())).ok
    report = verify_features(loaded, data, points=20, trained=trained(Batched()))
    assert {check for check, _ in checks(report)} == {"batch"}
    assert sum(one.times for one in report.findings) == 20


def test_bad_input_is_refused(loaded: list[LoadedMember], data: Dataset) -> None:
    with pytest.raises(InputError, match=r"`points` must be at least 1, was 0"):
        verify_features(loaded, data, points=0)
    with pytest.raises(InputError, match="which is not among the members given"):
        verify_features(loaded[:1], data)


def test_a_dataset_without_rows_has_nothing_to_test(loaded: list[LoadedMember], data: Dataset) -> None:
    report = verify_features(loaded, data.take(np.zeros(len(data), np.bool_)))
    assert (report.tested, report.ok) == (0, True)
    assert as_table(report)["findings"] == []


# The command.


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder with minutes, and members of them."""
    folder = tmp_path_factory.mktemp("data")
    store = Store(folder / "bars.duckdb")
    for symbol, columns in synthetic_columns(("BTC/USDT",), days=20, seed=4).items():
        store.write("synthetic", symbol, "1m", columns, Source("request", "test", "0"))
    (folder / "members.toml").write_text(
        '[[instance]]\nstrategy = "volatility_breakout"\nsymbol = "BTC/USDT"\ninterval = "5m"\n'
        'params = {window = 30}\nrules = {stop = "2atr(14)", max_hold = "4h"}\n'
    )
    return folder


def run(stored: Path, monkeypatch: pytest.MonkeyPatch, *more: str) -> Result:
    monkeypatch.setenv("LOCKSTEP_DATA", str(stored))
    options = ["--start", "2023-01-05", "--points", "12", *more]
    return CliRunner().invoke(app, ["verify", "model", str(stored / "members.toml"), *options])


def test_the_command_says_what_it_tested(stored: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    done = run(stored, monkeypatch)
    assert done.exit_code == 0, done.output
    assert done.stdout.startswith("model ok\n  signals of ")
    assert ": 12 of " in done.stdout
    told = run(stored, monkeypatch, "--feature", "natr(14)", "--feature", "1d:range_pct(2)", "--json")
    assert told.exit_code == 0
    found = json.loads(told.stdout)["model"]
    assert (found["ok"], found["tested"], found["findings"]) == (True, 12, [])
    assert found["features"] == ["natr(14)", "1d:range_pct(2)"]


def test_the_command_flags_a_feature_that_peeks(
    stored: Path, monkeypatch: pytest.MonkeyPatch, own_factors: None
) -> None:
    @factor("next_close", lookback=lambda interval_ms: 1)
    def next_close(series: Bars) -> FloatArray:
        """The close after this one."""
        return np.append(series.close[1:], np.nan) / series.close

    done = run(stored, monkeypatch, "--feature", "natr(14)", "--feature", "next_close")
    assert done.exit_code == 1
    assert "model FAILED" in done.stdout
    assert "FOUND next_close of volatility_breakout-BTCUSDT-5m" in done.stdout
    assert "natr" not in done.stdout


def test_the_command_tests_a_model_of_the_registry(stored: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    loaded = load_members(
        candidates_of(stored / "members.toml").members, start="2023-01-05", db=stored / "bars.duckdb",
        features=FEATURES, jobs=1,
    )  # fmt: skip
    made = make_dataset(loaded, FEATURES, jobs=1)
    window = {"from_ms": int(made.rows["ts"].min()), "until_ms": int(made.rows["known"].max())}
    learned = fit(made, Recipe(backend="logistic", features=FEATURES, min_trades=10))
    save_model(learned, "breakouts", stored / "models", facts={"window": window})
    done = run(stored, monkeypatch, "--model", "breakouts", "--json")
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["model"]["features"] == list(FEATURES)
    both = run(stored, monkeypatch, "--model", "breakouts", "--feature", "natr(14)")
    assert isinstance(both.exception, InputError)
    assert "`features` are the model's own" in str(both.exception)


def test_the_command_refuses_what_is_not_there(stored: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for more, said in (
        (("--feature", "natr(14"), "natr(14"),
        (("--model", "nobody"), "nobody"),
        (("--start", "2023-01-20T23:50"), "no signal with a known outcome"),
    ):
        done = run(stored, monkeypatch, *more)
        assert isinstance(done.exception, InputError)
        assert said in str(done.exception)

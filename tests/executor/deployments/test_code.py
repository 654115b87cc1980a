"""Each version by its own code: side by side, from the cache of compiled code too, and light to load."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from tests.executor.deployments.case import Lab
from tests.portfolio.stored import series
from toolkit.engine.identity import code_hash
from toolkit.errors import StrategyError
from toolkit.factors.registry import factors_apart, get_factor
from toolkit.portfolio.bundle_code import bundle_strategies
from toolkit.strategy import get_strategy, registered, registering_apart

SIDE_BY_SIDE = """
import json, sys
from pathlib import Path
import numpy as np
from toolkit.bars.series import from_arrays
from toolkit.portfolio.bundle_code import bundle_strategies

n = 64
close = 100.0 + np.cumsum(np.where(np.arange(n) % 7 < 3, 1.0, -0.7))
bars = from_arrays(
    np.arange(n) * 300_000, close, close, close, close, np.ones(n), interval="5m", symbol="BTC/USDT", exchange="x"
)
said = {}
for folder in sys.argv[1:]:
    one = bundle_strategies(Path(folder))["bundled_climb"]
    signals = one.signals(bars, one.params({"shift": 2}))
    kernel = sys.modules[one.function.__module__].beyond
    said[folder] = [signals.enter_long.tolist(), sum(kernel.stats.cache_hits.values())]
heavy = sorted({"polars", "duckdb", "pandas", "pyarrow", "vectorbt", "bundled"} & set(sys.modules))
print(json.dumps({"close": close.tolist(), "said": said, "heavy": heavy}))
"""
LIGHT = """
import sys
from pathlib import Path
from executor.deployments import active, members
from executor.deployments.bundles import load_bundle
from executor.ledger import Ledger
from toolkit.portfolio.deployment import read_deployment
from toolkit.portfolio.deployment_file import checked_table
from toolkit.portfolio.bundle import find_bundle

done = load_bundle(find_bundle(sys.argv[1]), Path(sys.argv[2]))
with Ledger.open(done.ledger) as ledger:
    print(active(ledger).id, len(members(ledger)), read_deployment(Path(sys.argv[1])).id)
print(sorted({"polars", "duckdb", "pandas", "pyarrow", "vectorbt", "sklearn", "plotly", "ccxt"} & set(sys.modules)))
"""


def other_version(lab: Lab, folder: Path) -> Path:
    """The bundle's copy with the opposite kernel."""
    lab.copy(folder)
    kernels = folder / "sources" / "bundled" / "kernels.py"
    kernels.write_text(kernels.read_text().replace("close[i] > close[i - shift]", "close[i] < close[i - shift]"))
    return folder


def test_a_bundle_s_code_is_the_code_that_was_tested(lab: Lab) -> None:
    found = bundle_strategies(lab.bundle.folder)
    assert set(found) == {"bundled_climb", "bundled_relative"}
    for row in lab.bundle.table["instances"]:
        assert found[row["strategy"]].code == row["code"] == code_hash(get_strategy(row["strategy"]))


def test_the_registry_is_left_alone(lab: Lab, tmp_path: Path) -> None:
    before = {name: one.function for name, one in registered().items()}
    found = bundle_strategies(other_version(lab, tmp_path / "b"))
    assert {name: one.function for name, one in registered().items()} == before
    assert found["bundled_climb"].function is not before["bundled_climb"]


def test_two_versions_of_one_strategy_say_what_each_was_written_to_say(lab: Lab, tmp_path: Path) -> None:
    bars = series("BTC/USDT").to("5m")
    own, other = (
        bundle_strategies(folder)["bundled_climb"] for folder in (lab.bundle.folder, other_version(lab, tmp_path / "b"))
    )
    assert own.name == other.name and own.code != other.code
    change = bars.close[6:] - bars.close[:-6]
    for strategy, expected in ((own, change > 0.0), (other, change < 0.0), (own, change > 0.0)):
        signals = strategy.signals(bars, strategy.params())
        assert np.array_equal(signals.enter_long[6:], expected) and expected.any()


def test_equal_sources_are_one_version(lab: Lab, tmp_path: Path) -> None:
    copied = bundle_strategies(lab.copy(tmp_path / "b"))
    assert copied is bundle_strategies(lab.bundle.folder)


def test_versions_from_the_cache_of_compiled_code_are_not_mixed_up(lab: Lab, tmp_path: Path) -> None:
    folders = [str(lab.bundle.folder), str(other_version(lab, tmp_path / "b"))]
    hits = []
    # The second time everything comes from the disk, the versions in the other order.
    for order in (folders, folders[::-1]):
        command = [sys.executable, "-c", SIDE_BY_SIDE, *order]
        done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=lab.folder.parent)
        answer = json.loads(done.stdout)
        close = np.array(answer["close"])
        change = close[2:] - close[:-2]
        assert answer["said"][folders[0]][0][2:] == (change > 0).tolist()
        assert answer["said"][folders[1]][0][2:] == (change < 0).tolist()
        assert answer["heavy"] == []
        hits.append([answer["said"][folder][1] for folder in folders])
    assert hits[1] == [1, 1]


def test_a_block_in_which_names_mean_the_bundle_s_strategies(lab: Lab, tmp_path: Path) -> None:
    found = bundle_strategies(other_version(lab, tmp_path / "b"))
    with registering_apart(found):
        assert get_strategy("bundled_climb") is registered()["bundled_climb"] is found["bundled_climb"]
    assert get_strategy("bundled_climb") is not found["bundled_climb"]


FACTOR = """
from toolkit.factors.registry import factor

@factor("bundled_{}", lookback=lambda interval_ms: 1)
def twice(bars):
    return bars.close * 2.0
"""


@pytest.fixture
def no_factor_stays() -> Iterator[None]:
    with factors_apart():
        yield


def with_factor(lab: Lab, folder: Path, name: str, change: str = "") -> Path:
    lab.copy(folder)
    kernels = folder / "sources" / "bundled" / "kernels.py"
    kernels.write_text(kernels.read_text() + FACTOR.format(name) + change)
    return folder


@pytest.mark.usefixtures("no_factor_stays")
def test_a_factor_of_one_s_own_is_one_for_all_versions_that_have_it_alike(lab: Lab, tmp_path: Path) -> None:
    bundle_strategies(with_factor(lab, tmp_path / "a", "alike"))
    kept = get_factor("bundled_alike")
    other = with_factor(lab, tmp_path / "b", "alike")
    climb = other / "sources" / "bundled" / "strategies" / "climb.py"
    climb.write_text(climb.read_text() + "# newer\n")
    assert "bundled_climb" in bundle_strategies(other)
    assert get_factor("bundled_alike") is kept
    assert np.array_equal(series("BTC/USDT").factor("bundled_alike"), series("BTC/USDT").close * 2.0)


@pytest.mark.usefixtures("no_factor_stays")
def test_two_versions_of_a_factor_of_one_s_own_are_refused(lab: Lab, tmp_path: Path) -> None:
    bundle_strategies(with_factor(lab, tmp_path / "a", "unlike"))
    with pytest.raises(StrategyError, match=r"factor 'bundled_unlike' of .*; give the newer one another name"):
        bundle_strategies(with_factor(lab, tmp_path / "b", "unlike", "# newer\n"))


@pytest.mark.parametrize(("text", "said"), [
    ("import nowhere_at_all", "raised ModuleNotFoundError: No module named 'nowhere_at_all' (climb.py:"),
    ("1 / 0", "raised ZeroDivisionError: division by zero (climb.py:"),
    ("def (", "raised SyntaxError"),
])  # fmt: skip
def test_a_source_that_cannot_be_imported(lab: Lab, tmp_path: Path, text: str, said: str) -> None:
    folder = lab.copy(tmp_path / "b")
    file = folder / "sources" / "bundled" / "strategies" / "climb.py"
    whole = file.read_text()
    file.write_text(f"{whole}\n{text}\n")
    with pytest.raises(StrategyError) as caught:
        bundle_strategies(folder)
    assert said in str(caught.value) and str(file) in str(caught.value)
    file.write_text(f"{whole}\n# mended\n")
    assert "bundled_climb" in bundle_strategies(folder)


def test_loading_and_reading_a_deployment_needs_no_heavy_library(lab: Lab, tmp_path: Path) -> None:
    file = str(lab.bundle.folder / "deployment.json")
    command = [sys.executable, "-c", LIGHT, file, str(tmp_path / "executor.sqlite")]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=lab.folder)
    assert done.stdout.splitlines() == [f"{lab.deployment.id} 3 {lab.deployment.id}", "[]"]

"""How libraries are called: silent, on one thread, nothing left behind, and one sentence where one is missing."""

import json
import os
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from tests.factors.engines.cases import forget
from tests.factors.engines.test_seasonal import daily, walk
from toolkit.cli.factors import app
from toolkit.errors import InputError
from toolkit.factors import factor_lookback, get_factor
from toolkit.factors.engines.libraries import Fits, library
from toolkit.factors.table import parse_spec
from toolkit.verify.lookahead import LookaheadConfig, verify_lookahead
from toolkit.verify.sources import Series

ASKED = (
    ("prophet_residual", (120, 7)), ("prophet_residual", (40, 7)), ("market_state_hmm_probability", (3, 100, 7)),
    ("market_state_mixture_probability", (3, 100, 7, 5)), ("tsfresh", (100, "ar_coefficient__coeff_2__k_10")),
)  # fmt: skip
_CODE = """
import json, warnings
warnings.simplefilter("error")
from tests.factors.engines.test_libraries import told
print(json.dumps(told()))
"""


def told() -> list[list[float]]:
    bars = daily(walk(160))
    return [bars.factor_at(np.array([140, 159]), name, *params).tolist() for name, params in ASKED]


def test_silent_the_same_on_any_number_of_threads_and_nothing_outside_the_temporary_folder(tmp_path: Path) -> None:
    home, temporary = tmp_path / "home", tmp_path / "temporary"
    home.mkdir()
    temporary.mkdir()
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("XDG", "MPL", "OMP", "OPENBLAS"))}
    cache = os.environ.get("LOCKSTEP_CACHE_DIR", str(Path.home() / ".cache" / "lockstep" / "kernels"))
    env = {**kept, "HOME": str(home), "TMPDIR": str(temporary), "OMP_NUM_THREADS": "1", "LOCKSTEP_CACHE_DIR": cache}
    root = Path(__file__).parents[3]
    done = subprocess.run([sys.executable, "-c", _CODE], cwd=root, env=env, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert list(home.rglob("*")) == []
    assert list(temporary.rglob("*prophet*")) == []
    forget()
    here = told()
    assert np.isfinite(here).all()
    assert json.loads(done.stdout) == here


def test_settings_of_the_process_are_as_before() -> None:
    before, filters = np.geterr(), list(warnings.filters)
    with pytest.raises(ZeroDivisionError), library("the test", "sklearn.mixture"):
        warnings.warn("nobody hears it", UserWarning, stacklevel=1)
        raise ZeroDivisionError
    assert (np.geterr(), warnings.filters) == (before, filters)


def test_fits_are_kept_by_their_numbers_and_the_oldest_goes() -> None:
    made: list[float] = []

    def mean(x: np.ndarray) -> float:
        made.append(float(x.mean()))
        return made[-1]

    fits = Fits[float]("the test", "sklearn.mixture", most=2)
    a, b = np.arange(4.0), np.arange(4.0)
    assert fits.get(mean, a) == fits.get(mean, b) == 1.5
    assert len(made) == 1
    assert fits.get(mean, a, 7) == 1.5
    fits.get(mean, a + 1)
    assert len(made) == 3
    fits.get(mean, a, 7)
    fits.get(mean, a)
    assert len(made) == 4


@pytest.mark.parametrize(
    ("package", "name"),
    [("prophet", "prophet_trend"), ("hmmlearn", "market_state_hmm"), ("sklearn", "market_state_mixture")],
)
def test_without_its_library_a_factor_says_which_extra_it_needs(
    package: str, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    forget()
    for module in [m for m in sys.modules if m.partition(".")[0] == package]:
        monkeypatch.setitem(sys.modules, module, None)
    monkeypatch.setitem(sys.modules, package, None)
    bars = daily(walk(1400))
    said = rf"^factor {name} needs {package}, which is not installed; install the extra lockstep\[features\]$"
    with pytest.raises(InputError, match=said):
        bars.factor_at(np.array([1399]), name)
    # Names, lookbacks and the list need no library.
    assert factor_lookback(name, bars.interval_ms) > 100
    assert parse_spec(name).params == tuple(get_factor(name).defaults.values())
    listed = CliRunner().invoke(app, ["ls", "--interval", "1d"])
    assert listed.exit_code == 0
    assert f"{name}(" in listed.stdout
    config = LookaheadConfig(points=4, variations=0, intervals=("1d",))
    report = verify_lookahead(["trend_day"], config, series=Series((bars,), "walk"))
    assert report.findings == []


def test_importing_the_factors_and_reading_a_list_is_light() -> None:
    code = (
        "import sys; from toolkit.factors.table import parse_specs, default_specs; "
        "parse_specs('prophet_trend(100, 7), tsfresh(50), market_state_hmm'); default_specs('1h'); "
        "print(sorted({'pandas', 'sklearn', 'tsfresh', 'prophet', 'hmmlearn', 'matplotlib'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"

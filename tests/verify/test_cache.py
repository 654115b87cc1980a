"""An edited kernel changes every caller, in a strategy's package and in the toolkit itself."""

import json
from pathlib import Path

import pytest

from toolkit import kernel_cache
from toolkit.errors import RunError
from toolkit.verify.cache import copy_toolkit, run_python, verify_cache

_ONE_TRADE = """import json
import numpy as np
import toolkit
from toolkit.bars.series import from_arrays
from toolkit.engine import hop
from toolkit.engine.rules import Costs, TradeRules
from toolkit.engine.run import prepare, run
from toolkit.strategy import Signals
one, none = np.full(5, 100.0), np.zeros(5, np.bool_)
bars = from_arrays(60_000 * np.arange(5), one, one, one, one, one, interval="1m")
enter = np.array([True, False, False, False, False])
signals = Signals(enter, none, none, none, np.full(5, np.nan), np.full(5, np.nan))
result = run(prepare(bars, signals, TradeRules(side="long"), Costs(slippage_bps=0.0)), 1000.0)
misses = sum(hop.simulate_leg.stats.cache_misses.values())
print(json.dumps([toolkit.__file__, float(result.trades["entry_price"][0]), misses]))
"""


def test_the_proof_holds() -> None:
    report = verify_cache()
    assert [run.value for run in report.runs] == [1.0, 1.0, 2.0, 1.0]
    assert [run.misses > 0 for run in report.runs] == [True, False, True, False]
    assert report.ok


def test_a_helper_outside_the_strategies_module_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "lab_of_hash"
    (package / "strategies").mkdir(parents=True)
    for file in ("__init__.py", "strategies/__init__.py", "kernels.py"):
        (package / file).write_text("")
    (tmp_path / "single_of_hash.py").write_text("")
    (tmp_path / "beside_of_hash.py").write_text("")
    monkeypatch.syspath_prepend(str(tmp_path))

    def hash_of(*modules: str) -> str:
        return kernel_cache.source_hash(kernel_cache.source_files(modules))

    before, alone = hash_of("lab_of_hash.strategies"), hash_of("single_of_hash")
    (package / "kernels.py").write_text("# edited\n")
    assert hash_of("lab_of_hash.strategies") != before
    assert hash_of("single_of_hash") == alone
    (tmp_path / "beside_of_hash.py").write_text("# edited\n")
    assert hash_of("single_of_hash") != alone
    assert hash_of("no_such_module") == hash_of()


@pytest.mark.slow
def test_an_edited_lifecycle_changes_the_simulation_that_calls_it(tmp_path: Path) -> None:
    copy = copy_toolkit(tmp_path)
    where, price, misses = json.loads(run_python(_ONE_TRADE, tmp_path))
    assert (where, price, misses) == (str(copy / "__init__.py"), 100.0, 1)
    assert json.loads(run_python(_ONE_TRADE, tmp_path))[1:] == [100.0, 0]
    lifecycle = copy / "engine" / "lifecycle.py"
    text = lifecycle.read_text()
    line = "price = bar.open * (1.0 + side * costs.slippage)"
    assert text.count(line) == 1
    lifecycle.write_text(text.replace(line, "price = bar.open * (2.0 + side * costs.slippage)"))
    assert json.loads(run_python(_ONE_TRADE, tmp_path))[1:] == [200.0, 1]


def test_a_process_that_fails_is_said(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"cache proof failed \(ValueError: no\)"):
        run_python("raise ValueError('no')", tmp_path)

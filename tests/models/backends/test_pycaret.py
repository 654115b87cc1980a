"""PyCaret itself, where its environment is installed: compared, tuned, saved, and read again in a fresh process."""

import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from toolkit.models.backends.base import Budget, TrainingSet
from toolkit.models.backends.remote import RemoteBackend, RemoteModel
from toolkit.models.workers.environments import environment, environments_root
from toolkit.models.workers.failure import WorkerError
from toolkit.models.workers.libraries import PYCARET

INSTALLED = environment(PYCARET).state == "ready"

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not INSTALLED, reason="left out: PyCaret has no environment here (toolkit model backends install pycaret)"
    ),
]

READ_AGAIN = """
import sys
import numpy as np
from pathlib import Path
from toolkit.models.backends.remote import remote_backend

if __name__ == "__main__":
    folder = Path(sys.argv[1])
    model = remote_backend("pycaret").load(folder / "bundle")
    x = np.load(folder / "x.npy")
    np.save(folder / "again.npy", model.predict(x))
    np.save(folder / "alone.npy", np.concatenate([model.predict(x[k : k + 1]) for k in range(0, len(x), 50)]))
    heavy = {"polars", "duckdb", "pandas", "sklearn", "pyarrow", "pycaret"} & set(sys.modules)
    assert not heavy, heavy
"""


def pattern(rows: int = 600, columns: int = 6) -> TrainingSet:
    draw = np.random.default_rng(11)
    x = draw.normal(size=(rows, columns))
    y = (x[:, 0] * x[:, 1] + 0.3 * draw.normal(size=rows) > 0).astype(np.float64)
    return TrainingSet(
        tuple(f"1d:natr({k})" for k in range(columns)), x, y, draw.uniform(0.5, 1.5, rows)
    )  # fmt: skip


@pytest.fixture(scope="module")
def model() -> RemoteModel:
    settings = {"models": ["lr", "rf", "lightgbm"], "folds": 3, "gap_rows": 5}
    return RemoteBackend(PYCARET).fit(pattern(), Budget(seed=4, max_trials=2, max_secs=300.0), settings)


def test_it_finds_what_a_line_cannot(model: RemoteModel) -> None:
    board = model.describe()["leaderboard"]
    assert {row["model"] for row in board} >= {"lr", "rf", "lightgbm"}
    assert board[-1]["model"] == "lr"
    assert board[0]["score"] > 0.8 > board[-1]["score"]
    assert [row["rank"] for row in board] == list(range(1, len(board) + 1))
    assert board[0]["model"] == model.describe()["chosen"]["model"]
    assert model.describe()["chosen"]["weighted"] is True


def test_it_is_the_same_when_read_in_a_fresh_process(model: RemoteModel, tmp_path: Path) -> None:
    x = np.concatenate([pattern().x, np.random.default_rng(1).normal(size=(400, 6)) * 9])
    np.save(tmp_path / "x.npy", x)
    (tmp_path / "bundle").mkdir()
    model.save(tmp_path / "bundle")
    command = [sys.executable, "-c", READ_AGAIN, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    before = model.predict(x)
    assert np.array_equal(np.load(tmp_path / "again.npy"), before)
    assert np.array_equal(np.load(tmp_path / "alone.npy"), before[::50])


def test_equal_seeds_are_equal_files(model: RemoteModel) -> None:
    used = {name: model.describe()["settings"][name] for name in ("models", "folds", "gap_rows")}
    again = RemoteBackend(PYCARET).fit(pattern(), Budget(seed=4, max_trials=2, jobs=4), used)
    assert again.describe() == model.describe()


def test_a_model_in_a_line_is_asked_row_by_row_and_the_score_by_log_loss_is_negative() -> None:
    asked = {"models": ["lr", "lda"], "metric": "log_loss", "trials": 0, "folds": 2}
    model = RemoteBackend(PYCARET).fit(pattern(), Budget(), asked)
    x = pattern().x
    assert np.array_equal(model.predict(x)[:40], np.concatenate([model.predict(x[k : k + 1]) for k in range(40)]))
    assert all(row["score"] < 0 for row in model.describe()["leaderboard"])


def test_too_few_rows_is_a_sentence() -> None:
    few = pattern(rows=8)
    with pytest.raises(WorkerError, match="8 rows are too few for two folds in order of time with both classes"):
        RemoteBackend(PYCARET).fit(TrainingSet(few.features, few.x, np.repeat([0.0, 1.0], 4), few.weight), Budget(), {})


@pytest.mark.skipif(shutil.which("strace") is None, reason="left out: there is no strace here")
def test_nothing_leaves_the_machine(tmp_path: Path) -> None:
    code = (
        "from tests.models.backends.test_pycaret import pattern\n"
        "from toolkit.models.backends.base import Budget\n"
        "from toolkit.models.backends.remote import remote_backend\n"
        "remote_backend('pycaret').fit(pattern(200), Budget(max_trials=0), {'models': ['lightgbm'], 'folds': 2})\n"
    )
    traced = tmp_path / "calls"
    command = ["strace", "-f", "-e", "trace=socket,connect", "-o", str(traced), sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, cwd=Path(__file__).parents[3])
    assert done.returncode == 0, done.stderr
    assert environments_root().is_dir()
    assert [line for line in traced.read_text().splitlines() if "AF_INET" in line] == []

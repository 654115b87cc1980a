"""Every notebook runs from its first cell to its last, and says the same as the `.py` file it is paired with."""

from pathlib import Path

import jupytext
import nbformat
import pytest
from nbclient import NotebookClient

FOLDER = Path(__file__).parents[2] / "notebooks"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))
# A factor, a backtest, a heat map and two of vectorbt's own; equity, weights over time and correlations.
PICTURES = {"first_sweep": 5, "portfolio": 3}


def cells(notebook: nbformat.NotebookNode) -> list[tuple[str, str]]:
    return [(cell.cell_type, cell.source) for cell in notebook.cells]


def test_there_are_notebooks() -> None:
    assert [p.stem for p in NOTEBOOKS] == [p.stem for p in sorted(FOLDER.glob("*.py"))] != []


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_notebook_equals_its_paired_script(path: Path) -> None:
    assert cells(nbformat.read(path, as_version=4)) == cells(jupytext.read(path.with_suffix(".py")))


@pytest.mark.filterwarnings("default")  # what a library warns of inside a notebook's own process is not ours
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_notebook_runs(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOCKSTEP_DATA", str(tmp_path))
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    notebook = nbformat.read(path, as_version=4)
    NotebookClient(
        notebook, timeout=300, kernel_name="python3", resources={"metadata": {"path": str(FOLDER)}}
    ).execute()
    shown = [o for c in notebook.cells if c.cell_type == "code" for o in c.outputs]
    assert not [o for o in shown if o.output_type == "error"]
    assert sum("application/vnd.plotly.v1+json" in o.get("data", {}) for o in shown) == PICTURES[path.stem]

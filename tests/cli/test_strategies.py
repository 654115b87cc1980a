import ast
import importlib
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner, Result

import toolkit.strategy
from tests.strategies.cases import bars_of
from toolkit.cli.strategies import app
from toolkit.errors import InputError, UnknownNameError
from toolkit.strategy import Strategy, broken_strategies, get_strategy, load_strategies

FIVE = {
    "open_range_breakout",
    "volatility_breakout",
    "trend_day",
    "reversal_breakout",
    "support_resistance_breakout",
}


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, list(arguments))


def refused(*arguments: str) -> InputError:
    error = run(*arguments).exception
    assert isinstance(error, InputError)
    assert "\n" not in str(error)
    return error


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty strategies package of its own name, named in the pyproject.toml of the working directory."""
    package = f"lab_{tmp_path.name.replace('-', '_')}"
    folder = tmp_path / package
    folder.mkdir()
    (folder / "__init__.py").touch()
    (tmp_path / "pyproject.toml").write_text(f'[tool.lockstep]\nstrategies = ["{package}"]\n')
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LOCKSTEP_CACHE_DIR", str(tmp_path / "kernels"))
    monkeypatch.setattr(sys, "path", list(sys.path))
    # Each command is a process of its own: what one test loads must not be known in the next.
    monkeypatch.setattr(toolkit.strategy, "_BROKEN", {})
    monkeypatch.setattr(toolkit.strategy, "_REGISTRY", {})
    return folder


def load_afresh() -> dict[str, Strategy]:
    """The registry as another process would see it."""
    importlib.invalidate_caches()
    toolkit.strategy._BROKEN.clear()
    return load_strategies()


def test_list_names_the_five_with_parameters_intervals_and_lookback() -> None:
    result = run()
    assert result.exit_code == 0
    for name, strategy in load_strategies().items():
        if name in FIVE:
            assert f"\n{name}\n  {strategy.doc.splitlines()[0]}\n" in "\n" + result.stdout
    assert "range_minutes=60" in result.stdout
    assert "1m, 3m, 5m, 15m" in result.stdout


def test_json_list_is_only_json_and_says_defaults_and_types() -> None:
    listed = {one["name"]: one for one in json.loads(run("--json").stdout)}
    assert set(listed) >= FIVE
    params = listed["volatility_breakout"]["params"]
    assert {"name": "window", "type": "int", "default": 100} in params
    assert {"name": "stop_atr", "type": "float", "default": 2.0} in params
    assert set(listed["open_range_breakout"]["lookback"]) == {"1d"}
    assert set(listed["volatility_breakout"]["lookback"]) == {"signal"}


@pytest.mark.parametrize("order", [("show", "trend_day", "--json"), ("--json", "show", "trend_day")])
def test_show_as_json(order: tuple[str, ...]) -> None:
    shown = json.loads(run(*order).stdout)
    assert shown["name"] == "trend_day"
    assert "Loses on" in shown["doc"]
    assert Path(shown["file"]).name == "trend_day.py"


def test_show_prints_the_whole_text_and_the_file() -> None:
    shown = run("show", "reversal_breakout").stdout
    assert "Makes money when" in shown
    assert "stretch=" in shown
    assert shown.rstrip().endswith("reversal_breakout.py")


def test_show_unknown_says_what_is_near() -> None:
    error = refused("show", "trendday")
    assert isinstance(error, UnknownNameError)
    assert "did you mean 'trend_day'" in str(error)


def test_unknown_module_is_refused() -> None:
    assert "no_such_package" in str(refused("--strategies", "no_such_package"))


def test_new_writes_a_strategy_that_loads_lists_and_shows(lab: Path) -> None:
    result = run("new", "my_idea")
    assert result.exit_code == 0
    assert result.stdout.splitlines()[0] == str(lab / "my_idea.py")
    assert [f.name for f in lab.glob("my_idea*")] == ["my_idea.py"]
    made = load_afresh()["my_idea"]
    assert made.source_file == lab / "my_idea.py"
    assert set(made.intervals) >= {"1m", "3m", "5m", "15m", "1h"}
    assert json.loads(run("show", "my_idea", "--json").stdout)["lookback"]["signal"] > 50


def test_the_template_trades_both_sides_and_its_lookback_suffices(lab: Path) -> None:
    run("new", "fresh_idea")
    made, bars = load_afresh()["fresh_idea"], bars_of("15m")
    p = made.params()
    whole = made.signals(bars, p)
    assert whole.enter_long.any()
    assert whole.enter_short.any()
    entered = np.flatnonzero(whole.enter_long | whole.enter_short)
    assert (whole.stop_distance[entered] > 0).all()
    for t in entered[:20]:
        cut = made.signals(bars.window(made.lookback_start(bars, t, p), int(bars.close_ts[t])), p)
        assert all(np.array_equal(a[t], b[-1], equal_nan=True) for a, b in zip(whole, cut, strict=True))


def test_new_as_json_and_into_a_named_package(lab: Path) -> None:
    other = lab.parent / f"{lab.name}_other"
    other.mkdir()
    (other / "__init__.py").touch()
    made = json.loads(run("new", "other_idea", "--strategies", other.name, "--json").stdout)
    assert made == {"name": "other_idea", "file": str(other / "other_idea.py")}
    assert not (lab / "other_idea.py").exists()


def test_new_leaves_an_existing_file_alone(lab: Path) -> None:
    (lab / "mine.py").write_text("KEPT = 1\n")
    assert "exists" in str(refused("new", "mine"))
    assert (lab / "mine.py").read_text() == "KEPT = 1\n"


def test_new_refuses_the_name_of_a_strategy_in_another_file(lab: Path) -> None:
    run("new", "first_idea")
    (lab / "first_idea.py").rename(lab / "renamed.py")
    load_afresh()
    assert "taken by" in str(refused("new", "first_idea"))
    assert not (lab / "first_idea.py").exists()


@pytest.mark.parametrize("name", ["", "2fast", "my-idea", "My_Idea", "_hidden", "class", "a/b", "../up", "naïve"])
def test_new_refuses_what_is_not_a_name(lab: Path, name: str) -> None:
    assert "lower-case Python identifier" in str(refused("new", name))
    assert [f.name for f in lab.parent.rglob("*.py")] == ["__init__.py"]


def test_new_refuses_a_package_that_is_not_there(lab: Path) -> None:
    assert "gone.strategies" in str(refused("new", "my_idea", "--strategies", "gone.strategies"))


def test_template_is_tidy_code() -> None:
    template = Path(__file__).parents[2] / "toolkit" / "cli" / "strategy_template.py.txt"
    text = template.read_text().replace("STRATEGY_NAME", "my_idea")
    ast.parse(text)
    for command in (["check", "--stdin-filename", "my_idea.py", "-"], ["format", "--check", "-"]):
        done = subprocess.run(
            [sys.executable, "-m", "ruff", *command], input=text, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr


BROKEN = {
    "raises": ("1 / 0\n", "raised ZeroDivisionError: division by zero (raises.py:1)"),
    "half_written": ("def f(:\n", "raised SyntaxError: "),
    "stops": ("raise SystemExit('bye')\n", "raised SystemExit: bye (stops.py:1)"),
    "lacks": ("import no_such_library\n", "needs 'no_such_library', which is not installed"),
}


@pytest.mark.parametrize("broken", BROKEN)
def test_a_broken_file_leaves_the_others_at_work(lab: Path, broken: str) -> None:
    text, said = BROKEN[broken]
    run("new", "good_idea")
    (lab / f"{broken}.py").write_text(text)
    load_afresh()
    listed = run("--json")
    assert listed.exit_code == 0
    assert [one["name"] for one in json.loads(listed.stdout)] == ["good_idea"]
    (line,) = listed.stderr.splitlines()
    assert f"{lab.name}.{broken}" in line
    assert said in line
    assert run("show", "good_idea").exit_code == 0
    assert list(broken_strategies()) == [f"{lab.name}.{broken}"]
    error = refused("show", broken)
    assert isinstance(error, UnknownNameError)
    assert said in str(error)


def test_a_strategy_of_a_file_that_breaks_after_it_is_not_there_and_a_mended_file_is(lab: Path) -> None:
    run("new", "late_idea")
    file = lab / "late_idea.py"
    whole = file.read_text()
    file.write_text(whole + "\nraise ValueError('two\\nlines')\n")
    assert load_afresh() == {}
    assert "ValueError: two lines (late_idea.py:" in str(refused("show", "late_idea"))
    assert run().stdout == ""
    file.write_text(whole + "\n# mended, and of another length than the broken one\n")
    assert set(load_strategies()) == {"late_idea"}
    assert broken_strategies() == {}


def test_a_package_that_breaks_is_named_too(lab: Path) -> None:
    (lab / "__init__.py").write_text("import no_such_library\n")
    result = run()
    assert (result.exit_code, result.stdout) == (0, "")
    assert "no_such_library" in result.stderr


def test_one_name_in_two_files_is_refused_whichever_came_first(lab: Path) -> None:
    run("new", "my_idea")
    (lab / "the_copy.py").write_text((lab / "my_idea.py").read_text())
    load_afresh()
    assert "'my_idea' is taken by" in run().stderr
    assert f"rename the one in {lab / 'the_copy.py'}" in str(refused("show", "my_idea"))


def test_a_notebook_sees_a_strategy_made_after_it_loaded_the_others(lab: Path) -> None:
    with pytest.raises(UnknownNameError, match="unknown strategy 'later_idea'"):
        get_strategy("later_idea")
    assert run("new", "later_idea").exit_code == 0
    assert get_strategy("later_idea").source_file == lab / "later_idea.py"
    assert "later_idea" in load_strategies()


def test_parameters_of_several_types_and_without_json_numbers_are_listed(lab: Path) -> None:
    run("new", "loose_idea")
    file = lab / "loose_idea.py"
    text = file.read_text()
    head = "class Params(NamedTuple):\n"
    assert head in text
    file.write_text(text.replace(head, head + "    maybe: int | None = None\n    most: float = float('inf')\n"))
    load_afresh()
    (listed,) = json.loads(run("--json").stdout, parse_constant=pytest.fail)
    assert listed["params"][:2] == [
        {"name": "maybe", "type": "int | None", "default": None},
        {"name": "most", "type": "float", "default": None},
    ]
    assert "maybe=None, most=inf" in run("show", "loose_idea").stdout

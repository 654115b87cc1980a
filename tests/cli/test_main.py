import subprocess
import sys

import pytest

from toolkit.cli import main


@pytest.mark.parametrize(
    ("package", "extra"), [("polars", "research"), ("duckdb", "research"), ("ccxt", "live"), ("fastapi", "models")]
)
def test_a_command_without_its_extra_says_which(
    package: str, extra: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def missing() -> None:
        raise ModuleNotFoundError(f"No module named {package!r}", name=package)

    monkeypatch.setattr(main, "app", missing)
    with pytest.raises(SystemExit) as stopped:
        main.main()
    assert stopped.value.code == 2
    assert capsys.readouterr().err == f"error: this command needs {package}; install the extra lockstep[{extra}]\n"


def test_a_missing_module_that_is_not_an_extra_is_a_bug_and_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing() -> None:
        raise ModuleNotFoundError("No module named 'numpy'", name="numpy")

    monkeypatch.setattr(main, "app", missing)
    with pytest.raises(ModuleNotFoundError):
        main.main()


def test_the_commands_are_those_of_the_environment() -> None:
    done = subprocess.run([sys.executable, "-c", "from toolkit.cli.main import main; main()", "--help"],
                          capture_output=True, text=True, check=True)  # fmt: skip
    assert "Start with: toolkit" in done.stdout

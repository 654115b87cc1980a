"""What docs/ say of the daemon is what there is: keys, defaults, commands, metrics, the unit of systemd."""

import re
import shlex
import shutil
import subprocess
import tomllib
from dataclasses import MISSING, fields
from pathlib import Path
from typing import Any

import click
import pytest
from typer.main import get_command

from executor.cli.main import app
from executor.config import ExecutorConfig, load_config
from executor.live_config import LiveConfig
from executor.metrics import Metrics

ROOT = Path(__file__).parents[3]
DOCS = ROOT / "docs"
PAGE = (DOCS / "executor.md").read_text()
LIVE = (DOCS / "live.md").read_text()
UNIT = DOCS / "executor.service"


def commands() -> list[str]:
    """Every `executor ...` line in a fenced block, and in the run of a text."""
    found = []
    for page in (ROOT / "README.md", *sorted(DOCS.glob("*.md"))):
        text = page.read_text()
        blocks = re.findall(r"^```\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
        inline = re.findall(r"`(executor [^`|]+)`", re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL))
        found += [line for block in blocks for line in block.splitlines()] + inline
    return list(dict.fromkeys(line.partition("#")[0].strip() for line in found if line.startswith("executor ")))


@pytest.mark.parametrize("line", commands())
def test_a_command_of_the_documentation_is_there_with_its_options(line: str) -> None:
    words = shlex.split(line)[1:]
    group: Any = get_command(app)
    assert words[0] in group.commands
    command = group.commands[words[0]]
    options = {o for p in command.get_params(click.Context(command)) for o in [*p.opts, *p.secondary_opts]}
    assert {word.split("=")[0] for word in words if word.startswith("-")} <= options


@pytest.mark.parametrize(("page", "kind"), [(PAGE, ExecutorConfig), (LIVE, LiveConfig)])
def test_every_key_and_its_default_is_in_the_table_and_no_other(page: str, kind: Any) -> None:
    part = page.split("\n## Configuration\n")[1].split("\n## ")[0]
    documented = dict(re.findall(r"^\| `(\w+)` \| (.+?) \|", part, re.MULTILINE))
    assert list(documented) == [f.name for f in fields(kind)]
    for field in fields(kind):
        if field.default is MISSING or field.default in (None, "", ()):
            continue
        said: Any = tomllib.loads(f"x = {documented[field.name].strip('`')}")["x"]
        assert said == field.default, field.name


def test_the_example_of_a_live_session_is_a_configuration(tmp_path: Path) -> None:
    (example,) = re.findall(r"^```toml\n(.*?)^```$", LIVE, re.MULTILINE | re.DOTALL)
    (tmp_path / "executor.toml").write_text(example)
    config = load_config(tmp_path / "executor.toml", mode="live")
    assert (config.venue, config.venue_symbol("BTC/USDT")) == ("gate", "BTC/USDT:USDT")
    assert config.live.max_orders_a_day == 200


def test_the_example_is_a_configuration(tmp_path: Path) -> None:
    (example,) = re.findall(r"^```toml\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    (tmp_path / "executor.toml").write_text(example)
    config = load_config(tmp_path / "executor.toml")
    assert config.notify_urls and config.exchange_options["httpsProxy"]


def test_every_metric_that_is_named_is_there() -> None:
    rendered = Metrics().render().decode()
    named = set(re.findall(r"`(lockstep_\w+)`", PAGE + LIVE))
    assert named and all(f"# TYPE {name} " in rendered for name in named)


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="there is no systemd here")
def test_systemd_takes_the_unit(tmp_path: Path) -> None:
    # The project is not installed where the unit expects it.
    unit = tmp_path / "lockstep.service"
    unit.write_text(re.sub(r"^ExecStart=\S+", "ExecStart=/bin/sh", UNIT.read_text(), flags=re.MULTILINE))
    done = subprocess.run(["systemd-analyze", "verify", str(unit)], capture_output=True, text=True)
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


def test_the_unit_starts_what_there_is_and_is_hardened() -> None:
    settings = dict(re.findall(r"^(\w+)=(.*)$", UNIT.read_text(), re.MULTILINE))
    words = shlex.split(settings["ExecStart"])
    options = {o for p in get_command(app).commands["run"].params for o in p.opts}  # type: ignore[attr-defined]
    assert words[1] == "run" and {word for word in words if word.startswith("--")} <= options
    wanted = {"NoNewPrivileges": "yes", "ProtectSystem": "strict", "Restart": "always", "KillMode": "mixed"}
    assert wanted.items() <= settings.items()
    # Compiled code needs memory that is written and then runs.
    assert "MemoryDenyWriteExecute" not in settings and "MemoryMax" in settings

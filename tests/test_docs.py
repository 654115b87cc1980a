"""What the README and docs/ say of commands, limits, reasons and files is what there is."""

import json
import re
import shlex
import tomllib
from dataclasses import fields
from pathlib import Path
from typing import Any

import click
import pytest
from typer.main import get_command

from toolkit.cli.main import app
from toolkit.engine.sizing import REASONS
from toolkit.portfolio.limits import Instrument, Limits, instruments_from, limits_from
from toolkit.portfolio.record_figures import FIGURES
from toolkit.portfolio.trades_file import NEEDED, PRICED
from toolkit.portfolio.weights import METHODS

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
PORTFOLIO = (ROOT / "docs" / "portfolio.md").read_text()
NAME = r"`([A-Za-z0-9_.]+)`"


def blocks(text: str, language: str = "") -> list[str]:
    """Fenced blocks of a language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


def commands() -> list[str]:
    """Every `toolkit ...` line in a fenced block without a language, and in the run of a text."""
    found = []
    for page in PAGES:
        text = page.read_text()
        lines = [line for block in blocks(text) for line in block.splitlines()]
        inline = re.findall(r"`(toolkit [^`|]+)`", re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL))
        found += [line for line in [*lines, *inline] if line.startswith("toolkit ")]
    return list(dict.fromkeys(line.partition("#")[0].strip() for line in found))


@pytest.mark.parametrize("line", commands())
def test_a_command_of_the_documentation_is_there_with_its_options(line: str) -> None:
    words = shlex.split(line, comments=True)[1:]
    command: Any = get_command(app)
    context = click.Context(command)
    while words and getattr(command, "commands", {}) and words[0] in command.commands:
        command = command.commands[words.pop(0)]
    assert not (getattr(command, "commands", {}) and words), f"no command {words[0]!r}"
    options = {o for p in command.get_params(context) for o in [*p.opts, *p.secondary_opts]}
    for word in words:
        if word.startswith("-"):
            assert word.split("=")[0] in options, f"{word} is no option of it"


def test_every_reason_is_documented_with_its_text() -> None:
    documented = dict(re.findall(r"^\| `(\w+)` \| (.+) \|$", PORTFOLIO.split("| reason | ")[1], re.MULTILINE))
    for reason, text in REASONS.items():
        assert documented[reason.name.lower()] == text


def test_every_limit_and_instrument_rule_is_documented() -> None:
    part = PORTFOLIO.split("\n## Limits\n")[1].split("\n## ")[0]
    named = set(re.findall(NAME, part))
    assert {f.name for f in fields(Limits)} <= named
    assert {f.name for f in fields(Instrument)} <= named


def test_the_limits_of_the_example_are_valid() -> None:
    (example,) = (tomllib.loads(block) for block in blocks(PORTFOLIO, "toml") if "[limits]" in block)
    assert limits_from(example["limits"]).sizing == "risk"
    assert set(instruments_from(example["instruments"])) == {"BTC/USDT"}


def test_every_weight_method_and_figure_of_a_rule_is_named() -> None:
    assert set(METHODS) <= set(re.findall(NAME, PORTFOLIO.split("\n## Weights\n")[1].split("\n## ")[0]))
    assert set(FIGURES) <= set(re.findall(NAME, PORTFOLIO.split("\n## Selection over time\n")[1].split("\n## ")[0]))


def test_every_column_that_trades_need_is_documented() -> None:
    part = PORTFOLIO.split("\n## trades.csv made elsewhere\n")[1].split("\n## ")[0]
    assert {*NEEDED, *PRICED, "pnl"} <= set(re.findall(NAME, part))


def test_every_key_of_a_deployment_is_documented() -> None:
    schema = json.loads((ROOT / "toolkit" / "portfolio" / "deployment.schema.json").read_text())
    part = PORTFOLIO.split("\n## deployment.json\n")[1].split("\n## ")[0]
    named = set(re.findall(NAME, part))
    assert set(schema["required"]) <= named
    assert set(schema["$defs"]["instance"]["required"]) <= named
    assert schema["properties"]["schema"]["const"] in part

"""A deployment whose entries models judge: the executor, bar by bar, says and trades what the backtest does."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

import toolkit as tk
from executor.deployments.models import load_version
from executor.engine.export import export
from executor.engine.recheck import recheck
from executor.ledger import Ledger
from executor.replay import run_replay
from tests.models.stored_case import make_data, members
from toolkit.bars.moments import to_ms
from toolkit.cli.main import app
from toolkit.models.store import find_model, list_models
from toolkit.portfolio.deployment import Deployment, Source, read_deployment, write_deployment
from toolkit.portfolio.limits import Limits
from toolkit.portfolio.members import Member
from toolkit.verify.parity_report import ParityReport

START, END = "2023-02-01", "2023-02-09"
NAMES = ("volatility_breakout", "reversal_breakout")


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Forty days in a store, and models of thirty of them: one vetoes, one sizes."""
    with pytest.MonkeyPatch.context() as patch:
        folder = make_data(tmp_path_factory.mktemp("judged"))
        patch.setenv("LOCKSTEP_DATA", str(folder))
        few = (folder / "few.toml").read_text()
        for name, method in zip(NAMES, ("veto", "kelly"), strict=True):
            recipe = folder / f"{name}.toml"
            # Thresholds are chosen high where nothing is to be found; here something is to be traded.
            options = "threshold = 0.42" if method == "veto" else "fraction = 1.0"
            kind = "lightgbm" if method == "veto" else "logistic"
            recipe.write_text(f'backend = "{kind}"\nmethod = "{method}"\noptions = {{ {options} }}\n{few}')
            train(folder, name, recipe, START)
        write_deployment(folder / "plain.json", deployment())
        done("model", "use", folder / "plain.json", *NAMES, "--out", folder / "judged.json")
        yield folder


def done(*args: Any) -> str:
    found = CliRunner().invoke(app, [str(one) for one in args])
    assert found.exit_code == 0, found.output
    return found.stdout


def train(folder: Path, name: str, recipe: Path, end: str) -> None:
    done(
        "model", "train", folder / "members.toml", "--strategies", name, "--recipe", recipe, "--end", end, "--no-prove",
        "--jobs", 1,
    )  # fmt: skip


def deployment() -> Deployment:
    found = tuple(
        Member(m.strategy, m.symbol, m.interval, m.params, m.rules, m.costs, "synthetic", "1m") for m in members()
    )
    weights = {one.instance.id: 1.0 / len(found) for one in found}
    return Deployment(
        found, weights, Limits(exposure=2.0, max_gross=0.9, max_open=3), 10_000.0, to_ms(START, "from"),
        Source(None, to_ms("2023-01-01", "begin"), to_ms(START, "end"), 1),
    )  # fmt: skip


def compared(a: Any, b: Any) -> ParityReport:
    report = tk.parity(str(a), str(b))
    assert isinstance(report, ParityReport)
    return report


def counted(report: ParityReport) -> dict[str, int]:
    assert all(one.different == 0 for one in report.counts), str(report)
    return {one.kind: one.a for one in report.counts}


def test_a_replay_with_models_is_the_backtest_bit_for_bit(home: Path) -> None:
    result = tk.portfolio_backtest(home / "judged.json", start=START, end=END)
    backtest = result.save()
    ledger = home / "judged.sqlite"
    stopped = run_replay(str(home / "judged.json"), (START, END), ledger, stop_after=3_001)
    assert not stopped.finished
    run_replay(str(home / "judged.json"), (START, END), ledger)
    replay = export(ledger)
    report = compared(backtest, replay)
    assert report.certified, str(report)
    counts = counted(report)
    assert min(counts[name] for name in ("signals", "trades", "orders", "accepted", "vetoed")) > 3, counts
    # What was said is in the record, to the bit, with the version that said so.
    with Ledger.open(ledger, readonly=True) as book:
        said = book.rows("SELECT prediction, scale, model_version, decision FROM signals")
    assert all(row["model_version"].partition("@")[0] in NAMES and 0 <= row["prediction"] <= 1 for row in said)
    assert len({row["scale"] for row in said if row["decision"] == "accepted"}) > 1
    assert compared(replay, recheck(ledger)).certified
    # Without the models it is another session.
    plain = tk.portfolio_backtest(home / "plain.json", start=START, end=END).save()
    assert not compared(plain, replay).certified


def test_a_newer_version_is_taken_up_between_two_bars_and_rechecked(home: Path) -> None:
    name = NAMES[0]
    train(home, name, home / f"{name}.toml", "2023-02-03")
    versions = [info.version for info in list_models(name=name)]
    assert len(versions) == 2
    ledger = home / "taken_up.sqlite"
    run_replay(str(home / "judged.json"), (START, END), ledger, stop_after=2_000)
    with Ledger.open(ledger) as book:
        load_version(book, name)
    run_replay(str(home / "judged.json"), (START, END), ledger)
    with Ledger.open(ledger, readonly=True) as book:
        rows = book.rows("SELECT ts_ms, model_version FROM signals WHERE strategy = ? ORDER BY ts_ms", (name,))
    by_version = [row["model_version"].partition("@")[2] for row in rows]
    assert list(dict.fromkeys(by_version)) == versions
    assert by_version == sorted(by_version, key=versions.index)
    replay = export(ledger)
    report = compared(replay, recheck(ledger))
    assert report.certified, str(report)
    assert counted(report)["vetoed"] > 3


def test_a_model_that_cannot_be_read_is_a_veto_with_its_reason(home: Path, tmp_path: Path) -> None:
    ledger = home / "unreadable.sqlite"
    run_replay(str(home / "judged.json"), (START, END), ledger, stop_after=1_500)
    # The version that the deployment names, which need not be the newest in the registry.
    named = {one.name: one.version for one in read_deployment(home / "judged.json").models}
    broken = find_model(f"{NAMES[0]}@{named[NAMES[0]]}") / "model" / "model.txt"
    text = broken.read_text()
    try:
        broken.write_text(text + " ")
        run_replay(str(home / "judged.json"), (START, END), ledger, stop_after=2_500)
        with Ledger.open(ledger, readonly=True) as book:
            found = book.rows(
                "SELECT decision, prediction FROM signals WHERE strategy = ? AND reason = 28", (NAMES[0],)
            )
            notices = book.rows("SELECT text FROM notices WHERE kind = 'model'")
        assert len(found) >= 1 and {row["decision"] for row in found} == {"vetoed"}
        assert "gave no answer" in notices[0]["text"] and "model.txt" in notices[0]["text"]
    finally:
        broken.write_text(text)
    run_replay(str(home / "judged.json"), (START, END), ledger)
    assert compared(export(ledger), recheck(ledger)).certified


def test_a_deployment_that_names_models_says_so_and_keeps_its_checksum(home: Path) -> None:
    judged = read_deployment(home / "judged.json")
    assert sorted(one.name for one in judged.models) == sorted(NAMES)
    assert {name for one in judged.models for name in one.instances} == set(judged.weights)
    assert "models" not in json.loads((home / "plain.json").read_text())

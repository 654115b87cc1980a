"""Models that the engine asks bar by bar say what they say of whole histories; what does not answer is a veto."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from executor.deployments.judges import Judge
from executor.deployments.models import load_models, load_version
from executor.engine.asking import Asked, InProcess, Opinion, over_http
from executor.engine.model import DeployedModels
from executor.engine.recheck import backtest_of
from executor.ledger import Ledger
from tests.executor.engine.account_replay import events_of, plan_of
from tests.executor.engine.judged import NAME, judged_ledger, kept, table_of, trained_on, warmed_engine
from tests.executor.engine.test_recheck import unjudged
from tests.executor.engine.test_replay import assert_same
from tests.models.serve.false_server import false_server
from tests.models.serve.started import run_server
from tests.portfolio.account_cases import AccountCase, compiled_run, loaded
from toolkit.engine.sizing import Reason
from toolkit.errors import InputError
from toolkit.models.client import ModelClient
from toolkit.models.judging import Version, judge
from toolkit.types import FloatArray

SEEDS = range(7_300_000, 7_300_012)


@pytest.fixture(autouse=True)
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("LOCKSTEP_DATA", str(tmp_path))
    return tmp_path


def likely(case: AccountCase) -> AccountCase:
    """Every other seed decides entries of one moment by likelihood, and some size by it."""
    return replace(case, limits=replace(case.limits, entry_order="prediction"))


@pytest.mark.xdist_group("engine")
@pytest.mark.parametrize(("kind", "method"), [("lightgbm", "veto"), ("logistic", "kelly")])
def test_an_account_with_a_model_in_the_loop_is_its_backtest(kind: str, method: str, data: Path) -> None:
    seen = {"vetoed": 0, "scaled": 0, "trades": 0}
    for number, seed in enumerate(SEEDS):
        case = likely(unjudged(seed)) if number % 2 else unjudged(seed)
        members = loaded(case)
        trained = trained_on(members, kind, method, seed=number)
        ids = [e.id for k, e in enumerate(case.entrants) if k % 4 != 3]
        with judged_ledger(case, data / f"{seed}.sqlite", kept(trained, data), ids) as ledger:
            engine = warmed_engine(case, ledger)
            for k, event in enumerate(events_of(case)):
                if k % 97 == 96:
                    engine = warmed_engine(case, ledger)
                engine.on_event(event)
            version = Version("small", 0, trained)
            said = {one.instance.id: judge(one, [version]) for one in members if one.instance.id in ids}
            run = compiled_run(case, judged=said)
            seen["trades"] += assert_same(run, ledger, case)["closed trades"]
            rows = ledger.rows("SELECT instance, decision, scale, model_version FROM signals")
            seen["vetoed"] += sum(row["decision"] == "vetoed" for row in rows)
            seen["scaled"] += sum(0 < row["scale"] < 1 for row in rows)
            assert all((row["model_version"] is not None) == (row["instance"] in ids) for row in rows)
            assert ledger.value("SELECT count(*) FROM notices WHERE kind = 'model'") == 0
    assert seen["trades"] > 50 and seen["vetoed" if method == "veto" else "scaled"] > 20, seen


class Moody:
    """A model that sometimes gives no answer, sometimes raises, and sometimes the answer."""

    def __init__(self, judged: Judge, rng: np.random.Generator) -> None:
        self.inner, self.rng = InProcess(judged), rng
        self.features = self.inner.features

    def ask(self, x: FloatArray, secs: float | None) -> Opinion | str:
        mood = self.rng.random()
        if mood < 0.2:
            return "it is tired"
        if mood < 0.4:
            raise RuntimeError("it fell over")
        return self.inner.ask(x, secs)


@pytest.mark.xdist_group("engine")
def test_versions_that_change_and_models_that_fail_are_in_the_record(data: Path) -> None:
    """Unanswered entries, a newer version, a deployment without the model and one with it again: all rechecked."""
    counts = dict.fromkeys(("unanswered", "first", "second", "nobody", "trades"), 0)
    for seed in SEEDS:
        case, rng = unjudged(seed), np.random.default_rng(seed)
        members, ids = loaded(case), [e.id for e in case.entrants]
        first, second = (kept(trained_on(members, "lightgbm", "veto", seed=k), data) for k in (1, 2))
        with judged_ledger(case, data / f"{seed}.sqlite", first, ids) as ledger:
            events = events_of(case)
            plan, n = plan_of(case), len(events)

            def open_model(judged: Judge, rng: np.random.Generator = rng) -> Asked:
                return Moody(judged, rng)

            engine = warmed_engine(case, ledger, DeployedModels(ledger, open_model))
            for k, event in enumerate(events):
                if k == n // 4:
                    load_version(ledger, second)
                    assert engine.apply_commands() is False
                if k == n // 2:
                    load_models(ledger, table_of(case, None, ()), "", event.moment_ms + 1)
                if k == 3 * n // 4:
                    load_models(ledger, table_of(case, first, ids), "", event.moment_ms)
                engine.on_event(event)
            run, said = backtest_of(ledger, lambda _, __, plan=plan: plan)
            counts["trades"] += assert_same(run, ledger, case)["closed trades"]
            assert said.versions == (f"{NAME}@{first.name}", f"{NAME}@{second.name}")
            moments = [r[0] for r in ledger.rows("SELECT effective_ms FROM model_versions ORDER BY id")]
            starts = [0, *(events[k].moment_ms for k in (n // 4, n // 2 + 1, 3 * n // 4))]
            assert moments == starts
            for row in ledger.rows("SELECT * FROM signals"):
                period = int(np.searchsorted(starts, row["ts_ms"], side="right")) - 1
                named = (first.name, second.name, None, first.name)[period]
                assert row["model_version"] == (None if named is None else f"{NAME}@{named}")
                counts["unanswered"] += row["reason"] == Reason.UNANSWERED
                counts[("first", "second", "nobody", "first")[period]] += 1
                if row["reason"] == Reason.UNANSWERED:
                    assert (row["decision"], row["prediction"], row["scale"]) == ("vetoed", None, 0.0)
    assert min(counts.values()) > 20, counts


def test_what_does_not_answer_in_time_costs_the_bar_one_deadline(data: Path) -> None:
    case = unjudged(SEEDS[0])
    folder = kept(trained_on(loaded(case), "lightgbm", "veto", seed=1), data)
    with false_server(lambda peer, number: None) as (url, asked):
        client = ModelClient(url, "t" * 20, deadline_secs=30.0)
        with judged_ledger(case, data / "slow.sqlite", folder, [e.id for e in case.entrants]) as ledger:
            model = DeployedModels(ledger, over_http(client), deadline_secs=0.05)
            traded = plan_of(case).members
            shown = np.zeros((1, 6))
            for moment in (1_000, 2_000):
                model.take_up(moment)
                said = [model.decide(one, 1, moment, lambda _: shown) for one in traded for _ in range(3)]
                assert {(v.prediction == v.prediction, v.scale, v.version) for v in said} == {
                    (False, 0.0, f"{NAME}@{folder.name}")
                }
            assert len(asked) == 2
            (notice,) = ledger.rows("SELECT level, text FROM notices WHERE kind = 'model'")
            assert notice["level"] == "warning" and "did not answer within" in notice["text"]


@pytest.mark.xdist_group("engine")
def test_over_http_it_says_the_same_to_the_bit(data: Path) -> None:
    case = unjudged(SEEDS[2])
    ids = [e.id for e in case.entrants]
    folder = kept(trained_on(loaded(case), "lightgbm", "kelly", seed=1), data)
    tables = []
    with run_server(data) as server, server.client() as client:
        for number, open_model in enumerate((InProcess, over_http(client))):
            with judged_ledger(case, data / f"{number}.sqlite", folder, ids) as ledger:
                engine = warmed_engine(case, ledger, DeployedModels(ledger, open_model, deadline_secs=60.0))
                for event in events_of(case):
                    engine.on_event(event)
                tables.append([
                    [tuple(row) for row in ledger.rows(f"SELECT * FROM {name} ORDER BY 1, 2")]
                    for name in ("signals", "trades", "orders", "audit", "legs", "account")
                ])  # fmt: skip
    assert tables[0] == tables[1]
    assert len(tables[0][0]) > 10 and len(tables[0][1]) > 3


def test_a_bundle_that_is_not_the_deployed_one_is_asked_nothing(data: Path) -> None:
    case = unjudged(SEEDS[0])
    folder = kept(trained_on(loaded(case), "logistic", "veto", seed=1), data)
    with judged_ledger(case, data / "a.sqlite", folder, [case.entrants[0].id]) as ledger:
        ledger.update("model_versions", {"id": 1}, {"checksum": "0" * 64})
        for open_model in (InProcess, over_http(ModelClient("http://127.0.0.1:1", "t" * 20))):
            model = DeployedModels(ledger, open_model)
            traded = next(one for one in plan_of(case).members if one.instance_id == case.entrants[0].id)
            said = model.decide(traded, 1, 0, lambda _: np.zeros((1, 6)))
            assert said.scale == 0.0 and model.features_of(traded.instance_id) == ()
        texts = [row["text"] for row in ledger.rows("SELECT text FROM notices")]
        assert all("is not the one that was deployed" in text for text in texts) and len(texts) == 2


def test_only_versions_that_see_no_more_are_taken_up_by_name(data: Path) -> None:
    case = unjudged(SEEDS[0])
    trained = trained_on(loaded(case), "logistic", "veto", seed=1)
    ids = [e.id for e in case.entrants]
    with judged_ledger(case, data / "a.sqlite", kept(trained, data), ids) as ledger:
        assert load_version(ledger, NAME) == f"{NAME}@{read_version(ledger)}"
        assert ledger.value("SELECT count(*) FROM model_versions") == 1
        later = trained_on(loaded(case), "logistic", "veto", seed=2)
        kept(replace(later, features=("zscore(20)", *later.features[1:])), data)
        with pytest.raises(InputError, match=r"sees 'zscore\(20\)', which version .* did not"):
            load_version(ledger, NAME)
        ledger.update("model_versions", {"id": 1}, {"name": "other"})
        with pytest.raises(InputError, match="has no instance that model small judges"):
            load_version(ledger, NAME)


def read_version(ledger: Ledger) -> str:
    return str(ledger.value("SELECT version FROM model_versions"))


THIN = """
import sys
from pathlib import Path
from executor.daemon import run_daemon
from executor.engine.asking import InProcess
from executor.deployments.judges import Judge
from toolkit.models.store import read_info
import numpy as np
info = read_info(Path(sys.argv[1]))
asked = InProcess(Judge(1, info.name, info.version, info.checksum, info.folder, (), 0, 0))
assert 0 < asked.ask(np.zeros((1, 6)), 1.0).prediction < 1
heavy = {"polars", "duckdb", "pandas", "sklearn", "pyarrow", "matplotlib", "fastapi", "river"}
print(sorted(heavy & {name.partition(".")[0] for name, module in sys.modules.items() if module is not None}))
"""


@pytest.mark.parametrize("kind", ["lightgbm", "logistic", "mlp", "constant"])
def test_a_daemon_with_a_light_model_loads_nothing_heavy(kind: str, data: Path) -> None:
    folder = kept(trained_on(loaded(unjudged(SEEDS[0])), kind, "veto", seed=1), data)
    found = subprocess.run([sys.executable, "-c", THIN, str(folder)], capture_output=True, text=True, check=False)
    assert (found.returncode, found.stdout.strip()) == (0, "[]"), found.stderr

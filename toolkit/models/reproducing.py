"""The Python that makes an experiment's choice again."""

from toolkit.bars.series import utc
from toolkit.models.evaluation import Proof
from toolkit.models.question import Question

_CODE = '''"""What experiment {run} chose, judged and learned again: {backend}, applied by {method}.

The period is {start} to {end}{test_from}. Run it in the project's environment, beside recipe.toml and
members.toml, on the same bars.
"""

from pathlib import Path

from toolkit.models.evaluate_run import model_eval
from toolkit.models.evaluation import Proof
from toolkit.models.question import ask
from toolkit.models.train_run import model_train

HERE = Path(__file__).parent

# Worker processes import this file: what runs must not run there.
if __name__ == "__main__":
    question = ask(HERE / "members.toml", HERE / "recipe.toml", per={per!r}, start={start_ms}, end={end_ms})
    proof = Proof(
        methods={methods!r}, folds={folds}, test_from_ms={test_from_ms},
        permutations={permutations}, controls={controls}, slots={slots}, seed={seed},
    )
    judged = model_eval(question, proof, progress=True)
    print(judged.results["pooled"]["verdict"]["text"])
    learned = model_train(question, None, progress=True)
    print(learned.folder)
'''


def reproducing(run_id: str, asked: Question, proof: Proof) -> str:
    """A script that judges a recipe again as the experiment did, and learns it from the whole period."""
    test_from_ms = proof.test_from_ms
    return _CODE.format(
        run=run_id, backend=asked.recipe.backend, method=asked.recipe.method, per=asked.grouped.per,
        start_ms=asked.loading.start_ms, end_ms=asked.loading.end_ms, start=utc(asked.loading.start_ms),
        end=utc(asked.loading.end_ms), methods=proof.methods, folds=proof.folds, test_from_ms=test_from_ms,
        test_from="" if test_from_ms is None else f", judged from {utc(test_from_ms)} on",
        permutations=proof.permutations, controls=proof.controls, slots=proof.slots, seed=proof.seed,
    )  # fmt: skip

"""Options that say when a model is learned anew, shared by the commands that retrain."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from toolkit.errors import InputError

if TYPE_CHECKING:
    from toolkit.models.plan import ModelPlan
    from toolkit.models.retraining import RetrainPolicy

Every = Annotated[
    str | None, typer.Option("--retrain-every", help="Learn anew so often: 30trades, 7d; default: 30trades.")
]
Window = Annotated[
    str | None, typer.Option("--train-window", help="Learn from signals of so long before: 180d; default: all.")
]
Latency = Annotated[
    str | None, typer.Option("--train-latency", help="From a training to its model judging: 10m; default: none.")
]


def retrain_policy(
    every: str | None, min_trades: int | None, window: str | None, latency: str | None
) -> "RetrainPolicy | None":
    """The policy that the options describe, None where none is given."""
    from toolkit.models.retraining import RetrainPolicy

    said: dict[str, Any] = {"every": every, "min_trades": min_trades, "train_window": window, "latency": latency}
    given = {name: value for name, value in said.items() if value is not None}
    return RetrainPolicy(**given) if given else None


def model_plan(
    model: str | None, per: str | None, retrain: tuple[str | None, int | None, str | None, str | None]
) -> "ModelPlan | None":
    """The plan of a backtest that learns a recipe while it runs; `retrain` is every, min_trades, window, latency.

    An option of learning without `--model` is refused, not passed over.
    """
    every, min_trades, window, latency = retrain
    if model is None:
        options = {"--retrain-every": every, "--train-window": window, "--train-latency": latency, "--model-per": per}
        for option, value in options.items():
            if value is not None:
                raise InputError(f"{option} says how models are learned, and there are none; name one with --model")
        return None
    from toolkit.models.groups import STRATEGY
    from toolkit.models.plan import ModelPlan
    from toolkit.models.recipe_file import read_recipe

    recipe = read_recipe(model)
    least = recipe.min_trades if min_trades is None else min_trades
    policy = retrain_policy(every, least, window, latency)
    assert policy is not None
    return ModelPlan(recipe, policy, per or STRATEGY)

"""`toolkit model`: learn which entry signals to take, prove that it helps, serve what was learned."""

import typer

from toolkit.cli import (
    model_backends,
    model_bento,
    model_data,
    model_drift,
    model_eval,
    model_experiment,
    model_ls,
    model_run,
    model_train,
    model_use,
)

app = typer.Typer(help="Learn which entry signals to take, and prove that it helps.", no_args_is_help=True)
app.command("data")(model_data.data)
app.command("experiment")(model_experiment.experiment)
app.command("train")(model_train.train)
app.command("eval")(model_eval.evaluate)
app.command("ls")(model_ls.ls)
app.command("use")(model_use.use)
app.command("drift")(model_drift.drift)
app.command("run")(model_run.run)
app.command("bento")(model_bento.bento)
app.add_typer(model_backends.app, name="backends")

"""`toolkit model bento`: a model as a folder that BentoML serves."""

import shlex
from pathlib import Path
from typing import Annotated

import typer

DEFAULT_ADDRESS = ("--host", "127.0.0.1", "--port", "8788")


def bento(
    model: Annotated[str, typer.Argument(help="A model's name (its newest version) or name@version.")],
    out: Annotated[
        Path | None, typer.Option(help="Folder that is made [default: bentos/NAME/VERSION in the data folder].")
    ] = None,
    root: Annotated[
        Path | None, typer.Option(help="Folder of the models [default: models in the data folder].")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON on stdout.")] = False,
) -> None:
    """Pack a model of the registry as a BentoML service that answers what `toolkit model run` answers, and say how to
    serve it. It is kept once its predictions were found equal to the bit in BentoML's environment, which
    `toolkit model backends install bentoml` makes.

    Example: toolkit model bento volatility_breakout
    """
    from toolkit.cli.machine import print_json
    from toolkit.models.bento.packing import pack
    from toolkit.models.serve.token import default_token_file, make_token, read_token

    token_file = default_token_file().absolute()
    if token_file.exists():
        read_token(token_file)
    made = pack(model, out, root)
    make_token(token_file)
    variables = {**made.variables, "LOCKSTEP_TOKEN_FILE": str(token_file)}
    command = [*made.command, *DEFAULT_ADDRESS]
    if as_json:
        print_json(
            {
                "model": made.info.name,
                "version": made.info.version,
                "checksum": made.info.checksum,
                "folder": str(made.folder),
                "tag": made.tag,
                "variables": variables,
                "command": command,
            }
        )
        return
    print(f"{made.info.id} is packed in {made.folder}, where it predicts what it predicts here; serve it with:")
    print(shlex.join(["env", *(f"{name}={value}" for name, value in variables.items()), *command]))

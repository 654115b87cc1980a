"""The caps on weights, as every command that weighs spells them."""

from typing import Annotated

import typer

CapStrategy = Annotated[float, typer.Option("--cap-strategy", help="Largest share of one strategy.")]
CapSymbol = Annotated[float, typer.Option("--cap-symbol", help="Largest share of one symbol.")]
CapFamily = Annotated[float, typer.Option("--cap-family", help="Largest share of one family of strategies.")]
CapInstance = Annotated[float, typer.Option("--cap-instance", help="Largest share of one instance.")]

"""A gateway of one's own, of a venue that ccxt lacks, read from a file."""

from collections.abc import Mapping
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

from executor.broker.exchange import Keys
from executor.broker.venue import Gateway
from toolkit.errors import InputError

_MAKER = "make_gateway"


def read_gateway(file: Path, keys: Keys, options: Mapping[str, Any]) -> Gateway:
    """What `make_gateway(keys, options)` of a Python file gives.

    Raises
    ------
    InputError : the file is not there, fails, or has no such function.
    """
    spec = spec_from_file_location(file.stem, file)
    if not file.is_file() or spec is None or spec.loader is None:
        raise InputError(f"`gateway` in [live] must be a Python file, and {file} is none")
    module = module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        raise InputError(f"{file}, the `gateway` in [live], fails: {type(error).__name__}: {error}") from error
    make = getattr(module, _MAKER, None)
    if not callable(make):
        raise InputError(f"{file}, the `gateway` in [live], has no {_MAKER}(keys, options); see docs/venues.md")
    gateway: Gateway = make(keys, options)
    return gateway

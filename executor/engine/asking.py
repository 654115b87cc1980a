"""Ways of asking a model: read into this process, or over HTTP where a server has it."""

from collections.abc import Callable
from typing import NamedTuple, Protocol, TypeAlias

from executor.deployments.judges import Judge
from toolkit.engine.types import ACCEPTED, VETOED
from toolkit.errors import InputError
from toolkit.models.client import ModelClient
from toolkit.models.store import read_info, read_model
from toolkit.types import FloatArray


class Opinion(NamedTuple):
    """What a model says of an entry: a verdict (ACCEPTED, VETOED), a probability (NaN = none), a share of a size."""

    verdict: int
    prediction: float
    scale: float


class Asked(Protocol):
    """A version of a model that can be asked."""

    @property
    def features(self) -> tuple[str, ...]:
        """What it must be shown, in this order."""
        ...

    def ask(self, x: FloatArray, secs: float | None) -> Opinion | str:
        """Its opinion of float64[1, k] raw features, or why there is none after so many seconds (None = as long as it
        takes). May raise, which is no opinion either.
        """
        ...


# Raises what reading a bundle raises.
OpenModel: TypeAlias = Callable[[Judge], Asked]


class InProcess:
    """A bundle that was read into this process; one of a library of another environment has its worker started."""

    def __init__(self, judge: Judge) -> None:
        trained = read_model(judge.folder)
        _check(judge, str(trained.facts["checksum"]))
        self._trained = trained
        warm = getattr(trained.model, "warm", None)
        if warm is not None:
            warm()

    @property
    def features(self) -> tuple[str, ...]:
        return self._trained.features

    def ask(self, x: FloatArray, secs: float | None) -> Opinion | str:
        prediction = self._trained.predict(x, secs)
        verdicts, scales = self._trained.application.say(prediction)
        return Opinion(int(verdicts[0]), float(prediction[0]), float(scales[0]))


class Served:
    """A bundle that a server of `toolkit model run` has too, and is asked about by its name and version."""

    def __init__(self, judge: Judge, client: ModelClient) -> None:
        info = read_info(judge.folder)
        _check(judge, info.checksum)
        self._features, self._model, self._client = info.features, judge.model, client

    @property
    def features(self) -> tuple[str, ...]:
        return self._features

    def ask(self, x: FloatArray, secs: float | None) -> Opinion | str:
        row = dict(zip(self._features, x[0].tolist(), strict=True))
        said = self._client.predict(self._model, [row], deadline_secs=secs)
        if isinstance(said, str):
            return said
        (one,) = said.opinions
        return Opinion(ACCEPTED if one.accepted else VETOED, one.prediction, one.scale)


def over_http(client: ModelClient) -> OpenModel:
    """Every model is asked of one server."""
    return lambda judge: Served(judge, client)


def _check(judge: Judge, checksum: str) -> None:
    if checksum != judge.checksum:
        raise InputError(
            f"model {judge.model} in {judge.folder} is not the one that was deployed; copy that one back, or deploy "
            f"anew"
        )

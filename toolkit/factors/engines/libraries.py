"""How libraries are called here: one thread, one at a time, silent; what they fitted is kept by what it was fitted on.

Values must be the same bits wherever they are computed. A library may add up in an order that depends on the number of
threads, so it is given one. Its warnings and log lines would come with every entry of a backtest: those of the calls in
this block are dropped, and the settings are as before after it. Both are settings of the whole process, hence the lock.
"""

import atexit
import logging
import os
import shutil
import sys
import tempfile
import warnings
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from hashlib import blake2b
from importlib import import_module
from threading import RLock
from typing import Any, Generic, TypeVar

import numpy as np

from toolkit.errors import InputError
from toolkit.types import FloatArray

EXTRA = "features"
_T = TypeVar("_T")
_LOCK = RLock()
_TALKATIVE = (
    "cmdstanpy", "prophet", "prophet.models", "prophet.forecaster", "hmmlearn.base",
    "tsfresh.feature_extraction.settings",
)  # fmt: skip
_FONTS = "MPLCONFIGDIR"


@contextmanager
def library(what: str, module: str) -> Iterator[None]:
    """A block that calls a library for the factor `what`; its module is imported before.

    Raises
    ------
    InputError : it, or one that it needs, is not installed; names it and the extra that brings it.
    """
    with _LOCK, warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        with _silent():
            try:
                if sys.modules.get(module) is None:
                    with _fonts_aside():
                        import_module(module)
                one_thread = _one_thread()
            except ModuleNotFoundError as error:
                package = str(error.name).partition(".")[0]
                raise InputError(
                    f"factor {what} needs {package}, which is not installed; install the extra lockstep[{EXTRA}]"
                ) from None
            with one_thread:
                yield


@contextmanager
def _silent() -> Iterator[None]:
    loggers = [logging.getLogger(name) for name in _TALKATIVE]
    before = [one.disabled for one in loggers]
    try:
        # A level would be set anew by the package's own import.
        for one in loggers:
            one.disabled = True
        yield
    finally:
        for one, was in zip(loggers, before, strict=True):
            one.disabled = was


_CONTROLLER: tuple[int, Any] = (0, None)


def _one_thread() -> AbstractContextManager[object]:
    """BLAS and OpenMP use one thread in this block; the libraries loaded are looked for when modules have come in."""
    global _CONTROLLER
    if _CONTROLLER[0] != len(sys.modules):
        from threadpoolctl import ThreadpoolController

        _CONTROLLER = (len(sys.modules), ThreadpoolController())
    limited: AbstractContextManager[object] = _CONTROLLER[1].limit(limits=1)
    return limited


@contextmanager
def _fonts_aside() -> Iterator[None]:
    """Prophet imports matplotlib, which writes a list of fonts into the user's cache folder: here into a temporary one,
    which ends with the process; nothing where matplotlib is loaded already or has been told a place.
    """
    if "matplotlib" in sys.modules or _FONTS in os.environ:
        yield
        return
    folder = tempfile.mkdtemp(prefix="lockstep-matplotlib-")
    os.environ[_FONTS] = folder
    try:
        yield
    finally:
        del os.environ[_FONTS]
        if "matplotlib" in sys.modules:
            atexit.register(shutil.rmtree, folder, ignore_errors=True)
        else:
            shutil.rmtree(folder, ignore_errors=True)


class Fits(Generic[_T]):
    """Fits by what they were made from: the numbers of the window and the parameters, whoever loaded the bars.

    A live window, a cut-off history of a verification and the whole history share the fits of the same closed bars. The
    oldest of more than `most` is dropped.

    Parameters
    ----------
    what, module : see `library`, in which fits are made.
    """

    def __init__(self, what: str, module: str, most: int = 20_000) -> None:
        self._library = (what, module)
        self._most = most
        self._kept: OrderedDict[tuple[object, ...], _T] = OrderedDict()

    def get(self, make: Callable[[FloatArray], _T], window: FloatArray, *params: object) -> _T:
        """What `make(window)` gives, made once for these numbers and parameters."""
        key = (blake2b(np.ascontiguousarray(window).tobytes(), digest_size=32).digest(), window.shape, *params)
        with _LOCK:
            if key in self._kept:
                self._kept.move_to_end(key)
                return self._kept[key]
            with library(*self._library):
                made = self._kept[key] = make(np.array(window))
            if len(self._kept) > self._most:
                self._kept.popitem(last=False)
            return made

    def clear(self) -> None:
        """Forget them all."""
        with _LOCK:
            self._kept.clear()

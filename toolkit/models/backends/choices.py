"""Ways of learning by name, and their settings."""

from collections.abc import Mapping
from typing import Any

from toolkit.errors import UnknownNameError
from toolkit.models.backends.base import ModelBackend
from toolkit.models.backends.constant import Constant
from toolkit.models.backends.lightgbm import LightGBM
from toolkit.models.backends.logistic import Logistic
from toolkit.models.backends.neural import Neural
from toolkit.models.backends.online import River
from toolkit.models.backends.settings import checked
from toolkit.models.backends.trees import GradientBoosting, RandomForest

BACKENDS: Mapping[str, Any] = {
    one.name: one for one in (Constant(), Logistic(), RandomForest(), GradientBoosting(), LightGBM(), Neural(), River())
}
"""Those that run in this process; libraries of other environments are found by `backend` too."""


def backend(name: str) -> ModelBackend:
    """The backend of that name.

    Raises
    ------
    UnknownNameError : there is none. InputError : its library's environment is not installed; says how to make it.
    """
    if name in BACKENDS:
        found: ModelBackend = BACKENDS[name]
        return found
    _check_name(name)
    from toolkit.models.backends.remote import remote_backend

    return remote_backend(name)


def checked_settings(name: str, settings: Mapping[str, Any]) -> dict[str, Any]:
    """Every setting of a backend with its value, `settings` over the defaults.

    Raises
    ------
    UnknownNameError, InputError : no such backend or setting, a value out of its range.
    """
    if name in BACKENDS:
        return checked(name, BACKENDS[name].known, settings)
    _check_name(name)
    from toolkit.models.backends.remote import check_settings
    from toolkit.models.workers.libraries import find_library

    library = find_library(name)
    used = {**library.settings, **settings}
    check_settings(library, used)
    return used


def _check_name(name: str) -> None:
    from toolkit.models.workers.libraries import LIBRARIES

    if name not in LIBRARIES:
        raise UnknownNameError("backend", name, [*BACKENDS, *LIBRARIES])

"""Every registered factor with parameters to try it on; a new factor is found without being named here.

Sparse ones are tried in `engines`: a value of theirs may be a fit.
"""

from itertools import product

from tests.factors.series import PEER
from toolkit.factors import Factor, factor_names, get_factor

TRIED = {
    "window": (2, 3, 14, 50),
    "span": (2, 20),
    "left": (2, 3),
    "right": (1, 4),
    "minutes": (15, 60, 1440),
    "symbol": (PEER,),
}
CASES = [
    (name, params)
    for name in factor_names()
    if not get_factor(name).sparse
    for params in product(*(TRIED[p.name] for p in get_factor(name).params))
]  # fmt: skip


def case_id(case: object) -> str:
    name, params = case  # type: ignore[misc]
    return f"{name}{params}"


def applies(found: Factor, interval: str) -> bool:
    """Whether the factor is defined on bars of that interval."""
    return not (found.day_state and interval == "1w")

"""Weights by skfolio's optimisers, and the one least-squares problem of the caps; both solvers import slowly."""

import warnings
from typing import Any

import numpy as np

from toolkit.errors import InputError
from toolkit.types import BoolArray, FloatArray

# Solvers leave such crumbs where the answer is 0.
_CRUMB = 1e-6


def optimised(method: str, returns: FloatArray, groups: BoolArray, limits: FloatArray, total: float) -> FloatArray:
    """Long-only weights of one of skfolio's methods.

    Parameters
    ----------
    method : "hrp" (Lopez de Prado 2016, variance as the risk), "min_variance", "max_sharpe", or "cvar" (the least mean
        loss of the worst 5 % of days, Rockafellar and Uryasev 2000).
    returns : float64[n_days, n], finite, no column constant; n >= 2. Moments are those of the sample.
    groups, limits : caps (`Caps.groups`), part of the problem except for "hrp", which does not know them.
    total : what the weights add up to ("hrp": 1).

    Raises
    ------
    InputError : the solver finds no answer.
    """
    from threadpoolctl import threadpool_limits

    # The answer does not change with the unit of returns, the solver's accuracy does.
    scaled = returns / returns.std()
    model = _model(method, groups, limits, total)
    # Matrices this small lose time to threads (on a busy machine seconds), and one thread sums in one order.
    with threadpool_limits(1), warnings.catch_warnings():
        # With fewer days than instances, or equal columns, skfolio takes the nearest covariance that can be inverted.
        warnings.filterwarnings("ignore", "The covariance matrix is not positive definite", UserWarning)
        warnings.filterwarnings("ignore", "Solution may be inaccurate", UserWarning)
        try:
            model.fit(scaled)
        except Exception as error:  # cvxpy and skfolio raise their own and numpy's, all for want of an answer
            why = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise InputError(
                f"{method} found no weights for these {returns.shape[1]} instances on {len(returns)} days ({why}); "
                f"take another method, such as hrp or equal"
            ) from error
    weights = np.asarray(model.weights_, np.float64)
    weights = np.where(weights < _CRUMB, 0.0, weights)
    shares: FloatArray = weights / weights.sum()
    return shares


def _model(method: str, groups: BoolArray, limits: FloatArray, total: float) -> Any:
    from skfolio import RiskMeasure
    from skfolio.optimization import HierarchicalRiskParity, MeanRisk, ObjectiveFunction

    if method == "hrp":
        return HierarchicalRiskParity()
    caps = {"left_inequality": groups.astype(np.float64), "right_inequality": limits} if len(groups) else {}
    risk = RiskMeasure.CVAR if method == "cvar" else RiskMeasure.VARIANCE
    goal = ObjectiveFunction.MAXIMIZE_RATIO if method == "max_sharpe" else ObjectiveFunction.MINIMIZE_RISK
    return MeanRisk(objective_function=goal, risk_measure=risk, budget=total, **caps)


def nearest(shares: FloatArray, groups: BoolArray, limits: FloatArray, total: float) -> FloatArray:
    """Weights within the caps that add up to `total`, nearest to `shares` (> 0): least sum of (w - s)^2 / s."""
    import cvxpy
    from cvxpy.atoms.sum_squares import sum_squares
    from scipy.sparse import diags_array

    weights = cvxpy.Variable(len(shares), nonneg=True)
    distance = sum_squares(diags_array(1.0 / np.sqrt(shares)) @ (weights - shares))
    held = [weights.sum() == total, groups.astype(np.float64) @ weights <= limits]
    problem: Any = cvxpy.Problem(cvxpy.Minimize(distance), held)
    problem.solve(solver=cvxpy.CLARABEL)
    if weights.value is None:
        raise InputError("no weights keep to these caps; make them larger")
    found = np.asarray(weights.value, np.float64)
    return np.where(found < _CRUMB, 0.0, found)

"""What a sweep runs, in its order: studies (one strategy on one series), cut into units of work."""

from collections.abc import Iterator
from dataclasses import dataclass

from toolkit.errors import InputError
from toolkit.sweep.experiment import Experiment, Resolved, resolve

# A unit is one thread's work and one Parquet part. Its size follows from the plan alone, never from the machine, so
# that a resumed sweep finds its parts.
_MOST_ROWS, _LEAST_ROWS, _UNITS_AIMED_AT = 4096, 256, 64
_MOST_PARAM_UNITS, _LEAST_PARAMS = 1024, 8


@dataclass(frozen=True)
class Study:
    """One strategy on one symbol and interval: every point of its parameters with every point of its rules.

    Combination numbers count over the sweep: `first + (param * len(rules) + rule) * len(sides) + side`.
    """

    what: Resolved
    symbol: str
    interval: str
    first: int

    @property
    def n_params(self) -> int:
        return len(self.what.params)

    @property
    def n_rules(self) -> int:
        return len(self.what.rules)

    @property
    def rows(self) -> int:
        return self.n_params * self.n_rules * len(self.what.sides)

    def locate(self, number: int) -> tuple[int, int, str]:
        """Parameter point, rule point and side of a combination of this study."""
        rest, side = divmod(number - self.first, len(self.what.sides))
        param, rule = divmod(rest, self.n_rules)
        return param, rule, self.what.sides[side]


@dataclass(frozen=True)
class Unit:
    """Parameter points `params` and, of each, rule points `rules` (half-open ranges), every side."""

    number: int
    study: Study
    params: tuple[int, int]
    rules: tuple[int, int]

    @property
    def rows(self) -> int:
        return (self.params[1] - self.params[0]) * (self.rules[1] - self.rules[0]) * len(self.study.what.sides)

    @property
    def first(self) -> int:
        """Number of its first combination; a unit's combinations follow each other."""
        study = self.study
        return study.first + (self.params[0] * study.n_rules + self.rules[0]) * len(study.what.sides)


@dataclass(frozen=True)
class Plan:
    """Studies in the order they are run, symbol by symbol.

    Attributes
    ----------
    rows : combinations in all.
    skipped : strategy and interval pairs left out because the strategy is not meant for the interval.
    """

    studies: tuple[Study, ...]
    rows: int
    skipped: tuple[tuple[str, str], ...]

    def units(self) -> Iterator[Unit]:
        """Every unit, made as it is asked for."""
        most = min(_MOST_ROWS, max(_LEAST_ROWS, self.rows // _UNITS_AIMED_AT))
        number = 0
        for study in self.studies:
            for params, rules in _cuts(study, most):
                yield Unit(number, study, params, rules)
                number += 1

    def study_of(self, number: int) -> Study:
        """The study that a combination belongs to."""
        for study in self.studies:
            if study.first <= number < study.first + study.rows:
                return study
        raise InputError(f"combination must be from 0 to {self.rows - 1}, was {number}")


def make_plan(experiment: Experiment) -> Plan:
    """The studies of an experiment.

    An interval that a strategy is not meant for is left out of the experiment's crossing and listed in `skipped`.

    Raises
    ------
    InputError : such an interval was named for the strategy itself, or nothing is left to run.
    """
    resolved = resolve(experiment)
    skipped = []
    for what in resolved:
        for interval in what.spec.intervals or experiment.intervals:
            if interval in what.strategy.intervals:
                continue
            if what.spec.intervals:
                raise InputError(_unfit(what, interval))
            skipped.append((what.strategy.name, interval))
    studies: list[Study] = []
    first = 0
    for symbol in experiment.symbols:
        # One series after another, so that each is loaded and its factors are kept no longer than needed.
        for interval in dict.fromkeys(i for what in resolved for i in what.spec.intervals or experiment.intervals):
            for what in resolved:
                wanted = what.spec.intervals or experiment.intervals
                if interval in wanted and interval in what.strategy.intervals:
                    studies.append(Study(what, symbol, interval, first))
                    first += studies[-1].rows
    if not studies:
        raise InputError(_unfit(resolved[0], skipped[0][1]))
    return Plan(tuple(studies), first, tuple(skipped))


def _unfit(what: Resolved, interval: str) -> str:
    return (
        f"strategy {what.strategy.name} is not meant for interval {interval!r}; "
        f"it declares {', '.join(what.strategy.intervals)}"
    )


def _cuts(study: Study, most_rows: int) -> Iterator[tuple[tuple[int, int], tuple[int, int]]]:
    """Ranges of parameter points and of rule points: several parameters whole, or one parameter's rules in slices."""
    per_point = study.n_rules * len(study.what.sides)
    most_params = max(_LEAST_PARAMS, -(-study.n_params // _MOST_PARAM_UNITS))
    together = min(most_params, most_rows // per_point)
    if together >= 1:
        for a in range(0, study.n_params, together):
            yield (a, min(a + together, study.n_params)), (0, study.n_rules)
        return
    # Whole rules, each with all its sides.
    slices = -(-study.n_rules // (most_rows // len(study.what.sides)))
    for a in range(study.n_params):
        for k in range(slices):
            yield (a, a + 1), (study.n_rules * k // slices, study.n_rules * (k + 1) // slices)

"""The engine against vectorbt on random cases: how many, and the largest difference."""

from collections import Counter
from typing import Any

from tests.engine.test_vectorbt_oracle import CASES_PER_KIND, PNL_TOLERANCE, compare
from tests.engine.vectorbt_cases import KINDS


def run(quick: bool = False) -> list[dict[str, Any]]:
    """One row: cases, trades by exit kind, and the largest difference in a trade's profit (about 1,000 of notional)."""
    cases = CASES_PER_KIND // 20 if quick else CASES_PER_KIND
    results = [compare(kind, cases, seed) for seed, kind in enumerate(KINDS)]
    reasons: Counter[str] = sum((r.by_reason for r in results), Counter())
    by_reason = ", ".join(f"{count:,} {name.lower()}" for name, count in reasons.most_common())
    return [
        {
            "what": f"engine against vectorbt: {len(KINDS) * cases:,} random cases, {reasons.total():,} trades",
            "value": f"largest difference in profit {max(r.largest_difference for r in results):.0e}",
            "peer": f"the same bars, fills and fees; {by_reason}",
            "ratio": None,
            "bar": f"<= {PNL_TOLERANCE:.0e}",
        }
    ]

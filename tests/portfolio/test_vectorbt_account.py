"""The account against vectorbt's shared cash: the same trades, sizes, fees and equity, on accounts that both define."""

import numpy as np
import pandas as pd
import pytest

from tests.portfolio.vectorbt_account import members_of, our_trades, ours, random_account, their_trades, theirs


@pytest.mark.xdist_group("engine")
@pytest.mark.parametrize("seed", range(12))
def test_a_shared_account_is_vectorbts_cash_sharing(seed: int) -> None:
    account = random_account(seed, n=1500, instances=1 + 3 * seed, trades=30)
    run, portfolio = ours(account, members_of(account)), theirs(account)
    mine, peer = our_trades(run, account), their_trades(portfolio)
    assert len(mine) > 20 * (1 + 3 * seed)
    pd.testing.assert_frame_equal(mine, peer, check_dtype=False, rtol=1e-9, atol=1e-9)
    value = portfolio.value()
    closes = account.bars[0].ts + account.bars[0].interval_ms
    at = np.searchsorted(closes, run.days["ts"])
    np.testing.assert_allclose(run.days["equity"], value.to_numpy()[at], rtol=1e-11)
    assert run.days["equity"][-1] == pytest.approx(portfolio.final_value(), rel=1e-11)

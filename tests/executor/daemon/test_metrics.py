"""Metrics as Prometheus reads them."""

from prometheus_client.parser import text_string_to_metric_families

from executor.feed.base import Series
from executor.metrics import Metrics


def scraped(metrics: Metrics) -> dict[tuple[str, str], float]:
    """Samples by (name, value of the label `symbol`)."""
    text = metrics.render().decode()
    return {
        (sample.name, sample.labels.get("symbol", sample.labels.get("le", ""))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_what_was_counted_is_scraped() -> None:
    metrics = Metrics()
    metrics.decided(3, 0.004, 1.2)
    metrics.decided(2, 0.3, -5.0)
    metrics.gauge(open_trades=4, equity=1234.5, restarts=2, notices=7, unsent=1)
    metrics.ages({Series("gate", "BTC/USDT", "1m"): 2.5, Series("gate", "ETH/USDT", "1m"): 900.0})
    found = scraped(metrics)
    assert found["lockstep_bars_decided_total", ""] == 5.0
    assert found["lockstep_events_total", ""] == 2.0
    assert found["lockstep_decision_seconds_bucket", "0.005"] == 1.0
    assert found["lockstep_decision_seconds_count", ""] == 2.0
    # A clock that was set back makes no decision early.
    assert found["lockstep_decision_lag_seconds_sum", ""] == 1.2
    assert found["lockstep_feed_age_seconds", "BTC/USDT"] == 2.5
    assert found["lockstep_equity", ""] == 1234.5
    assert found["lockstep_restarts", ""] == 2.0
    assert found["process_resident_memory_bytes", ""] > 0.0


def test_a_series_that_is_gone_has_no_age() -> None:
    metrics = Metrics()
    metrics.ages({Series("gate", "BTC/USDT", "1m"): 2.5})
    metrics.ages({Series("gate", "ETH/USDT", "1m"): 1.0})
    assert ("lockstep_feed_age_seconds", "BTC/USDT") not in scraped(metrics)


def test_a_commit_is_timed_from_before_to_after() -> None:
    metrics = Metrics()
    metrics.committing("before event 1")
    metrics.committing("after event 1")
    metrics.committing("before feed")
    metrics.committing("after feed")
    found = scraped(metrics)
    assert found["lockstep_commit_seconds_count", ""] == 2.0
    assert found["lockstep_commit_seconds_sum", ""] == metrics.committed_secs > 0.0

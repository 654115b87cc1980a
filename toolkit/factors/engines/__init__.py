"""Factors that a library computes: features of a window (tsfresh), a fitted trend (Prophet), states of the market.

They keep the rules of every factor (`toolkit.factors.registry`) and are computed only where they are asked for. What is
fitted is fitted on an absolute schedule: anchors are multiples of `refit` since the epoch, a fit sees a fixed window of
closed bars before its anchor, and what is said between two anchors is the first one's fit, continued. The libraries
(extra `features`) are imported where one of their factors is asked for; importing this registers names alone.
"""

from toolkit.factors.engines import hidden, mixture, seasonal, terciles, windowed

MODULES = (hidden, mixture, seasonal, terciles, windowed)

__all__ = ["MODULES"]

"""Closed bars, in order: from the store (replay), from ccxt websockets, from REST polling."""

"""Where orders go: the paper broker (the backtest's matching function) and, live, an exchange."""

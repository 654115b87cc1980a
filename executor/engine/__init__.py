"""The daemon's core: windows of closed bars, signals at their closes, one account, its orders."""

"""A venue's account through ccxt: `ExchangeGateway`, the `executor.broker.venue.Gateway` of the exchanges it knows."""

from executor.broker.exchange.gateway import ExchangeGateway as ExchangeGateway
from executor.broker.exchange.quirks import SwapSettings as SwapSettings
from executor.broker.exchange.session import Keys as Keys

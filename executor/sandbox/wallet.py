"""`Wallet`: the money of the local exchange's account, and what of it is bound."""

from collections.abc import Callable, Mapping

from executor.sandbox.records import Booked, Money, Moved, RefusalError

_DIGITS = 12


class Wallet:
    """Money by currency. told : called with each change.

    Holds are by owner, such as the number of an order: one currency each.
    """

    def __init__(self, balances: Mapping[str, float], told: Callable[[Moved], None]) -> None:
        self._total = dict(balances)
        self._holds: dict[str, tuple[str, float]] = {}
        self._told = told
        self.book: list[Booked] = []

    def money(self, currency: str) -> Money:
        held = sum(amount for name, amount in self._holds.values() if name == currency)
        return Money(self._total.get(currency, 0.0), round(held, _DIGITS))

    def all(self) -> dict[str, Money]:
        return {currency: self.money(currency) for currency in sorted(self._total)}

    def held_for(self, owner: str) -> float:
        """Bound for owners whose name begins so, whatever the currency."""
        return round(sum(amount for name, (_, amount) in self._holds.items() if name.startswith(owner)), _DIGITS)

    def hold(self, owner: str, currency: str, amount: float) -> None:
        """Bind this much for the owner, in place of what it had bound.

        Raises
        ------
        RefusalError : `funds`; not so much is free.
        """
        before = self.money(currency)
        of_owner = self._holds.get(owner, (currency, 0.0))[1]
        if amount > before.free + of_owner + 10**-9:
            raise RefusalError("funds", f"{amount:g} {currency} are wanted and {before.free + of_owner:g} are free")
        self.bind(owner, currency, amount)

    def bind(self, owner: str, currency: str, amount: float) -> None:
        """As `hold`, whatever is free. Nothing is bound any more with an amount of 0."""
        before = self.money(currency)
        if round(amount, _DIGITS) > 0:
            self._holds[owner] = (currency, round(amount, _DIGITS))
        else:
            self._holds.pop(owner, None)
        self._tell(currency, before)

    def release(self, owner: str) -> None:
        """Nothing is bound for the owner any more."""
        if owner in self._holds:
            self.bind(owner, self._holds[owner][0], 0.0)

    def change(self, currency: str, change: float, kind: str, symbol: str, ts_ms: int) -> None:
        """Add to (or below 0 take from) a currency and write it into the book."""
        if not change:
            return
        before = self.money(currency)
        self._total[currency] = round(before.total + change, _DIGITS)
        number = f"{ts_ms}{len(self.book):06d}"
        self.book.append(Booked(number, ts_ms, currency, change, kind, symbol, self._total[currency]))
        self._tell(currency, before)

    def _tell(self, currency: str, before: Money) -> None:
        now = self.money(currency)
        if now != before:
            free, held = round(now.free - before.free, _DIGITS), round(now.held - before.held, _DIGITS)
            self._told(Moved(currency, now, free, held))

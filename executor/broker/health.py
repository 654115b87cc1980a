"""Whether a venue answers."""

_DOWN_AFTER = 3


class Health:
    """Counts questions and requests that got no answer, one after another.

    Attributes
    ----------
    is_up : the last of them, or one of the two before, was answered. up_ms : since when, epoch ms.
    pause_ms : nothing is asked before: the venue wants to be left alone.
    """

    def __init__(self, now_ms: int) -> None:
        self.is_up, self.up_ms, self.pause_ms = True, float(now_ms), float(now_ms)
        self._failures = 0

    def answered(self, now_ms: int) -> bool:
        """It answered, be it with a refusal; whether it is back."""
        was_up, self._failures, self.is_up = self.is_up, 0, True
        if not was_up:
            self.up_ms = now_ms
        return not was_up

    def failed(self, now_ms: int, pause_secs: float) -> bool:
        """No answer; whether it counts as down from now on."""
        self._failures += 1
        self.pause(now_ms, pause_secs)
        was_up, self.is_up = self.is_up, self.is_up and self._failures < _DOWN_AFTER
        return was_up and not self.is_up

    def pause(self, now_ms: int, secs: float) -> None:
        self.pause_ms = max(self.pause_ms, now_ms + 1000 * secs)

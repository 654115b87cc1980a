"""`WorkerError`: another library's environment or process cannot be used as asked."""

from toolkit.errors import LockstepError


class WorkerError(LockstepError):
    """Another library's environment or process cannot be used as asked; `output` is the end of what it printed."""

    def __init__(self, message: str, output: str = "") -> None:
        super().__init__(message)
        self.output = output

"""`python -m toolkit.models.bento.proof ROWS ANSWERS` in a bento's `src`: what its model says of rows (.npy files)."""

import sys
from pathlib import Path

import numpy as np

from toolkit.errors import LockstepError
from toolkit.models.store import find_model, list_models, read_model


def main(rows: Path, answers: Path) -> None:
    """Read float64[n, k] of raw features, write float64[n] of predictions."""
    root = Path(__file__).parents[3] / "models"
    (info,) = list_models(root)
    np.save(answers, read_model(find_model(info.id, root)).predict(np.load(rows)))


if __name__ == "__main__":
    try:
        main(Path(sys.argv[1]), Path(sys.argv[2]))
    except LockstepError as error:
        sys.exit(f"error: {error}")

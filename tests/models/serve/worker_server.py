"""`python -m tests.models.serve.worker_server FOLDER`: `toolkit model run` where the libraries `fake` and `other` are
installed, whose files are in `FOLDER/fake` and `FOLDER/other`.
"""

import sys
from pathlib import Path

from tests.models.workers.fake import fake_row
from toolkit.cli.main import main
from toolkit.models.workers import libraries

NAMES = ("fake", "other")


def with_libraries(folder: Path) -> None:
    """Make the libraries known to this process."""
    for name in NAMES:
        libraries.LIBRARIES[name] = fake_row(folder / name, name)  # type: ignore[index]


if __name__ == "__main__":
    with_libraries(Path(sys.argv[1]))
    sys.argv = ["toolkit", "model", "run", "--port", "0", "--json", *sys.argv[2:]]
    main()

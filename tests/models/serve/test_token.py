"""The server's secret: a file for its owner alone."""

from pathlib import Path

import pytest

from toolkit.errors import InputError
from toolkit.models.serve.token import make_token, may_enter, read_token


def test_it_is_made_once_and_for_its_owner_alone(tmp_path: Path) -> None:
    file = tmp_path / "deep" / "models.token"
    token = make_token(file)
    assert len(token) >= 32
    assert file.stat().st_mode & 0o777 == 0o600
    assert make_token(file) == read_token(file) == token
    assert [p.name for p in file.parent.iterdir()] == ["models.token"]


@pytest.mark.parametrize(("text", "mode"), [("short", 0o600), ("two words are no token", 0o600), ("a" * 20, 0o644)])
def test_what_is_no_secret_is_refused(tmp_path: Path, text: str, mode: int) -> None:
    file = tmp_path / "models.token"
    file.write_text(text)
    file.chmod(mode)
    with pytest.raises(InputError, match=r"models\.token"):
        make_token(file)


def test_a_file_that_is_not_there_or_cannot_be_made(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be read"):
        read_token(tmp_path / "none")
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot be made"):
        make_token(tmp_path / "file" / "models.token")


@pytest.mark.parametrize(
    ("header", "enters"),
    [
        ("Bearer secret", True),
        ("bearer  secret", True),
        ("Bearer secre", False),
        ("Bearer secrets", False),
        ("Basic secret", False),
        ("secret", False),
        ("Bearer", False),
        ("", False),
        ("Bearer s\xe9cret", False),
    ],
)
def test_who_may_enter(header: str, enters: bool) -> None:
    assert may_enter(header, "secret") is enters

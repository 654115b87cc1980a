"""Keys: where they are read from, who may read them, and that no log says them."""

import json
import logging
from pathlib import Path

import pytest

from executor.broker.exchange import Keys
from executor.keys import VARIABLES, hide, read_keys
from executor.logs import logging_to
from toolkit.errors import InputError

KEYS = Keys("key-of-nobody", "secret-of-nobody", "word-of-nobody")
WORDS = ("key-of-nobody", "secret-of-nobody", "word-of-nobody")
TEXT = "".join(f'{name} = "{word}"\n' for name, word in zip(VARIABLES, WORDS, strict=True))


def written(folder: Path, text: str = TEXT, mode: int = 0o600) -> Path:
    file = folder / "keys.toml"
    file.write_text(text)
    file.chmod(mode)
    return file


def test_a_file_that_only_its_owner_reads_has_them(tmp_path: Path) -> None:
    assert read_keys(written(tmp_path)) == KEYS
    assert "nobody" not in repr(KEYS)


def test_the_environment_has_them_and_forgets_them(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable, word in zip(VARIABLES.values(), WORDS, strict=True):
        monkeypatch.setenv(variable, word)
    assert read_keys(None) == KEYS
    with pytest.raises(InputError, match=r"there are no keys: name `keys_file` in \[live\]"):
        read_keys(None)


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o666])
def test_a_file_that_others_read_is_refused_with_the_remedy(tmp_path: Path, mode: int) -> None:
    with pytest.raises(InputError, match=r"others may read the keys .* it must be 0600: chmod 600"):
        read_keys(written(tmp_path, mode=mode))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('key = "short"\nsecret = "secret-of-nobody"', "`key` must be a text of at least 6 characters"),
        ('key = "key-of-nobody"', "`secret` must be a text of at least 6 characters"),
        ('key = "key-of-nobody"\nsecret = 5', "`secret` must be a text of at least 6 characters"),
        (TEXT + 'passphrase = "x"', "`passphrase` is no part of keys; they are key, secret, password"),
    ],
)
def test_what_is_wrong_is_said_without_its_value(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(InputError) as error:
        read_keys(written(tmp_path, text))
    assert said in str(error.value) and "nobody" not in str(error.value)


def test_a_file_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be read: No such file"):
        read_keys(tmp_path / "keys.toml")


def test_no_log_says_them_whatever_an_error_holds(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    log = logging.getLogger("tests.keys")
    with logging_to(tmp_path, "executor", size_mb=1, count=1) as path:
        hide(KEYS)
        log.warning("refused: %s", {"KC-API-KEY": WORDS[0], "sign": WORDS[1]}, extra={"answer": f"{WORDS[2]}?"})
        try:
            raise ValueError(f"https://example.org/?apiKey={WORDS[0]}")
        except ValueError:
            log.exception("the request failed")
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    said = path.read_text() + capsys.readouterr().err
    assert not any(word in said for word in WORDS)
    assert lines[0]["message"] == "refused: {'KC-API-KEY': '[hidden]', 'sign': '[hidden]'}"
    assert lines[0]["answer"] == "[hidden]?"
    assert "ValueError: https://example.org/?apiKey=[hidden]" in lines[1]["message"]

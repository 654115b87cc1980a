"""A short live session as a whole: nothing is lost, everything is explained, no key is said."""

from pathlib import Path

import pytest

from tests.soak import account
from tests.soak.scene import KEY, PASSWORD, SECRET
from tests.soak.week import parity, play, scene_of


@pytest.mark.parametrize(("venue", "market"), [("gate", "swap"), ("kucoin", "spot")])
def test_a_session_is_whole_explained_and_says_no_key(tmp_path: Path, venue: str, market: str) -> None:
    scene = scene_of(tmp_path, venue, market, seed=3)
    played = play(scene, 240, account.members(scene, 12, ("1m", "3m")))
    assert played.code == 0, (tmp_path / "daemon.out").read_text()[-3000:]
    assert played.found.wrong == []
    assert len(played.record["fills"]) > 20
    assert all(bare["until_ms"] is not None for bare in played.record["bare"][:-1])
    code, said = parity(scene)
    assert code == 0, said
    assert "explained: each of" in said and "UNEXPLAINED" not in said
    leaks = [
        str(path) for path in tmp_path.rglob("*")
        if path.is_file() and path.name != "keys.toml"
        and any(word.encode() in path.read_bytes() for word in (KEY, SECRET, PASSWORD))
    ]  # fmt: skip
    assert leaks == []

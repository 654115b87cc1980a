"""The configuration: defaults, files, flags, and one sentence for each thing that is wrong."""

from dataclasses import fields
from pathlib import Path

import pytest

from executor.api.config import DEFAULT_PORT, ApiConfig
from executor.config import ExecutorConfig, load_config
from executor.ledger import Ledger
from executor.ledger.names import default_ledger
from executor.live_config import LiveConfig
from executor.parts import make_engine
from toolkit.errors import InputError, LedgerError, LockstepError, UnknownNameError
from toolkit.models.serve.token import make_token


def written(folder: Path, text: str) -> Path:
    file = folder / "executor.toml"
    file.write_text(text)
    return file


def test_defaults_are_those_of_the_parts(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("LOCKSTEP_DATA", str(tmp_path))
    config = ExecutorConfig()
    api = ApiConfig()
    assert config.ledger == default_ledger()
    assert (config.api_host, config.api_port, config.api_write) == (api.api_host, DEFAULT_PORT, api.api_write)
    assert config.logs == tmp_path / "logs" / "executor"
    assert config.heartbeat == tmp_path / "executor.sqlite.heartbeat"


def test_every_key_of_a_file_arrives_and_paths_are_meant_from_its_folder(tmp_path: Path) -> None:
    text = """
        ledger = "books/canary.sqlite"
        mode = "dry"
        venue = "gate"
        market = "swap"
        feed = "poll"
        decide_by_secs = 4
        fill_after_secs = 12.5
        stale_after_secs = 90
        max_entry_age_secs = 30
        models = "registry"
        follow_models = false
        model_url = "http://127.0.0.1:8788"
        model_token_file = "models.token"
        model_deadline_secs = 0.1
        api = false
        api_host = "::1"
        api_port = 9000
        api_write = true
        metrics = false
        ping_url = "https://example.org/ping/1"
        notify_urls = ["json://localhost"]
        notify_gap_secs = 60
        log_folder = "/var/log/lockstep"
        log_mb = 5
        log_count = 3
        heartbeat_limit_secs = 45
        [exchange_options]
        timeout = 5000
        [symbols]
        "XBT/USDT" = "BTC/USDT:USDT"
        [live]
        gateway = "own.py"
        keys_file = "keys.toml"
        allow_withdraw_keys = true
        leverage = 2
        margin_mode = "cross"
        protect_within_secs = 5
        poll_secs = 20
        reconcile_secs = 60
        balance_tolerance = 0.1
        max_orders_a_day = 7
        max_turnover_a_day = 3
    """
    config = load_config(written(tmp_path, text))
    assert config == ExecutorConfig(
        ledger=tmp_path / "books" / "canary.sqlite",
        venue="gate",
        market="swap",
        symbols={"XBT/USDT": "BTC/USDT:USDT"},
        live=LiveConfig(tmp_path / "own.py", tmp_path / "keys.toml", True, 2.0, "cross", 5.0, 20.0, 60.0, 0.1, 7, 3.0),
        feed="poll",
        exchange_options={"timeout": 5000},
        decide_by_secs=4.0,
        fill_after_secs=12.5,
        stale_after_secs=90.0,
        max_entry_age_secs=30.0,
        models=tmp_path / "registry",
        follow_models=False,
        model_url="http://127.0.0.1:8788",
        model_token_file=tmp_path / "models.token",
        model_deadline_secs=0.1,
        api=False,
        api_host="::1",
        api_port=9000,
        api_write=True,
        metrics=False,
        ping_url="https://example.org/ping/1",
        notify_urls=("json://localhost",),
        notify_gap_secs=60.0,
        log_folder=Path("/var/log/lockstep"),
        log_mb=5,
        log_count=3,
        heartbeat_limit_secs=45.0,
    )
    assert all(f"{f.name} = " in text or f"[{f.name}]" in text for f in fields(ExecutorConfig))
    assert all(f"{f.name} = " in text for f in fields(LiveConfig))


def test_a_flag_comes_before_the_file_and_one_not_given_does_not(tmp_path: Path) -> None:
    config = load_config(written(tmp_path, 'feed = "poll"\napi_port = 1\n'), api_port=2, feed=None)
    assert (config.feed, config.api_port) == ("poll", 2)


def test_without_a_name_the_file_of_the_project_counts(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text("[tool.lockstep]\n")
    monkeypatch.chdir(tmp_path)
    assert load_config().api_port == DEFAULT_PORT
    written(tmp_path, "api_port = 3\n")
    assert load_config().api_port == 3


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("decide_by_sec = 5", "unknown key 'decide_by_sec': did you mean 'decide_by_secs'"),
        ('feed = "strem"', "unknown feed 'strem': did you mean 'stream'?"),
        ('mode = "live"', "`mode` 'live' is not for the file"),
        ('api_port = "8787"', "`api_port` must be a whole number, was '8787'"),
        ("api_port = 70000", "`api_port` must be 0 (any) to 65535, was 70000"),
        ("api_port = true", "`api_port` must be a whole number, was True"),
        ("api = 1", "`api` must be true or false, was 1"),
        ("decide_by_secs = nan", "`decide_by_secs` must be a finite number, was nan"),
        ("decide_by_secs = -1", "`decide_by_secs` must be at least 0, was -1"),
        ("decide_by_secs = true", "`decide_by_secs` must be a finite number, was True"),
        ("fill_after_secs = 5", "`fill_after_secs` must be at least `decide_by_secs` (10), was 5"),
        ("max_entry_age_secs = 5", "`max_entry_age_secs` must be at least `decide_by_secs` (10), was 5"),
        ("log_mb = 0", "`log_mb` must be at least 1, was 0"),
        ("log_mb = 1.5", "`log_mb` must be a whole number, was 1.5"),
        ("heartbeat_limit_secs = 3", "`heartbeat_limit_secs` must be at least 30, was 3"),
        ('ping_url = "example.org"', "`ping_url` must be an http or https address, was 'example.org'"),
        ("ledger = 5", "`ledger` must be the path of a file, was 5"),
        ('log_folder = ""', "`log_folder` must be the path of a folder, was ''"),
        ("exchange_options = 5", "`exchange_options` must be a table, was 5"),
        ('market = "swop"', "unknown market 'swop': did you mean 'swap' or 'spot'?"),
        ("[symbols]\nx = 5", "`symbols` must be a table of texts"),
        ("[live]\nleverge = 5", "unknown key of [live] 'leverge': did you mean 'leverage'"),
        ("[live]\nleverage = 0.5", "`leverage` must be at least 1, was 0.5"),
        ("[live]\nreconcile_secs = 1", "`reconcile_secs` must be at least 10, was 1"),
        ("[live]\nbalance_tolerance = nan", "`balance_tolerance` in [live] must be a number, was nan"),
        ('[live]\nmargin_mode = "issolated"', "unknown margin_mode 'issolated': did you mean 'isolated'"),
        ("[live]\nmax_orders_a_day = 1.5", "`max_orders_a_day` in [live] must be a whole number, was 1.5"),
        ("[live]\nkeys_file = 5", "`keys_file` in [live] must be the path of a file, was 5"),
        ("ledger = ", "is not valid TOML"),
    ],
)
def test_what_is_wrong_is_one_sentence_that_names_the_file(tmp_path: Path, text: str, said: str) -> None:
    file = written(tmp_path, text)
    with pytest.raises(LockstepError) as caught:
        load_config(file)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)
    if "unknown feed" not in said and "unknown mode" not in said:
        assert str(file) in str(caught.value)


def test_addresses_of_notifications_are_not_said(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"a list of texts, each an address of apprise$"):
        load_config(written(tmp_path, 'notify_urls = "tgram://secret"'))


def test_a_file_that_was_named_must_be_there(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"the configuration .*none\.toml cannot be read"):
        load_config(tmp_path / "none.toml")
    with pytest.raises(UnknownNameError):
        ExecutorConfig(feed="socket")


def test_a_model_server_needs_a_token_that_can_be_read_and_an_address_that_can_be_asked(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("LOCKSTEP_DATA", str(tmp_path))
    with Ledger.open(tmp_path / "executor.sqlite", create=True) as ledger:
        with pytest.raises(InputError, match=r"models\.token cannot be read"):
            make_engine(ExecutorConfig(model_url="http://127.0.0.1:8788"), ledger)
        make_token(tmp_path / "models.token")
        with pytest.raises(InputError, match="must be an address or localhost"):
            make_engine(ExecutorConfig(model_url="http://models.example.org:8788"), ledger)
        with pytest.raises(LedgerError, match="has no deployment"):
            make_engine(ExecutorConfig(model_url="http://127.0.0.1:8788"), ledger)
    with pytest.raises(InputError, match="`model_deadline_secs` must be above 0 and at most"):
        ExecutorConfig(model_deadline_secs=61.0)

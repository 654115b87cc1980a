"""The page in headless Chromium: what a person sees of a ledger, and that nothing leaves the daemon."""

import json
import shutil
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from executor.ledger import Ledger
from executor.ledger.lock import one_daemon
from tests.executor.api import sample
from tests.executor.api.served import Served, serving, wall_ms
from tests.executor.api.test_answers import DRIFT
from toolkit.engine.sizing import REASONS, Reason

CHROMIUM = shutil.which("chromium")
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]
MARKUP = "<img src=x onerror=alert(1)>"
DAY = 86_400_000

pytestmark = [
    pytest.mark.browser,
    pytest.mark.xdist_group("browser"),
    pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed: the page was not looked at in a browser"),
]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as play:
        started = play.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield started
        started.close()


def make_live(path: Path, now_ms: int) -> None:
    """The sample as a live account with a halted symbol and a trade without its stop."""
    with Ledger.open(path) as ledger:
        ledger.set_meta("mode", "live")
        trade = ledger.value("SELECT trade_id FROM trades WHERE status = 'ACTIVE' AND symbol = 'BTC/USDT'")
        halt = {"symbol": "SOL/USDT", "from_ms": now_ms, "until_ms": None, "reason": "less is held than is booked"}
        ledger.put("symbol_halts", [halt])
        ledger.insert("unprotected", {"trade_id": trade, "from_ms": now_ms - 4_000, "why": "refused: too far"})


class Visit:
    """An open page with all that went wrong on it."""

    def __init__(self, browser: Browser, api: Served, *, clock: bool = False, **context: Any) -> None:
        self.api = api
        self.context = browser.new_context(**({"viewport": {"width": 1280, "height": 900}} | context))
        self.page: Page = self.context.new_page()
        if clock:
            self.page.clock.install()
        self.wrong: list[str] = []
        self.asked: list[str] = []
        self.page.on("console", lambda m: self.wrong.append(m.text) if m.type in ("error", "warning") else None)
        self.page.on("pageerror", lambda e: self.wrong.append(str(e)))
        self.page.on("dialog", lambda d: (self.wrong.append(f"dialog {d.message}"), d.dismiss()))
        self.page.on("request", lambda r: self.asked.append(r.url))
        self.page.goto(api.url)

    def enter(self) -> "Visit":
        self.page.fill("#token", self.api.token)
        self.page.press("#token", "Enter")
        self.page.locator("#chart svg, #banners .warn").first.wait_for()
        return self

    def figures(self) -> dict[str, str]:
        found = self.page.eval_on_selector_all("[data-figure]", "es => es.map(e => [e.dataset.figure, e.textContent])")
        return dict(found)

    def column(self, table: str, head: str) -> list[str]:
        """First lines of a column's cells."""
        k = self.page.locator(f"#{table} th", has_text=head).first.evaluate("th => th.cellIndex")
        cells = self.page.locator(f"#{table} tbody tr td:nth-child({k + 1})")
        return cells.evaluate_all("cells => cells.map(cell => cell.firstChild.textContent)")  # type: ignore[no-any-return]

    @property
    def outside(self) -> list[str]:
        return [url for url in self.asked if not url.startswith(self.api.url)]

    def __enter__(self) -> "Visit":
        return self

    def __exit__(self, *_: object) -> None:
        self.context.close()


def sql(api: Served, text: str, *values: Any) -> list[dict[str, Any]]:
    """Run by SQLite alone; kept."""
    db = sqlite3.connect(api.ledger)
    db.row_factory = sqlite3.Row
    with db:
        found = [dict(row) for row in db.execute(text, values)]
    db.close()
    return found


def number(text: str) -> float:
    return float(text.replace(",", "").replace("+", "").removesuffix(" %"))


def test_the_token_is_asked_once_and_forgotten_with_the_tab(browser: Browser, api: Served) -> None:
    with Visit(browser, api) as visit:
        page = visit.page
        expect(page.locator("#door")).to_be_visible()
        expect(page.locator("#room")).to_be_hidden()
        page.fill("#token", "a wrong one")
        page.press("#token", "Enter")
        expect(page.locator("#door-note")).to_contain_text("does not open it")
        assert page.evaluate("sessionStorage.length") == 0
        # Chromium itself says a 401; nothing else is wrong.
        assert [w for w in visit.wrong if "401" not in w] == []
        visit.enter()
        page.reload()
        page.locator("#chart svg").wait_for()
        expect(page.locator("#door")).to_be_hidden()
        assert page.evaluate("[localStorage.length, document.cookie]") == [0, ""]
        assert api.token not in "".join(visit.asked)


def test_the_page_opens_without_an_error_or_a_request_outside(browser: Browser, api: Served) -> None:
    with Visit(browser, api) as visit:
        visit.enter()
        visit.page.hover("#chart svg")
        expect(visit.page.locator("#chart output")).to_contain_text("predicted")
        for choice in visit.page.locator(".choice button").all():
            choice.click()
        visit.page.click("#theme")
        expect(visit.page.locator("#positions tbody tr")).to_have_count(3)
        assert (visit.wrong, visit.outside) == ([], [])
        paths = {url.removeprefix(api.url).partition("?")[0] for url in visit.asked}
        assert {"/", "/api/status", "/api/equity", "/dashboard/main.js"} <= paths


def test_figures_on_the_page_are_those_of_the_ledger(browser: Browser, api: Served) -> None:
    (mark,) = sql(api, "SELECT * FROM equity ORDER BY ts_ms DESC LIMIT 1")
    (before,) = sql(api, "SELECT * FROM days ORDER BY ts_ms DESC LIMIT 1")
    midnight = sql(api, "SELECT moment_ms FROM account")[0]["moment_ms"] // DAY * DAY
    decided = sql(api, "SELECT * FROM signals WHERE ts_ms >= ? ORDER BY ts_ms DESC, signal_id", midnight)
    with Visit(browser, api) as visit:
        shown = visit.enter().figures()
        entries, profits = visit.column("trades", "entry"), visit.column("trades", "profit")
        whys, decisions = visit.column("signals", "why"), visit.column("signals", "decision")
        feed = visit.column("feed", "series")
    assert number(shown["equity"]) == pytest.approx(mark["equity"], abs=0.0051)
    assert number(shown["gross"]) == pytest.approx(mark["gross"], abs=0.0051)
    assert number(shown["today"]) == pytest.approx(mark["equity"] - before["equity"], abs=0.0051)
    (deposit,) = (row["amount"] for row in sql(api, "SELECT * FROM cash_flows WHERE kind = 'deposit'"))
    around = sql(api, "SELECT equity FROM equity WHERE ts_ms IN (SELECT ts_ms + k FROM cash_flows, "
                      "(SELECT -3600000 AS k UNION SELECT 0) WHERE kind = 'deposit') ORDER BY ts_ms")  # fmt: skip
    growth = around[0]["equity"] / sample.CAPITAL * (around[1]["equity"] - deposit) / around[0]["equity"]
    growth *= mark["equity"] / around[1]["equity"]
    assert number(shown["growth"]) == pytest.approx(100 * (growth - 1), abs=0.0051)
    assert shown["open_trades"] == "9" and shown["instances"] == "49"
    taken = sum(row["decision"] == "accepted" for row in decided)
    assert shown["signals"] == f"{taken} of {len(decided)}"
    assert whys == [REASONS[Reason(row["reason"])] for row in decided]
    words = {"accepted": "taken", "vetoed": "vetoed", "rejected": "rejected"}
    assert decisions == [words[row["decision"]] for row in decided]
    trades = sql(api, "SELECT * FROM trades WHERE status = 'ACTIVE' ORDER BY entry_ms DESC")
    assert [number(text) for text in entries] == pytest.approx([row["entry_price"] for row in trades], rel=1e-4)
    for text, row in zip(profits, trades, strict=True):
        won = (sample.PRICES[row["symbol"]] - row["entry_price"]) * (1 if row["side"] == "long" else -1)
        assert number(text) == pytest.approx(row["qty"] * won - row["entry_fee"], abs=0.0051)
    assert feed == ["BTC/USDT 1m", "ETH/USDT 1m", "SOL/USDT 5m"]


def test_the_line_is_drawn_where_the_band_and_the_marks_are(browser: Browser, api: Served) -> None:
    answer = json.loads(api.ask("/api/equity").body)
    with Visit(browser, api) as visit:
        visit.enter()
        points = visit.page.locator("#chart .line").get_attribute("points") or ""
        band = visit.page.locator("#chart .band").get_attribute("points") or ""
    line = [tuple(map(float, p.split(","))) for p in points.split()]
    edge = [tuple(map(float, p.split(","))) for p in band.split()]
    assert len(line) == len(answer["marks"])
    upper = edge[: len(edge) // 2]
    top = max(zip(line, answer["marks"], strict=True), key=lambda pair: pair[1]["growth"])
    assert top[0][1] == min(y for _, y in line)
    # Both on one scale: what a day of the band is on the page, from two marks of the line.
    (x0, y0), (x1, y1) = line[0], top[0]
    rise = (y1 - y0) / (top[1]["growth"] - 1)
    for k in (1, 10, 24):
        x = x0 + (x1 - x0) * k * DAY / (top[1]["ts_ms"] - answer["start_ms"])
        drawn = next(point for point in upper if abs(point[0] - x) < 0.1)
        assert drawn[1] == pytest.approx(y0 + rise * (sample.band()["p95"][k] - 1), abs=0.1)


def test_it_updates_by_itself(browser: Browser, api: Served) -> None:
    with Visit(browser, api) as visit:
        visit.enter()
        page = visit.page
        expect(page.locator("#trades tbody tr")).to_have_count(9)
        sql(
            api,
            "UPDATE trades SET status = 'CLOSED', exit_ms = 1, exit_price = 1, pnl = 0 WHERE trade_id = 't0003'",
        )
        sql(
            api,
            "INSERT INTO equity SELECT max(ts_ms) + 1, 123456.78, cash, gross, net, 8 FROM equity",
        )
        expect(page.locator("#trades tbody tr")).to_have_count(8, timeout=15_000)
        expect(page.locator('[data-figure="open_trades"]')).to_have_text("8")
        expect(page.locator('[data-figure="equity"]')).to_have_text("123,456.78")
        sql(api, "INSERT INTO commands (ts_ms, verb, target) VALUES (1, 'disable', 'channel_trend')")
        expect(page.locator("#banners")).to_contain_text(
            "Waiting for the daemon: disable channel_trend", timeout=15_000
        )
        assert visit.wrong == []


def test_a_daemon_that_is_gone_is_shown_by_an_age_that_grows_red(browser: Browser, ledger: Path) -> None:
    with serving(ledger) as api, Visit(browser, api, clock=True) as visit:
        page = visit.enter().page
        heard = page.locator("#heard")
        expect(heard).not_to_have_class("stale")
        fresh = heard.evaluate("e => e.style.getPropertyValue('--heat')")
        api.stop()
        page.clock.run_for(60_000)
        expect(heard).to_have_class("stale")
        expect(page.locator("#banners .warn")).to_contain_text("The daemon does not answer since")
        later = heard.evaluate("e => e.style.getPropertyValue('--heat')")
        assert number(later.removesuffix("%")) > number(fresh.removesuffix("%")) + 20
        first = heard.inner_text()
        page.clock.run_for(7_200_000)
        expect(heard).to_have_text("heard 2 h 1 min ago")
        assert first != heard.inner_text()
        # The figures stay, faint: they are the last ones known.
        assert page.locator("#trades tbody tr").count() == 9
        assert page.evaluate("document.body.className") == "quiet"


@pytest.mark.parametrize(("held", "said"), [
    (True, "The daemon holds the ledger but has written nothing for"),
    (False, "No daemon works on this ledger"),
])  # fmt: skip
def test_a_daemon_that_writes_nothing_is_shown(browser: Browser, tmp_path: Path, held: bool, said: str) -> None:
    path = tmp_path / "executor.sqlite"
    sample.make(path, wall_ms(), heard_secs=900)
    holding = path if held else tmp_path / "another.sqlite"
    with one_daemon(holding), serving(path) as api, Visit(browser, api) as visit:
        visit.enter()
        expect(visit.page.locator("#heard")).to_have_text("heard 15 min ago")
        expect(visit.page.locator("#heard")).to_have_class("stale")
        expect(visit.page.locator("#banners .warn")).to_contain_text(said)


def test_a_halt_and_a_stale_feed_are_said_at_the_top(browser: Browser, tmp_path: Path) -> None:
    path = tmp_path / "executor.sqlite"
    sample.make(path, wall_ms(), halted=True)
    with one_daemon(path), serving(path) as api:
        sql(api, "UPDATE feed SET state = 'stale' WHERE symbol = 'SOL/USDT'")
        with Visit(browser, api) as visit:
            visit.enter()
            said = visit.page.locator("#banners .warn").all_inner_texts()
    assert len(said) == 2
    assert "Halted (daily loss)" in said[0] and "no new entries" in said[0]
    assert said[1] == "The feed is stale: SOL/USDT 5m."


def test_a_live_account_says_what_is_bare_and_what_is_halted(browser: Browser, tmp_path: Path) -> None:
    path = tmp_path / "executor.sqlite"
    sample.make(path, wall_ms())
    make_live(path, wall_ms())
    with one_daemon(path), serving(path) as api, Visit(browser, api) as visit:
        visit.enter()
        said = visit.page.locator("#banners .warn").all_inner_texts()
    assert said == [
        "SOL/USDT takes no new entries: less is held than is booked",
        "BTC/USDT has no stop at the venue: refused: too far",
    ]


def test_tables_sort_by_click_and_by_key_and_stay_sorted(browser: Browser, api: Served) -> None:
    with Visit(browser, api) as visit:
        page = visit.enter().page
        head = page.locator("#trades th", has_text="profit")
        head.locator("button").click()
        assert head.get_attribute("aria-sort") == "descending"
        values = [number(text) for text in visit.column("trades", "profit")]
        assert values == sorted(values, reverse=True) and len(set(values)) == 9
        head.locator("button").press("Enter")
        assert [number(text) for text in visit.column("trades", "profit")] == values[::-1]
        worst = page.locator("#trades tbody tr:first-child td").nth(head.evaluate("th => th.cellIndex"))
        before = worst.inner_text()
        sql(api, "UPDATE trades SET entry_price = entry_price * 1.5 WHERE trade_id = 't0001'")
        expect(worst).not_to_have_text(before, use_inner_text=True, timeout=15_000)
        again = [number(text) for text in visit.column("trades", "profit")]
        assert again == sorted(again) and again != values[::-1]


def test_signals_can_be_those_that_were_not_taken(browser: Browser, api: Served) -> None:
    with Visit(browser, api) as visit:
        page = visit.enter().page
        page.click('#signals-kind button[value="refused"]')
        refused = visit.column("signals", "decision")
        page.click('#signals-kind button[value="taken"]')
        assert set(visit.column("signals", "decision")) == {"taken"}
    assert set(refused) == {"vetoed", "rejected"}


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_follows_the_readers_scheme_and_the_switch(browser: Browser, api: Served, scheme: Any) -> None:
    def brightness(page: Page) -> int:
        colour = page.evaluate("getComputedStyle(document.body).backgroundColor")
        return sum(int(part) for part in colour[colour.index("(") + 1 : -1].split(",")[:3])

    with Visit(browser, api, color_scheme=scheme) as visit:
        visit.enter()
        assert (brightness(visit.page) > 384) == (scheme == "light")
        visit.page.click("#theme")
        assert (brightness(visit.page) > 384) == (scheme == "dark")
        assert visit.wrong == []


def test_a_phone_needs_no_sideways_scroll(browser: Browser, api: Served) -> None:
    phone = {"width": 390, "height": 844}
    with Visit(browser, api, viewport=phone, device_scale_factor=2, has_touch=True) as visit:
        visit.enter()
        width = visit.page.evaluate("[document.documentElement.scrollWidth, window.innerWidth]")
        assert width[0] <= width[1] == 390
        wide = "es => es.filter(e => e.scrollWidth > e.clientWidth).map(e => e.firstElementChild.id)"
        assert visit.page.eval_on_selector_all(".scroll", wide) == []
        assert visit.wrong == []


def test_models_their_versions_and_their_drift_are_shown(
    browser: Browser, api: Served, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LOCKSTEP_DATA", str(tmp_path))
    sql(api, "UPDATE signals SET model_version = ?, prediction = 0.625, scale = 0.5", f"{sample.MODEL}@v7")
    with Visit(browser, api) as visit:
        visit.enter()
        expect(visit.page.locator("#models tbody tr")).to_have_count(3)
        assert visit.column("models", "judges from")[0] == "the next bar"
        assert visit.column("models", "judges from")[2] == "the beginning"
        assert set(visit.column("signals", "prediction")) == {"0.625"} and "50 %" in visit.column("signals", "share")
        assert f"{sample.MODEL}@v7" in visit.page.inner_text("#signals")
        expect(visit.page.locator("#drift")).to_contain_text("toolkit model drift")
        place = tmp_path / "drift" / "d-20261030-7c1f.json"
        place.parent.mkdir()
        place.write_text(json.dumps(DRIFT))
        expect(visit.page.locator("#drift .chip")).to_have_text("drifted", timeout=15_000)
        expect(visit.page.locator("#drift")).to_contain_text("rsi(14) PSI 0.610")
        expect(visit.page.locator("#drift-lead")).to_contain_text("2026-11-22 03:00")
        assert (visit.wrong, visit.outside) == ([], [])


def test_markup_in_names_stays_text(browser: Browser, api: Served) -> None:
    sql(api, "UPDATE meta SET value = ? WHERE key = 'account'", MARKUP)
    sql(api, "UPDATE trades SET strategy = ?", MARKUP)
    sql(api, "UPDATE instances SET note = ? WHERE enabled = 0", MARKUP)
    with Visit(browser, api) as visit:
        visit.enter()
        assert visit.page.inner_text("#account") == MARKUP
        assert MARKUP in visit.page.inner_text("#trades")
        assert MARKUP in visit.page.inner_text("#disabled")
        assert visit.page.locator("img").count() == 0
        assert (visit.wrong, visit.outside) == ([], [])


def test_a_ledger_with_nothing_in_it_is_shown(browser: Browser, tmp_path: Path) -> None:
    path = tmp_path / "none.sqlite"
    with serving(path) as api, Visit(browser, api) as visit:
        visit.enter()
        expect(visit.page.locator("#banners")).to_contain_text("there is no ledger")
        sample.make(path, wall_ms())
        visit.page.locator("#chart svg").wait_for(timeout=15_000)
        expect(visit.page.locator("#trades tbody tr")).to_have_count(9)

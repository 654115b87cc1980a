// Asks the API every few seconds and shows what it says; tells how old that is when it says nothing.

import { ask, Refused, token } from "./api.js";
import { Chart } from "./chart.js";
import { day, moment, time } from "./format.js";
import { showBanners, showFacts, showHead, showHeard } from "./head.js";
import { makeTables } from "./tables.js";

const POLL_MS = 3000;
const DAY = 86_400_000;
const at = (id) => document.getElementById(id);

const seen = { status: null, signals: [], equity: null, mark: null, ahead: 0, answered: 0 };
const choices = { by: "symbol", kind: "all" };
const now = () => Date.now() + seen.ahead;
const tables = makeTables(now);
const chart = new Chart(at("chart"));
let asking = false;

async function poll() {
  if (asking || document.hidden || !token.get()) return;
  asking = true;
  try {
    await read();
    at("room").hidden = false;
  } catch (error) {
    if (error instanceof Refused) lock("This token does not open it; it may have been rotated.");
    else complain(error.message);
  } finally {
    asking = false;
  }
  tick();
}

// Until the first answer there is nothing else to show.
function complain(why) {
  at("asked").textContent = `The last question was not answered (${why}).`;
  if (seen.status) return;
  const line = document.createElement("p");
  line.className = "banner warn";
  line.textContent = why;
  at("banners").replaceChildren(line);
  at("room").hidden = false;
}

async function read() {
  const status = await ask("/api/status");
  const midnight = Math.floor((status.moment_ms ?? status.now_ms) / DAY) * DAY;
  const [trades, positions, signals, sessions, halts, models] = await Promise.all([
    ask("/api/trades?status=ACTIVE"),
    ask(`/api/positions?by=${choices.by}`),
    ask(`/api/signals?since=${midnight}`),
    ask("/api/sessions?limit=10"),
    ask("/api/halts?limit=10"),
    ask("/api/models?limit=20"),
  ]);
  // The curve is the largest answer: asked for when there is another mark, or another deployment.
  const mark = JSON.stringify([status.mark, status.deployment?.id]);
  if (mark !== seen.mark) {
    seen.equity = await ask("/api/equity");
    chart.show(seen.equity);
    seen.mark = mark;
  }
  Object.assign(seen, { status, signals, ahead: status.now_ms - Date.now(), answered: Date.now() });
  showHead(status);
  showFacts(status, signals, seen.equity);
  at("equity-lead").textContent = lead(seen.equity);
  at("signals-lead").textContent = `of ${day(midnight)}, newest first`;
  tables.trades.show(trades);
  tables.positions.show(positions);
  tables.halts.show(halts);
  tables.models.show(models.models);
  tables.drift.show(models.drift?.models ?? []);
  at("drift-lead").textContent = models.drift ? `Drift as toolkit model drift found it at ${moment(Date.parse(models.drift.created))}.` : "";
  tables.disabled.show(status.disabled);
  tables.sessions.show(sessions.map((row, k) => ({ ...row, newest: k === 0 })));
  showSignals();
  at("asked").textContent = `Answered at ${time(status.now_ms)}, asked every ${POLL_MS / 1000} s.`;
}

function lead(equity) {
  if (!equity.start_ms) return "There is no mark of equity yet.";
  const said = `Growth since ${day(equity.start_ms)}, deposits and withdrawals taken out.`;
  if (!equity.band) return `${said} The deployment came without a band.`;
  return `${said} The band is where nine of ten courses drawn from the backtest's trades are; the dashed line is their median.`;
}

function showSignals() {
  const taken = (signal) => signal.decision === "accepted";
  const wanted = { all: () => true, taken, refused: (signal) => !taken(signal) }[choices.kind];
  tables.signals.show(seen.signals.filter(wanted));
}

// Every second, whether there was an answer or not: ages grow.
function tick() {
  if (!seen.status) return;
  const silence = (Date.now() - seen.answered) / 1000;
  const state = showHeard(seen.status, now(), silence);
  showBanners(seen.status, state, silence, now());
  tables.feed.show(seen.status.feed);
}

function lock(why) {
  token.forget();
  at("room").hidden = true;
  at("door").hidden = false;
  at("door-note").textContent = why;
  at("token").focus();
}

function choose(id, name, then) {
  const buttons = [...at(id).querySelectorAll("button")];
  const press = (value) => buttons.forEach((button) => button.setAttribute("aria-pressed", button.value === value));
  press(choices[name]);
  for (const button of buttons) {
    button.addEventListener("click", () => {
      choices[name] = button.value;
      press(button.value);
      then();
    });
  }
}

function dress() {
  const dark = () => (document.documentElement.dataset.theme ?? (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light")) === "dark";
  const label = () => (at("theme").textContent = dark() ? "Light" : "Dark");
  at("theme").addEventListener("click", () => {
    document.documentElement.dataset.theme = dark() ? "light" : "dark";
    label();
  });
  label();
}

at("door").addEventListener("submit", (event) => {
  event.preventDefault();
  token.set(at("token").value.trim());
  at("token").value = "";
  at("door").hidden = true;
  poll();
});
document.addEventListener("visibilitychange", poll);
choose("positions-by", "by", () => ask(`/api/positions?by=${choices.by}`).then((rows) => tables.positions.show(rows), poll));
choose("signals-kind", "kind", showSignals);
dress();
if (token.get()) poll();
else lock("");
setInterval(poll, POLL_MS);
setInterval(tick, 1000);

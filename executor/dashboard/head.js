// The top of the page: who and what this is, whether the daemon is heard of, what is wrong, the figures.

import { count, day, gain, moment, money, share, span, time, tone } from "./format.js";
import { until } from "./tables.js";

const at = (id) => document.getElementById(id);
const SILENT_SECS = 10;

export function showHead(status) {
  at("account").textContent = status.account ?? "Lockstep";
  at("mode").textContent = status.mode ?? "";
  at("mode").className = `chip ${status.mode ?? ""}`;
  const deployed = status.deployment;
  at("deployment").textContent = deployed
    ? `${deployed.id}, in effect from ${moment(deployed.effective_from_ms)}, of backtest ${deployed.backtest ?? "unknown"}`
    : "no deployment is active";
  document.title = `${status.account ?? "Lockstep"} · ${money(status.mark?.equity)} ${status.currency ?? ""}`;
}

// silence : seconds since the API last answered. now : the server's clock.
export function showHeard(status, now, silence) {
  const pill = at("heard");
  const age = (now - (status.heard_ms ?? 0)) / 1000;
  const cut = silence > SILENT_SECS;
  const replay = status.mode === "replay";
  const stale = cut || (!replay && age > status.stale_secs);
  pill.style.setProperty("--heat", replay && !cut ? "0%" : `${Math.round(100 * Math.min(1, age / status.stale_secs))}%`);
  pill.className = stale ? "stale" : "";
  pill.textContent = replay && !cut ? `replay at ${moment(status.moment_ms)}` : `heard ${status.heard_ms === null ? "never" : `${span(age)} ago`}`;
  document.body.classList.toggle("quiet", stale);
  return { cut, stale };
}

export function showBanners(status, { cut, stale }, silence, now) {
  const found = [];
  if (cut) found.push(["warn", `The daemon does not answer since ${span(silence)}: what is below is of ${time(now - 1000 * silence)}.`]);
  else if (status.daemon === null) found.push(["warn", "No daemon works on this ledger: nothing is decided, stops of a paper account are not watched."]);
  else if (stale) found.push(["warn", `The daemon holds the ledger but has written nothing for ${span((now - status.heard_ms) / 1000)}.`]);
  for (const one of status.venue?.halted_symbols ?? []) {
    found.push(["warn", `${one.symbol} takes no new entries: ${one.reason}`]);
  }
  for (const one of status.venue?.unprotected ?? []) {
    found.push(["warn", `${one.symbol ?? one.trade_id} has no stop at the venue: ${one.why}`]);
  }
  for (const halt of status.halts) {
    found.push(["warn", `Halted (${halt.kind.replaceAll("_", " ")}) since ${moment(halt.ts_ms)}: no new entries; until ${until(halt.until_ms)}.`]);
  }
  const late = status.feed.filter((row) => row.state === "stale").map((row) => `${row.symbol} ${row.base}`);
  if (late.length) found.push(["warn", `The feed is stale: ${late.join(", ")}.`]);
  if (status.disabled.length) found.push(["caution", `Off: ${status.disabled.map((row) => row.id).join(", ")}.`]);
  if (status.waiting_commands.length) {
    found.push(["caution", `Waiting for the daemon: ${status.waiting_commands.map((c) => `${c.verb} ${c.target}`.trim()).join(", ")}.`]);
  }
  const lines = found.map(([kind, text]) => {
    const line = document.createElement("p");
    line.className = `banner ${kind}`;
    line.textContent = text;
    return line;
  });
  const box = at("banners");
  // Said again to a screen reader only when it changes.
  if ([...box.children].map((line) => line.textContent).join() !== lines.map((line) => line.textContent).join()) box.replaceChildren(...lines);
}

export function showFacts(status, signals, equity) {
  const mark = status.mark, today = status.today, place = equity?.place;
  const newest = equity?.marks.at(-1);
  const taken = signals.filter((signal) => signal.decision === "accepted").length;
  const facts = [
    ["equity", `equity, ${status.currency ?? ""}`, money(mark?.equity), `at ${moment(mark?.ts_ms)}`],
    ["today", `today, ${day(today?.since_ms)}`, gain(today?.pnl), share(today?.share), tone(today?.pnl)],
    ["growth", "since the deployment", share(newest?.growth ? newest.growth - 1 : null), placed(place), tone((newest?.growth ?? 1) - 1)],
    ["open_trades", "open trades", count(status.open_trades), `${count(status.working_orders)} orders work`],
    ["gross", "gross exposure", money(mark?.gross), `net ${gain(mark?.net)}`],
    ["signals", "signals taken, of all", `${taken} of ${signals.length}`, `${count(status.live_signals)} live`],
    ["instances", "instances on", count(status.enabled_instances), `${status.disabled.length} off`],
  ];
  at("facts").replaceChildren(...facts.map(fact));
}

function placed(place) {
  if (!place) return "no band to compare with";
  if (place.where === "beyond" || place.where === "before") return `the band has ${place.where === "before" ? "not begun" : "ended"}`;
  const band = `${share(place.p05 - 1)} to ${share(place.p95 - 1)}`;
  return { below: `below ${band}`, inside: `inside ${band}`, above: `above ${band}` }[place.where];
}

function fact([name, label, value, small, kind = ""]) {
  const box = document.createElement("div");
  box.className = "fact";
  const term = document.createElement("dt");
  term.textContent = label;
  const figure = document.createElement("dd");
  figure.className = kind;
  const text = document.createElement("span");
  text.dataset.figure = name;
  text.textContent = value;
  const line = document.createElement("small");
  line.textContent = small;
  figure.append(text, line);
  box.append(term, figure);
  return box;
}

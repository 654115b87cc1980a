// The page's tables: which columns, and what each says.

import { day, gain, moment, money, price, qty, share, span, time, tone } from "./format.js";
import { Table } from "./table.js";

const at = (id) => document.getElementById(id);
const words = (text) => (text ?? "").replaceAll("_", " ");
const probability = (value) => (value === null ? "–" : value.toFixed(3));
const portion = (value) => (value === null ? "–" : `${Math.round(100 * value)} %`);
const judging = (m) => (m.effective_ms === 0 ? "the beginning" : m.effective_ms ? moment(m.effective_ms) : m.after_ms ? `waits for ${moment(m.after_ms)}` : "the next bar");
const DECISIONS = { accepted: "taken", vetoed: "vetoed", rejected: "rejected" };

export function makeTables(now) {
  return {
    trades: new Table(at("trades"), trades(now), "No trade is open."),
    positions: new Table(at("positions"), positions(), "No trade is open."),
    signals: new Table(at("signals"), signals(), "None."),
    models: new Table(at("models"), models(), "No model judges entries: every signal goes to the account."),
    drift: new Table(at("drift"), drift(), "Drift was not looked at yet: toolkit model drift."),
    feed: new Table(at("feed"), feed(now), "The daemon has not heard of any series yet."),
    sessions: new Table(at("sessions"), sessions(now), "The daemon was never started on this ledger."),
    halts: new Table(at("halts"), halts(), "There was none."),
    disabled: new Table(at("disabled"), disabled(), "None: every instance is on."),
  };
}

const trades = (now) => [
  { label: "symbol", text: (t) => t.symbol, small: (t) => `${t.strategy} ${t.interval ?? ""}`, kind: "text" },
  { label: "side", text: (t) => t.side },
  { label: "opened", text: (t) => moment(t.entry_ms), small: (t) => `${span((now() - t.entry_ms) / 1000)} ago`, key: (t) => t.entry_ms, more: true },
  { label: "entry", text: (t) => price(t.entry_price), key: (t) => t.entry_price, kind: "n", more: true },
  { label: "last", text: (t) => price(t.mark), key: (t) => t.mark, kind: "n", more: true },
  { label: "stop", text: (t) => price(t.stop_now ?? t.stop_price), key: (t) => t.stop_now ?? t.stop_price, kind: "n" },
  { label: "target", text: (t) => price(t.target_price), key: (t) => t.target_price, kind: "n", more: true },
  { label: "quantity", text: (t) => qty(t.qty), key: (t) => t.qty, kind: "n", more: true },
  { label: "notional", text: (t) => money(t.notional), key: (t) => t.notional, kind: "n", more: true },
  { label: "profit", text: (t) => gain(t.pnl), small: (t) => share(t.notional ? t.pnl / t.notional : null), key: (t) => t.pnl, tone: (t) => tone(t.pnl), kind: "n" },
];

const positions = () => [
  { label: "name", text: (p) => p.symbol ?? p.strategy ?? p.currency, kind: "text" },
  { label: "trades", text: (p) => String(p.trades), key: (p) => p.trades, kind: "n" },
  { label: "long", text: (p) => money(p.long), key: (p) => p.long, kind: "n", more: true },
  { label: "short", text: (p) => money(p.short), key: (p) => p.short, kind: "n", more: true },
  { label: "gross", text: (p) => money(p.gross), key: (p) => p.gross, kind: "n", more: true },
  { label: "net", text: (p) => gain(p.net), key: (p) => p.net, kind: "n" },
  { label: "profit", text: (p) => gain(p.pnl), key: (p) => p.pnl, tone: (p) => tone(p.pnl), kind: "n" },
];

const signals = () => [
  { label: "time", text: (s) => time(s.ts_ms).slice(0, 5), key: (s) => s.ts_ms },
  { label: "symbol", text: (s) => s.symbol, small: (s) => s.strategy, kind: "text" },
  { label: "side", text: (s) => s.side },
  { label: "decision", text: (s) => DECISIONS[s.decision] ?? s.decision, chip: (s) => s.decision },
  { label: "why", text: (s) => s.why, kind: "text" },
  { label: "price", text: (s) => price(s.price), key: (s) => s.price, kind: "n", more: true },
  { label: "asked", text: (s) => qty(s.asked), key: (s) => s.asked, kind: "n", more: true },
  { label: "given", text: (s) => qty(s.given), key: (s) => s.given, kind: "n", more: true },
  { label: "prediction", text: (s) => probability(s.prediction), key: (s) => s.prediction, kind: "n", more: true, small: (s) => s.model_version ?? "" },
  { label: "share", text: (s) => (s.model_version ? portion(s.scale) : "–"), key: (s) => s.scale, kind: "n", more: true },
  { label: "since then", text: (s) => words(s.end), small: (s) => (s.ignored ? `${s.ignored} more ignored` : ""), more: true },
];

const models = () => [
  { label: "model", text: (m) => m.name, small: (m) => `${m.version}, of ${m.cause}`, kind: "text" },
  { label: "judges from", text: (m) => judging(m), key: (m) => m.effective_ms ?? m.after_ms },
  { label: "instances", text: (m) => String(m.instances), key: (m) => m.instances, kind: "n", more: true },
  { label: "asked", text: (m) => String(m.signals), key: (m) => m.signals, kind: "n", more: true },
  { label: "taken", text: (m) => String(m.taken), key: (m) => m.taken, kind: "n" },
  { label: "vetoed", text: (m) => String(m.vetoed), key: (m) => m.vetoed, kind: "n", more: true },
  { label: "no answer", text: (m) => String(m.unanswered), key: (m) => m.unanswered, tone: (m) => (m.unanswered ? "loss" : ""), kind: "n" },
  { label: "mean prediction", text: (m) => probability(m.prediction), key: (m) => m.prediction, kind: "n", more: true },
];

const drift = () => [
  { label: "model", text: (d) => d.name, small: (d) => d.version, kind: "text" },
  { label: "drift", text: (d) => d.verdict, chip: (d) => `drift-${d.verdict.replaceAll(" ", "-")}` },
  { label: "what", text: (d) => d.text, small: (d) => d.features.slice(0, 3).map((f) => `${f.feature} PSI ${probability(f.psi)}`).join(", "), kind: "text" },
  { label: "predicted", text: (d) => probability(d.outcomes.predicted), key: (d) => d.outcomes.predicted, kind: "n", more: true },
  { label: "came true", text: (d) => probability(d.outcomes.now), key: (d) => d.outcomes.now, kind: "n", more: true },
  { label: "in training", text: (d) => probability(d.outcomes.before), key: (d) => d.outcomes.before, kind: "n", more: true },
  { label: "AUC", text: (d) => probability(d.outcomes.auc), key: (d) => d.outcomes.auc, kind: "n", more: true },
  { label: "rows", text: (d) => String(d.rows), key: (d) => d.rows, kind: "n", more: true },
];

const feed = (now) => [
  { label: "series", text: (f) => `${f.symbol} ${f.base}`, small: (f) => f.exchange },
  { label: "state", text: (f) => f.state, chip: (f) => `state-${f.state}` },
  { label: "last bar", text: (f) => moment(f.last_ts), key: (f) => f.last_ts },
  { label: "age", text: (f) => (f.age_secs === null ? "–" : span((now() - f.last_seen_ms) / 1000)), key: (f) => f.age_secs, kind: "n" },
];

const sessions = (now) => [
  { label: "started", text: (s) => moment(s.started_ms), small: (s) => `${s.version}, pid ${s.pid}`, key: (s) => s.started_ms },
  { label: "ended", text: (s) => (s.ended_ms === null ? "–" : moment(s.ended_ms)), key: (s) => s.ended_ms, more: true },
  { label: "ran", text: (s) => span(((s.ended_ms ?? now()) - s.started_ms) / 1000), key: (s) => (s.ended_ms ?? now()) - s.started_ms, kind: "n" },
  { label: "how", text: (s) => s.ended_how ?? (s.newest ? "the latest" : "not said"), kind: "text" },
];

const halts = () => [
  { label: "since", text: (h) => moment(h.ts_ms), key: (h) => h.ts_ms },
  { label: "why", text: (h) => words(h.kind) },
  { label: "until", text: (h) => until(h.until_ms), key: (h) => h.until_ms },
  { label: "equity", text: (h) => money(h.equity), key: (h) => h.equity, kind: "n", more: true },
];

const disabled = () => [
  { label: "instance", text: (i) => i.id, small: (i) => i.symbol, kind: "text" },
  { label: "why", text: (i) => i.note ?? "by hand", kind: "text" },
];

// A halt without an end has one beyond the calendar of a page.
export function until(ms) {
  return ms === null || ms > 4e12 || ms <= 0 ? "resumed by hand" : day(ms) + " " + time(ms).slice(0, 5);
}

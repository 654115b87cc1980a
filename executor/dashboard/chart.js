// Growth of equity as a line over the band that was predicted.

import { day, moment, money, share } from "./format.js";

const NS = "http://www.w3.org/2000/svg";
const DAY = 86_400_000;
const LEFT = 58, RIGHT = 10, TOP = 10, BOTTOM = 26;

export class Chart {
  #answer = null;

  constructor(box) {
    this.box = box;
    this.readout = document.createElement("output");
    this.readout.hidden = true;
    new ResizeObserver(() => this.#draw()).observe(box);
    box.addEventListener("pointermove", (event) => this.#point(event));
    box.addEventListener("pointerleave", () => this.#leave());
  }

  show(answer) {
    this.#answer = answer;
    this.#draw();
  }

  #draw() {
    const answer = this.#answer;
    const width = this.box.clientWidth;
    if (!answer || !width) return;
    const marks = answer.marks.filter((mark) => mark.growth !== null);
    if (!marks.length) return this.box.replaceChildren();
    const band = within(answer.band, marks);
    const height = 272;
    const svg = make("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": "Equity since the deployment took effect" });
    const x = scale(marks[0].ts_ms, end(marks, band), LEFT, width - RIGHT);
    const levels = [...marks.map((m) => m.growth), ...band.p05, ...band.p95];
    const y = scale(Math.min(...levels), Math.max(...levels), height - BOTTOM, TOP, 0.06);
    axes(svg, x, y, width, height);
    if (band.ts_ms.length) {
      const at = (line) => band.ts_ms.map((ts, k) => `${x(ts)},${y(band[line][k])}`);
      svg.append(make("polygon", { class: "band", points: [...at("p95"), ...at("p05").reverse()].join(" ") }));
      svg.append(make("polyline", { class: "middle", points: at("p50").join(" ") }));
    }
    svg.append(make("polyline", { class: "line", points: marks.map((m) => `${x(m.ts_ms)},${y(m.growth)}`).join(" ") }));
    const last = marks.at(-1);
    svg.append(make("circle", { class: "dot", r: 3.5, cx: x(last.ts_ms), cy: y(last.growth) }));
    this.cross = make("line", { class: "cross", y1: TOP, y2: height - BOTTOM, visibility: "hidden" });
    svg.append(this.cross);
    this.drawn = { marks, band, x, width };
    this.box.replaceChildren(svg, this.readout);
  }

  #point(event) {
    if (!this.drawn) return;
    const { marks, band, x, width } = this.drawn;
    const at = event.clientX - this.box.getBoundingClientRect().left;
    const mark = marks.reduce((best, m) => (Math.abs(x(m.ts_ms) - at) < Math.abs(x(best.ts_ms) - at) ? m : best));
    const low = between(band, "p05", mark.ts_ms), high = between(band, "p95", mark.ts_ms);
    const lines = [moment(mark.ts_ms), `${money(mark.equity)} ${this.#answer.currency ?? ""}`, share(mark.growth - 1)];
    if (low !== null) lines.push(`predicted ${share(low - 1)} to ${share(high - 1)}`);
    this.readout.textContent = lines.join("\n");
    this.readout.hidden = false;
    const place = x(mark.ts_ms);
    this.readout.style.left = place < width / 2 ? `${place + 10}px` : "auto";
    this.readout.style.right = place < width / 2 ? "auto" : `${width - place + 10}px`;
    this.cross.setAttribute("x1", place);
    this.cross.setAttribute("x2", place);
    this.cross.setAttribute("visibility", "visible");
  }

  #leave() {
    this.readout.hidden = true;
    this.cross?.setAttribute("visibility", "hidden");
  }
}

function make(name, attributes) {
  const element = document.createElementNS(NS, name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  return element;
}

// A straight scale; room : the share of its range that stays free at both ends.
function scale(low, high, from, to, room = 0) {
  const pad = (high - low) * room || (room ? 0.005 : 0);
  const [a, b] = [low - pad, high + pad];
  const put = (value) => Number((from + ((value - a) / (b - a || 1)) * (to - from)).toFixed(2));
  return Object.assign(put, { low: a, high: b });
}

// A quarter more than has passed, so that one sees where the band leads.
function end(marks, band) {
  const passed = marks.at(-1).ts_ms - marks[0].ts_ms;
  return Math.max(marks.at(-1).ts_ms, band.ts_ms.at(-1) ?? 0, marks[0].ts_ms + (passed ? 0 : DAY));
}

// The part of the band that is shown, its ends cut where the picture ends.
function within(band, marks) {
  const cut = { ts_ms: [], p05: [], p50: [], p95: [] };
  if (!band?.ts_ms.length) return cut;
  const first = marks[0].ts_ms;
  const last = first + Math.max(2 * DAY, 1.25 * (marks.at(-1).ts_ms - first));
  const inner = band.ts_ms.filter((ts) => ts > first && ts < last);
  for (const ts of [first, ...inner, last]) {
    if (between(band, "p50", ts) === null) continue;
    cut.ts_ms.push(ts);
    for (const line of ["p05", "p50", "p95"]) cut[line].push(between(band, line, ts));
  }
  return cut;
}

// A line of the band at a moment, straight between its points; null outside of them.
function between(band, line, ts) {
  const k = band.ts_ms.findIndex((at) => at >= ts);
  if (k < 0 || (k === 0 && band.ts_ms[0] > ts)) return null;
  if (k === 0) return band[line][0];
  const part = (ts - band.ts_ms[k - 1]) / (band.ts_ms[k] - band.ts_ms[k - 1]);
  return band[line][k - 1] + part * (band[line][k] - band[line][k - 1]);
}

function axes(svg, x, y, width, height) {
  for (const level of ticks(y.low - 1, y.high - 1, 5)) {
    const at = y(1 + level);
    svg.append(make("line", { class: "grid", x1: LEFT, x2: width - RIGHT, y1: at, y2: at }));
    const text = make("text", { class: "tick", x: LEFT - 8, y: at + 4, "text-anchor": "end" });
    text.textContent = share(level).replace(/0 %$/, " %");
    svg.append(text);
  }
  const days = Math.max(1, Math.ceil((x.high - x.low) / DAY / Math.max(2, Math.floor(width / 110))));
  for (let ts = Math.ceil(x.low / DAY) * DAY; ts <= x.high; ts += days * DAY) {
    if (x(ts) > width - 34) break;
    const text = make("text", { class: "tick", x: x(ts), y: height - 8, "text-anchor": x(ts) < LEFT + 20 ? "start" : "middle" });
    text.textContent = day(ts).slice(5);
    svg.append(text);
  }
}

// Round numbers within a range, about as many as wanted; zero has no sign.
function ticks(low, high, wanted) {
  const rough = (high - low) / wanted;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((k) => k * power).find((s) => s >= rough);
  const found = [];
  for (let k = Math.ceil(low / step); k * step <= high; k++) found.push(k * step || 0);
  return found;
}

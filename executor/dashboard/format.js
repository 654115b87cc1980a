// Numbers and moments as people read them. What is missing is a dash.

const NONE = "–";
const whole = new Intl.NumberFormat("en-US", { maximumFractionDigits: 0 });
const cents = new Intl.NumberFormat("en-US", { minimumFractionDigits: 2, maximumFractionDigits: 2 });
const digits = new Intl.NumberFormat("en-US", { minimumSignificantDigits: 5, maximumSignificantDigits: 5 });
const amount = new Intl.NumberFormat("en-US", { maximumSignificantDigits: 6 });

const missing = (value) => value === null || value === undefined || Number.isNaN(value);
const sign = (value) => (value > 0 ? "+" : "");

export const count = (value) => (missing(value) ? NONE : whole.format(value));
export const money = (value) => (missing(value) ? NONE : cents.format(value));
export const gain = (value) => (missing(value) ? NONE : sign(value) + cents.format(value));
export const qty = (value) => (missing(value) ? NONE : amount.format(value));
export const share = (value) => (missing(value) ? NONE : `${sign(value)}${(100 * value).toFixed(2)} %`);

// Five digits, but never fewer than the cents of a large price.
export function price(value) {
  if (missing(value)) return NONE;
  return Math.abs(value) >= 1000 ? cents.format(value) : digits.format(value);
}

export const tone = (value) => (value > 0 ? "gain" : value < 0 ? "loss" : "");

const iso = (ms) => new Date(ms).toISOString();
export const day = (ms) => (missing(ms) ? NONE : iso(ms).slice(0, 10));
export const time = (ms) => (missing(ms) ? NONE : iso(ms).slice(11, 19));
export const moment = (ms) => (missing(ms) ? NONE : iso(ms).slice(0, 16).replace("T", " "));

export function span(secs) {
  if (missing(secs)) return NONE;
  const s = Math.max(0, Math.round(secs));
  if (s < 120) return `${s} s`;
  if (s < 7200) return `${Math.floor(s / 60)} min`;
  if (s < 172_800) return `${Math.floor(s / 3600)} h ${Math.floor((s % 3600) / 60)} min`;
  return `${Math.floor(s / 86_400)} d ${Math.floor((s % 86_400) / 3600)} h`;
}

// How numbers and times are written for people.

const NUMBER = new Intl.NumberFormat("en");
const COMPACT = new Intl.NumberFormat("en", { notation: "compact", maximumFractionDigits: 1 });
const UNITS = ["B", "KiB", "MiB", "GiB", "TiB"];

export const number = (value) => NUMBER.format(value);

// As short as it can be: 1.2K, 3.4M.
export const compact = (value) => COMPACT.format(value);

export const plural = (count, one) => `${number(count)} ${one}${count === 1 ? "" : "s"}`;

export function bytes(value) {
  if (!Number.isFinite(value)) return "";
  let unit = 0;
  while (value >= 1024 && unit < UNITS.length - 1) {
    value /= 1024;
    unit += 1;
  }
  return `${value >= 10 || unit === 0 ? Math.round(value) : value.toFixed(1)} ${UNITS[unit]}`;
}

// Of seconds: 0.4 s, 12 s, 3m 05s, 2h 10m, 4d 3h.
export function duration(seconds) {
  if (!Number.isFinite(seconds)) return "";
  if (seconds < 10 && !Number.isInteger(seconds)) return `${seconds.toFixed(1)} s`;
  const whole = Math.round(seconds);
  if (whole < 60) return `${whole} s`;
  const pad = (value) => String(value).padStart(2, "0");
  if (whole < 3600) return `${Math.floor(whole / 60)}m ${pad(whole % 60)}s`;
  const minutes = Math.floor(whole / 60);
  if (minutes < 1440) return `${Math.floor(minutes / 60)}h ${pad(minutes % 60)}m`;
  const hours = Math.floor(minutes / 60);
  return `${Math.floor(hours / 24)}d ${hours % 24}h`;
}

// Of milliseconds: <1 ms, 240 ms, 2.4 s.
export function took(milliseconds) {
  if (milliseconds < 1) return "<1 ms";
  if (milliseconds < 1000) return `${Math.round(milliseconds)} ms`;
  return duration(milliseconds / 1000);
}

// US dollars; small amounts keep the digits that tell them apart.
export function money(dollars) {
  if (dollars === 0) return "$0";
  if (dollars < 0.01) return `$${Number(dollars.toPrecision(2))}`;
  return `$${dollars.toFixed(2)}`;
}

const CLOCK = new Intl.DateTimeFormat("en-GB", { timeStyle: "medium" });
const MOMENT = new Intl.DateTimeFormat("en-GB", { dateStyle: "medium", timeStyle: "short" });

export const clock = (iso) => CLOCK.format(new Date(iso));
export const moment = (iso) => MOMENT.format(new Date(iso));

// A short phrase such as "5m 03s ago" for what is of today, else the date.
export function since(iso, now = Date.now()) {
  const seconds = (now - Date.parse(iso)) / 1000;
  if (seconds < 45) return "just now";
  return seconds < 86400 ? `${duration(seconds)} ago` : moment(iso);
}

// Tokens of one answer, in the form of the API's `token_usage`.
export function tokens(usage) {
  if (!usage) return "";
  return `${compact(usage.input_tokens ?? 0)} in, ${compact(usage.output_tokens ?? 0)} out`;
}

// How values are written: numbers, times, sizes. Text only.
const whole = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
const short = new Intl.NumberFormat("en", { notation: "compact", maximumFractionDigits: 1 });

export const number = (value: number): string => whole.format(value);
/** A number and what is counted. */
export const many = (value: number, word: string): string => `${number(value)} ${word}${value === 1 ? "" : "s"}`;
export const compact = (value: number): string => (Math.abs(value) < 100_000 ? whole.format(value) : short.format(value));

export function rate(value: number): string {
  return value !== 0 && Math.abs(value) < 10 ? value.toFixed(1).replace(/\.0$/, "") : compact(value);
}

export function bytes(value: number): string {
  const units = ["B", "KB", "MB", "GB", "TB"];
  let unit = 0;
  let left = value;
  while (left >= 1000 && unit < units.length - 1) { left /= 1000; unit += 1; }
  return `${unit === 0 || left >= 100 ? whole.format(left) : left.toFixed(1)} ${units[unit]}`;
}

export function micros(value: number | null | undefined): string {
  if (value === null || value === undefined) return "–";
  if (value === 0) return "0";
  if (value < 1_000) return `${value < 10 ? value.toFixed(1) : whole.format(value)} µs`;
  if (value < 1_000_000) return `${(value / 1_000).toFixed(value < 10_000 ? 1 : 0)} ms`;
  return seconds(value / 1_000_000);
}

export function seconds(value: number | null | undefined): string {
  if (value === null || value === undefined) return "–";
  if (value === 0) return "0 s";
  if (value < 1) return `${whole.format(value * 1000)} ms`;
  if (value < 60) return `${value < 10 ? value.toFixed(1) : whole.format(value)} s`;
  if (value < 3_600) return `${Math.floor(value / 60)} min${value % 60 >= 1 ? ` ${Math.floor(value % 60)} s` : ""}`;
  if (value < 172_800) return `${Math.floor(value / 3_600)} h${value % 3_600 >= 60 ? ` ${Math.floor((value % 3_600) / 60)} min` : ""}`;
  return `${whole.format(Math.floor(value / 86_400))} days`;
}

const two = (value: number): string => String(value).padStart(2, "0");

/** The time of day, to the millisecond. */
export function clock(time: string): string {
  const at = new Date(time);
  return Number.isNaN(at.getTime()) ? time
    : `${two(at.getHours())}:${two(at.getMinutes())}:${two(at.getSeconds())}.${String(at.getMilliseconds()).padStart(3, "0")}`;
}

/** The day and the time, to the second. */
export function when(time: string | null | undefined): string {
  if (time === null || time === undefined || time === "") return "–";
  const at = new Date(time);
  if (Number.isNaN(at.getTime())) return time;
  return `${at.getFullYear()}-${two(at.getMonth() + 1)}-${two(at.getDate())} ${two(at.getHours())}:${two(at.getMinutes())}:${two(at.getSeconds())}`;
}

/** How far away a time is, in words. */
export function away(time: string | null | undefined, now = Date.now()): string {
  if (time === null || time === undefined) return "–";
  const ms = new Date(time).getTime() - now;
  if (Number.isNaN(ms)) return time;
  return ms >= 0 ? `in ${seconds(Math.round(ms / 1000))}` : `${seconds(Math.round(-ms / 1000))} ago`;
}

function parts(time: string): [number, number] {
  const match = /^(.{19})(?:\.(\d{1,9}))?(.*)$/.exec(time);
  if (match === null) return [NaN, 0];
  return [Date.parse(`${match[1]}${match[3]}`), Number((match[2] ?? "").padEnd(9, "0"))];
}

/** Microseconds from one RFC 3339 time to another, which a Date is too coarse for. */
export function between(from: string, to: string): number {
  const [a, b] = [parts(from), parts(to)];
  return (b[0] - a[0]) * 1_000 + (b[1] - a[1]) / 1_000;
}

/** A short form of an id or a hash. */
export function brief(id: string): string {
  const bare = id.slice(id.indexOf(":") + 1);
  return bare.length > 14 ? `${bare.slice(0, 6)}…${bare.slice(-6)}` : bare;
}

const LINE_CHARS = 64;

/** JSON indented; what is short stays on its line. */
export function pretty(value: unknown): string {
  if (typeof value === "string") return value;
  const line = JSON.stringify(value) ?? "";
  return line.length <= LINE_CHARS ? line : JSON.stringify(value, null, 2);
}

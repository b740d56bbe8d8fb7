// Numbers as people read them. Every function gives the unit with the number.

const BINARY = ["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"] as const;

/** Three significant digits below 1000, none lost above; never an exponent. */
function digits(value: number): string {
  const size = Math.abs(value);
  if (size === 0) return "0";
  if (size < 10) return value.toFixed(2);
  if (size < 100) return value.toFixed(1);
  return value.toFixed(0);
}

/** CPU in cores: "0.087 cores". Down to a tenth of a millicore. */
export function cores(value: number): string {
  return `${coresNumber(value)} ${value === 1 ? "core" : "cores"}`;
}

/** The number of `cores` alone, for tables whose heading has the unit. */
export function coresNumber(value: number): string {
  if (value === 0) return "0";
  if (value < 0.00005) return "<0.0001";
  // 0.00097 would be printed as 0.0010.
  if (value < 0.00095) return value.toFixed(4);
  if (value < 10) return value.toFixed(3);
  return value < 100 ? value.toFixed(2) : value.toFixed(1);
}

/** Bytes with a binary unit: "737 MiB". */
export function bytes(value: number): string {
  let unit = 0;
  let scaled = value;
  // 1023.5 would be printed as 1024 of the smaller unit.
  while (Math.abs(scaled) >= 1023.5 && unit < BINARY.length - 1) {
    scaled /= 1024;
    unit += 1;
  }
  return `${unit === 0 ? scaled.toFixed(0) : digits(scaled)} ${BINARY[unit]}`;
}

/** Bytes per second with a binary unit: "12 B/s". */
export function byteRate(value: number): string {
  return `${bytes(value)}/s`;
}

/** A load average: "0.52". It has no unit. */
export function load(value: number): string {
  return value < 100 ? value.toFixed(2) : value.toFixed(1);
}

/** Labels of one axis: all with as many digits as the smallest step needs. */
export function plainAxis(splits: readonly number[]): string[] {
  const step = (splits[1] ?? 1) - (splits[0] ?? 0);
  const decimals = step > 0 ? Math.min(6, Math.max(0, -Math.floor(Math.log10(step) + 1e-9))) : 0;
  // A step of 0.25 needs one digit more than its power of ten says.
  const scaled = step * 10 ** decimals;
  const extra = Math.abs(scaled - Math.round(scaled)) > 1e-6 ? 1 : 0;
  return splits.map((v) => (v === 0 ? "0" : v.toFixed(decimals + extra)));
}

/** Labels of one axis in the unit of its largest value, so that they can be compared. */
export function byteAxis(splits: readonly number[], suffix: string): string[] {
  const largest = Math.max(0, ...splits);
  let unit = 0;
  while (largest / 1024 ** unit >= 1024 && unit < BINARY.length - 1) unit += 1;
  const numbers = plainAxis(splits.map((v) => v / 1024 ** unit));
  return numbers.map((n) => (n === "0" ? "0" : `${n} ${BINARY[unit]}${suffix}`));
}

/** A span of time in its two largest parts: "45 s", "3 min 20 s", "2 h 5 min". */
export function span(ms: number): string {
  const seconds = Math.max(0, Math.round(ms / 1000));
  if (seconds < 60) return `${seconds} s`;
  const parts: [number, string][] = [
    [Math.floor(seconds / 86400), "d"],
    [Math.floor(seconds / 3600) % 24, "h"],
    [Math.floor(seconds / 60) % 60, "min"],
    [seconds % 60, "s"],
  ];
  const first = parts.findIndex(([n]) => n > 0);
  return parts
    .slice(first, first + 2)
    .filter(([n]) => n > 0)
    .map(([n, unit]) => `${n} ${unit}`)
    .join(" ");
}

function two(n: number): string {
  return String(n).padStart(2, "0");
}

/** Time of day in the reader's zone: "12:03:20". */
export function timeOfDay(ms: number): string {
  const d = new Date(ms);
  return `${two(d.getHours())}:${two(d.getMinutes())}:${two(d.getSeconds())}`;
}

/** Time of day without seconds where all labels of an axis fall on whole minutes. */
export function timeAxis(splits: readonly number[]): string[] {
  const whole = splits.every((ms) => ms % 60_000 === 0);
  return splits.map((ms) => (whole ? timeOfDay(ms).slice(0, 5) : timeOfDay(ms)));
}

/**
 * The smallest round ceiling at or above `max`: 1, 2, 2.5 or 5 times a power of ten, or with
 * `binary` a power of two. An axis that ends there keeps still while values move a little.
 */
export function ceiling(max: number, floor: number, binary: boolean): number {
  const value = Math.max(max, floor);
  if (binary) {
    const power = 2 ** Math.ceil(Math.log2(value) - 1e-9);
    // Three quarters of the power leave less of the graph empty and still split evenly.
    return value <= power * 0.75 ? power * 0.75 : power;
  }
  const power = 10 ** Math.floor(Math.log10(value) + 1e-9);
  const step = [1, 1.5, 2, 2.5, 3, 4, 5, 6, 8, 10].find((s) => s * power >= value * (1 - 1e-9)) ?? 10;
  return step * power;
}

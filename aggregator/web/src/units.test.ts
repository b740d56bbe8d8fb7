import { describe, expect, test } from "vitest";
import * as units from "./units";

test.each([
  [0, "0 cores"],
  [0.00001, "<0.0001 cores"],
  [0.00034, "0.0003 cores"],
  [0.00097, "0.001 cores"],
  [0.0874, "0.087 cores"],
  [12.5, "12.50 cores"],
  [128.04, "128.0 cores"],
])("%d as cores", (value, text) => {
  expect(units.cores(value)).toBe(text);
});

test.each([
  [0, "0 B"],
  [999, "999 B"],
  [1023, "1023 B"],
  [1024, "1.00 KiB"],
  [1024 * 1023.7, "1.00 MiB"],
  [772_976_640, "737 MiB"],
  [3.5 * 1024 ** 4, "3.50 TiB"],
])("%d as bytes", (value, text) => {
  expect(units.bytes(value)).toBe(text);
});

test("rates and loads", () => {
  expect(units.byteRate(12)).toBe("12 B/s");
  expect(units.load(0.5)).toBe("0.50");
  expect(units.load(130.26)).toBe("130.3");
});

describe("axes", () => {
  test("plain labels have the digits that the step needs", () => {
    expect(units.plainAxis([0, 0.25, 0.5])).toEqual(["0", "0.25", "0.50"]);
    expect(units.plainAxis([0, 0.1, 0.2])).toEqual(["0", "0.1", "0.2"]);
    expect(units.plainAxis([0, 50, 100])).toEqual(["0", "50", "100"]);
    expect(units.plainAxis([])).toEqual([]);
  });

  test("byte labels share the unit of the largest", () => {
    expect(units.byteAxis([0, 512 * 1024, 1024 ** 2], "/s")).toEqual(["0", "0.5 MiB/s", "1.0 MiB/s"]);
    expect(units.byteAxis([0, 64, 128], "")).toEqual(["0", "64 B", "128 B"]);
  });

  test("the ceiling is round, not below the value, and keeps still", () => {
    expect(units.ceiling(0.087, 0.001, false)).toBeCloseTo(0.1, 12);
    expect(units.ceiling(0.081, 0.001, false)).toBeCloseTo(0.1, 12);
    expect(units.ceiling(3, 0.001, false)).toBe(3);
    expect(units.ceiling(0, 0.1, false)).toBeCloseTo(0.1, 12);
    expect(units.ceiling(0, 1024, true)).toBe(1024);
    expect(units.ceiling(700, 1, true)).toBe(768);
    expect(units.ceiling(800, 1, true)).toBe(1024);
    for (let v = 0.0001; v < 1e13; v *= 1.7) {
      expect(units.ceiling(v, 1e-6, false)).toBeGreaterThanOrEqual(v * (1 - 1e-9));
      expect(units.ceiling(v, 1e-6, true)).toBeGreaterThanOrEqual(v);
    }
  });

  test("times lose their seconds only when all are whole minutes", () => {
    expect(units.timeAxis([60_000, 120_000]).every((t) => t.length === 5)).toBe(true);
    expect(units.timeAxis([60_000, 75_000]).every((t) => t.length === 8)).toBe(true);
  });
});

test.each([
  [-5, "0 s"],
  [45_000, "45 s"],
  [60_000, "1 min"],
  [200_000, "3 min 20 s"],
  [7_500_000, "2 h 5 min"],
  [90_000_000, "1 d 1 h"],
])("%d ms as a span", (ms, text) => {
  expect(units.span(ms)).toBe(text);
});

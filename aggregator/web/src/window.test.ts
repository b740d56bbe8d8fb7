import { describe, expect, test } from "vitest";
import { parseFrame } from "./frame";
import { Window, countPoints, current, newestPoint } from "./window";

interface Shape {
  ticks: number[];
  node?: (number | null)[];
  pods?: Record<string, (number | null)[]>;
  window?: number;
}

/** A frame at interval 10 with node "n" and pods by uid, values as `cpu`. */
function frame({ ticks, node = ticks, pods, window = 60 }: Shape) {
  return parseFrame(
    JSON.stringify({
      interval_ms: 10,
      window_ms: window,
      now_ms: 1000,
      ticks,
      cluster: { cpu: ticks },
      nodes: [{ name: "n", state: "fresh", since_ms: 1, reason: null, series: { cpu: node } }],
      ...(pods && {
        pods: Object.entries(pods).map(([uid, cpu]) => ({ namespace: "s", name: uid, uid, series: { cpu } })),
      }),
    }),
  );
}

const cpu = (w: Window) => w.nodes.get("n")?.series.cpu;

describe("merging", () => {
  test("a newer tick is appended", () => {
    const w = new Window(frame({ ticks: [100, 110], node: [1, 2] }), 900);
    w.merge(frame({ ticks: [120], node: [3] }), 900);
    expect(w.ticks).toEqual([100, 110, 120]);
    expect(cpu(w)).toEqual([1, 2, 3]);
    expect(w.cluster.cpu).toEqual([100, 110, 120]);
    expect(w.skewMs).toBe(100);
  });

  test("a tick that is held is overwritten, with absence too", () => {
    const w = new Window(frame({ ticks: [100, 110, 120], node: [1, 2, 3] }), 0);
    w.merge(frame({ ticks: [100, 110], node: [9, null] }), 0);
    expect(cpu(w)).toEqual([9, null, 3]);
  });

  test("ticks that nobody delivered are gaps", () => {
    const w = new Window(frame({ ticks: [100], node: [1] }), 0);
    w.merge(frame({ ticks: [140], node: [5] }), 0);
    expect(w.ticks).toEqual([100, 110, 120, 130, 140]);
    expect(cpu(w)).toEqual([1, null, null, null, 5]);
  });

  test("a late tick goes to its own place", () => {
    const w = new Window(frame({ ticks: [100, 120], node: [1, 3] }), 0);
    w.merge(frame({ ticks: [110], node: [2] }), 0);
    expect(cpu(w)).toEqual([1, 2, 3]);
  });

  test("what is older than the window leaves it", () => {
    const w = new Window(frame({ ticks: [100, 110, 120], node: [1, 2, 3], window: 30 }), 0);
    w.merge(frame({ ticks: [130], node: [4], window: 30 }), 0);
    expect(w.ticks).toEqual([110, 120, 130]);
    expect(cpu(w)).toEqual([2, 3, 4]);
    // And a correction of a tick that has left changes nothing.
    w.merge(frame({ ticks: [100], node: [7], window: 30 }), 0);
    expect(cpu(w)).toEqual([2, 3, 4]);
  });

  test("a long silence does not leave more ticks than the window has", () => {
    const w = new Window(frame({ ticks: [100], node: [1] }), 0);
    w.merge(frame({ ticks: [1_000_000], node: [2] }), 0);
    expect(w.ticks).toEqual([1_000_000]);
    expect(cpu(w)).toEqual([2]);
  });

  test("a new series begins with a gap", () => {
    const w = new Window(frame({ ticks: [100, 110], pods: { a: [1, 1] } }), 0);
    w.merge(frame({ ticks: [120], pods: { a: [1], b: [2] } }), 0);
    expect(w.pods.get("b")?.series.cpu).toEqual([null, null, 2]);
  });

  test("the nothing before the first value is not drawn, but may be filled later", () => {
    const w = new Window(frame({ ticks: [100, 110, 120], node: [null, null, 3] }), 0);
    expect(w.ticks).toEqual([120]);
    expect(w.cluster.cpu).toEqual([120]);
    w.merge(frame({ ticks: [100, 110], node: [1, null] }), 0);
    expect(w.ticks).toEqual([100, 110, 120]);
    expect(cpu(w)).toEqual([1, null, 3]);
    expect(new Window(frame({ ticks: [100, 110], node: [null, null] }), 0).ticks).toEqual([110]);
  });

  test("every change has a version of its own", () => {
    const w = new Window(frame({ ticks: [100] }), 0);
    const before = w.version;
    w.merge(frame({ ticks: [100] }), 0);
    expect(w.version).toBeGreaterThan(before);
  });
});

describe("pods that end", () => {
  test("stay as ended until their values have left the window", () => {
    const w = new Window(frame({ ticks: [100], pods: { a: [1], b: [1] }, window: 30 }), 0);
    w.merge(frame({ ticks: [110], pods: { b: [1] }, window: 30 }), 0);
    expect(w.pods.get("a")?.endedMs).toBe(100);
    expect(w.pods.get("a")?.series.cpu).toEqual([1, null]);
    w.merge(frame({ ticks: [120], pods: { b: [1] }, window: 30 }), 0);
    expect(w.pods.get("a")?.endedMs).toBe(100);
    w.merge(frame({ ticks: [130], pods: { b: [1] }, window: 30 }), 0);
    expect([...w.pods.keys()]).toEqual(["b"]);
  });

  test("that were over when the window began ended with their last value", () => {
    const w = new Window(frame({ ticks: [100, 110, 120], pods: { a: [1, null, null] } }), 0);
    w.merge(frame({ ticks: [130], pods: {} }), 0);
    expect(w.pods.get("a")?.endedMs).toBe(100);
  });

  test("a correction of an older tick ends nobody", () => {
    const w = new Window(frame({ ticks: [100, 110], pods: { a: [null, 1] } }), 0);
    w.merge(frame({ ticks: [100], pods: {} }), 0);
    expect(w.pods.get("a")?.endedMs).toBeNull();
  });

  test("a pod that is named again is not ended", () => {
    const w = new Window(frame({ ticks: [100], pods: { a: [1] } }), 0);
    w.merge(frame({ ticks: [110], pods: {} }), 0);
    w.merge(frame({ ticks: [120], pods: { a: [2] } }), 0);
    expect(w.pods.get("a")?.endedMs).toBeNull();
    expect(w.pods.get("a")?.series.cpu).toEqual([1, null, 2]);
  });

  test("a frame without a list of pods says nothing about them", () => {
    const w = new Window(frame({ ticks: [100], pods: { a: [1] } }), 0);
    w.merge(frame({ ticks: [110] }), 0);
    expect(w.pods.get("a")?.endedMs).toBeNull();
  });
});

test("points are counted over all lines of a graph", () => {
  expect(countPoints([[1, null, null], [null, null, 3]], 3)).toBe(2);
  expect(countPoints([undefined], 3)).toBe(0);
  expect(newestPoint([[1, 2, null], undefined], [10, 20, 30])).toBe(20);
  expect(newestPoint([[null]], [10])).toBeNull();
  expect(current([1, null])).toBeNull();
  expect(current([null, 0])).toBe(0);
});

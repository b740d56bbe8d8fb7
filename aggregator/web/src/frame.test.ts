import { expect, test } from "vitest";
import { FrameError, parseEnd, parseFrame } from "./frame";

const GOOD = {
  interval_ms: 10_000,
  window_ms: 900_000,
  now_ms: 1_795_332_330_123,
  ticks: [1_795_332_320_000, 1_795_332_330_000],
  cluster: { cpu: [12.5, null], memory: [123, 456] },
  nodes: [
    {
      name: "node1",
      state: "stale",
      since_ms: 1_795_332_330_000,
      gap_ticks: 3,
      reason: "no row",
      sources: [{ name: "summary", state: "failing", reason: "kubelet answered 403" }],
      series: { cpu: [0.087, null] },
    },
  ],
};

const read = (change: object) => parseFrame(JSON.stringify({ ...GOOD, ...change }));

test("a frame is read", () => {
  const frame = read({});
  expect(frame.pods).toBeNull();
  expect(frame.nodes[0]).toMatchObject({
    name: "node1",
    state: "stale",
    gapTicks: 3,
    reason: "no row",
    sources: [{ name: "summary", state: "failing", reason: "kubelet answered 403" }],
  });
  expect(frame.nodes[0]?.series.cpu).toEqual([0.087, null]);
  expect(frame.cluster.memory).toEqual([123, 456]);
});

test("what a frame is of is read, and why a stream ended", () => {
  expect(read({}).of).toBeNull();
  expect(read({ of: "what you may see" }).of).toBe("what you may see");
  expect(parseEnd('{"reason":"connect again"}')).toBe("connect again");
  expect(() => parseEnd("{}")).toThrow(FrameError);
});

test("gaps, reason and sources may be left out", () => {
  const frame = read({ nodes: [{ name: "a", state: "fresh", series: {} }] });
  expect(frame.nodes[0]).toMatchObject({ gapTicks: 0, reason: null, sinceMs: null, sources: [] });
});

test("levels are read, and what is no number is not there", () => {
  const levels = { cpu_request: 0.25, cpu_limit: null, memory_limit: "much" };
  const pods = [{ namespace: "a", name: "b", uid: "c", series: {}, levels }];
  const frame = read({ pods });
  expect(frame.pods?.[0]?.levels).toEqual({ cpu_request: 0.25 });
  expect(frame.nodes[0]?.levels).toEqual({});
});

test.each([
  ["columns of another length", { cluster: { cpu: [1] } }],
  ["ticks that do not ascend", { ticks: [2, 1] }],
  ["no nodes", { nodes: undefined }],
  ["an unknown state", { nodes: [{ name: "a", state: "well", series: {} }] }],
  ["an interval of zero", { interval_ms: 0 }],
  ["a pod without a uid", { pods: [{ namespace: "a", name: "b", series: {} }] }],
])("%s is refused", (_what, change) => {
  expect(() => read(change)).toThrow(FrameError);
});

test("a hostile series name meets no inherited member", () => {
  const text = JSON.stringify({ ...GOOD, nodes: [] }).replace('"cpu"', '"__proto__"');
  const frame = parseFrame(text);
  expect(Object.getPrototypeOf(frame.cluster)).toBeNull();
  expect(Object.keys(frame.cluster)).toContain("__proto__");
});

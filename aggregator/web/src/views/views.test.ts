import { expect, test } from "vitest";
import { nodeHref, parseRoute } from "../route";
import type { WindowNode, WindowPod } from "../window";
import { gapsOf } from "./node_parts";
import { pickNodes } from "./overview";
import { CPU } from "../graphs";
import { plotData, timeRange, topOf } from "./plot";
import { pickPods } from "./pods";
import { sparkPath } from "./spark";

function pod(namespace: string, name: string, cpu: number | null): WindowPod {
  return { namespace, name, uid: `${namespace}-${name}`, endedMs: null, series: { cpu: [cpu] }, levels: {} };
}

function node(name: string, cpu: number | null): WindowNode {
  const series = { cpu: [cpu] };
  return { name, state: "fresh", sinceMs: null, gapTicks: 0, reason: null, sources: [], series, levels: {} };
}

test("a node says how many ticks it lacks", () => {
  const whole = node("a", 1);
  expect(gapsOf(whole)).toBeNull();
  expect(gapsOf({ ...whole, gapTicks: 1 })).toBe("1 tick missing between its oldest and newest row");
  expect(gapsOf({ ...whole, gapTicks: 12 })).toContain("12 ticks missing");
});

test("pods are sorted by value, those without one last either way", () => {
  const pods = [pod("a", "x", 1), pod("a", "y", null), pod("b", "z", 3)];
  const names = (descending: boolean) =>
    pickPods(pods, "", { by: "cpu", descending }).map((p) => p.name);
  expect(names(true)).toEqual(["z", "x", "y"]);
  expect(names(false)).toEqual(["x", "z", "y"]);
});

test("the filter sees namespace and name", () => {
  const pods = [pod("shop", "web-1", 1), pod("kube-system", "dns", 2)];
  const order = { by: "name", descending: false };
  expect(pickPods(pods, " SHOP/we ", order).map((p) => p.name)).toEqual(["web-1"]);
  expect(pickPods(pods, "none", order)).toEqual([]);
});

test("nodes are sorted as people count", () => {
  const nodes = [node("node10", 1), node("node2", 5), node("node1", null)];
  expect(pickNodes(nodes, "", "name").map((n) => n.name)).toEqual(["node1", "node2", "node10"]);
  expect(pickNodes(nodes, "", "cpu").map((n) => n.name)).toEqual(["node2", "node10", "node1"]);
  expect(pickNodes(nodes, "E1", "name").map((n) => n.name)).toEqual(["node1", "node10"]);
});

test("routes survive any name", () => {
  for (const name of ["node1", "a/b", "50%", "#?&", "é"]) {
    expect(parseRoute(nodeHref(name))).toEqual({ view: "node", name });
  }
  expect(parseRoute("")).toEqual({ view: "nodes" });
  expect(parseRoute("#/nodes/%E0%A4%A")).toEqual({ view: "nodes" });
});

test("a small line is broken at a gap, and a value alone is a dot", () => {
  const ticks = [0, 60_000, 120_000, 180_000];
  const path = sparkPath(ticks, [1, null, 2, 2]);
  expect(path.match(/M/g)?.length).toBe(2);
  expect(path.startsWith("M0.0 12.0L0.0 12.0M")).toBe(true);
  expect(sparkPath(ticks, [null, null, null, null])).toBe("");
  expect(sparkPath([], [])).toBe("");
});

test("a long window keeps its peaks in a small line", () => {
  const ticks = Array.from({ length: 900 }, (_, i) => i * 1000);
  const column = ticks.map((_, i) => (i === 451 ? 100 : 1));
  expect(sparkPath(ticks, column)).toContain(" 1.5");
});

test("a young window is not stretched", () => {
  expect(timeRange([500_000, 510_000])).toEqual([390_000, 510_000]);
  expect(timeRange([0, 900_000])).toEqual([0, 900_000]);
});

test("levels are lines over all ticks, and one that is far above the values stretches nothing", () => {
  const data = plotData([1, 2], CPU, { cpu: [0.1, null] }, { cpu_request: 0.2, cpu_limit: 8 });
  expect(data).toEqual([[1, 2], [0.1, null], [0.2, 0.2], [8, 8], [null, null]]);
  expect(topOf(CPU, data)).toBe(0.2);
  expect(topOf(CPU, plotData([1], CPU, { cpu: [3] }, { cpu_limit: 8 }))).toBe(8);
  expect(topOf(CPU, plotData([1], CPU, {}, { cpu_limit: 8 }))).toBe(8);
});

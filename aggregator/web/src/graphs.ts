// The graphs that a node or a pod has: one table, read by the views.

import { byteAxis, byteRate, bytes, cores, load, plainAxis } from "./units";

export interface Line {
  /** Name of the series in a frame. */
  series: string;
  /** What the legend calls it; empty where the graph's title says all. */
  label: string;
  /** The custom property with its colour. */
  colour: string;
}

/** What the values are read against: a line across the graph, where it is known. */
export interface Level {
  /** Name of the level in a frame. */
  level: string;
  label: string;
  colour: string;
}

export interface GraphKind {
  id: "cpu" | "memory" | "network" | "load";
  title: string;
  lines: Line[];
  levels: Level[];
  /** A value with its unit. */
  format: (value: number) => string;
  /** Labels of the value axis. */
  axis: (splits: readonly number[]) => string[];
  /** The axis never ends below this: noise on an idle node is not drawn as mountains. */
  floor: number;
  /** Byte axes step in powers of two. */
  binary: boolean;
}

function levels(of: string): Level[] {
  return ["request", "limit", "capacity"].map((label) => ({
    level: `${of}_${label}`,
    label,
    colour: `--${label}`,
  }));
}

export const CPU: GraphKind = {
  id: "cpu",
  title: "CPU",
  lines: [{ series: "cpu", label: "", colour: "--cpu" }],
  levels: levels("cpu"),
  format: cores,
  axis: plainAxis,
  floor: 0.001,
  binary: false,
};

export const MEMORY: GraphKind = {
  id: "memory",
  title: "Memory",
  lines: [{ series: "memory", label: "", colour: "--memory" }],
  levels: levels("memory"),
  format: bytes,
  axis: (splits) => byteAxis(splits, ""),
  floor: 1024,
  binary: true,
};

export const NETWORK: GraphKind = {
  id: "network",
  title: "Network",
  lines: [
    { series: "rx", label: "rx", colour: "--rx" },
    { series: "tx", label: "tx", colour: "--tx" },
  ],
  levels: [],
  format: byteRate,
  axis: (splits) => byteAxis(splits, "/s"),
  floor: 128,
  binary: true,
};

const LOAD_1: Line = { series: "load1", label: "1 min", colour: "--load1" };

export const LOAD: GraphKind = {
  id: "load",
  title: "Load",
  lines: [LOAD_1],
  levels: [],
  format: load,
  axis: plainAxis,
  floor: 0.1,
  binary: false,
};

export const LOADS: GraphKind = {
  ...LOAD,
  lines: [
    LOAD_1,
    { series: "load5", label: "5 min", colour: "--load5" },
    { series: "load15", label: "15 min", colour: "--load15" },
  ],
};

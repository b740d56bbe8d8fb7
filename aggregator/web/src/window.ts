// The rolling window that the page draws: frames are merged into it, and it forgets what is too old.

import { noColumns } from "./frame";
import type { Column, Columns, Frame, FrameNode, FramePod, Levels, Source } from "./frame";

/** A node; "gone" when the newest frame no longer names it. */
export interface WindowNode {
  name: string;
  state: FrameNode["state"] | "gone";
  sinceMs: number | null;
  gapTicks: number;
  reason: string | null;
  sources: Source[];
  series: Columns;
  levels: Levels;
}

export interface WindowPod {
  namespace: string;
  name: string;
  uid: string;
  /** The last tick with a value, once the newest frame no longer names the pod; null before. */
  endedMs: number | null;
  series: Columns;
  levels: Levels;
}

/** Filling a hole never makes the time axis longer than this (60 min at 1 s). */
const MAX_TICKS = 3600;

/** The ticks of both lists, ascending, each once. */
function union(a: readonly number[], b: readonly number[]): number[] {
  const lastA = a[a.length - 1];
  const firstB = b[0];
  if (lastA === undefined || firstB === undefined || firstB > lastA) return [...a, ...b];
  return [...new Set([...a, ...b])].sort((x, y) => x - y);
}

/** Adds the grid times that nobody delivered, so that a line is not drawn across the hole. */
function fillGrid(ticks: readonly number[], intervalMs: number): number[] {
  const first = ticks[0];
  const last = ticks[ticks.length - 1];
  if (first === undefined || last === undefined) return [];
  if ((last - first) / intervalMs > MAX_TICKS) return [...ticks];
  const out: number[] = [];
  for (const tick of ticks) {
    const before = out[out.length - 1];
    if (before !== undefined) {
      for (let t = before + intervalMs; t < tick - intervalMs / 2; t += intervalMs) out.push(t);
    }
    out.push(tick);
  }
  return out;
}

function blank(length: number): Column {
  return new Array<number | null>(length).fill(null);
}

function empty(series: Columns): boolean {
  return Object.values(series).every((column) => column.every((v) => v === null));
}

export class Window {
  intervalMs: number;
  windowMs: number;
  /** Aggregator clock minus browser clock, ms: ages are told by the aggregator's clock. */
  skewMs: number;
  /** Grid times, Unix ms, ascending and without holes. Every column has one entry per tick. */
  ticks: number[];
  cluster: Columns = noColumns();
  /** What is told is of this; null when it is of everything. */
  of: string | null = null;
  readonly nodes = new Map<string, WindowNode>();
  /** By uid: a pod that was replaced under the same name is another pod. */
  readonly pods = new Map<string, WindowPod>();
  /** Goes up with every change; views redraw when it does. */
  version = 0;

  /** A window that holds what the frame says. `browserMs` is the browser's clock, Unix ms. */
  constructor(frame: Frame, browserMs: number) {
    this.intervalMs = frame.intervalMs;
    this.windowMs = frame.windowMs;
    this.skewMs = frame.nowMs - browserMs;
    this.ticks = [];
    this.merge(frame, browserMs);
  }

  /** The newest tick, Unix ms; null before the first. */
  newest(): number | null {
    return this.ticks[this.ticks.length - 1] ?? null;
  }

  /** Appends newer ticks and overwrites those that are already held. */
  merge(frame: Frame, browserMs: number): void {
    this.intervalMs = frame.intervalMs;
    this.windowMs = frame.windowMs;
    this.skewMs = frame.nowMs - browserMs;
    const before = this.newest();
    this.reshape(frame.ticks);
    const at = this.positions(frame.ticks);
    this.of = frame.of;
    this.write(this.cluster, frame.cluster, at);
    for (const node of frame.nodes) this.mergeNode(node, at);
    for (const pod of frame.pods ?? []) this.mergePod(pod, at);

    // A correction of an older tick says nothing about who is alive now.
    const newest = frame.ticks[frame.ticks.length - 1];
    if (newest !== undefined && (before === null || newest >= before)) this.settle(frame, before);
    this.trim();
    this.version += 1;
  }

  private reshape(added: readonly number[]): void {
    const all = union(this.ticks, added);
    const newest = all[all.length - 1] ?? 0;
    const ticks = fillGrid(
      all.filter((t) => t > newest - this.windowMs),
      this.intervalMs,
    );
    const old = new Map(this.ticks.map((t, i) => [t, i]));
    const from = ticks.map((t) => old.get(t) ?? -1);
    const move = (series: Columns) => {
      for (const [name, column] of Object.entries(series)) {
        series[name] = from.map((i) => (i < 0 ? null : (column[i] ?? null)));
      }
    };
    move(this.cluster);
    for (const node of this.nodes.values()) move(node.series);
    for (const pod of this.pods.values()) move(pod.series);
    this.ticks = ticks;
  }

  /**
   * Forgets the ticks before the first value, but never the newest: an aggregator that has just
   * started sends a whole window of nothing, and its graphs shall not be a sliver at the edge.
   */
  private trim(): void {
    const all = [...this.nodes.values(), ...this.pods.values()].flatMap((e) => Object.values(e.series));
    const first = this.ticks.findIndex((_t, i) => all.some((column) => column[i] !== null));
    const cut = first < 0 ? this.ticks.length - 1 : first;
    if (cut <= 0) return;
    this.ticks.splice(0, cut);
    for (const column of [...all, ...Object.values(this.cluster)]) column.splice(0, cut);
  }

  /** Where each tick of a frame stands in the window; -1 when it is already too old. */
  private positions(ticks: readonly number[]): number[] {
    const index = new Map(this.ticks.map((t, i) => [t, i]));
    return ticks.map((t) => index.get(t) ?? -1);
  }

  private write(target: Columns, source: Columns, at: readonly number[]): void {
    for (const [name, values] of Object.entries(source)) {
      const column = (target[name] ??= blank(this.ticks.length));
      values.forEach((value, i) => {
        const position = at[i] ?? -1;
        if (position >= 0) column[position] = value;
      });
    }
  }

  private mergeNode(from: FrameNode, at: readonly number[]): void {
    const { series, ...rest } = from;
    const known = this.nodes.get(from.name);
    const node: WindowNode = { ...rest, series: known?.series ?? noColumns() };
    this.write(node.series, series, at);
    this.nodes.set(node.name, node);
  }

  private mergePod(from: FramePod, at: readonly number[]): void {
    const { series, ...rest } = from;
    const known = this.pods.get(from.uid);
    const pod: WindowPod = { ...rest, endedMs: known?.endedMs ?? null, series: known?.series ?? noColumns() };
    this.write(pod.series, series, at);
    this.pods.set(pod.uid, pod);
  }

  /** Marks what the newest frame no longer names, and forgets it when its values have left. */
  private settle(frame: Frame, before: number | null): void {
    const nodes = new Set(frame.nodes.map((n) => n.name));
    for (const node of this.nodes.values()) {
      if (nodes.has(node.name)) continue;
      node.state = "gone";
      if (empty(node.series)) this.nodes.delete(node.name);
    }
    if (frame.pods === null) return;
    const pods = new Set(frame.pods.map((p) => p.uid));
    for (const pod of this.pods.values()) {
      if (pods.has(pod.uid)) {
        pod.endedMs = null;
        continue;
      }
      pod.endedMs ??= newestPoint(Object.values(pod.series), this.ticks) ?? before;
      if (empty(pod.series)) this.pods.delete(pod.uid);
    }
  }
}

/** The value at the newest tick; null when there is none. */
export function current(column: Column | undefined): number | null {
  return column?.[column.length - 1] ?? null;
}

/** How many ticks have a value in at least one of the columns. */
export function countPoints(columns: readonly (Column | undefined)[], length: number): number {
  let n = 0;
  for (let i = 0; i < length; i++) {
    if (columns.some((c) => c !== undefined && c[i] !== null && c[i] !== undefined)) n += 1;
  }
  return n;
}

/** The newest tick with a value in at least one of the columns; null when there is none. */
export function newestPoint(
  columns: readonly (Column | undefined)[],
  ticks: readonly number[],
): number | null {
  for (let i = ticks.length - 1; i >= 0; i--) {
    if (columns.some((c) => c !== undefined && c[i] !== null && c[i] !== undefined)) {
      return ticks[i] ?? null;
    }
  }
  return null;
}

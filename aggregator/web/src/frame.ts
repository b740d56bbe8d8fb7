// The frame of GET /api/cairn/v1/stream and /api/cairn/v1/overview, checked as it comes in.

/** Values of one series, one per tick; null where there is none. */
export type Column = (number | null)[];

/** Columns by series name: cpu (cores), memory (bytes), rx and tx (bytes/s), load1, load5, load15. */
export type Columns = Record<string, Column>;

/**
 * What graphs are read against, by name: cpu_request, cpu_limit, cpu_capacity (cores), memory_request, memory_limit,
 * memory_capacity (bytes). Known now, without a history; what is not set is not there.
 */
export type Levels = Record<string, number>;

export type NodeState = "fresh" | "stale" | "connecting";

/** One source of a node's agent; `reason` says what fails and is null when nothing does. */
export interface Source {
  name: string;
  state: string;
  reason: string | null;
}

export interface FrameNode {
  name: string;
  state: NodeState;
  /** Unix ms since when the state holds; null when not known. */
  sinceMs: number | null;
  /** Ticks between its oldest and its newest row at which it has none. */
  gapTicks: number;
  reason: string | null;
  sources: Source[];
  series: Columns;
  levels: Levels;
}

export interface FramePod {
  namespace: string;
  name: string;
  uid: string;
  series: Columns;
  levels: Levels;
}

export interface Frame {
  intervalMs: number;
  windowMs: number;
  /** The aggregator's wall clock when it wrote the frame, Unix ms. */
  nowMs: number;
  /** Grid times, Unix ms, ascending. Every column has one entry per tick. */
  ticks: number[];
  /** What is told is of this, such as "what you may see"; null when it is of everything. */
  of: string | null;
  cluster: Columns;
  nodes: FrameNode[];
  /** Null when the frame is not about one node. */
  pods: FramePod[] | null;
}

/** The text was no frame; the message says which member was wrong. */
export class FrameError extends Error {}

type Fields = Record<string, unknown>;

function fields(value: unknown, what: string): Fields {
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    throw new FrameError(`${what} is not an object`);
  }
  return value as Fields;
}

function list(value: unknown, what: string): unknown[] {
  if (!Array.isArray(value)) throw new FrameError(`${what} is not a list`);
  return value;
}

function text(value: unknown, what: string): string {
  if (typeof value !== "string") throw new FrameError(`${what} is not a string`);
  return value;
}

function optionalText(value: unknown): string | null {
  return typeof value === "string" && value !== "" ? value : null;
}

function number(value: unknown, what: string): number {
  if (typeof value !== "number" || !Number.isFinite(value)) {
    throw new FrameError(`${what} is not a number`);
  }
  return value;
}

function positive(value: unknown, what: string): number {
  const n = number(value, what);
  if (n <= 0) throw new FrameError(`${what} is not above zero`);
  return n;
}

/** No columns; without a prototype: a name from outside must never meet an inherited member. */
export function noColumns(): Columns {
  return Object.create(null) as Columns;
}

function columns(value: unknown, length: number, what: string): Columns {
  const out = noColumns();
  for (const [name, raw] of Object.entries(fields(value, what))) {
    const column = list(raw, `${what}.${name}`);
    if (column.length !== length) {
      throw new FrameError(`${what}.${name} has ${column.length} values for ${length} ticks`);
    }
    out[name] = column.map((v) => (typeof v === "number" && Number.isFinite(v) ? v : null));
  }
  return out;
}

function levels(value: unknown, what: string): Levels {
  const out = Object.create(null) as Levels;
  for (const [name, raw] of Object.entries(fields(value, what))) {
    if (typeof raw === "number" && Number.isFinite(raw)) out[name] = raw;
  }
  return out;
}

function ticksOf(value: unknown): number[] {
  const ticks = list(value, "ticks").map((t) => number(t, "a tick"));
  ticks.forEach((t, i) => {
    if (i > 0 && t <= (ticks[i - 1] ?? 0)) throw new FrameError("ticks do not ascend");
  });
  return ticks;
}

function node(value: unknown, length: number): FrameNode {
  const raw = fields(value, "a node");
  const state = raw.state;
  if (state !== "fresh" && state !== "stale" && state !== "connecting") {
    throw new FrameError("a node has no known state");
  }
  return {
    name: text(raw.name, "a node's name"),
    state,
    sinceMs: typeof raw.since_ms === "number" ? raw.since_ms : null,
    gapTicks: number(raw.gap_ticks ?? 0, "a node's gap_ticks"),
    reason: optionalText(raw.reason),
    sources: list(raw.sources ?? [], "sources").map((entry) => {
      const source = fields(entry, "a source");
      return {
        name: text(source.name, "a source's name"),
        state: text(source.state, "a source's state"),
        reason: optionalText(source.reason),
      };
    }),
    series: columns(raw.series ?? {}, length, "a node's series"),
    levels: levels(raw.levels ?? {}, "a node's levels"),
  };
}

function pod(value: unknown, length: number): FramePod {
  const raw = fields(value, "a pod");
  return {
    namespace: text(raw.namespace, "a pod's namespace"),
    name: text(raw.name, "a pod's name"),
    uid: text(raw.uid, "a pod's uid"),
    series: columns(raw.series ?? {}, length, "a pod's series"),
    levels: levels(raw.levels ?? {}, "a pod's levels"),
  };
}

/** Why a stream was ended by who sends it; throws when the text says none. */
export function parseEnd(json: string): string {
  return text(fields(JSON.parse(json), "the end").reason, "the reason of the end");
}

/** Reads one frame; throws FrameError (or SyntaxError) when the text is none. */
export function parseFrame(json: string): Frame {
  const raw = fields(JSON.parse(json), "the frame");
  const ticks = ticksOf(raw.ticks);
  return {
    intervalMs: positive(raw.interval_ms, "interval_ms"),
    windowMs: positive(raw.window_ms, "window_ms"),
    nowMs: number(raw.now_ms, "now_ms"),
    ticks,
    of: optionalText(raw.of),
    cluster: columns(raw.cluster ?? {}, ticks.length, "cluster"),
    nodes: list(raw.nodes, "nodes").map((n) => node(n, ticks.length)),
    pods:
      raw.pods === undefined || raw.pods === null
        ? null
        : list(raw.pods, "pods").map((p) => pod(p, ticks.length)),
  };
}

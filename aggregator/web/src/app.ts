// What the page knows: the window, the stream that feeds it, and who wants to hear of changes.

import { parseEnd, parseFrame } from "./frame";
import type { Route } from "./route";
import { Stream } from "./stream";
import type { Connection } from "./stream";
import { Window } from "./window";
import type { WindowNode } from "./window";

/** How often the nodes are counted while a view shows one of them, ms. */
const RECOUNT_MS = 30_000;

/** How many nodes there are in each state. */
export interface NodeCounts {
  fresh: number;
  stale: number;
  connecting: number;
}

export class App {
  /** Null until the first stream has delivered. */
  window: Window | null = null;
  connection: Connection = { phase: "connecting" };
  /** Null until an answer about all nodes was read. */
  counts: NodeCounts | null = null;
  /** The node whose pods the window holds; null when it holds none. */
  podsOf: string | null = null;

  private stream: Stream | null = null;
  private recount: ReturnType<typeof setInterval> | undefined;
  private readonly listeners = new Set<() => void>();

  /** Calls `listener` after each change; gives the function that ends this. */
  subscribe(listener: () => void): () => void {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  }

  /** Streams what the route shows. The window of the route before stays until the new one is here. */
  open(route: Route): void {
    this.stream?.stop();
    const node = route.view === "node" ? route.name : null;
    const url = new URL("api/cairn/v1/stream", document.baseURI);
    if (node !== null) url.searchParams.set("node", node);
    const stream = new Stream(url.href, {
      event: (name, data) => {
        if (this.stream === stream) this.event(name, data, node);
      },
      connection: (state) => {
        // The end of the stream before must not be shown as the state of this one.
        if (this.stream !== stream || same(this.connection, state)) return;
        this.connection = state;
        this.changed();
      },
    });
    this.stream = stream;
    void stream.run();
    // A node's own stream names that node alone; the header still counts all of them.
    clearInterval(this.recount);
    if (node === null) return;
    const recount = () => void this.countAll(stream);
    this.recount = setInterval(recount, RECOUNT_MS);
    recount();
  }

  /** Tries again at once when a wait between two attempts is under way. */
  hurry(): void {
    this.stream?.hurry();
  }

  private async countAll(stream: Stream): Promise<void> {
    try {
      const url = new URL("api/cairn/v1/overview", document.baseURI);
      const response = await fetch(url, { cache: "no-store", signal: AbortSignal.timeout(RECOUNT_MS / 2) });
      if (!response.ok || this.stream !== stream) return;
      this.counts = countStates(parseFrame(await response.text()).nodes);
      this.changed();
    } catch {
      // The stream asks the same aggregator and shows what is wrong with it.
    }
  }

  private event(name: string, data: string, node: string | null): void {
    if (name === "window") {
      this.window = new Window(parseFrame(data), Date.now());
      this.podsOf = node;
    } else if (name === "tick" && this.window !== null) {
      this.window.merge(parseFrame(data), Date.now());
    } else if (name === "end") {
      throw new Error(parseEnd(data));
    } else {
      // A later aggregator may send events that this page does not know.
      return;
    }
    this.count(node);
    this.changed();
  }

  private count(node: string | null): void {
    if (this.window !== null && node === null) this.counts = countStates(this.window.nodes.values());
  }

  private changed(): void {
    for (const listener of this.listeners) listener();
  }
}

/** How many nodes are in each state; those that are gone are not counted. */
export function countStates(nodes: Iterable<{ state: WindowNode["state"] }>): NodeCounts {
  const counts: NodeCounts = { fresh: 0, stale: 0, connecting: 0 };
  for (const { state } of nodes) {
    if (state !== "gone") counts[state] += 1;
  }
  return counts;
}

function same(a: Connection, b: Connection): boolean {
  return a.phase === b.phase && a.phase !== "waiting";
}

// What the overview and the node view say alike about a node.

import { span, timeOfDay } from "../units";
import type { Window, WindowNode } from "../window";

const WORDS = { fresh: "fresh", stale: "stale", connecting: "connecting", gone: "gone" } as const;

/** What the aggregator says about a node, else what its first failing source says; or null. */
function troubleOf(node: WindowNode): string | null {
  if (node.reason !== null) return node.reason;
  const failing = node.sources.find((s) => s.state !== "ok");
  return failing === undefined ? null : `${failing.name}: ${failing.reason ?? failing.state}`;
}

/** How many ticks a node lacks; null when none. The charts alone do not tell: values are held. */
export function gapsOf(node: WindowNode): string | null {
  if (node.gapTicks === 0) return null;
  const ticks = node.gapTicks === 1 ? "1 tick" : `${node.gapTicks} ticks`;
  return `${ticks} missing between its oldest and newest row`;
}

/** The state of a node, since when where it is not fresh, and what is wrong with it. */
export function Badge({ node, window: w }: { node: WindowNode; window: Window }) {
  const since = node.state === "fresh" || node.state === "gone" ? null : node.sinceMs;
  const newest = w.newest();
  const trouble = troubleOf(node);
  const gaps = gapsOf(node);
  const age = since === null || newest === null ? null : newest - since;
  return (
    <span class="state">
      <span class={`badge ${node.state}`}>{WORDS[node.state]}</span>
      {since !== null && (
        <span class="since">
          since {timeOfDay(since)}
          {age !== null && age > 0 && ` (${span(age)})`}
        </span>
      )}
      {trouble !== null && <span class="why">{trouble}</span>}
      {gaps !== null && <span class="why">{gaps}</span>}
    </span>
  );
}

/** Why a node has no current value: what the aggregator says, else what is known here. */
export function whyMissing(node: WindowNode): (lastMs: number | null) => string {
  return (lastMs) => {
    const trouble = troubleOf(node);
    if (trouble !== null) return trouble;
    return lastMs === null ? "no value yet" : `no value since ${timeOfDay(lastMs)}`;
  };
}

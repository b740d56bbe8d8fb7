// The address after the hash.

export type Route = { view: "nodes" } | { view: "node"; name: string };

/** Reads `location.hash`; anything unknown is the overview. */
export function parseRoute(hash: string): Route {
  const match = /^#\/nodes\/([^/]+)$/.exec(hash);
  if (match?.[1] === undefined) return { view: "nodes" };
  try {
    return { view: "node", name: decodeURIComponent(match[1]) };
  } catch {
    // A half-written percent escape.
    return { view: "nodes" };
  }
}

/** The address of a node's view. */
export function nodeHref(name: string): string {
  return `#/nodes/${encodeURIComponent(name)}`;
}

// Reading the graphs of the page, and waiting for what they should show.

const PAUSE_MS = 100;

/** What each graph says about itself: subject, graph, number of points, newest point (Unix ms). */
export function readGraphs(page, selector) {
  return page.locator(selector).evaluateAll((all) =>
    all.map((element) => ({
      subject: element.dataset.subject ?? "",
      graph: element.dataset.graph ?? "",
      points: Number(element.dataset.points),
      newest: Number(element.dataset.newest || 0),
    })),
  );
}

const progress = new WeakMap();

/**
 * How many points each graph of `before` has gained by `now`. A full window loses an old point for
 * each new one, so a newer newest point counts as well. A pod that ended is out of the comparison.
 */
export function gains(before, now) {
  const seen = progress.get(before) ?? new Map();
  progress.set(before, seen);
  const latest = new Map(now.map((g) => [`${g.subject} ${g.graph}`, g]));
  return before
    .filter((g) => latest.has(`${g.subject} ${g.graph}`))
    .map((g) => {
      const key = `${g.subject} ${g.graph}`;
      const newest = latest.get(key).newest;
      const moves = seen.get(key) ?? new Set();
      if (newest > g.newest) moves.add(newest);
      seen.set(key, moves);
      return { ...latest.get(key), gained: Math.max(latest.get(key).points - g.points, moves.size) };
    });
}

/** Asks until `good` holds and gives the answer; after `deadline` ms throws with what `lacks` says. */
export async function waitFor(ask, good, deadline, lacks) {
  const end = Date.now() + deadline;
  for (;;) {
    const answer = await ask();
    if (good(answer)) return answer;
    if (Date.now() > end) {
      throw new Error(`not within ${deadline / 1000} s; lacking: ${lacks(answer).join(", ") || "all"}`);
    }
    await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
  }
}

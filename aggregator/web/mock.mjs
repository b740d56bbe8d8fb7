// Serves dist/ with an invented stream, to work on the page without an aggregator. Development only.
//   node mock.mjs [--port 8099] [--interval 1000] [--nodes 3] [--pods 14] [--filled 30]
// Of the nodes the third goes stale, and the second has gaps; one pod ends and one appears each minute.
import { readFile } from "node:fs/promises";
import { createServer } from "node:http";
import { extname, join, normalize } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";

const { values: args } = parseArgs({
  options: {
    port: { type: "string", default: "8099" },
    interval: { type: "string", default: "1000" },
    nodes: { type: "string", default: "3" },
    pods: { type: "string", default: "14" },
    filled: { type: "string", default: "30" },
  },
});
const INTERVAL = Number(args.interval);
const WINDOW = 900_000;
const DIST = fileURLToPath(new URL("dist", import.meta.url));
const TYPES = { ".html": "text/html", ".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml" };
const CSP = "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:";
const start = Math.floor(Date.now() / INTERVAL) * INTERVAL;
const STALE_AFTER = start - 5 * INTERVAL;

function noise(seed, t) {
  const x = Math.sin(seed * 127.1 + t * 311.7) * 43758.5453;
  return x - Math.floor(x);
}

function wave(seed, tick, base, swing) {
  const t = tick / 1000;
  const slow = Math.sin(t / (60 + 30 * noise(seed, 1)) + seed);
  return base * (1 + swing * (0.6 * slow + 0.5 * (noise(seed, tick / INTERVAL) - 0.5)));
}

function hash(name) {
  let h = 7;
  for (const c of name) h = (h * 31 + c.codePointAt(0)) % 9973;
  return h / 97;
}

function nodeValue(i, series, tick) {
  if (i === 2 && tick > STALE_AFTER) return null;
  const n = Math.floor((tick - start) / INTERVAL);
  if (i === 1 && series !== "memory" && ((n % 40) + 40) % 40 < 4) return null;
  const seed = i * 10 + hash(series);
  switch (series) {
    case "cpu":
      return wave(seed, tick, 0.9 + i * 1.4, 0.5);
    case "memory":
      return Math.round(wave(seed, tick, 2.2e9 * (i + 1), 0.08));
    case "rx":
      return wave(seed, tick, 48_000 * (i + 1), 0.9);
    case "tx":
      return wave(seed, tick, 21_000 * (i + 1), 0.9);
    default:
      return wave(seed, tick, 0.8, series === "load1" ? 0.7 : series === "load5" ? 0.3 : 0.1);
  }
}

const NAMESPACES = ["shop", "kube-system", "monitoring", "<b>hostile</b>"];
const NAMES = ["web", "cart", "coredns", "payments-worker-with-a-rather-long-name", "etcd", "proxy"];

function podsAt(node, tick) {
  const generation = Math.floor(tick / 60_000);
  return Array.from({ length: Number(args.pods) }, (_, i) => {
    const name = NAMES[i % NAMES.length];
    const suffix = i === 0 ? `batch-${generation}` : `${(i * 7919 + hash(node) * 31).toString(36).slice(0, 6)}`;
    return { namespace: NAMESPACES[i % NAMESPACES.length], name: `${name}-${suffix}`, uid: `${node}-${i}-${i === 0 ? generation : 0}` };
  });
}

function podValue(pod, series, tick) {
  const seed = hash(pod.uid + series);
  const scale = 10 ** (noise(seed, 3) * 3);
  if (pod.uid.endsWith("-3-0") && (series === "rx" || series === "tx")) return null;
  switch (series) {
    case "cpu":
      return wave(seed, tick, 0.0006 * scale, 0.6);
    case "memory":
      return Math.round(wave(seed, tick, 2_000_000 * scale, 0.1));
    default:
      return wave(seed, tick, 40 * scale, 0.9);
  }
}

function frame(ticks, only) {
  const names = Array.from({ length: Number(args.nodes) }, (_, i) => `node${i + 1}`);
  const nodes = names.map((name, i) => ({ name, i })).filter(({ name }) => only === null || name === only).map(({ name, i }) => ({
    name,
    state: i === 2 ? "stale" : "fresh",
    since_ms: i === 2 ? STALE_AFTER : ticks.at(-1),
    gap_ticks: i === 1 ? windowTicks().filter((t) => nodeValue(i, "cpu", t) === null).length : undefined,
    reason: i === 2 ? "no session since the agent's last row" : null,
    sources: [
      i === 1
        ? { name: "summary", state: "failing", reason: "kubelet answered 403 Forbidden; grant nodes/stats to the agent" }
        : { name: "summary", state: "ok", reason: null },
      { name: "procfs", state: "ok", reason: null },
    ],
    series: Object.fromEntries(
      ["cpu", "memory", "rx", "tx", "load1", "load5", "load15"].map((s) => [s, ticks.map((t) => nodeValue(i, s, t))]),
    ),
    levels: { cpu_capacity: 4, memory_capacity: 2 ** 34 },
  }));
  const out = {
    interval_ms: INTERVAL,
    window_ms: WINDOW,
    now_ms: Date.now(),
    ticks,
    cluster: {
      cpu: ticks.map((t) => wave(1, t, 2.4, 0.3)),
      memory: ticks.map((t) => wave(2, t, 3.4e9, 0.05)),
    },
    nodes,
  };
  if (only !== null) {
    const pods = new Map(ticks.flatMap((t) => podsAt(only, t)).map((p) => [p.uid, p]));
    out.pods = [...pods.values()].map((p) => ({
      ...p,
      levels: { cpu_request: 0.01, cpu_limit: 0.05, memory_request: 2 ** 24 },
      series: Object.fromEntries(
        ["cpu", "memory", "rx", "tx"].map((s) => [
          s,
          ticks.map((t) => (podsAt(only, t).some((q) => q.uid === p.uid) ? podValue(p, s, t) : null)),
        ]),
      ),
    }));
  }
  return out;
}

function newestTick() {
  return Math.floor(Date.now() / INTERVAL) * INTERVAL;
}

function windowTicks() {
  const newest = newestTick();
  const held = Math.min(WINDOW / INTERVAL, Number(args.filled) + (newest - start) / INTERVAL);
  return Array.from({ length: held }, (_, i) => newest - (held - 1 - i) * INTERVAL);
}

function stream(res, only) {
  res.writeHead(200, { "content-type": "text/event-stream", "cache-control": "no-store" });
  const send = (event, data) => res.write(`event: ${event}\ndata: ${JSON.stringify(data)}\n\n`);
  res.write("retry: 2000\n\n");
  const first = windowTicks();
  let sent = first.at(-1);
  send("window", frame(first, only));
  const ticker = setInterval(() => {
    const tick = newestTick();
    if (tick <= sent) return;
    sent = tick;
    send("tick", frame([tick], only));
  }, Math.min(INTERVAL, 200));
  const keepalive = setInterval(() => res.write(": keepalive\n\n"), 15_000);
  res.on("close", () => {
    clearInterval(ticker);
    clearInterval(keepalive);
  });
}

async function file(res, path) {
  const name = normalize(join(DIST, path === "/" ? "index.html" : path));
  if (!name.startsWith(DIST)) {
    res.writeHead(404).end("not found");
    return;
  }
  try {
    const body = await readFile(name);
    res.writeHead(200, { "content-type": TYPES[extname(name)] ?? "application/octet-stream", "content-security-policy": CSP });
    res.end(body);
  } catch {
    res.writeHead(404).end("not found");
  }
}

createServer((req, res) => {
  const url = new URL(req.url ?? "/", "http://localhost");
  if (url.pathname === "/api/cairn/v1/stream") stream(res, url.searchParams.get("node"));
  else if (url.pathname === "/api/cairn/v1/overview") {
    res.writeHead(200, { "content-type": "application/json" }).end(JSON.stringify(frame([newestTick()], null)));
  } else void file(res, url.pathname);
}).listen(Number(args.port), "127.0.0.1", () => console.log(`http://127.0.0.1:${args.port}/`));

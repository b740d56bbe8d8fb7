// Opens the page, watches its graphs gain points without a reload, and saves both views.
//   node run.mjs --url http://127.0.0.1:8082 --shots DIR
//     [--min-points N]   every node graph must reach this many points (default 3)
//     [--nodes N]        at least this many nodes are shown (default 2)
//     [--node NAME]      whose view is opened (default node1)
//     [--timeout SECONDS]  the longest single wait (default 60)
// The browser is CAIRN_CHROMIUM, by default /usr/bin/chromium.
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { chromium } from "playwright-core";
import { Checks } from "./checks.mjs";
import { gains, readGraphs, waitFor } from "./graphs.mjs";

const FLAGS = [
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
];

const OVERVIEW = 'main [data-node] figure.graph';
const NODE = 'main > [data-node] figure.graph';
const PODS = 'main .pods tr.pod:not(.ended) [data-graph="cpu"], main .pods tr.pod:not(.ended) [data-graph="memory"]';
const OPENED = 'main .pods tr.opened figure.graph';

function options() {
  const { values } = parseArgs({
    options: {
      url: { type: "string" },
      shots: { type: "string" },
      "min-points": { type: "string", default: "3" },
      nodes: { type: "string", default: "2" },
      node: { type: "string", default: "node1" },
      timeout: { type: "string", default: "60" },
    },
  });
  if (!values.url || !values.shots) throw new Error("give --url and --shots");
  const number = (name) => {
    const n = Number(values[name]);
    if (!Number.isFinite(n) || n <= 0) throw new Error(`--${name} is not a number above zero`);
    return n;
  };
  return {
    url: values.url,
    shots: values.shots,
    node: values.node,
    minPoints: number("min-points"),
    nodes: number("nodes"),
    deadline: number("timeout") * 1000,
  };
}

/** Everything that the page says went wrong, and how often it was loaded. */
function listen(page, own) {
  const seen = { errors: [], loads: 0, foreign: [] };
  page.on("console", (message) => {
    if (message.type() === "error") seen.errors.push(`console: ${message.text()}`);
  });
  page.on("pageerror", (error) => seen.errors.push(`exception: ${error.message}`));
  page.on("request", (request) => {
    if (request.isNavigationRequest()) seen.loads += 1;
    const { protocol, host } = new URL(request.url());
    if (protocol !== "data:" && host !== own) seen.foreign.push(request.url());
  });
  return seen;
}

/** All graphs that the selector finds reach `minPoints` and then gain two points more. */
async function watchGraphs(page, checks, what, selector, wanted) {
  const { minPoints, deadline, subjects } = wanted;
  // Graphs that may stand still must not make a page pass on which nothing moves.
  const enough = (all) =>
    new Set(all.filter((g) => g.gained >= 2).map((g) => g.subject)).size >= subjects;
  await checks.run(`${what}: every graph has at least ${minPoints} points`, async () => {
    const graphs = await waitFor(
      () => readGraphs(page, selector),
      (all) => all.length > 0 && all.every((g) => g.points >= minPoints || wanted.mayLack(g)),
      deadline,
      (all) => all.filter((g) => g.points < minPoints).map((g) => `${g.subject} ${g.graph} ${g.points}`),
    );
    return `${graphs.length} graphs`;
  });
  await checks.run(`${what}: every graph gains 2 points without a reload`, async () => {
    const before = await readGraphs(page, selector);
    const after = await waitFor(
      async () => gains(before, await readGraphs(page, selector)),
      (all) => enough(all) && all.every((g) => g.gained >= 2 || wanted.mayLack(g)),
      deadline,
      (all) => all.filter((g) => g.gained < 2).map((g) => `${g.subject} ${g.graph}`),
    );
    const moved = after.filter((g) => g.gained >= 2);
    const counts = moved.map((g) => g.points);
    return `${moved.length} graphs, ${Math.min(...counts)} to ${Math.max(...counts)} points`;
  });
}

async function overview(page, checks, wanted) {
  await checks.run("the page opens", async () => {
    const response = await page.goto(wanted.url, { timeout: wanted.deadline });
    if (response?.status() !== 200) throw new Error(`status ${response?.status()}`);
    return page.url();
  });
  await checks.run(`the overview shows at least ${wanted.nodes} nodes`, async () => {
    const names = await waitFor(
      () => page.locator("main [data-node] h2 a").allTextContents(),
      (all) => all.length >= wanted.nodes,
      wanted.deadline,
      (all) => all,
    );
    return names.join(", ");
  });
  await checks.run("the connection is live", async () => {
    await page.locator('[data-phase="live"]').waitFor({ timeout: wanted.deadline });
  });
  await watchGraphs(page, checks, "overview", OVERVIEW, { ...wanted, subjects: wanted.nodes, mayLack: stale(page) });
  await checks.run("the totals of the cluster have values", async () => {
    const total = (id) => page.locator(id).textContent({ timeout: wanted.deadline });
    const shown = await waitFor(
      async () => [await total("#total-cpu"), await total("#total-memory")],
      (all) => all.every((text) => /\d/.test(text ?? "")),
      wanted.deadline,
      (all) => all,
    );
    return shown.join(", ");
  });
  await shoot(page, checks, wanted, "overview.png");
}

/** Graphs of nodes that the page itself marks as not fresh may stand still. */
function stale(page) {
  const names = new Set();
  const look = () =>
    page
      .locator("main [data-node]:not(.fresh)")
      .evaluateAll((all) => all.map((e) => e.dataset.node))
      .then((found) => found.forEach((n) => names.add(n)))
      // The page may be closing; the check itself reports that.
      .catch(() => undefined);
  void look();
  return (graph) => {
    void look();
    return names.has(graph.subject);
  };
}

async function nodeView(page, checks, wanted) {
  const never = () => false;
  await checks.run(`the link to ${wanted.node} opens its view`, async () => {
    await page.locator(`main [data-node="${wanted.node}"] h2 a`).click({ timeout: wanted.deadline });
    await page.locator("main .pods").waitFor({ timeout: wanted.deadline });
    return page.url();
  });
  await watchGraphs(page, checks, "node view", NODE, { ...wanted, subjects: 1, mayLack: never });
  await checks.run("the node's pods are shown", async () => {
    const names = await waitFor(
      () => page.locator("main .pods tr.pod").evaluateAll((all) => all.map((e) => e.dataset.pod)),
      (all) => all.length > 0,
      wanted.deadline,
      () => [],
    );
    return `${names.length} pods`;
  });
  // A pod may be seconds old.
  await watchGraphs(page, checks, "pods", PODS, { ...wanted, minPoints: 1, subjects: 1, mayLack: never });
  await checks.run("a pod opens into its graphs", async () => {
    await page.locator("main .pods tr.pod:not(.ended) .fold").first().click({ timeout: wanted.deadline });
    const graphs = await waitFor(
      () => readGraphs(page, OPENED),
      (all) => all.length === 3 && all.some((g) => g.points >= 1),
      wanted.deadline,
      (all) => all.map((g) => `${g.graph} ${g.points}`),
    );
    return `${graphs[0]?.subject}: ${graphs.map((g) => g.graph).join(", ")}`;
  });
  await checks.run("the filter leaves the pods that match", async () => {
    const first = await page.locator("main .pods tr.pod").first().getAttribute("data-pod");
    const filter = page.locator("main .pods input[type=search]");
    await filter.fill(first ?? "", { timeout: wanted.deadline });
    const left = await page.locator("main .pods tr.pod").evaluateAll((all) => all.map((e) => e.dataset.pod));
    await filter.fill("");
    if (left.length === 0 || left.some((name) => !name?.includes(first ?? ""))) throw new Error(left.join(", "));
    return `${left.length} of them`;
  });
  await shoot(page, checks, wanted, "node.png");
}

async function shoot(page, checks, wanted, name) {
  await checks.run(`saved ${name}`, async () => {
    const path = join(wanted.shots, name);
    await page.screenshot({ path, fullPage: true, timeout: wanted.deadline });
    return path;
  });
}

async function main() {
  const wanted = options();
  await mkdir(wanted.shots, { recursive: true });
  const checks = new Checks();
  const browser = await chromium.launch({
    executablePath: process.env.CAIRN_CHROMIUM ?? "/usr/bin/chromium",
    headless: true,
    args: FLAGS,
    timeout: wanted.deadline,
  });
  try {
    // launch() makes a user data directory of its own and removes it at the end.
    const page = await browser.newPage({ viewport: { width: 1440, height: 900 } });
    page.setDefaultTimeout(wanted.deadline);
    const seen = listen(page, new URL(wanted.url).host);
    await overview(page, checks, wanted);
    if (checks.failed === 0) await nodeView(page, checks, wanted);
    await checks.run("the page was loaded once", async () => {
      if (seen.loads !== 1) throw new Error(`${seen.loads} loads`);
    });
    await checks.run("nothing was asked of another host", async () => {
      if (seen.foreign.length > 0) throw new Error(seen.foreign.join(", "));
    });
    await checks.run("no error on the console, no exception", async () => {
      if (seen.errors.length > 0) throw new Error(seen.errors.join("; "));
    });
    if (checks.failed > 0) await page.screenshot({ path: join(wanted.shots, "failed.png"), fullPage: true });
  } finally {
    await browser.close();
  }
  process.exitCode = checks.finish();
}

main().catch((error) => {
  console.error(`the browser test cannot run: ${error.message}`);
  process.exitCode = 1;
});

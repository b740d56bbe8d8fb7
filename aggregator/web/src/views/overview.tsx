// All nodes, one card each.

import { useState } from "preact/hooks";
import { CPU, LOAD, MEMORY, NETWORK } from "../graphs";
import { nodeHref } from "../route";
import { current } from "../window";
import type { Window, WindowNode } from "../window";
import { Graph } from "./graph";
import { Badge, whyMissing } from "./node_parts";

const KINDS = [CPU, MEMORY, NETWORK, LOAD];
/** Cards drawn before somebody asks for more. */
const FIRST = 50;

const ORDERS = {
  name: "Name",
  cpu: "CPU",
  memory: "Memory",
  load1: "Load",
} as const;
type Order = keyof typeof ORDERS;

/** The nodes whose name has the text, by name or the largest value first. */
export function pickNodes(nodes: Iterable<WindowNode>, filter: string, order: Order): WindowNode[] {
  const wanted = filter.trim().toLowerCase();
  const names = new Intl.Collator("en", { numeric: true });
  return [...nodes]
    .filter((n) => n.name.toLowerCase().includes(wanted))
    .sort((a, b) => {
      const by =
        order === "name" ? 0 : (current(b.series[order]) ?? -1) - (current(a.series[order]) ?? -1);
      return by !== 0 ? by : names.compare(a.name, b.name);
    });
}

export function Overview({ window: w }: { window: Window }) {
  const [filter, setFilter] = useState("");
  const [order, setOrder] = useState<Order>("name");
  const [limit, setLimit] = useState(FIRST);
  const nodes = pickNodes(w.nodes.values(), filter, order);
  return (
    <main>
      <div class="bar">
        <h1>Nodes</h1>
        <label>
          Sort by{" "}
          <select value={order} onChange={(e) => setOrder(e.currentTarget.value as Order)}>
            {Object.entries(ORDERS).map(([value, label]) => (
              <option key={value} value={value}>
                {label}
              </option>
            ))}
          </select>
        </label>
        <input
          type="search"
          placeholder="Filter nodes"
          aria-label="Filter nodes"
          value={filter}
          onInput={(e) => setFilter(e.currentTarget.value)}
        />
      </div>
      {nodes.length === 0 && (
        <p class="empty">
          {filter.trim() === "" ? "No node has reported yet." : "No node has this in its name."}
        </p>
      )}
      {nodes.slice(0, limit).map((node) => (
        <section class={`card ${node.state}`} key={node.name} data-node={node.name}>
          <h2>
            <a href={nodeHref(node.name)}>{node.name}</a>
            <Badge node={node} window={w} />
          </h2>
          <div class="graphs">
            {KINDS.map((kind) => (
              <Graph
                key={kind.id}
                kind={kind}
                ticks={w.ticks}
                series={node.series}
                levels={node.levels}
                version={w.version}
                height={120}
                subject={node.name}
                missing={whyMissing(node)}
              />
            ))}
          </div>
        </section>
      ))}
      {nodes.length > limit && (
        <button type="button" class="more" onClick={() => setLimit(limit + FIRST)}>
          Show more ({nodes.length - limit} left)
        </button>
      )}
    </main>
  );
}

// One node: its graphs, what its sources say, and its pods.

import { CPU, LOADS, MEMORY, NETWORK } from "../graphs";
import type { Window } from "../window";
import { Graph } from "./graph";
import { Badge, whyMissing } from "./node_parts";
import { Pods } from "./pods";

const KINDS = [CPU, MEMORY, NETWORK, LOADS];

interface Props {
  name: string;
  window: Window;
  /** Whether the window's pods are this node's. */
  hasPods: boolean;
}

export function NodeView({ name, window: w, hasPods }: Props) {
  const node = w.nodes.get(name);
  return (
    <main>
      <div class="bar">
        <h1>
          <a href="#/">Nodes</a>
          <span class="slash">/</span>
          {name}
        </h1>
        {node !== undefined && <Badge node={node} window={w} />}
      </div>
      {node === undefined ? (
        <p class="empty">No node of this name has reported.</p>
      ) : (
        <section class={`card ${node.state}`} data-node={name}>
          <div class="graphs two">
            {KINDS.map((kind) => (
              <Graph
                key={kind.id}
                kind={kind}
                ticks={w.ticks}
                series={node.series}
                levels={node.levels}
                version={w.version}
                height={190}
                subject={name}
                missing={whyMissing(node)}
              />
            ))}
          </div>
          {node.sources.length > 0 && (
            <ul class="sources">
              {node.sources.map((source) => (
                <li key={source.name}>
                  <span class={`badge ${source.state === "ok" ? "fresh" : "stale"}`}>
                    {source.name} {source.state}
                  </span>
                  {source.reason}
                </li>
              ))}
            </ul>
          )}
        </section>
      )}
      {hasPods ? <Pods window={w} /> : <p class="empty">Waiting for the pods of this node.</p>}
    </main>
  );
}

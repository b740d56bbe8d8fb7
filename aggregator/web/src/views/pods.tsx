// The pods of a node: a sorted table, each row opens into its graphs.

import { Fragment } from "preact";
import { useState } from "preact/hooks";
import { CPU, MEMORY, NETWORK } from "../graphs";
import { byteRate, bytes, coresNumber, timeOfDay } from "../units";
import { current, newestPoint } from "../window";
import type { Window, WindowPod } from "../window";
import { Graph } from "./graph";
import { Spark } from "./spark";

const KINDS = [CPU, MEMORY, NETWORK];

interface ValueColumn {
  series: string;
  heading: string;
  unit: string;
  colour: string;
  format: (value: number) => string;
}

const COLUMNS: ValueColumn[] = [
  { series: "cpu", heading: "CPU", unit: "cores", colour: "--cpu", format: coresNumber },
  { series: "memory", heading: "Memory", unit: "", colour: "--memory", format: bytes },
  { series: "rx", heading: "Network rx", unit: "", colour: "--rx", format: byteRate },
  { series: "tx", heading: "Network tx", unit: "", colour: "--tx", format: byteRate },
];

export interface PodOrder {
  /** "name" or the name of a series. */
  by: string;
  descending: boolean;
}

/** The pods whose namespace/name has the text, in order; those without a value come last. */
export function pickPods(pods: Iterable<WindowPod>, filter: string, order: PodOrder): WindowPod[] {
  const wanted = filter.trim().toLowerCase();
  const names = new Intl.Collator("en", { numeric: true });
  const label = (p: WindowPod) => `${p.namespace}/${p.name}`;
  const sign = order.descending ? -1 : 1;
  return [...pods]
    .filter((p) => label(p).toLowerCase().includes(wanted))
    .sort((a, b) => {
      const byName = names.compare(label(a), label(b));
      if (order.by === "name") return sign * byName;
      const [x, y] = [current(a.series[order.by]), current(b.series[order.by])];
      if (x === null || y === null) return x === y ? byName : x === null ? 1 : -1;
      return x === y ? byName : sign * (x - y);
    });
}

interface HeadingProps {
  by: string;
  text: string;
  order: PodOrder;
  set: (order: PodOrder) => void;
}

function Heading({ by, text, order, set }: HeadingProps) {
  const active = order.by === by;
  const sort = active ? (order.descending ? "descending" : "ascending") : "none";
  const arrow = active ? (order.descending ? "▼" : "▲") : "";
  // Names start at A, values at the largest: that is what people look for first.
  const next = { by, descending: active ? !order.descending : by !== "name" };
  return (
    <th scope="col" class={by === "name" ? "name" : "number"} aria-sort={sort}>
      <button type="button" onClick={() => set(next)}>
        {by === "name" ? `${text} ` : ""}
        <span class="arrow">{arrow}</span>
        {by === "name" ? "" : ` ${text}`}
      </button>
    </th>
  );
}

interface RowProps {
  pod: WindowPod;
  window: Window;
  open: boolean;
  toggle: () => void;
}

function whyMissing(pod: WindowPod): (lastMs: number | null) => string {
  return (lastMs) => {
    if (pod.endedMs !== null) return `ended ${timeOfDay(pod.endedMs)}`;
    return lastMs === null ? "no value yet" : `no value since ${timeOfDay(lastMs)}`;
  };
}

function Row({ pod, window: w, open, toggle }: RowProps) {
  const subject = `${pod.namespace}/${pod.name}`;
  const missing = whyMissing(pod);
  return (
    <Fragment>
      <tr class={pod.endedMs === null ? "pod" : "pod ended"} data-pod={subject}>
        <th scope="row">
          <button type="button" class="fold" aria-expanded={open} onClick={toggle} title={subject}>
            <span class="mark">{open ? "▾" : "▸"}</span>
            <span class="namespace">{pod.namespace}</span>
            <span class="podname">{pod.name}</span>
            {pod.endedMs !== null && <span class="badge gone">ended {timeOfDay(pod.endedMs)}</span>}
          </button>
        </th>
        {COLUMNS.map((column) => {
          const values = pod.series[column.series];
          const value = current(values);
          return (
            <td key={column.series}>
              <span class="cell">
                <Spark
                  id={column.series}
                  subject={subject}
                  colour={column.colour}
                  ticks={w.ticks}
                  column={values}
                />
                {value === null ? (
                  <span class="none" title={missing(newestPoint([values], w.ticks))}>
                    –
                  </span>
                ) : (
                  <span class="figure">{column.format(value)}</span>
                )}
              </span>
            </td>
          );
        })}
      </tr>
      {open && (
        <tr class="opened">
          <td colSpan={1 + COLUMNS.length}>
            <div class="graphs three">
              {KINDS.map((kind) => (
                <Graph
                  key={kind.id}
                  kind={kind}
                  ticks={w.ticks}
                  series={pod.series}
                  levels={pod.levels}
                  version={w.version}
                  height={150}
                  subject={subject}
                  missing={missing}
                />
              ))}
            </div>
          </td>
        </tr>
      )}
    </Fragment>
  );
}

export function Pods({ window: w }: { window: Window }) {
  const [filter, setFilter] = useState("");
  const [order, setOrder] = useState<PodOrder>({ by: "cpu", descending: true });
  const [open, setOpen] = useState<ReadonlySet<string>>(new Set());
  const pods = pickPods(w.pods.values(), filter, order);
  const running = [...w.pods.values()].filter((p) => p.endedMs === null).length;
  const toggle = (uid: string) => {
    const next = new Set(open);
    if (!next.delete(uid)) next.add(uid);
    setOpen(next);
  };
  return (
    <section class="pods">
      <div class="bar">
        <h2>Pods</h2>
        <span class="count">
          {running} running
          {w.pods.size > running && `, ${w.pods.size - running} ended in this window`}
        </span>
        <input
          type="search"
          placeholder="Filter by namespace or name"
          aria-label="Filter pods"
          value={filter}
          onInput={(e) => setFilter(e.currentTarget.value)}
        />
      </div>
      <div class="scroll">
        <table>
          <thead>
            <tr>
              <Heading by="name" text="Pod" order={order} set={setOrder} />
              {COLUMNS.map((c) => (
                <Heading
                  key={c.series}
                  by={c.series}
                  text={c.unit === "" ? c.heading : `${c.heading} (${c.unit})`}
                  order={order}
                  set={setOrder}
                />
              ))}
            </tr>
          </thead>
          <tbody>
            {pods.map((pod) => (
              <Row
                key={pod.uid}
                pod={pod}
                window={w}
                open={open.has(pod.uid)}
                toggle={() => toggle(pod.uid)}
              />
            ))}
          </tbody>
        </table>
      </div>
      {pods.length === 0 && (
        <p class="empty">
          {w.pods.size === 0 ? "No pod of this node has a value yet." : "No pod has this in its name."}
        </p>
      )}
    </section>
  );
}

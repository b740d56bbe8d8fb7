// Totals of the cluster, and whether what is shown is live.

import { useEffect, useState } from "preact/hooks";
import type { App } from "../app";
import type { Connection } from "../stream";
import { bytes, cores, span } from "../units";
import { current } from "../window";
import { Spark } from "./spark";

/** Draws again each second: ages and countdowns move while nothing arrives. */
function useSecond(): number {
  const [now, setNow] = useState(Date.now());
  useEffect(() => {
    const timer = setInterval(() => setNow(Date.now()), 1000);
    return () => clearInterval(timer);
  }, []);
  // A change in between is drawn with its own time, not with the last second's.
  return Math.max(now, Date.now());
}

function state(connection: Connection, now: number): { text: string; reason: string } {
  switch (connection.phase) {
    case "live":
      return { text: "live", reason: "" };
    case "connecting":
      return { text: "connecting", reason: "" };
    case "waiting": {
      const left = Math.max(0, Math.ceil((connection.untilMs - now) / 1000));
      return { text: `reconnecting in ${left} s`, reason: connection.reason };
    }
  }
}

export function Header({ app }: { app: App }) {
  const now = useSecond();
  const { window: w, connection, counts } = app;
  const { text, reason } = state(connection, now);
  const newest = w?.newest() ?? null;
  const age = w === null || newest === null ? null : now + w.skewMs - newest;
  const total = (name: "cpu" | "memory", format: (v: number) => string) => {
    const value = current(w?.cluster[name]);
    return value === null ? "–" : format(value);
  };
  const pods = w === null || w.of === null ? "all pods" : `of ${w.of}`;
  const other = counts === null ? 0 : counts.connecting;
  return (
    <header>
      <a class="brand" href="#/">
        <svg viewBox="0 0 32 32" width="26" height="26" aria-hidden="true">
          <ellipse cx="16" cy="26" rx="13" ry="4.6" />
          <ellipse cx="16" cy="16.5" rx="9" ry="4" />
          <ellipse cx="16" cy="8.5" rx="5.4" ry="3.2" />
        </svg>
        Cairn
      </a>
      <dl class="totals">
        <div class="total">
          <dt>CPU, {pods}</dt>
          <dd id="total-cpu">{total("cpu", cores)}</dd>
          <Spark id="cpu" subject="cluster" colour="--cpu" ticks={w?.ticks ?? []} column={w?.cluster.cpu} />
        </div>
        <div class="total">
          <dt>Memory, {pods}</dt>
          <dd id="total-memory">{total("memory", bytes)}</dd>
          <Spark
            id="memory"
            subject="cluster"
            colour="--memory"
            ticks={w?.ticks ?? []}
            column={w?.cluster.memory}
          />
        </div>
        <div class="total narrow">
          <dt>Nodes</dt>
          <dd id="total-nodes">
            {counts === null ? "–" : `${counts.fresh} fresh`}
            {counts !== null && counts.stale > 0 && <em class="bad"> {counts.stale} stale</em>}
            {other > 0 && <em> {other} connecting</em>}
          </dd>
        </div>
        <div class="total narrow">
          <dt>Newest tick</dt>
          <dd id="tick-age">{age === null ? "–" : `${span(age)} ago`}</dd>
        </div>
      </dl>
      <p class="connection" data-phase={connection.phase} role="status">
        <i class="dot" />
        <span class="phase">{text}</span>
        <span class="reason" title={reason}>
          {reason}
        </span>
      </p>
    </header>
  );
}

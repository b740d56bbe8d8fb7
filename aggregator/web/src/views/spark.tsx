// A small line without axes, for tables and totals.

import type { Column } from "../frame";
import { countPoints, newestPoint } from "../window";
import { timeRange } from "./plot";

const WIDTH = 96;
const HEIGHT = 24;

interface Props {
  id: string;
  subject: string;
  colour: string;
  ticks: number[];
  column: Column | undefined;
}

/** The path of the line, broken at gaps. With more ticks than pixels each pixel keeps its maximum. */
export function sparkPath(ticks: readonly number[], column: readonly (number | null)[]): string {
  const [from, to] = timeRange(ticks);
  const top = Math.max(0, ...column.map((v) => v ?? 0));
  const y = (v: number) => (top > 0 ? HEIGHT - 1.5 - (v / top) * (HEIGHT - 3) : HEIGHT - 1.5);
  const per = Math.max(1, Math.ceil(ticks.length / WIDTH));
  const parts: string[] = [];
  let open = false;
  for (let i = 0; i < ticks.length; i += per) {
    const values = column.slice(i, i + per).filter((v) => v !== null);
    const tick = ticks[Math.min(i + per, ticks.length) - 1] ?? to;
    if (values.length === 0) {
      open = false;
      continue;
    }
    const x = to > from ? ((tick - from) / (to - from)) * WIDTH : WIDTH;
    const point = `${x.toFixed(1)} ${y(Math.max(...values)).toFixed(1)}`;
    // A line to itself makes a value between two gaps a dot.
    parts.push(open ? `L${point}` : `M${point}L${point}`);
    open = true;
  }
  return parts.join("");
}

export function Spark({ id, subject, colour, ticks, column }: Props) {
  return (
    <svg
      class="spark"
      viewBox={`0 0 ${WIDTH} ${HEIGHT}`}
      width={WIDTH}
      height={HEIGHT}
      aria-hidden="true"
      data-graph={id}
      data-subject={subject}
      data-points={countPoints([column], ticks.length)}
      data-newest={newestPoint([column], ticks) ?? ""}
    >
      <line x1="0" x2={WIDTH} y1={HEIGHT - 0.5} y2={HEIGHT - 0.5} />
      <path d={sparkPath(ticks, column ?? [])} style={{ stroke: `var(${colour})` }} />
    </svg>
  );
}

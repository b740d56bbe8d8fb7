// uPlot, set up the way all graphs of the page look.

import uPlot from "uplot";
import type { GraphKind } from "../graphs";
import { ceiling, timeAxis } from "../units";
import type { Column, Columns, Levels } from "../frame";

const FONT = '11px system-ui, "Segoe UI", Roboto, "DejaVu Sans", sans-serif';
/** Wide enough for "1000 KiB/s", so that axes of all graphs line up. */
const AXIS_WIDTH = 68;
/** A young window is not stretched: the time axis is never shorter than this, ms. */
const SHORTEST_MS = 120_000;
const DECIMAL_STEPS = [1, 2, 2.5, 5];

/** The range of the time axis, Unix ms: all that is held, ending at the newest tick. */
export function timeRange(ticks: readonly number[]): [number, number] {
  const last = ticks[ticks.length - 1] ?? 0;
  const first = ticks[0] ?? last;
  return [Math.min(first, last - SHORTEST_MS), last];
}

/** A level that is further above the values than this many times is told and not drawn up to. */
const REACH = 4;

/** What uPlot draws: the ticks, one column per line, and one per level. */
export function plotData(
  ticks: number[],
  kind: GraphKind,
  series: Columns,
  levels: Levels,
): uPlot.AlignedData {
  const columns = kind.lines.map(
    (line): Column => series[line.series] ?? new Array<null>(ticks.length).fill(null),
  );
  const across = kind.levels.map(
    ({ level }): Column => new Array<number | null>(ticks.length).fill(levels[level] ?? null),
  );
  return [ticks, ...columns, ...across];
}

function largest(columns: readonly ArrayLike<number | null | undefined>[]): number {
  let most = 0;
  for (const column of columns) {
    for (let i = 0; i < column.length; i++) most = Math.max(most, column[i] ?? 0);
  }
  return most;
}

/** The largest value that the value axis shows: levels only as far as they leave the values readable. */
export function topOf(kind: GraphKind, data: uPlot.AlignedData): number {
  const columns = data.slice(1);
  const values = largest(columns.slice(0, kind.lines.length));
  const levels = columns.slice(kind.lines.length).map((column) => largest([column]));
  const near = levels.filter((level) => values === 0 || level <= REACH * Math.max(values, kind.floor));
  return Math.max(values, ...near);
}

function steps(binary: boolean): number[] {
  const out: number[] = [];
  if (binary) {
    for (let power = 0; power <= 60; power++) out.push(2 ** power);
    return out;
  }
  for (let power = -6; power <= 12; power++) {
    for (const step of DECIMAL_STEPS) out.push(step * 10 ** power);
  }
  return out;
}

function colour(element: Element, property: string): string {
  return getComputedStyle(element).getPropertyValue(property).trim();
}

export interface PlotOptions {
  kind: GraphKind;
  width: number;
  height: number;
  /** Graphs with the same group show the same moment under the pointer. */
  group: string;
  /** The index of the tick under the pointer; null when there is none. */
  onHover: (index: number | null) => void;
}

/** A plot inside `target`. The caller destroys it. */
export function makePlot(target: HTMLElement, options: PlotOptions, data: uPlot.AlignedData): uPlot {
  const { kind } = options;
  const paint = (property: string) => () => colour(target, property);
  const grid = { stroke: paint("--grid"), width: 1 };
  return new uPlot(
    {
      width: options.width,
      height: options.height,
      ms: 1,
      legend: { show: false },
      padding: [8, 10, 0, 0],
      cursor: {
        y: false,
        drag: { x: false, y: false },
        points: { size: 7 },
        sync: { key: options.group, setSeries: false },
      },
      scales: {
        x: { time: true, range: (u) => timeRange(u.data[0] as number[]) },
        y: { range: (u) => [0, ceiling(topOf(kind, u.data), kind.floor, kind.binary)] },
      },
      axes: [
        {
          stroke: paint("--muted"),
          font: FONT,
          grid,
          ticks: { show: false },
          size: 24,
          space: 70,
          values: (_u, splits) => timeAxis(splits),
        },
        {
          stroke: paint("--muted"),
          font: FONT,
          grid,
          ticks: { show: false },
          size: AXIS_WIDTH,
          gap: 6,
          space: 26,
          incrs: steps(kind.binary),
          values: (_u, splits) => kind.axis(splits),
        },
      ],
      series: [
        {},
        ...kind.lines.map((line, i) => ({
          label: line.label,
          stroke: paint(line.colour),
          width: 1.5,
          // Only the first line is filled: overlapping fills hide which line is which.
          ...(i === 0 ? { fill: () => `${colour(target, line.colour)}1f` } : {}),
          points: { show: lonely },
        })),
        ...kind.levels.map((level) => ({
          label: level.label,
          stroke: paint(level.colour),
          width: 1,
          dash: [5, 4],
          points: { show: false },
        })),
      ],
      hooks: { setCursor: [(u) => options.onHover(u.cursor.idx ?? null)] },
    },
    data,
    target,
  );
}

/** Points are drawn only where there is no line: a value between two gaps would be invisible. */
function lonely(u: uPlot, seriesIndex: number): boolean {
  const column = u.data[seriesIndex];
  if (!column) return false;
  let values = 0;
  for (const value of column) if (value !== null && value !== undefined) values += 1;
  return values > 0 && values <= 2;
}

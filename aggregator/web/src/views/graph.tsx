// One graph with its title, its legend of current values, and the plot.

import type uPlot from "uplot";
import { useEffect, useRef, useState } from "preact/hooks";
import type { Columns, Levels } from "../frame";
import type { GraphKind } from "../graphs";
import { timeOfDay } from "../units";
import { countPoints, current, newestPoint } from "../window";
import { makePlot, plotData } from "./plot";

interface Props {
  kind: GraphKind;
  ticks: number[];
  series: Columns;
  levels: Levels;
  /** Changes whenever the data does. */
  version: number;
  height: number;
  /** What the graph is about, for readers who cannot see it. */
  subject: string;
  /** Why there is no current value. */
  missing: (lastMs: number | null) => string;
}

/** Draws only while the graph is near the screen: a cluster has more nodes than a page has pixels. */
function usePlot(props: Props, onHover: (index: number | null) => void) {
  const box = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot | null>(null);
  const latest = useRef(props);
  latest.current = props;

  useEffect(() => {
    const element = box.current;
    if (!element) return undefined;
    const data = () => {
      const { ticks, kind, series, levels } = latest.current;
      return plotData(ticks, kind, series, levels);
    };
    const show = () => {
      if (plot.current || element.clientWidth === 0) return;
      const { kind, height } = latest.current;
      const options = { kind, height, width: element.clientWidth, group: "page", onHover };
      plot.current = makePlot(element, options, data());
    };
    const hide = () => {
      plot.current?.destroy();
      plot.current = null;
    };
    const near = new IntersectionObserver(
      (entries) => (entries.some((e) => e.isIntersecting) ? show() : hide()),
      { rootMargin: "800px" },
    );
    const size = new ResizeObserver(() => {
      const { clientWidth } = element;
      if (clientWidth > 0) plot.current?.setSize({ width: clientWidth, height: latest.current.height });
    });
    const scheme = matchMedia("(prefers-color-scheme: dark)");
    const repaint = () => plot.current?.redraw(true, true);
    near.observe(element);
    size.observe(element);
    scheme.addEventListener("change", repaint);
    return () => {
      near.disconnect();
      size.disconnect();
      scheme.removeEventListener("change", repaint);
      hide();
    };
  }, [props.kind]);

  useEffect(() => {
    plot.current?.setData(plotData(props.ticks, props.kind, props.series, props.levels));
  }, [props.version, props.series]);
  return box;
}

export function Graph(props: Props) {
  const { kind, ticks, series } = props;
  const [hover, setHover] = useState<number | null>(null);
  const box = usePlot(props, setHover);
  const columns = kind.lines.map((line) => series[line.series]);
  const newest = newestPoint(columns, ticks);
  // The pointer may rest where a tick was that has left the window since.
  const at = hover !== null && hover < ticks.length ? hover : null;
  const values = columns.map((c) => (at === null ? current(c) : (c?.[at] ?? null)));
  const nothing = at === null && values.every((v) => v === null);
  const shown = kind.lines.map((line, i) => {
    const value = values[i] ?? null;
    return { line, text: value === null ? "–" : kind.format(value) };
  });
  const known = kind.levels.flatMap((level) => {
    const value = props.levels[level.level];
    return value === undefined ? [] : [{ level, text: kind.format(value) }];
  });
  const said = nothing
    ? props.missing(newest)
    : [
        ...shown.map(({ line, text }) => `${line.label} ${text}`.trim()),
        ...known.map(({ level, text }) => `${level.label} ${text}`),
      ].join(", ");
  return (
    <figure
      class="graph"
      data-graph={kind.id}
      data-subject={props.subject}
      data-points={countPoints(columns, ticks.length)}
      data-newest={newest ?? ""}
    >
      <figcaption>
        <span class="title">{kind.title}</span>
        {at !== null && <span class="moment">{timeOfDay(ticks[at] ?? 0)}</span>}
        {nothing ? (
          <span class="missing" title={said}>
            {said}
          </span>
        ) : (
          <span class="values">
            {shown.map(({ line, text }) => (
              <span class="value" key={line.series}>
                {line.label !== "" && (
                  <span class="key">
                    <i style={{ background: `var(${line.colour})` }} />
                    {line.label}
                  </span>
                )}
                <b>{text}</b>
              </span>
            ))}
          </span>
        )}
      </figcaption>
      <div
        class="plot"
        ref={box}
        style={{ height: `${props.height}px` }}
        role="img"
        aria-label={`${kind.title} of ${props.subject}: ${said}`}
      />
      {known.length > 0 && (
        <p class="levels">
          {known.map(({ level, text }) => (
            <span key={level.level} data-level={level.level}>
              <i style={{ borderColor: `var(${level.colour})` }} />
              {level.label} {text}
            </span>
          ))}
        </p>
      )}
    </figure>
  );
}

// Plots over time, drawn by uPlot on a canvas. The figures of now stand beside the names as
// text, and the lines differ by dash as well as by colour.
import type { JSX } from "preact";
import { useEffect, useRef } from "preact/hooks";
import uPlot from "uplot";
import type { Point } from "../api";
import { theme } from "../theme";
import { useMedia, useValue } from "../value";

export interface Line { name: string; of: (point: Point) => number | null; write: (value: number | null) => string }

// The first line is an area, the second a line, the others dashed: told apart without colour.
const DASHES: number[][] = [[], [], [2, 3], [9, 3, 2, 3]];
const HEIGHT = 128;

const style = (name: string): string => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

function options(lines: readonly Line[], width: number, axis: (value: number) => string): uPlot.Options {
  const quiet = style("--quiet");
  const grid = { stroke: style("--line"), width: 1 };
  const font = `11px ${style("--sans")}`;
  return {
    width, height: HEIGHT, legend: { show: false }, cursor: { drag: { x: false, y: false }, points: { size: 5 } },
    scales: { y: { range: (_, __, max) => [0, max > 0 ? max * 1.1 : 1] } },
    axes: [
      { stroke: quiet, grid: { show: false }, ticks: { show: false }, font, size: 22, space: 70, values: [
        [3600, "{HH}:{mm}", null, null, null, null, null, null, 1],
        [60, "{HH}:{mm}", null, null, null, null, null, null, 1],
        [1, "{HH}:{mm}:{ss}", null, null, null, null, null, null, 1],
      ] },
      { stroke: quiet, grid, ticks: { show: false }, font, size: 58, space: 30, values: (_, ticks) => ticks.map(axis) },
    ],
    series: [{}, ...lines.map((line, index): uPlot.Series => ({
      label: line.name, stroke: style(`--plot-${index + 1}`), width: 1.5, dash: DASHES[index] ?? [], points: { show: false }, spanGaps: false,
      ...(index === 0 ? { fill: `${style("--plot-1")}33` } : {}),
    }))],
  };
}

export function Plot({ title, lines, points, axis }: { title: string; lines: readonly Line[]; points: readonly Point[]; axis: (value: number) => string }): JSX.Element {
  const place = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot | null>(null);
  const chosen = useValue(theme);
  const dark = useMedia("(prefers-color-scheme: dark)");
  const data: uPlot.AlignedData = [
    points.map((point) => Date.parse(point.time) / 1000),
    ...lines.map((line) => points.map((point) => line.of(point))),
  ];
  useEffect(() => {
    const element = place.current;
    if (element === null) return undefined;
    const made = new uPlot(options(lines, Math.max(element.clientWidth - 8, 120), axis), data, element);
    plot.current = made;
    const watch = new ResizeObserver(() => made.setSize({ width: Math.max(element.clientWidth - 8, 120), height: HEIGHT }));
    watch.observe(element);
    return () => { watch.disconnect(); made.destroy(); plot.current = null; };
  }, [chosen, dark]);
  useEffect(() => plot.current?.setData(data), [points]);
  const last = points.at(-1);
  return (
    <section class="card plot">
      <header>
        <h2>{title}</h2>
        <div class="legend">
          {lines.map((line, index) => (
            <span key={line.name}>
              <svg viewBox="0 0 14 8" aria-hidden="true" class={`c${index + 1}`}>
                {index === 0 && <path d="M0 3h14v5H0z" fill="currentColor" opacity=".25" />}
                <path d="M0 3h14" stroke="currentColor" stroke-width="2" stroke-dasharray={(DASHES[index] ?? []).join(" ") || undefined} />
              </svg>
              {line.name} <b>{last ? line.write(line.of(last)) : "–"}</b>
            </span>
          ))}
        </div>
      </header>
      <div class="canvas" ref={place} role="img" aria-label={`${title} of the last minutes; the figures of now are beside its name`} />
    </section>
  );
}

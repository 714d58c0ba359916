// The latency chart: the service's own time for the latest requests of this page, stacked by stage.
// Inline SVG, drawn anew with every request; no library.

import { onTiming } from "./api.js";
import { $, el, svg } from "./dom.js";
import { STAGES, stagesOf, swatch } from "./timing.js";
import { milliseconds } from "./words.js";

const KEPT = 60; // requests
const [HEIGHT, LEFT, BOTTOM, TOP] = [200, 56, 24, 10]; // px
const STACKED = ["decode", "queue", "compute", "index", "rest"];

const records = [];

/** Start listening. The chart is drawn for the width it has, so its letters keep their size. */
export function startLatency() {
  onTiming((record) => {
    records.push(record);
    if (records.length > KEPT) records.shift();
    draw();
  });
  new ResizeObserver(draw).observe($("#latency-chart"));
  $("#latency-legend").replaceChildren(...STACKED.map((key) => el("span", {}, swatch(key), STAGES[key])));
  draw();
}

/** The value below which a share of the numbers lies (nearest rank). */
export function quantile(numbers, share) {
  const sorted = [...numbers].sort((a, b) => a - b);
  return sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)];
}

/** The smallest of 1, 2, 5 x 10^n that is at least `value`: the top of the axis. */
export function niceCeiling(value) {
  const scale = 10 ** Math.floor(Math.log10(value));
  return [1, 2, 5, 10].map((step) => step * scale).find((step) => step >= value);
}

function draw() {
  const empty = records.length === 0;
  $("#latency-empty").hidden = !empty;
  $("#latency").hidden = empty;
  if (empty) return;
  const totals = records.map((record) => record.timing_ms.total);
  const [median, high] = [0.5, 0.95].map((share) => milliseconds(quantile(totals, share)));
  const words = `Last ${records.length}: median ${median}, 95th percentile ${high}`;
  $("#latency-note").textContent = words;
  const width = $("#latency-chart").clientWidth;
  if (width) $("#latency-chart").replaceChildren(chart(totals, words, width)); // no width: the view is not shown
}

function chart(totals, words, width) {
  const top_ms = niceCeiling(Math.max(...totals, 1));
  const y = (ms) => TOP + (HEIGHT - TOP - BOTTOM) * (1 - ms / top_ms);
  const step = (width - LEFT) / KEPT;
  const first = width - records.length * step;
  return svg("svg", { width, height: HEIGHT, role: "img", "aria-label": `Time in the service by request. ${words}` },
    ...[0, 0.5, 1].flatMap((share) => gridLine(y(share * top_ms), share * top_ms, width)),
    ...records.flatMap((record, i) => bar(record, first + i * step + 1, Math.max(1, step - 2), y)),
    svg("text", { x: width, y: HEIGHT - 6, "text-anchor": "end" }, "requests, newest on the right"));
}

function gridLine(y, ms, width) {
  return [svg("line", { x1: LEFT, x2: width, y1: y, y2: y }),
    svg("text", { x: LEFT - 8, y: y + 4, "text-anchor": "end" }, ms ? milliseconds(ms) : "0 ms")];
}

function bar(record, x, width, y) {
  let below = 0;
  const stages = stagesOf(record.timing_ms, record.seen_ms).filter(([key]) => STACKED.includes(key));
  return stages.map(([key, label, ms]) => {
    const height = Math.max(0, y(below) - y(below + ms));
    const rect = svg("rect", { class: `stage-${key}`, x, width, y: y(below + ms), height },
      svg("title", {}, `${record.path}: ${label} ${milliseconds(ms)} of ${milliseconds(record.timing_ms.total)}`));
    below += ms;
    return rect;
  });
}

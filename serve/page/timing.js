// Where the time of a request went, as a stacked bar with its legend. Units: milliseconds.

import { $, el } from "./dom.js";
import { milliseconds } from "./words.js";

/** The stages that the service measures, in order, then what is left of its time and of the browser's. */
export const STAGES = {
  decode: "decode picture", queue: "wait in queue", compute: "run model", index: "search gallery",
  rest: "rest of service", travel: "network, browser",
};
const MEASURED = ["decode", "queue", "compute", "index"];

/** Split a service's timing_ms into [[key, label, ms], …] that add up to what the browser saw. */
export function stagesOf(timing_ms, seen_ms) {
  const named = MEASURED.filter((key) => key in timing_ms).map((key) => [key, STAGES[key], timing_ms[key]]);
  const known = named.reduce((sum, [, , ms]) => sum + ms, 0);
  const rest = Math.max(0, timing_ms.total - known);
  const travel = Math.max(0, seen_ms - Math.max(timing_ms.total, known));
  return [...named, ["rest", STAGES.rest, rest], ["travel", STAGES.travel, travel]];
}

/** Show the stages of a search answer {timing_ms, seen_ms}; null hides the card. */
export function showStages(answer) {
  $("#time").hidden = answer === null;
  if (!answer) return;
  const stages = stagesOf(answer.timing_ms, answer.seen_ms);
  const [inside, seen] = [answer.timing_ms.total, answer.seen_ms].map(milliseconds);
  $("#time-note").textContent = `${inside} in the service, ${seen} seen from here`;
  $("#time-bar").replaceChildren(...stages.map(([key, , ms]) => slice(key, ms, answer.seen_ms)));
  $("#time-list").replaceChildren(...stages.map(([key, label, ms]) => (
    el("div", {}, el("dt", {}, swatch(key), label), el("dd", {}, milliseconds(ms))))));
}

/** A dot in the colour of a stage. */
export const swatch = (key) => el("i", { class: `swatch stage-${key}`, "aria-hidden": "true" });

function slice(key, ms, whole_ms) {
  const node = el("i", { class: `stage-${key}` });
  node.style.flexGrow = String(ms / whole_ms);
  return node;
}

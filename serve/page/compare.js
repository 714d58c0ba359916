// The Compare view: two ears, their similarity, and the decision at a false-accept rate.
// Rates and thresholds come from the gallery's own calibration; without one there is no verdict.

import { $, announce, clearProblem, debounce, el, showProblem } from "./dom.js";
import { postPair } from "./ears.js";
import { query } from "./find.js";
import { offerFinding } from "./landmarks.js";
import { EarSlot } from "./slot.js";
import { cosine, count, percent, probability } from "./words.js";

const SETTLE_MS = 250;
const USUAL_RATE = 0.01;

let slots = [];
let running = null;

/** Start the view. */
export function startCompare() {
  const again = debounce(run, SETTLE_MS);
  slots = ["#first-slot", "#second-slot"].map((place) => (
    new EarSlot($(place), { onChange: (isNew) => (isNew ? run() : again()) })));
  slots.forEach(offerFinding);
  $("#far").addEventListener("change", run);
  addEventListener("ear-model", (event) => offerRates(event.detail));
}

/** The slot for a picture dropped or pasted at an element: the one it lies in, else the first that is empty. */
export function compareSlot(target) {
  return slots.find((slot) => slot.root.parentElement.contains(target)) ?? slots.find((slot) => !slot.blob) ?? slots[1];
}

/** The view is shown: while it is empty it begins with the ear of the Find view. */
export function showCompare() {
  if (slots.some((slot) => slot.blob) || !query.blob) return;
  const box = query.box ? query.box.split(",").map(Number) : null;
  slots[0].take(query.blob, { side: query.side, box });
}

function offerRates(model) {
  const points = model?.gallery_calibration?.points ?? [];
  const select = $("#far");
  const chosen = Number(select.value) || USUAL_RATE;
  const option = ({ far }) => el("option", { value: far, selected: far === chosen }, percent(far));
  select.replaceChildren(...points.map(option));
  $("#far-field").hidden = points.length === 0;
}

async function run() {
  if (slots.some((slot) => !slot.blob)) return;
  running?.abort();
  const mine = (running = new AbortController());
  $("#verdict").setAttribute("aria-busy", "true");
  try {
    const answer = await postPair(slots[0], slots[1], $("#far").value, mine.signal);
    clearProblem($("#compare-problem"));
    show(answer);
  } catch (error) {
    if (error.name === "AbortError") return;
    showProblem($("#compare-problem"), "Not compared", error, error.status === 0 ? run : null);
    $("#verdict").hidden = true;
  }
  $("#verdict").setAttribute("aria-busy", "false");
}

function show(answer) {
  $("#verdict").hidden = false;
  const title = verdictOf(answer);
  $("#verdict-title").textContent = title;
  $("#verdict").className = `card ${{ true: "same", false: "other" }[answer.same] ?? ""}`;
  $("#verdict-scale").replaceChildren(scale(answer));
  $("#verdict-words").textContent = explanationOf(answer);
  announce(`${title}. Similarity ${cosine(answer.similarity)}.`);
}

function verdictOf({ calibrated, same }) {
  if (same === null) return calibrated ? "Not calibrated on your pictures: no verdict" : "Similarity: no verdict";
  return same ? "Accepted as one ear" : "Not accepted as one ear";
}

function explanationOf(answer) {
  if (answer.same === null) return undecided(answer);
  const { threshold, far, tar } = answer;
  const [most, least] = answer.sides.includes("unknown") ? ["at most ", "at least "] : ["", ""];
  return `The threshold ${cosine(threshold)} lets ${most}${percent(far)} of pairs of different ears pass, ` +
    `and ${least}${percent(tar)} of pairs of one ear: measured on ${answer.calibrated_on}, ` +
    `${count(answer.genuine_pairs, "pair")} of one ear and ${count(answer.impostor_pairs, "pair")} of different people. ` +
    `Were both cases equally likely beforehand, the probability of one ear would be ${least}` +
    `${probability(answer.probability)}.` +
    (most ? " Of an unknown side both orientations are tried, which gives chance two tries: name both sides." : "");
}

function undecided({ calibrated, calibrated_on: pictures }) {
  const cure = " Enrol ears of 20 people or more with subject and side, and calibrate on them (POST /v1/calibrations); " +
    "until then compare the figure with those of pairs you know.";
  if (!calibrated) return `This bundle carries no calibration, so there is no threshold to decide by.${cure}`;
  return `The bundle's thresholds were measured on other pictures (${pictures}) and say little about yours.${cure}`;
}

function scale({ similarity, threshold }) {
  const at = (value) => `${100 * Math.max(0, Math.min(1, value))}%`;
  const fill = el("i");
  fill.style.width = at(similarity);
  const tick = threshold !== null ? el("b", { title: `threshold ${cosine(threshold)}` }) : null;
  if (tick) tick.style.left = at(threshold);
  return el("div", { class: "scale" },
    el("span", { class: "meter", "aria-hidden": "true" }, fill, tick),
    el("span", { class: "number" }, cosine(similarity)));
}

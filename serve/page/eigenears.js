// The Eigenears view: sliders along the principal components of ears, and the ear that the model draws there, live.
// Coefficients are standard deviations from the mean ear.

import { call } from "./api.js";
import { $, clearProblem, debounce, el, showProblem } from "./dom.js";
import { postEar } from "./ears.js";
import { query } from "./find.js";
import { deviations, percent } from "./words.js";

const SLIDERS = 16;
const REACH = 3; // standard deviations to either side
const FARTHEST = 10; // what the service takes
const SETTLE_MS = 40; // live, but not a request to every pixel of a drag

let shares = []; // of the variance, one for each eigenear of the bundle
let rest = []; // coefficients past the last slider: they make an ear look like itself and not only like its outline
let side = "unknown";
let running = null;

/** Start the view. */
export function startEigenears() {
  addEventListener("ear-model", (event) => build(event.detail?.eigenears ?? null));
  $("#mean-ear").addEventListener("click", () => go([]));
  $("#my-ear").addEventListener("click", toMyEar);
  $("#any-ear").addEventListener("click", () => go(shares.slice(0, SLIDERS).map(normal)));
}

/** The view is shown. */
export function showEigenears() {
  $("#my-ear").disabled = !query.blob;
  if (shares.length && !$("#eigen-picture").src) draw();
}

function build(eigenears) {
  $("#eigen-none").hidden = eigenears !== null;
  $("#eigen").hidden = eigenears === null;
  const same = eigenears && eigenears.shares.join() === shares.join();
  if (!eigenears || same) return;
  shares = eigenears.shares;
  const later = debounce(draw, SETTLE_MS);
  $("#sliders").replaceChildren(...shares.slice(0, SLIDERS).map((share, i) => slider(share, i, later)));
  if (!$("#view-eigenears").hidden) draw();
}

function slider(share, i, later) {
  const id = `eigenear-${i + 1}`;
  const value = el("output", { for: id }, deviations(0));
  const input = el("input", { type: "range", id, min: -REACH, max: REACH, step: 0.1, value: 0 });
  input.addEventListener("input", () => { say(input, value); later(); });
  const name = el("label", { for: id }, `Eigenear ${i + 1} `, el("span", { class: "muted" }, percent(share)));
  return el("div", {}, name, value, input);
}

function say(input, value) {
  value.textContent = deviations(Number(input.value));
  input.setAttribute("aria-valuetext", `${input.value} standard deviations`);
}

/** Go to a place: coefficients of all eigenears that are not 0, drawn as an ear of that side. */
function go(coefficients, ofSide = "unknown") {
  rest = coefficients.slice(SLIDERS);
  side = ofSide;
  [...$("#sliders").children].forEach((row, i) => {
    const input = $("input", row);
    input.value = coefficients[i] ?? 0;
    say(input, $("output", row));
  });
  draw();
}

async function toMyEar() {
  try {
    const { eigenears } = await postEar("/v1/embed", query, { include: "eigenears" });
    go(eigenears, query.side);
  } catch (error) {
    showProblem($("#eigen-problem"), "Your ear could not be placed", error);
  }
}

/** A random number of the normal distribution (Box-Muller), within what the sliders show. */
function normal() {
  const value = Math.sqrt(-2 * Math.log(1 - Math.random())) * Math.cos(2 * Math.PI * Math.random());
  return Math.max(-REACH, Math.min(REACH, value));
}

async function draw() {
  running?.abort();
  const mine = (running = new AbortController());
  const set = [...$("#sliders").querySelectorAll("input")].map((input) => Number(input.value));
  const eigenears = [...set, ...rest].map((value) => Math.max(-FARTHEST, Math.min(FARTHEST, value)));
  const headers = { "Content-Type": "application/json", Accept: "application/json" };
  try {
    const body = JSON.stringify({ eigenears, side });
    const { images } = await call("/v1/decode", { method: "POST", body, headers, signal: mine.signal });
    $("#eigen-picture").src = images[0];
    clearProblem($("#eigen-problem"));
  } catch (error) {
    if (error.name !== "AbortError") showProblem($("#eigen-problem"), "The ear could not be drawn", error, draw);
  }
}

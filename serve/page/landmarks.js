// Finds the ear on a photo for the reader: its box, its side where that is clear, its landmarks drawn over the photo.
// Offered only where the bundle has landmarks, which readiness tells.

import { $, announce, button, clearProblem, el, showProblem, svg } from "./dom.js";
import { postEar } from "./ears.js";
import { count } from "./words.js";

const CLEAR = 0.8; // probability from which the side is taken over
const SEEN = 0.5; // visibility below which a landmark counts as covered
const RADIUS = 0.011; // of the picture's longer side

/** Give a slot the button that finds its ear. */
export function offerFinding(slot) {
  const place = el("div");
  const finder = button({ hidden: true, "data-part": "find" }, () => find(slot, finder, place), "Find the ear");
  slot.part("mark").after(finder);
  slot.part("note").after(place);
  slot.root.addEventListener("ear-taken", () => {
    clear(slot);
    place.replaceChildren();
    finder.disabled = !slot.isShown; // where the browser cannot show a picture there is nothing to mark
  });
  addEventListener("ear-checks", (event) => { finder.hidden = !event.detail.includes("landmarks"); });
}

async function find(slot, finder, place) {
  const { blob } = slot;
  finder.disabled = true;
  clearProblem(place);
  try {
    const found = await postEar("/v1/landmarks", { blob });
    if (slot.blob === blob) show(slot, found, place);
  } catch (error) {
    showProblem(place, "The ear could not be looked for", error);
  }
  finder.disabled = false;
}

function show(slot, found, place) {
  clear(slot);
  const [ear] = found.ears;
  say(place, ear ? words(found.ears) : "No ear was found. Mark it by hand.");
  if (!ear) return;
  draw(slot, ear, found);
  if (slot.side === "unknown" && ear.side_probability >= CLEAR) slot.side = ear.side;
  slot.setBox(ear.box);
}

function words([ear, ...others]) {
  const more = others.length ? `; the most certain of ${count(others.length + 1, "ear")} is marked` : "";
  const seen = ear.landmarks.filter(({ visibility }) => visibility >= SEEN).length;
  return `A ${ear.side} ear was found (score ${ear.score.toFixed(2)})${more}. ` +
    `${seen} of ${ear.landmarks.length} landmarks are seen.`;
}

function say(place, text) {
  place.replaceChildren(el("p", { class: "small" }, text));
  announce(text);
}

function draw(slot, ear, { width, height }) {
  const r = RADIUS * Math.max(width, height);
  const points = ear.landmarks.map(({ name, x, y, visibility }) => (
    svg("circle", { class: visibility >= SEEN ? "seen" : "covered", cx: x, cy: y, r },
      svg("title", {}, name.replaceAll("_", " ")))));
  const size = { class: "points", viewBox: `0 0 ${width} ${height}`, "aria-hidden": "true" };
  slot.part("stage").append(svg("svg", size, ...points));
}

function clear(slot) {
  $(".points", slot.part("stage"))?.remove();
}

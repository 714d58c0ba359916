// Finds the ear on a photo: its box, its side where that is clear, its landmarks drawn over the photo; every ear of a
// group photo can be chosen. Runs by itself when a picture comes, where the bundle has landmarks (readiness says so).

import { $, announce, button, clearProblem, el, showProblem, svg } from "./dom.js";
import { postEar } from "./ears.js";
import { count } from "./words.js";

const CLEAR = 0.8; // probability from which the side is taken over
const SEEN = 0.5; // visibility below which a landmark counts as covered
const RADIUS = 0.011; // of the picture's longer side

/** Let a slot find its ear: by itself when a picture comes, and again by a button. */
export function offerFinding(slot) {
  const place = el("div");
  const finder = button({ hidden: true, "data-part": "find" }, () => find(slot, finder, place, true), "Find the ear");
  slot.part("mark").after(finder);
  slot.part("note").after(place);
  slot.finding = async () => finder.hidden || find(slot, finder, place, false);
  slot.root.addEventListener("ear-taken", () => {
    clear(slot);
    place.replaceChildren();
    finder.disabled = !slot.isShown; // where the browser cannot show a picture there is nothing to mark
  });
  addEventListener("ear-checks", (event) => { finder.hidden = !event.detail.includes("landmarks"); });
}

/** Resolves to whether the picture may be asked about: an ear was found, or the service could not look for one. */
async function find(slot, finder, place, report) {
  const { blob } = slot;
  finder.disabled = true;
  clearProblem(place);
  say(place, "Looking for the ear …");
  let ready = true;
  try {
    const photo = await postEar("/v1/landmarks", { blob });
    if (slot.blob === blob) ready = show(slot, photo, place, report);
  } catch (error) {
    if (slot.blob === blob) showProblem(place, "The ear could not be looked for", error);
  }
  finder.disabled = false;
  return ready;
}

function show(slot, photo, place, report) {
  clear(slot);
  if (!photo.ears.length) {
    const whole = button({ "data-part": "whole" }, () => slot.tell(), "The whole picture is the ear");
    say(place, "No ear was found. Mark it by hand.", whole);
    return false;
  }
  mark(slot, photo, 0, place, report);
  return true;
}

function mark(slot, photo, number, place, report) {
  const ear = photo.ears[number];
  clear(slot);
  draw(slot, ear, photo);
  say(place, words(ear, photo.ears.length), ...choices(slot, photo, number, place));
  if (number > 0 || slot.side === "unknown" || photo.ears.length > 1) {
    slot.side = ear.side_probability >= CLEAR ? ear.side : "unknown";
  }
  slot.setBox(ear.box, report);
}

/** One button for each ear of a group photo. */
function choices(slot, photo, number, place) {
  if (photo.ears.length < 2) return [];
  const each = photo.ears.map((ear, other) => button(
    { "data-part": "ear", "aria-pressed": String(other === number) },
    () => mark(slot, photo, other, place, true), `Ear ${other + 1}: ${ear.side}, ${ear.score.toFixed(2)}`));
  return [el("div", { class: "buttons", role: "group", "aria-label": "Ears of this photo" }, ...each)];
}

function words(ear, ears) {
  const more = ears > 1 ? `; it is one of ${count(ears, "ear")}` : "";
  const seen = ear.landmarks.filter(({ visibility }) => visibility >= SEEN).length;
  return `A ${ear.side} ear was found (score ${ear.score.toFixed(2)})${more}. ` +
    `${seen} of ${ear.landmarks.length} landmarks are seen.`;
}

function say(place, text, ...more) {
  place.replaceChildren(el("p", { class: "small" }, text), ...more);
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

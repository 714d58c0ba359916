// Puts the ear of the Find view into the gallery, with its side and box.

import { call } from "./api.js";
import { $, announce, clearProblem, el, showProblem } from "./dom.js";
import { currentEar } from "./find.js";
import { sideWord, subjectWord } from "./words.js";

/** Send one picture to the gallery. Resolves to the item made; throws ApiError. */
export function enrol({ blob, subject, side, tags, box = "", signal }) {
  const form = new FormData();
  form.set("file", blob, blob.name || "ear");
  form.set("side", side);
  for (const [name, value] of Object.entries({ subject, tags, box, source: blob.name })) if (value) form.set(name, value);
  return call("/v1/gallery/items", { method: "POST", body: form, signal });
}

/** The shown picture was answered: offer to enrol it; a new one with the side that was chosen for it. */
export function offerEnrolment(isNew) {
  $("#enrol-card").hidden = false;
  if (!isNew) return;
  $("#enrol").elements.side.value = currentEar().side;
  $("#enrol-answer").replaceChildren();
}

/** Start the form. `onEnrolled(item)` hears of every new item. */
export function startEnrol(onEnrolled) {
  document.querySelectorAll("input[name=side]").forEach((radio) => radio.addEventListener("change", () => {
    $("#enrol").elements.side.value = radio.value;
  }));
  $("#enrol").addEventListener("submit", async (event) => {
    event.preventDefault();
    const button = event.submitter ?? $("#enrol button");
    button.disabled = true;
    await submit(new FormData(event.target), onEnrolled);
    button.disabled = false;
  });
}

async function submit(fields, onEnrolled) {
  const place = $("#enrol-answer");
  clearProblem(place);
  const { blob, box } = currentEar();
  try {
    const item = await enrol({ blob, box, subject: fields.get("subject").trim(), side: fields.get("side"), tags: fields.get("tags") });
    const done = `Added: ${subjectWord(item.subject)}, ${sideWord(item.side)}.`;
    announce(done);
    place.replaceChildren(el("p", { class: "done" }, `${done} `, el("a", { href: "#gallery" }, "See it in the gallery")));
    onEnrolled(item);
  } catch (error) {
    showProblem(place, "Not added", error);
  }
}

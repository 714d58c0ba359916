// Puts the ear of the Find view into the gallery, with its side and box.

import { $, announce, clearProblem, el, showProblem } from "./dom.js";
import { enrol } from "./ears.js";
import { query } from "./find.js";
import { sideWord, subjectWord } from "./words.js";

/** The shown picture was answered: offer to enrol it; a new one with the side that was chosen for it. */
export function offerEnrolment(isNew) {
  $("#enrol-card").hidden = false;
  if (!isNew) return;
  $("#enrol").elements.side.value = query.side;
  $("#enrol-answer").replaceChildren();
}

/** Start the form. `onEnrolled(item)` hears of every new item. */
export function startEnrol(onEnrolled) {
  const follow = () => { $("#enrol").elements.side.value = query.side; };
  for (const radio of query.radios()) radio.addEventListener("change", follow);
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
  try {
    const { side, subject, tags } = Object.fromEntries(fields);
    const item = await enrol({ blob: query.blob, box: query.box, side, subject: subject.trim(), tags });
    const done = `Added: ${subjectWord(item.subject)}, ${sideWord(item.side)}.`;
    announce(done);
    const link = el("a", { href: "#gallery" }, "See it in the gallery");
    place.replaceChildren(el("p", { class: "done" }, `${done} `, link));
    onEnrolled(item);
  } catch (error) {
    showProblem(place, "Not added", error);
  }
}

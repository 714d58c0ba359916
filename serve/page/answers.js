// Draws the answers of the Find view: input beside reconstruction, the nearest ears, the command that asks the same.
// Gets finished answers and makes no request but for pictures.

import { showPicture } from "./api.js";
import { $, copyText, clearProblem, el } from "./dom.js";
import { whyParts } from "./why.js";
import { cosine, count, doubts, likeness, sideWord, subjectWord } from "./words.js";

const CARDS = ["#welcome", "#seen", "#hits", "#time", "#shell", "#enrol-card"];

/** Before the first answer about a new picture: nothing of the last one stays. */
export function hideAnswers() {
  clearProblem($("#find-problem"));
  for (const card of CARDS) $(card).hidden = true;
}

/** While the service works the last answer stays, dimmed. */
export function showWorking(busy) {
  $("#answer").setAttribute("aria-busy", String(busy));
}

/** The input crop beside its reconstruction, and what speaks against the picture; without an answer the card hides. */
export function showSeen(answer, quality) {
  $("#seen").hidden = answer === null;
  if (!answer) return;
  $("#seen-input").src = answer.input;
  $("#seen-output").src = answer.image;
  const { verdict, explanation, figures } = likeness(answer.psnr_db, answer.ssim);
  $("#seen-words").replaceChildren(
    el("strong", {}, verdict), ` ${explanation}`, el("span", { class: "muted small block" }, figures),
    ...doubts(quality).map((doubt) => el("span", { class: "doubt block" }, doubt)));
}

/** The nearest ears; null hides the card. `question`: the ear asked about {blob, side, box}, whether `filtered`. */
export function showHits(answer, question) {
  $("#hits").hidden = answer === null;
  if (!answer) return;
  const none = answer.hits.length === 0;
  const rows = none ? [emptyWords(answer, question)] : answer.hits.map((hit) => hitRow(hit, question.ear));
  $("#hit-list").replaceChildren(...rows);
  $("#hits-key").hidden = none;
  const both = question.ear.side === "unknown" ? ", both orientations" : "";
  $("#hits-note").textContent = none ? "" : `${count(answer.searched, "ear")} searched${both}`;
}

function emptyWords(answer, question) {
  if (question.filtered) {
    return el("li", { class: "empty" }, el("strong", {}, "No ear passes these filters."),
      el("p", {}, "Lower the least similarity, or clear subject and tag under Search options."));
  }
  const text = answer.searched === 0 ? "The gallery is empty." : "No ear of this side is in the gallery.";
  const gallery = el("a", { href: "#gallery" }, "Gallery");
  return el("li", { class: "empty" }, el("strong", {}, text),
    el("p", {}, "Add this ear with the form below its picture, or many at once in the ", gallery, "."));
}

function hitRow(hit, ear) {
  const picture = el("img", { alt: "", width: 64, height: 64 });
  showPicture(picture, hit.image_url);
  return el("li", { class: "hit" },
    el("span", { class: "rank", "aria-hidden": "true" }, String(hit.rank)),
    picture,
    el("div", { class: "who" },
      el("strong", {}, subjectWord(hit.subject)),
      el("span", { class: "muted small" }, detail(hit))),
    el("div", { class: "score" },
      similarityBar(hit.similarity),
      el("span", { class: "number" }, cosine(hit.similarity))),
    ...whyParts(ear, hit),
  );
}

function detail(hit) {
  return [sideWord(hit.side), ...hit.tags].join(" · ");
}

/** A bar from 0 to 1; a negative cosine leaves it empty, the number beside it says the rest. */
export function similarityBar(similarity) {
  const fill = el("i");
  fill.style.width = `${100 * Math.max(0, Math.min(1, similarity))}%`;
  return el("span", { class: "meter", "aria-hidden": "true" }, fill);
}

/** The curl command that asks the same; null hides the card. */
export function showShell(command) {
  $("#shell").hidden = command === null;
  if (command) $("#curl").textContent = command;
}

/** Wire the copy button. */
export function startAnswers() {
  $("#copy-curl").addEventListener("click", (event) => copyText($("#curl").textContent, event.target, $("#curl")));
}

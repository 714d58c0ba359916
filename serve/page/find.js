// The Find view: one picture, asked about again whenever its side, its box or the search options change.
// Holds the query (what is asked) and leaves drawing the answers to answers.js.

import { address, call, hasKey } from "./api.js";
import { hideAnswers, showHits, showSeen, showShell, showWorking } from "./answers.js";
import { Boxer } from "./boxing.js";
import { $, announce, clearProblem, debounce, showProblem } from "./dom.js";
import { preview, takePictures } from "./picture.js";
import { showStages } from "./timing.js";
import { bytes, foundSentence } from "./words.js";

const SETTLE_MS = 250; // how long the reader is left alone while changing the box or an option

let blob = null;
let boxer = null;
let heardBy = null;
let answered = false; // whether the current picture had a good answer
let running = null; // the AbortController of the requests under way

/** Start the view. `isHere()` says whether it is the one shown; `onPicture(isNew)` hears of every picture the service could read. */
export function startFind(isHere, onPicture) {
  heardBy = onPicture;
  const again = debounce(run, SETTLE_MS);
  boxer = new Boxer(again);
  takePictures((file) => takePicture(file), isHere);
  document.querySelectorAll("input[name=side]").forEach((radio) => radio.addEventListener("change", again));
  $("#options").addEventListener("input", again);
  $("#options").addEventListener("submit", (event) => event.preventDefault());
}

/** What is asked now: {blob, side, box} with box "x1,y1,x2,y2" or "". */
export function currentEar() {
  return { blob, side: $("input[name=side]:checked").value, box: boxer.value };
}

/** Ask about a picture from elsewhere on the page, with its side and box if known. */
export async function askAbout(file, side, box) {
  $(`input[name=side][value=${side ?? "unknown"}]`).checked = true;
  await takePicture(file, box);
}

async function takePicture(file, box = null) {
  blob = file;
  answered = false;
  hideAnswers();
  $("#drop").hidden = true;
  $("#chosen").hidden = false;
  const size = await preview($("#photo"), file);
  if (blob !== file) return; // a newer picture came meanwhile
  $("#stage").hidden = size === null;
  boxer.reset(size);
  if (box && size) boxer.set(box, false);
  $("#photo-note").textContent = noteOf(file, size);
  await run();
}

function noteOf(file, size) {
  const facts = [file.name, size && `${size.width} × ${size.height} px`, bytes(file.size)];
  const note = facts.filter(Boolean).join(" · ");
  return size ? note : `${note}. This browser cannot show the file; the service may still read it.`;
}

/** Ask the service about the current picture; a question still under way is dropped. */
async function run() {
  if (!blob || !$("#options").reportValidity()) return;
  running?.abort();
  const mine = (running = new AbortController());
  showWorking(true);
  const [seen, found] = await Promise.allSettled([reconstruct(mine.signal), search(mine.signal)]);
  if (running !== mine) return;
  showWorking(false);
  report(seen, found);
}

function post(path, query, signal) {
  const headers = { "Content-Type": blob.type || "application/octet-stream", Accept: "application/json" };
  return call(path, { method: "POST", query, body: blob, headers, signal });
}

function reconstruct(signal) {
  const { side, box } = currentEar();
  return post("/v1/reconstruct", { side, box }, signal);
}

function searchQuery() {
  const { side, box } = currentEar();
  const options = new FormData($("#options"));
  return { k: options.get("k"), threshold: options.get("threshold"), side, box, subject: options.get("subject").trim(),
    tag: options.get("tag").trim(), cross_ear: options.has("cross_ear") ? "true" : "" };
}

async function search(signal) {
  const started = performance.now();
  const answer = await post("/v1/search", searchQuery(), signal);
  return { ...answer, seen_ms: performance.now() - started };
}

function report(seen, found) {
  const failed = [found, seen].find((answer) => answer.status === "rejected");
  if (failed) {
    showProblem($("#find-problem"), "That did not work", failed.reason, failed.reason.status === 0 ? run : null);
  } else {
    clearProblem($("#find-problem"));
  }
  showSeen(seen.value ?? null);
  showHits(found.value ?? null, { side: currentEar().side, filtered: isFiltered() });
  showStages(found.value ?? null);
  showShell(found.value ? curlCommand() : null);
  if (found.value) {
    announce(foundSentence(found.value.hits));
    heardBy(!answered);
    answered = true;
  }
}

function isFiltered() {
  const { threshold, subject, tag } = searchQuery();
  return Boolean(threshold || subject || tag);
}

function curlCommand() {
  const file = (blob.name || "ear.jpg").replaceAll("'", "");
  const key = hasKey() ? "-H 'Authorization: Bearer YOUR_KEY' " : "";
  return `curl -s ${key}--data-binary @'${file}' '${address("/v1/search", searchQuery())}'`;
}

// The Find view: one ear, asked about again whenever its side, its box or the search options change.
// Holds the query (what is asked) and leaves drawing the answers to answers.js.

import { hideAnswers, showHits, showSeen, showShell, showWorking } from "./answers.js";
import { address, hasKey } from "./api.js";
import { $, announce, clearProblem, debounce, showProblem } from "./dom.js";
import { postEar } from "./ears.js";
import { offerFinding } from "./landmarks.js";
import { EarSlot } from "./slot.js";
import { showStages } from "./timing.js";
import { foundSentence } from "./words.js";

const SETTLE_MS = 250; // how long the reader is left alone while changing the box or an option

/** The ear that is asked about: an EarSlot. */
export let query = null;
let heardBy = null;
let answered = false; // whether the current picture had a good answer
let running = null; // the AbortController of the requests under way

/** Start the view. `onAnswer(isNew)` hears when the ear was answered; isNew: for the first time. */
export function startFind(onAnswer) {
  heardBy = onAnswer;
  const again = debounce(run, SETTLE_MS);
  query = new EarSlot($("#query-slot"), { onChange: (isNew) => (isNew ? begin() : again()) });
  offerFinding(query);
  $("#options").addEventListener("input", again);
  $("#options").addEventListener("submit", (event) => event.preventDefault());
}

function begin() {
  answered = false;
  hideAnswers();
  run();
}

/** Ask the service about the current picture; a question still under way is dropped. */
async function run() {
  if (!query.blob || !$("#options").reportValidity()) return;
  running?.abort();
  const mine = (running = new AbortController());
  showWorking(true);
  const asked = [search(mine.signal), reconstruct(mine.signal), assess(mine.signal)];
  const [found, seen, assessed] = await Promise.allSettled(asked);
  if (running !== mine) return;
  showWorking(false);
  report(found, seen, assessed);
}

const reconstruct = (signal) => postEar("/v1/reconstruct", query, {}, signal);
const assess = (signal) => postEar("/v1/embed", query, { include: "quality" }, signal);

async function search(signal) {
  const started = performance.now();
  const answer = await postEar("/v1/search", query, searchOptions(), signal);
  return { ...answer, seen_ms: performance.now() - started };
}

function searchOptions() {
  const options = new FormData($("#options"));
  const text = (name) => options.get(name).trim();
  const cross_ear = options.has("cross_ear") ? "true" : "";
  return { k: text("k"), threshold: text("threshold"), subject: text("subject"), tag: text("tag"), cross_ear };
}

function report(found, seen, assessed) {
  const failed = [found, seen].find((answer) => answer.status === "rejected");
  if (failed) {
    showProblem($("#find-problem"), "That did not work", failed.reason, failed.reason.status === 0 ? run : null);
  } else {
    clearProblem($("#find-problem"));
  }
  const options = searchOptions();
  const filtered = Boolean(options.threshold || options.subject || options.tag);
  showSeen(seen.value ?? null, assessed.value?.quality ?? null);
  showHits(found.value ?? null, { ear: snapshot(), filtered });
  showStages(found.value ?? null);
  showShell(found.value ? curlCommand(options) : null);
  if (!found.value) return;
  announce(foundSentence(found.value.hits));
  heardBy(!answered);
  answered = true;
}

/** The ear as it is asked about now; the slot itself goes on changing. */
function snapshot() {
  const { blob, side, box } = query;
  return { blob, side, box };
}

function curlCommand(options) {
  const file = (query.blob.name || "ear.jpg").replaceAll("'", "");
  const key = hasKey() ? "-H 'Authorization: Bearer YOUR_KEY' " : "";
  const url = address("/v1/search", { ...options, side: query.side, box: query.box });
  return `curl -s ${key}--data-binary @'${file}' '${url}'`;
}

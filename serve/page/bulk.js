// Many ears into the gallery at once: which subject and side each file gets, a progress bar, and what failed.

import { $, announce, button, clearProblem, el } from "./dom.js";
import { enrol } from "./ears.js";
import { readFolder, readName } from "./filenames.js";
import { count, sideWord, subjectWord } from "./words.js";

const AT_ONCE = 4; // requests under way: enough to fill a batch, few enough to stay polite
const PREVIEW = 3;
const PICTURE = /\.(jpe?g|png|webp|gif|bmp|tiff?|avif)$/i;

let files = [];
let running = null; // the AbortController of an upload under way

/** Start the form. `onEnrolled(items)` hears of what was added, once at the end. */
export function startBulk(onEnrolled) {
  for (const id of ["#bulk-files", "#bulk-folder"]) {
    $(id).addEventListener("change", (event) => {
      take([...event.target.files]);
      event.target.value = "";
    });
  }
  const form = $("#bulk-form");
  form.addEventListener("input", showPlan);
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    upload(files, onEnrolled);
  });
  $("#bulk-stop").addEventListener("click", () => running?.abort());
}

function take(chosen) {
  files = chosen.filter((file) => file.type.startsWith("image/") || PICTURE.test(file.name));
  const nested = files.some((file) => file.webkitRelativePath.split("/").length > 2);
  if (nested) $("#bulk-form").elements.naming.value = "folder";
  clearProblem($("#bulk-failed"));
  $("#bulk-word").textContent = "";
  $("#bulk-meter").hidden = true;
  showPlan();
}

/** What a file is enrolled as, by the choices of the form. */
function planOf(file) {
  const { naming, subject, side, tags } = Object.fromEntries(new FormData($("#bulk-form")));
  const read = naming === "folder" ? readFolder(file.webkitRelativePath || file.name) : readName(file.name);
  return {
    blob: file,
    subject: naming === "one" ? subject.trim() : read.subject,
    side: side === "name" ? read.side ?? "unknown" : side,
    tags,
  };
}

function showPlan() {
  const one = $("#bulk-form").elements.naming.value === "one";
  $("#bulk-subject").hidden = !one;
  $("#bulk-go").hidden = files.length === 0;
  $("#bulk-go").textContent = `Add ${count(files.length, "ear")}`;
  $("#bulk-plan").replaceChildren(...files.slice(0, PREVIEW).map((file) => {
    const plan = planOf(file);
    return el("li", {}, `${file.name} → `, el("strong", {}, subjectWord(plan.subject)), `, ${sideWord(plan.side)}`);
  }), files.length > PREVIEW ? el("li", {}, `and ${count(files.length - PREVIEW, "more file")}`) : "");
}

async function upload(chosen, onEnrolled) {
  const plans = chosen.map(planOf);
  const state = { added: [], failed: [], total: plans.length };
  const mine = (running = new AbortController());
  lock(true);
  showProgress(state);
  await Promise.all(Array.from({ length: AT_ONCE }, () => worker(plans, state, mine.signal)));
  lock(false);
  finish(state, mine.signal.aborted, onEnrolled);
}

async function worker(plans, state, signal) {
  while (plans.length && !signal.aborted) {
    const plan = plans.shift();
    try {
      state.added.push(await enrol(plan, signal));
    } catch (error) {
      if (error.name === "AbortError") return;
      state.failed.push({ file: plan.blob, message: error.message });
      if ([0, 401, 403].includes(error.status)) running.abort(); // the next would fail alike
    }
    showProgress(state);
  }
}

function lock(busy) {
  for (const field of $("#bulk-form").elements) field.disabled = busy && field.id !== "bulk-stop";
  $("#bulk-stop").hidden = !busy;
  $("#bulk-meter").hidden = false;
}

function showProgress({ added, failed, total }) {
  const done = added.length + failed.length;
  $("#bulk-meter").max = total;
  $("#bulk-meter").value = done;
  $("#bulk-word").textContent = `${done} of ${total}`;
}

function finish({ added, failed, total }, stopped, onEnrolled) {
  const left = total - added.length - failed.length;
  const words = [`${count(added.length, "ear")} added`];
  if (failed.length) words.push(`${failed.length} failed`);
  if (stopped && left) words.push(`stopped with ${left} to go`);
  $("#bulk-word").textContent = `${words.join(", ")}.`;
  announce($("#bulk-word").textContent);
  showFailed(failed, onEnrolled);
  files = [];
  showPlan();
  if (added.length) onEnrolled(added);
}

function showFailed(failed, onEnrolled) {
  clearProblem($("#bulk-failed"));
  if (!failed.length) return;
  const again = () => upload(failed.map(({ file }) => file), onEnrolled);
  $("#bulk-failed").append(el("div", { class: "problem", role: "alert" },
    el("strong", {}, `${count(failed.length, "file")} could not be added`),
    el("ul", {}, failed.map(({ file, message }) => el("li", {}, el("b", {}, file.name), `: ${message}`))),
    button({}, again, "Try these again")));
}

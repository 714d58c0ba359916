// Promotions in the Service view: a new model staged beside the active one, how far its gallery is, what was measured,
// and the way forth and back. Shown only to who may see it; asked again while the gallery is being embedded anew.

import { call } from "./api.js";
import { confirmLoss } from "./dialogs.js";
import { $, announce, button, clearProblem, el, showProblem } from "./dom.js";
import { count, percent, seconds, shortId } from "./words.js";

const ROUTE = "/v1/promotions";
const EVERY_MS = 1000;
const SHOWN = 3; // the newest

const ACTIONS = {
  embedding: [["retire", "Drop the new model"]],
  ready: [["activate", "Activate"], ["retire", "Drop the new model"]],
  active: [["rollback", "Roll back"], ["retire", "Retire the old model"]],
  "rolled back": [["activate", "Activate again"], ["retire", "Retire the new model"]],
};
const WARNINGS = {
  activate: "The new model answers from now on. The old one stays loaded, so that you can go back.",
  rollback: "The old model answers again. Nothing written meanwhile is lost.",
  retire: "The model that does not answer is unloaded and its vectors are deleted. There is no way back.",
};

let timer = 0;
let changed = () => {};

/** Start the form. `onChange()` is called when another model answers. */
export function startPromotions(onChange) {
  changed = onChange;
  $("#promote").addEventListener("submit", (event) => {
    event.preventDefault();
    const { bundle } = Object.fromEntries(new FormData(event.target));
    act(ROUTE, { bundle: bundle.trim() }, "Not staged");
  });
}

/** The view is shown. */
export async function showPromotions() {
  clearTimeout(timer);
  let listed;
  try {
    listed = (await call(ROUTE, { quiet: true })).promotions;
  } catch {
    $("#promotions").hidden = true; // no gallery, or a key without the scope: the view has enough to show without
    return;
  }
  $("#promotions").hidden = false;
  draw(listed.slice(-SHOWN).reverse());
  const busy = listed.some(({ state }) => state === "embedding");
  if (busy && !$("#view-service").hidden) timer = setTimeout(showPromotions, EVERY_MS);
}

/** Draw only what differs: a button must not be replaced under the reader's finger. */
function draw(listed) {
  const shown = JSON.stringify(listed);
  if (draw.last === shown) return;
  draw.last = shown;
  $("#promotion-none").hidden = listed.length > 0;
  $("#promote").hidden = listed.some(({ state }) => state in ACTIONS); // one at a time
  const focused = document.activeElement?.dataset.action;
  $("#promotion-list").replaceChildren(...listed.map(row));
  if (focused) $(`#promotion-list [data-action="${focused}"]`)?.focus();
}

function row(promotion) {
  const { id, state, from_bundle_id, bundle_id, bundle, error } = promotion;
  return el("article", { class: "model", "data-id": id },
    el("h3", { title: `${from_bundle_id} → ${bundle_id}` }, `${shortId(from_bundle_id)} → ${shortId(bundle_id)} `,
      el("span", { class: `badge ${state}` }, state)),
    el("p", { class: "muted small break" }, bundle),
    state === "embedding" ? progress(promotion) : null,
    error ? doubt([error]) : null,
    report(promotion),
    el("div", { class: "buttons" }, (ACTIONS[state] ?? []).map(([verb, label]) => (
      button({ "data-action": `${id}-${verb}` }, () => ask(promotion, verb, label), label)))));
}

function progress({ done, total, eta_s }) {
  const left = eta_s ? `, ${seconds(eta_s)} left` : "";
  return el("div", { class: "buttons progress" },
    el("progress", { max: Math.max(total, 1), value: done, "aria-label": "Ears embedded anew" }),
    el("span", {}, `${done} of ${count(total, "ear")}${left}`));
}

const doubt = (sentences) => el("p", { class: "doubt" }, sentences.join(" "));

function report({ report: told, objections, failed_items }) {
  const against = objectionsOf({ objections, failed_items });
  if (!told) return against.length ? doubt(against) : null;
  const rows = [["neighbours kept of 10", percent(told.overlap["10"] ?? 0)]];
  if (told.before && told.after) {
    rows.push(["rank-1 before and after", `${percent(told.before.rank1)} → ${percent(told.after.rank1)}`]);
    rows.push(["EER before and after", `${percent(told.before.eer)} → ${percent(told.after.eer)}`]);
  }
  const line = ([name, value]) => el("div", {}, el("dt", {}, name), el("dd", {}, value));
  return el("div", {}, el("dl", { class: "table" }, rows.map(line)), against.length ? doubt(against) : null);
}

function objectionsOf({ objections, failed_items }) {
  const said = objections.map((text) => `${text.charAt(0).toUpperCase()}${text.slice(1)}.`);
  const lost = failed_items.length;
  return lost ? [...said, `${count(lost, "ear")} could not be embedded and would not be found.`] : said;
}

async function ask(promotion, verb, label) {
  const against = verb === "activate" ? objectionsOf(promotion) : [];
  const text = [...against, WARNINGS[verb]].join(" ");
  const action = against.length ? `${label} all the same` : label;
  if (!(await confirmLoss({ title: `${label}?`, text, action }))) return;
  const body = verb === "activate" ? { force: against.length > 0 } : undefined;
  await act(`${ROUTE}/${encodeURIComponent(promotion.id)}/${verb}`, body, "Not done");
}

async function act(path, body, failure) {
  const headers = body ? { "Content-Type": "application/json" } : {};
  try {
    const { state } = await call(path, { method: "POST", body: body && JSON.stringify(body), headers });
    clearProblem($("#promotion-problem"));
    announce(`The promotion is ${state}.`);
  } catch (error) {
    showProblem($("#promotion-problem"), failure, error);
  }
  changed();
  await showPromotions();
}

// The state of the service: the word in the header, the facts at the foot, models and readiness in the Service view.
// Asked again while the page is visible.

import { address, call } from "./api.js";
import { $, el } from "./dom.js";
import { showModels } from "./models.js";
import { lost, shortId } from "./words.js";

const EVERY_MS = 15_000;
const CHECKS = {
  model: "Model loaded", golden: "Golden crops reproduced", encoder: "Encoder at work", decoder: "Decoder at work",
  landmarks: "Landmarks at work", gallery: "Gallery can be written",
};
const STATES = { ready: "Ready", waiting: "Not ready", silent: "No answer" };

/** Start asking. */
export function startStatus() {
  refresh();
  setInterval(() => { if (!document.hidden) refresh(); }, EVERY_MS);
  addEventListener("ear-key", refresh);
  document.addEventListener("visibilitychange", () => { if (!document.hidden) refresh(); });
}

/** Ask now. */
export async function refresh() {
  const { state, checks } = await readiness();
  const failed = checks.filter(({ good }) => !good).map(({ name, detail }) => `${name}: ${detail}`);
  const why = failed.length ? failed.join("; ") : STATES[state].toLowerCase();
  $("#state").className = `state ${state}`;
  $("#state-word").textContent = STATES[state];
  $("#state").title = `The service: ${why}`;
  showChecks(checks);
  dispatchEvent(new CustomEvent("ear-checks", { detail: checks.map(({ name }) => name) }));
  if (state !== "silent") await showFacts(why);
}

/** Readiness does not go through api.js: 503 is an answer here, not an error, and it needs no key. */
async function readiness() {
  try {
    const response = await fetch(address("/health/ready"), { cache: "no-store" });
    const body = await response.json().catch(() => ({}));
    const checks = Object.entries(body.checks ?? {}).map(([name, detail]) => ({ name, good: detail === "ok", detail }));
    return { state: response.ok ? "ready" : "waiting", checks };
  } catch {
    return { state: "silent", checks: [{ name: "service", good: false, detail: "does not answer" }] };
  }
}

function showChecks(checks) {
  $("#checks").replaceChildren(...checks.map(({ name, good, detail }) => el("li", { class: good ? "good" : "bad" },
    el("span", { class: "dot", "aria-hidden": "true" }),
    el("span", {}, `${CHECKS[name] ?? name}: `, el("strong", {}, detail)))));
}

async function showFacts(why) {
  let models;
  try {
    models = (await call("/v1/models", { quiet: true })).data;
  } catch {
    return; // the header already says what is wrong, and every view says so where it matters
  }
  const active = models.find((model) => model.state === "active") ?? models[0];
  if (active) $("#facts").replaceChildren(...factsOf(active, why));
  $("#seen-lost").textContent = lost(active?.training?.metrics);
  dispatchEvent(new CustomEvent("ear-model", { detail: active })); // what the model can do decides what views offer
  showModels($("#models"), models);
}

function factsOf(model, why) {
  return [
    fact("State", why),
    fact("Model", `${model.preset}, ${model.latent_dim}-D`),
    fact("Runtime", `${model.runtime}, ${model.precision}`),
    fact("Space", shortId(model.space_id), model.space_id),
    fact("Bundle", shortId(model.bundle_id), model.bundle_id),
  ];
}

function fact(name, value, whole = null) {
  const mono = whole ? "mono" : null;
  return el("div", {}, el("dt", {}, name), el("dd", { class: mono, title: whole }, value));
}

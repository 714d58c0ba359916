// The bundles a service holds, active and staged, with the figures of their parity gate and their training.

import { el } from "./dom.js";

const IDENTITY = ["runtime", "precision", "space_id", "bundle_id", "latent_dim", "calibrated_on", "gallery_items"];

/** Draw /v1/models into a place. */
export function showModels(place, models) {
  place.replaceChildren(...models.map(modelRow));
}

function modelRow(model) {
  const rows = IDENTITY.filter((name) => model[name] !== undefined && model[name] !== null);
  return el("article", { class: "model" },
    el("h3", {}, `Preset ${model.preset} `, el("span", { class: `badge ${model.state}` }, model.state)),
    el("dl", { class: "table" }, rows.map((name) => row(name, model[name]))),
    figures("The gallery's own calibration", model.gallery_calibration),
    figures("Parity with torch", model.parity),
    figures("Training", model.training));
}

function figures(title, values) {
  const flat = flatten(values ?? {});
  if (!flat.length) return null;
  const rows = flat.map(([name, value]) => row(name, value));
  return el("details", {}, el("summary", {}, title), el("dl", { class: "table" }, rows));
}

/** Nested figures as dotted names: {a: {b: 1}} -> [["a.b", 1]]. */
export function flatten(value, prefix = "") {
  if (value === null || typeof value !== "object") return [[prefix, value]];
  return Object.entries(value).flatMap(([name, inner]) => flatten(inner, prefix ? `${prefix}.${name}` : name));
}

function row(name, value) {
  const mono = name.endsWith("_id") || name.includes("sha256") ? "mono" : null;
  return el("div", {}, el("dt", {}, name.replaceAll("_", " ")), el("dd", { class: mono }, shown(value)));
}

function shown(value) {
  if (typeof value === "number" && !Number.isInteger(value)) return String(Number(value.toPrecision(5)));
  return value === null ? "none" : String(value);
}

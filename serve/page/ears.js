// The requests that carry an ear: one picture with its side and box. Draws nothing.

import { call } from "./api.js";

const LEAST_QUALITY = 0.2; // refuses hardly any ear, and most of what is none

let limits = {}; // what the service is asked of every ear; only a model that sees what is no ear is asked anything

addEventListener("ear-model", (event) => {
  limits = event.detail?.ear_likeness_from === "landmarks" ? { min_quality: LEAST_QUALITY } : {};
});

/** Post an ear {blob, side, box} to a route that takes one picture; `more` are further query values. */
export function postEar(path, { blob, side, box }, more = {}, signal = undefined) {
  const headers = { "Content-Type": blob.type || "application/octet-stream", Accept: "application/json" };
  return call(path, { method: "POST", query: { ...more, side, box, ...limitsOf(path) }, body: blob, headers, signal });
}

/** A reconstruction, and the quality itself, are shown of any picture. */
const limitsOf = (path) => (path === "/v1/search" ? limits : {});

/** Post two ears to be compared at a false-accept rate; "" leaves the rate to the service. */
export function postPair(first, second, far, signal) {
  const form = new FormData();
  for (const [name, ear] of [["a", first], ["b", second]]) {
    form.set(name, ear.blob, ear.blob.name || "ear");
    if (ear.box) form.set(`box_${name}`, ear.box);
  }
  const query = { side_a: first.side, side_b: second.side, far, ...limits };
  return call("/v1/verify", { method: "POST", query, body: form, signal });
}

/** Put an ear into the gallery; `tags` are comma-separated. Resolves to the item made. */
export function enrol({ blob, side, box = "", subject, tags }, signal = undefined) {
  const form = new FormData();
  form.set("file", blob, blob.name || "ear");
  form.set("side", side);
  const known = Object.entries({ subject, tags, box, source: blob.name, ...limits }).filter(([, value]) => value);
  for (const [name, value] of known) form.set(name, value);
  return call("/v1/gallery/items", { method: "POST", body: form, signal });
}

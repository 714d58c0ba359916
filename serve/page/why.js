// Why a stored ear is near: both reconstructions, where they differ, the way from one to the other, and the eigenears
// on which they agree or lie apart. One panel to a hit, asked for when it is opened.

import { button, clearProblem, el, showProblem, svg } from "./dom.js";
import { postEar } from "./ears.js";
import { deviations, percent } from "./words.js";

const STEPS = 7; // pictures of the morph strip
const REACH = 3; // standard deviations that the axis shows to either side
const [WIDTH, HEIGHT, PAD] = [180, 22, 8]; // px

/** The button that opens the panel and the panel, for the row of a hit. `ear`: what was asked about. */
export function whyParts(ear, hit) {
  const panel = el("div", { class: "why", id: `why-${hit.item_id}`, hidden: true });
  const label = `Why is number ${hit.rank} near?`;
  const props = { class: "quiet", "aria-label": label, "aria-expanded": "false", "aria-controls": panel.id };
  const opener = button(props, () => {
    panel.hidden = !panel.hidden;
    opener.setAttribute("aria-expanded", String(!panel.hidden));
    if (!panel.hidden && !panel.hasChildNodes()) load(panel, ear, hit);
  }, "Why?");
  return [opener, panel];
}

async function load(panel, ear, hit) {
  clearProblem(panel);
  panel.setAttribute("aria-busy", "true");
  try {
    const told = await postEar("/v1/explain", ear, { item: hit.item_id, steps: STEPS });
    panel.replaceChildren(pictures(told), strip(told.morph), ...components(told));
  } catch (error) {
    showProblem(panel, "No explanation", error, () => load(panel, ear, hit));
  }
  panel.setAttribute("aria-busy", "false");
}

function pictures(told) {
  return el("div", { class: "triple" },
    figure(told.query_image, "yours, as the model keeps it"),
    figure(told.item_image, "theirs"),
    figure(told.difference, "bright where they differ"));
}

function figure(source, caption) {
  return el("figure", {}, el("img", { src: source, alt: "", width: 128, height: 128 }), el("figcaption", {}, caption));
}

function strip(images) {
  return el("figure", { class: "morph" },
    el("div", {}, images.map((image) => el("img", { src: image, alt: "", width: 128, height: 128 }))),
    el("figcaption", {}, "the way from yours to theirs through the latent space; all drawn as left ears"));
}

function components({ agree, differ }) {
  if (!agree) return [el("p", { class: "muted" }, "This bundle has no eigenears: only pictures can tell.")];
  return [el("div", { class: "components" },
    group("They agree on", agree, "nothing that sets either apart"),
    group("They differ on", differ, "nothing of note")),
  el("p", { class: "muted small" },
    mark("yours", 8), " yours, ", mark("theirs", 8), " theirs, in standard deviations from the mean ear. ",
    el("a", { href: "#eigenears" }, "What an eigenear looks like"))];
}

const mark = (kind, size) => {
  const dot = svg("svg", { width: size * 1.5, height: size * 1.5, class: "axis", "aria-hidden": "true" });
  dot.append(svg("circle", { class: kind, cx: size * 0.75, cy: size * 0.75, r: size / 2 }));
  return dot;
};

function group(title, list, none) {
  const rows = list.map((one) => el("li", {},
    el("span", {}, `Eigenear ${one.component + 1}`,
      el("span", { class: "muted small block" }, `${percent(one.share)} of variance`)),
    axis(one)));
  return el("section", {}, el("h3", {}, title), rows.length ? el("ul", {}, rows) : el("p", { class: "muted" }, none));
}

function axis({ query, item }) {
  const x = (value) => PAD + ((Math.max(-REACH, Math.min(REACH, value)) + REACH) / (2 * REACH)) * (WIDTH - 2 * PAD);
  const middle = HEIGHT / 2;
  const words = `yours ${deviations(query)}, theirs ${deviations(item)}`;
  const size = { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, width: WIDTH, height: HEIGHT };
  return svg("svg", { class: "axis", ...size, role: "img", "aria-label": words },
    svg("title", {}, words),
    svg("line", { x1: PAD, x2: WIDTH - PAD, y1: middle, y2: middle }),
    svg("line", { x1: x(0), x2: x(0), y1: 3, y2: HEIGHT - 3 }),
    svg("line", { class: "gap", x1: x(query), x2: x(item), y1: middle, y2: middle }),
    svg("circle", { class: "theirs", cx: x(item), cy: middle, r: 5 }),
    svg("circle", { class: "yours", cx: x(query), cy: middle, r: 5 }));
}

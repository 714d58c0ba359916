// The page of ear-teacher: starts the views and shows one at a time by the address's #hash.
// Plain ES modules, no build step, no other host; a strict Content-Security-Policy holds.

import { callBlob } from "./api.js";
import { startAnswers } from "./answers.js";
import { startBulk } from "./bulk.js";
import { compareSlot, showCompare, startCompare } from "./compare.js";
import { startDialogs } from "./dialogs.js";
import { $, showProblem } from "./dom.js";
import { showEigenears, startEigenears } from "./eigenears.js";
import { offerEnrolment, startEnrol } from "./enrol.js";
import { query, startFind } from "./find.js";
import { rememberSubjects, showGallery, startGallery } from "./gallery.js";
import { routePictures } from "./intake.js";
import { startLatency } from "./latency.js";
import { showPromotions, startPromotions } from "./promotions.js";
import { refresh, startStatus } from "./status.js";
import { showSamples } from "./welcome.js";

const VIEWS = { find: "Find", compare: "Compare", eigenears: "Eigenears", gallery: "Gallery", service: "Service" };
const ON_SHOW = { compare: showCompare, eigenears: showEigenears, gallery: showGallery, service: showService };

let shown = null;

function showService() {
  refresh();
  showPromotions();
}

function show(name, byReader) {
  shown = name;
  for (const view of Object.keys(VIEWS)) {
    $(`#view-${view}`).hidden = view !== name;
    const link = $(`nav a[href="#${view}"]`);
    if (view === name) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  document.title = `${VIEWS[name]} · ear-teacher`;
  ON_SHOW[name]?.();
  if (!byReader) return;
  scrollTo(0, 0);
  $(`#${name}-title`).focus({ preventScroll: true });
}

function follow(byReader) {
  const name = location.hash.slice(1);
  if (name in VIEWS) show(name, byReader);
  else if (shown === null) show("find", false); // other hashes are places on the page
}

async function findLike(item) {
  location.hash = "find";
  try {
    const blob = await callBlob(item.image_url);
    const file = new File([blob], item.source || `${item.subject ?? "ear"}.jpg`, { type: blob.type });
    await query.take(file, { side: item.side, box: item.box });
  } catch (error) {
    showProblem($("#find-problem"), "The picture could not be read", error);
  }
}

function slotFor(target) {
  if (shown === "compare") return compareSlot(target);
  return shown === "find" ? query : null;
}

startDialogs();
startAnswers();
startFind(offerEnrolment);
startCompare();
startEigenears();
routePictures(slotFor);
startStatus();
startEnrol((item) => rememberSubjects([item]));
startGallery(findLike);
startBulk(() => showGallery());
startLatency();
startPromotions(refresh);
showSamples(findLike);
addEventListener("hashchange", () => follow(true));
follow(false);

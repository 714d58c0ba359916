// Before the first picture: a few enrolled ears to try the search with.

import { call, showPicture } from "./api.js";
import { $, button, el } from "./dom.js";
import { rememberSubjects } from "./gallery.js";
import { sideWord, subjectWord } from "./words.js";

const SAMPLES = 6;

/** Show some ears of the gallery, if it has any. `onFind(item)` is called with the one taken. */
export async function showSamples(onFind) {
  let page;
  try {
    page = await call("/v1/gallery/items", { query: { limit: SAMPLES } });
  } catch {
    return; // an offer, not a promise: whatever is wrong is said where the reader asks for something
  }
  rememberSubjects(page.items);
  $("#samples").hidden = page.items.length === 0;
  $("#sample-list").replaceChildren(...page.items.map((item) => sample(item, onFind)));
}

function sample(item, onFind) {
  const picture = el("img", { alt: "", width: 72, height: 72, loading: "lazy" });
  showPicture(picture, item.image_url);
  const words = `Try ${subjectWord(item.subject)}, ${sideWord(item.side)}`;
  return el("li", {}, button({ class: "picture", "aria-label": words, title: words }, () => onFind(item), picture));
}

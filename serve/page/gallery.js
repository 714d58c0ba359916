// The Gallery view: enrolled ears page by page, filtered by subject, side and tag; deleting one ear or one subject.

import { call, showPicture } from "./api.js";
import { confirmLoss } from "./dialogs.js";
import { $, announce, button, clearProblem, debounce, el, showProblem } from "./dom.js";
import { count, day, sideWord, subjectWord } from "./words.js";

const PAGE_SIZE = 48;
const SETTLE_MS = 250;
const ITEMS = "/v1/gallery/items";

const pages = [null]; // the cursor of every page up to the one shown; the first has none
let following = null; // the cursor of the next page, or null
let findEar = null;

/** Start the view. `onFind(item)` is called when the reader asks for ears like an enrolled one. */
export function startGallery(onFind) {
  findEar = onFind;
  const form = $("#filters");
  const restart = debounce(() => showGallery(), SETTLE_MS);
  form.addEventListener("input", restart);
  form.addEventListener("reset", restart);
  form.addEventListener("submit", (event) => { event.preventDefault(); showGallery(); });
  $("#page-on").addEventListener("click", () => { pages.push(following); load(); });
  $("#page-back").addEventListener("click", () => { pages.pop(); load(); });
  $("#delete-subject").addEventListener("click", () => deleteSubject(filterOf().subject));
}

/** Show the first page of what the filters let through. */
export function showGallery() {
  pages.length = 1;
  return load();
}

function filterOf() {
  const form = new FormData($("#filters"));
  return { subject: form.get("subject").trim(), side: form.get("side"), tag: form.get("tag").trim() };
}

async function load() {
  const filter = filterOf();
  const asked = (load.asked = Symbol("request"));
  $("#grid").setAttribute("aria-busy", "true");
  try {
    const page = await call(ITEMS, { query: { ...filter, limit: PAGE_SIZE, cursor: pages.at(-1) } });
    if (asked === load.asked) show(page, filter);
  } catch (error) {
    showProblem($("#gallery-problem"), "The gallery could not be read", error, load);
  } finally {
    $("#grid").setAttribute("aria-busy", "false");
  }
}

function show(page, filter) {
  clearProblem($("#gallery-problem"));
  following = page.next_cursor;
  $("#grid").replaceChildren(...page.items.map(card));
  $("#gallery-note").textContent = page.total ? count(page.total, "ear") : "";
  showEmptiness(page, filter);
  showPager(page);
  rememberSubjects(page.items);
  const whole = filter.subject && page.items.length > 0 && page.items.every((item) => item.subject === filter.subject);
  $("#delete-subject").hidden = !whole;
  $("#delete-subject").textContent = `Delete all of ${filter.subject}`;
}

function showEmptiness(page, filter) {
  const empty = $("#gallery-empty");
  empty.hidden = page.items.length > 0;
  if (page.items.length) return;
  const filtered = Object.values(filter).some(Boolean);
  empty.replaceChildren(...(filtered
    ? [el("strong", {}, "No ear passes these filters."),
      el("p", {}, "Subjects and tags must match whole. Clear a filter to see more.")]
    : [el("strong", {}, "The gallery is empty."),
      el("p", {}, "Show a picture under ", el("a", { href: "#find" }, "Find"),
        " and add it from there, or add many at once above.")]));
}

function showPager(page) {
  $("#pager").hidden = pages.length === 1 && !page.next_cursor;
  $("#page-back").disabled = pages.length === 1;
  $("#page-on").disabled = !page.next_cursor;
  const first = (pages.length - 1) * PAGE_SIZE;
  $("#page-word").textContent = `${first + 1}–${first + page.items.length} of ${page.total.toLocaleString("en")}`;
}

function card(item) {
  const picture = el("img", { alt: "", width: 144, height: 144, loading: "lazy" });
  showPicture(picture, item.image_url);
  const who = `${subjectWord(item.subject)}, ${sideWord(item.side)}`;
  const find = `Find ears like ${who}`;
  return el("li", { class: "ear", "data-id": item.id },
    button({ class: "picture", "aria-label": find, title: "Find ears like this one" }, () => findEar(item), picture),
    el("div", { class: "who" },
      item.subject
        ? button({ class: "plain", title: "Only this subject" }, () => onlySubject(item.subject), item.subject)
        : el("span", { class: "muted" }, subjectWord(null)),
      el("span", { class: "muted small" }, [sideWord(item.side), day(item.created)].filter(Boolean).join(" · ")),
      el("span", { class: "muted small ellipsis", title: item.source ?? "" }, item.tags.join(", "))),
    button({ class: "quiet danger", "aria-label": `Delete ${who}` }, () => deleteItem(item, who), "Delete"),
  );
}

function onlySubject(subject) {
  $("#filters").elements.subject.value = subject;
  showGallery();
}

/** Offer subjects that were seen wherever one is typed. */
export function rememberSubjects(items) {
  const list = $("#subjects");
  const known = new Set([...list.options].map((option) => option.value));
  for (const { subject } of items) {
    if (!subject || known.has(subject)) continue;
    known.add(subject);
    list.append(el("option", { value: subject }));
  }
}

async function deleteItem(item, who) {
  const text = "Its picture and its vectors are removed from the gallery. This cannot be undone.";
  if (!(await confirmLoss({ title: `Delete ${who}?`, text, action: "Delete this ear" }))) return;
  await remove(`${ITEMS}/${encodeURIComponent(item.id)}`, `${who} was deleted.`);
}

async function deleteSubject(subject) {
  const text = "Every picture and vector of this subject is removed, left and right. This cannot be undone.";
  if (!(await confirmLoss({ title: `Delete all of ${subject}?`, text, action: "Delete the subject" }))) return;
  $("#filters").reset();
  await remove(`/v1/gallery/subjects/${encodeURIComponent(subject)}`, `All of ${subject} was deleted.`);
}

async function remove(path, done) {
  try {
    await call(path, { method: "DELETE" });
    announce(done);
    if ($("#grid").children.length === 1 && pages.length > 1) pages.pop();
    await load();
    $("#gallery-title").focus({ preventScroll: true });
  } catch (error) {
    showProblem($("#gallery-problem"), "Not deleted", error);
  }
}

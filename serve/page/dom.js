// Small helpers for the document: make elements, announce to screen readers, show a problem.
// Knows no route and no model. Text always goes in as text, never as markup.

/** The first element that matches, as document.querySelector. */
export const $ = (selector, root = document) => root.querySelector(selector);

/** Make an element: el("button", {class: "primary", onclick: f}, "Save"). Null properties and children are left out. */
export function el(tag, props = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(props)) setProperty(node, name, value);
  node.append(...children.flat().filter((child) => child !== null && child !== undefined));
  return node;
}

function setProperty(node, name, value) {
  if (value === null || value === undefined || value === false) return;
  if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
  else if (value === true) node.setAttribute(name, "");
  else node.setAttribute(name, value);
}

/** Make a button that submits nothing: button({class: "quiet"}, f, "Delete"). */
export const button = (props, onclick, ...children) => el("button", { type: "button", ...props, onclick }, ...children);

/** Make an SVG element: svg("rect", {x: 1, …}, …). */
export function svg(tag, props = {}, ...children) {
  const node = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(props)) node.setAttribute(name, value);
  node.append(...children);
  return node;
}

/** Say a sentence to screen readers; the same sentence twice is said twice. */
export function announce(text) {
  const live = $("#live");
  live.textContent = "";
  requestAnimationFrame(() => { live.textContent = text; });
}

/** Show an error where its cause is, said at once by screen readers. */
export function showProblem(place, title, error, retry = null) {
  place.replaceChildren(el("div", { class: "problem", role: "alert" },
    el("strong", {}, title),
    el("p", {}, sentence(error.message)),
    error.hint ? el("p", {}, error.hint) : null,
    error.requestId ? el("p", { class: "muted small" }, `request ${error.requestId}`) : null,
    retry ? button({}, retry, "Try again") : null,
  ));
}

/** Remove whatever showProblem put there. */
export function clearProblem(place) {
  place.replaceChildren();
}

function sentence(text) {
  const whole = text.charAt(0).toUpperCase() + text.slice(1);
  return /[.!?…]$/.test(whole) ? whole : `${whole}.`;
}

/** Call f once things have been quiet for `delay_ms`. */
export function debounce(f, delay_ms) {
  let timer = 0;
  return (...args) => {
    clearTimeout(timer);
    timer = setTimeout(f, delay_ms, ...args);
  };
}

/** Put text on the clipboard and say so on the button. Plain-http pages have no clipboard: then it is selected. */
export async function copyText(text, button, source) {
  try {
    await navigator.clipboard.writeText(text);
    button.textContent = "Copied";
    setTimeout(() => { button.textContent = "Copy"; }, 1500);
  } catch {
    getSelection().selectAllChildren(source);
    button.textContent = "Press Ctrl+C";
  }
  announce(button.textContent);
}

// Every request of the page goes through here: the key, the service's own error messages, patience when it is busy.
// Knows no route and draws nothing; who wants the timings of finished requests registers with onTiming.

const KEY_NAME = "ear-teacher-key";
const PATIENCE = 2; // how often a busy service (429) is asked again
const LONGEST_WAIT_S = 5;

const HINTS = {
  0: "Is the service still running? The page works again as soon as it answers.",
  403: "The key in use is not allowed to do this. Close the tab to forget it.",
  413: "Make the picture smaller, or cut it around the ear.",
  429: "The service is busy. Wait a moment and try again.",
  503: "The service is not ready yet. Its state is at the foot of the page.",
};

/** What the service said when it did not do as asked; status 0 when it did not answer at all. */
export class ApiError extends Error {
  constructor(status, { message, code = null, param = null, request_id = null }, retryAfter_s = 0) {
    super(message);
    this.name = "ApiError";
    const hint = status === 403 && !hasKey() ? null : HINTS[status] ?? null;
    Object.assign(this, { status, code, param, requestId: request_id, retryAfter_s, hint });
  }
}

let askForKey = async () => null; // set by the key dialog; resolves to a key, or null when the reader declines
let asking = null; // requests refused at the same time wait for one dialog
let declinedAt = 0; // and those sent before the reader declined do not ask again
const listeners = new Set();

/** Register the function that asks the reader for a key: (wasRefused: boolean) => Promise<string | null>. */
export function onKeyNeeded(ask) {
  askForKey = ask;
}

/** Register a function that hears {path, timing_ms, seen_ms} of every answer that carries timings. */
export function onTiming(listener) {
  listeners.add(listener);
}

/** Whether requests carry a key (then pictures cannot be loaded by address alone). */
export const hasKey = () => sessionStorage.getItem(KEY_NAME) !== null;

/**
 * Ask the service: {method, query, body, headers, signal, quiet}; `quiet` requests never ask the reader for a key.
 * Resolves to the parsed JSON (null for an empty answer); throws ApiError, or AbortError when aborted.
 */
export async function call(path, options = {}) {
  const started = performance.now();
  const response = await send(path, options);
  const body = response.status === 204 ? null : await response.json();
  if (body?.timing_ms) {
    const record = { path, timing_ms: body.timing_ms, seen_ms: performance.now() - started };
    listeners.forEach((listener) => listener(record));
  }
  return body;
}

/** As call, for an answer that is a picture: resolves to a Blob. */
export async function callBlob(path, options = {}) {
  return (await send(path, options)).blob();
}

async function send(path, options, tries = 0) {
  const key = sessionStorage.getItem(KEY_NAME);
  const sentAt = performance.now();
  const response = await fetchOnce(path, options, key);
  if (response.ok) return response;
  const error = await readError(response);
  if (error.status === 401 && !options.quiet && (await newKey(key, sentAt))) return send(path, options, tries);
  if (error.status === 429 && tries < PATIENCE && error.retryAfter_s <= LONGEST_WAIT_S) {
    await pause(error.retryAfter_s || 1, options.signal);
    return send(path, options, tries + 1);
  }
  throw error;
}

async function fetchOnce(path, { method = "GET", query = {}, body, headers = {}, signal }, key) {
  const authorization = key === null ? {} : { Authorization: `Bearer ${key}` };
  try {
    return await fetch(address(path, query), { method, body, signal, headers: { ...headers, ...authorization } });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new ApiError(0, { message: "The service does not answer" });
  }
}

/**
 * A service path and the query values that are not empty as a whole address: address("/v1/search", {k: 10, tag: ""}).
 * Relative to the page, so that it holds behind a proxy that serves the page under a prefix.
 */
export function address(path, query = {}) {
  const base = new URL(".", document.baseURI);
  const url = new URL(path.startsWith(base.pathname) ? path : `.${path}`, base);
  for (const [name, value] of Object.entries(query)) {
    if (value !== "" && value !== null && value !== undefined) url.searchParams.set(name, value);
  }
  return url.href;
}

async function readError(response) {
  const retryAfter_s = Number(response.headers.get("Retry-After")) || 0;
  const body = await response.json().catch(() => null);
  const bare = { message: `The service answered ${response.status} ${response.statusText}` };
  const detail = body?.error?.message ? body.error : bare;
  return new ApiError(response.status, detail, retryAfter_s);
}

async function newKey(refused, sentAt) {
  const current = sessionStorage.getItem(KEY_NAME);
  if (sentAt < declinedAt) return false;
  if (current !== refused) return true; // another request got a key meanwhile
  asking ??= askForKey(refused !== null).finally(() => { asking = null; });
  const key = await asking;
  if (key === null) {
    declinedAt = performance.now();
    return false;
  }
  sessionStorage.setItem(KEY_NAME, key);
  dispatchEvent(new Event("ear-key")); // what was left unasked for want of a key can be asked now
  return true;
}

function pause(seconds, signal) {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(resolve, seconds * 1000);
    signal?.addEventListener("abort", () => {
      clearTimeout(timer);
      reject(new DOMException("aborted", "AbortError"));
    }, { once: true });
  });
}

/** Show a picture of the service in an <img>, also when the service wants a key (an <img> cannot send one). */
export async function showPicture(img, url) {
  if (!hasKey()) {
    img.src = address(url);
    return;
  }
  try {
    img.src = URL.createObjectURL(await callBlob(url));
    img.addEventListener("load", () => URL.revokeObjectURL(img.src), { once: true });
  } catch {
    img.alt = "picture not available";
  }
}

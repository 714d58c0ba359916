// Numbers and codes of the service in plain words. Pure functions: no document, no request.

const SIDES = { left: "left", right: "right" };

/** "left", "right" or "side unknown". */
export const sideWord = (side) => SIDES[side] ?? "side unknown";

/** The subject, or words for its absence. */
export const subjectWord = (subject) => subject || "no subject";

/** A cosine with three decimals and a real minus sign. */
export const cosine = (value) => value.toFixed(3).replace("-", "−");

/** Milliseconds as people read them: 0.4 ms, 12 ms, 1.20 s. */
export function milliseconds(value) {
  if (value >= 1000) return `${(value / 1000).toFixed(2)} s`;
  return value < 10 ? `${value.toFixed(1)} ms` : `${Math.round(value)} ms`;
}

/** Seconds as people read them: 8 s, 3 min, 2 h. */
export function seconds(value) {
  if (value < 90) return `${Math.ceil(value)} s`;
  return value < 5400 ? `${Math.round(value / 60)} min` : `${Math.round(value / 3600)} h`;
}

/** 1 ear, 2 ears. */
export const count = (n, noun) => `${n.toLocaleString("en")} ${noun}${n === 1 ? "" : "s"}`;

/** A size in bytes as people read it. */
export function bytes(n) {
  if (n < 1024) return `${n} B`;
  return n < 1024 ** 2 ? `${Math.round(n / 1024)} KB` : `${(n / 1024 ** 2).toFixed(1)} MB`;
}

/** A date without its time, in the reader's own order. */
export function day(iso) {
  const date = new Date(iso);
  return Number.isNaN(date.valueOf()) ? "" : date.toLocaleDateString(undefined, { dateStyle: "medium" });
}

/** An identity such as sp_0123456789… short enough for a line; the whole stays in the title. */
export const shortId = (id) => (id && id.length > 12 ? `${id.slice(0, 11)}…` : id ?? "");

// What a reconstruction at this PSNR (dB) and SSIM looks like. The first row that both figures reach is said.
const LIKENESS = [
  [26, 0.85, "Very close.", "Shape, folds and shading all come back."],
  [21, 0.65, "Close.", "The shape and the main folds come back; fine detail is smoothed away."],
  [16, 0.4, "Rough.", "The outline comes back, the folds only in part. The nearest ears are less certain."],
  [-Infinity, -Infinity, "Far off.",
    "The model does not know pictures like this one. Check that the ear fills the picture, or mark it with a box."],
];

/** How good a reconstruction is: {verdict, explanation, figures}. */
export function likeness(psnr_db, ssim) {
  const [, , verdict, explanation] = LIKENESS.find(([psnr, similarity]) => psnr_db >= psnr && ssim >= similarity);
  return { verdict, explanation, figures: `PSNR ${psnr_db.toFixed(1)} dB, SSIM ${ssim.toFixed(2)}` };
}

/** What every reconstruction loses, and how near it comes to pictures of others; `metrics` of training, or null. */
export function lost(metrics) {
  const what = "A reconstruction keeps the ear's shape and loses single hairs, skin texture, small jewellery and sharp edges.";
  if (!(metrics?.ssim > 0)) return what;
  return `${what} On the ears it was validated on, this model reaches an SSIM of ${metrics.ssim.toFixed(2)}; 1 would lose nothing.`;
}

/** What speaks against a picture, in sentences; `quality` as /v1/embed gives it, or null. */
export function doubts(quality) {
  if (!quality) return [];
  const said = [];
  if (quality.ear_likeness < 0.5) said.push("The model is not sure that this is an ear.");
  if (quality.blurred) said.push("The picture is blurred.");
  return said;
}

/** Standard deviations with their sign: +1.2 σ. */
export const deviations = (value) => `${value < 0 ? "−" : "+"}${Math.abs(value).toFixed(1)} σ`;

/** A share as people read it: 0.123 -> 12 %, 0.0123 -> 1.2 %, 0.00012 -> 0.012 %. */
export function percent(share) {
  const value = 100 * share;
  return `${value >= 10 ? Math.round(value) : Number(value.toPrecision(2))} %`;
}

/** A probability with two decimals, never rounded to certainty. */
export function probability(value) {
  if (value < 0.01) return "below 0.01";
  return value > 0.99 ? "above 0.99" : value.toFixed(2);
}

/** One line that says what a search found, for screen readers. */
export function foundSentence(hits) {
  if (hits.length === 0) return "No ear found.";
  const best = hits[0];
  const who = `${subjectWord(best.subject)}, ${sideWord(best.side)}`;
  return `${count(hits.length, "ear")} found. The nearest is ${who}, similarity ${cosine(best.similarity)}.`;
}

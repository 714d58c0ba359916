// Whose ear, and which, a file's name says: alice_left_01.jpg -> alice, left. Pure functions.

const SIDE_WORDS = { left: "left", l: "left", right: "right", r: "right" };

/**
 * Subject and side from the name of a file. The extension and trailing numbers are left out, a word for the side is
 * taken as such: s101_0003_04.jpg -> {subject: "s101_0003", side: null}.
 */
export function readName(name) {
  const words = name.replace(/\.[^.]*$/, "").split(/(?<=[_\-. ])|(?=[_\-. ])/);
  let side = null;
  const kept = words.filter((word) => {
    const found = SIDE_WORDS[word.toLowerCase()];
    side ??= found ?? null;
    return found === undefined;
  });
  return { subject: withoutCounter(tidy(kept.join(""))), side };
}

/** Subject from the folder a file lies in, side from its name; a file in no folder has no subject. */
export function readFolder(path) {
  const parts = path.split("/");
  return { subject: parts.length > 1 ? parts.at(-2) : "", side: readName(parts.at(-1)).side };
}

function tidy(text) {
  return text.replace(/([_\-. ])[_\-. ]+/g, "$1").replace(/^[_\-. ]+|[_\-. ]+$/g, "");
}

function withoutCounter(text) {
  return text.replace(/[_\-. ]\d+$/, "");
}

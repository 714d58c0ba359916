// The two questions the page asks: are you sure, and which key. Both are native modal dialogs.

import { onKeyNeeded } from "./api.js";
import { $ } from "./dom.js";

function answerOf(dialog) {
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => resolve(dialog.returnValue === "yes"), { once: true });
    dialog.returnValue = "";
    dialog.showModal();
  });
}

/** Ask before something is lost. Resolves to true when the reader agrees. */
export function confirmLoss({ title, text, action }) {
  $("#confirm-title").textContent = title;
  $("#confirm-text").textContent = text;
  $("#confirm-yes").textContent = action;
  return answerOf($("#confirm"));
}

async function askForKey(wasRefused) {
  $("#key-text").textContent = wasRefused
    ? "The service did not accept this key. Check it, or ask whoever runs the service for one."
    : "Whoever runs the service can give you one.";
  $("#key").value = "";
  const agreed = await answerOf($("#key-dialog"));
  const key = $("#key").value.trim();
  $("#key").value = "";
  return agreed && key ? key : null;
}

/** Let the key dialog answer when the service asks for a key. */
export function startDialogs() {
  onKeyNeeded(askForKey);
  $("#key-no").addEventListener("click", () => $("#key-dialog").close("no")); // not a submit button: Enter means yes
}

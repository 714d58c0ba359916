// Pictures dropped anywhere on the page or pasted: leads them to the slot that wants them.

/** `slotFor(target)` names the slot for something dropped or pasted at an element; null: it is not taken. */
export function routePictures(slotFor) {
  document.addEventListener("paste", (event) => {
    const file = event.clipboardData?.files[0];
    const slot = file && slotFor(event.target);
    if (!slot) return;
    event.preventDefault();
    slot.take(file);
  });
  routeDrops(slotFor);
}

function routeDrops(slotFor) {
  const wanted = (event) => (event.dataTransfer?.types.includes("Files") ? slotFor(event.target) : null);
  let lit = null;
  const light = (slot) => {
    lit?.root.classList.remove("dropping");
    slot?.root.classList.add("dropping");
    lit = slot;
  };
  document.addEventListener("dragover", (event) => {
    const slot = wanted(event);
    light(slot);
    if (slot) event.preventDefault();
  });
  document.addEventListener("dragleave", (event) => {
    if (!event.relatedTarget) light(null);
  });
  document.addEventListener("drop", (event) => {
    const slot = wanted(event);
    light(null);
    if (!slot) return;
    event.preventDefault();
    if (event.dataTransfer.files.length) slot.take(event.dataTransfer.files[0]);
  });
}

// Takes pictures in: by file picker, by dropping, by pasting. Knows nothing of what is done with them.

import { $ } from "./dom.js";

/**
 * Listen for pictures. `onPicture(blob)` is called with the first file of a drop, paste or choice;
 * `isHere()` says whether the view that wants pictures is the one shown.
 */
export function takePictures(onPicture, isHere) {
  const input = $("#file");
  input.addEventListener("change", () => {
    if (input.files.length) onPicture(input.files[0]);
    input.value = ""; // choosing the same file again counts as a choice
  });
  document.addEventListener("paste", (event) => {
    const file = event.clipboardData?.files[0];
    if (!file || !isHere()) return;
    event.preventDefault();
    onPicture(file);
  });
  takeDrops(onPicture, isHere);
}

function takeDrops(onPicture, isHere) {
  const carriesFiles = (event) => isHere() && event.dataTransfer?.types.includes("Files");
  document.addEventListener("dragover", (event) => {
    if (!carriesFiles(event)) return;
    event.preventDefault();
    document.body.classList.add("dropping");
  });
  document.addEventListener("dragleave", (event) => {
    if (!event.relatedTarget) document.body.classList.remove("dropping");
  });
  document.addEventListener("drop", (event) => {
    document.body.classList.remove("dropping");
    if (!carriesFiles(event)) return;
    event.preventDefault();
    if (event.dataTransfer.files.length) onPicture(event.dataTransfer.files[0]);
  });
}

/**
 * Show a picture in an <img> and measure it. Resolves to {width, height} in pixels after its EXIF orientation, as the
 * service counts them; null when the browser cannot read the format (the service may still).
 */
export async function preview(img, blob) {
  URL.revokeObjectURL(img.src);
  img.src = URL.createObjectURL(blob);
  try {
    await img.decode();
    return { width: img.naturalWidth, height: img.naturalHeight };
  } catch {
    return null;
  }
}

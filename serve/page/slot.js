// A place for one ear: picture taken in by choice, drop or paste; its side; the box around the ear.
// Knows nothing of what is asked about the ear; several can live on the page.

import { Boxer } from "./boxing.js";
import { $, el } from "./dom.js";
import { bytes } from "./words.js";

let made = 0;

export class EarSlot {
  /**
   * Build the slot inside `place`. `onChange(isNew)` is called when a picture came (true) or its side or box changed.
   */
  constructor(place, { onChange }) {
    this.root = place;
    this.blob = null;
    this.onChange = onChange;
    this.finding = null; // async () => whether the picture may be asked about; landmarks.js sets it
    this.isNew = false;
    place.append($("#slot-template").content.cloneNode(true));
    this.tie(++made);
    this.boxer = new Boxer(place, () => this.tell());
    this.listen();
  }

  part(name) {
    return $(`[data-part=${name}]`, this.root);
  }

  /** Ids and names of a clone must be its own, or labels and radio buttons of two slots meet. */
  tie(number) {
    const file = this.part("file");
    file.id = `slot-${number}-file`;
    for (const label of this.root.querySelectorAll("[data-part=drop], [data-part=replace]")) label.htmlFor = file.id;
    for (const radio of this.radios()) radio.name = `slot-${number}-side`;
  }

  radios() {
    return this.root.querySelectorAll("input[type=radio]");
  }

  listen() {
    const file = this.part("file");
    file.addEventListener("change", () => {
      if (file.files.length) this.take(file.files[0]);
      file.value = ""; // choosing the same file again counts as a choice
    });
    for (const radio of this.radios()) radio.addEventListener("change", () => this.tell());
  }

  /** Report the ear as it is now; the first report of a picture says that it is new. */
  tell() {
    if (!this.blob) return;
    const { isNew } = this;
    this.isNew = false;
    this.onChange(isNew);
  }

  /** "left", "right" or "unknown". */
  get side() {
    return [...this.radios()].find((radio) => radio.checked).value;
  }

  set side(value) {
    for (const radio of this.radios()) radio.checked = radio.value === (value ?? "unknown");
  }

  /** "x1,y1,x2,y2" in pixels of the upright picture, or "" for the whole picture. */
  get box() {
    return this.boxer.value;
  }

  /** Whether the browser can show the picture, so that a box can be seen on it. */
  get isShown() {
    return this.boxer.size !== null;
  }

  /** Mark the ear: [x1, y1, x2, y2] in pixels. `report` false: nobody hears of it. */
  setBox(box, report = true) {
    this.boxer.set(box, report);
  }

  /** Show a picture; `side` and `box` [x1, y1, x2, y2] where they are known. */
  async take(blob, { side = null, box = null } = {}) {
    this.blob = blob;
    this.isNew = true;
    if (side) this.side = side;
    this.part("drop").hidden = true;
    this.part("chosen").hidden = false;
    const size = await preview(this.part("photo"), blob);
    if (this.blob !== blob) return; // a newer picture came meanwhile
    this.part("stage").hidden = size === null;
    if (size) this.part("stage").style.setProperty("--aspect", String(size.width / size.height));
    this.boxer.reset(size);
    if (box && size) this.boxer.set(box, false);
    this.part("note").replaceChildren(...noteOf(blob, size));
    this.root.dispatchEvent(new Event("ear-taken"));
    const ready = box || !size || !this.finding || (await this.finding());
    if (ready && this.blob === blob) this.tell();
  }
}

function noteOf(blob, size) {
  const extent = size && `${size.width} × ${size.height} px`;
  const facts = [blob.name, extent, bytes(blob.size)].filter(Boolean).join(" · ");
  const warning = el("span", { class: "block" }, "This browser cannot show the file; the service may still read it.");
  return size ? [facts] : [facts, warning];
}

/**
 * Show a picture in an <img> and measure it. Resolves to {width, height} in pixels after its EXIF orientation, as the
 * service counts them; null when the browser cannot read the format (the service may).
 */
async function preview(img, blob) {
  URL.revokeObjectURL(img.src);
  img.src = URL.createObjectURL(blob);
  try {
    await img.decode();
    return { width: img.naturalWidth, height: img.naturalHeight };
  } catch {
    return null;
  }
}

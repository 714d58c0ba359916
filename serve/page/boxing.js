// The box around the ear on a photo: drawn and adjusted by pointer, by arrow keys, or by four number fields.
// Keeps the box in pixels of the picture, x1 <= x2, y1 <= y2, and inside it; the screen's size never enters.

import { $ } from "./dom.js";

const SMALLEST_PX = 8;
const KEY_STEP = 0.01; // of the picture's longer side
const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
const FIELDS = ["left", "top", "width", "height"];
const clamp = (value, low, high) => Math.min(Math.max(value, low), high);

export class Boxer {
  /** Works on the parts of a slot. `onChange()` is called when the reader changed the box; read it from `.value`. */
  constructor(root, onChange) {
    this.part = (name) => $(`[data-part=${name}]`, root);
    this.onChange = onChange;
    this.size = null;
    this.box = null;
    this.drag = null;
    this.listen();
  }

  /** "x1,y1,x2,y2" as the service wants it, or "" for the whole picture. */
  get value() {
    return this.box ? this.box.map((side) => Math.round(side)).join(",") : "";
  }

  /** A new picture: {width, height} in pixels, or null when it cannot be shown; the box is gone. */
  reset(size) {
    this.size = size;
    this.part("mark").hidden = size === null;
    this.set(null, false);
  }

  /** Set or remove the box. */
  set(box, tell = true) {
    this.box = box && this.inside(box);
    this.draw();
    if (tell) this.onChange();
  }

  inside([ax, ay, bx, by]) {
    const { width, height } = this.size;
    const [x1, x2] = [Math.min(ax, bx), Math.max(ax, bx)];
    const [y1, y2] = [Math.min(ay, by), Math.max(ay, by)];
    const [w, h] = [clamp(x2 - x1, SMALLEST_PX, width), clamp(y2 - y1, SMALLEST_PX, height)];
    const [left, top] = [clamp(x1, 0, width - w), clamp(y1, 0, height - h)];
    return [left, top, left + w, top + h];
  }

  draw() {
    const on = this.box !== null;
    this.part("stage").classList.toggle("marking", on);
    this.part("mark").setAttribute("aria-pressed", String(on));
    this.part("mark").textContent = on ? "Use the whole picture" : "Mark the ear";
    this.part("box").hidden = this.part("box-fields").hidden = !on;
    if (!on) return;
    const [x1, y1, x2, y2] = this.box;
    const { width, height } = this.size;
    const style = this.part("box").style;
    style.left = `${(100 * x1) / width}%`;
    style.top = `${(100 * y1) / height}%`;
    style.width = `${(100 * (x2 - x1)) / width}%`;
    style.height = `${(100 * (y2 - y1)) / height}%`;
    [x1, y1, x2 - x1, y2 - y1].forEach((number, i) => { this.part(FIELDS[i]).value = Math.round(number); });
  }

  listen() {
    this.part("mark").addEventListener("click", () => this.toggle());
    this.part("box").addEventListener("keydown", (event) => this.onKey(event));
    for (const name of FIELDS) this.part(name).addEventListener("change", () => this.fromFields());
    const stage = this.part("stage");
    stage.addEventListener("pointerdown", (event) => this.grab(event));
    stage.addEventListener("pointermove", (event) => this.move(event));
    stage.addEventListener("pointerup", () => this.release());
    stage.addEventListener("pointercancel", () => this.release());
  }

  toggle() {
    if (this.box) return this.set(null);
    const { width, height } = this.size;
    this.set([0.3 * width, 0.2 * height, 0.7 * width, 0.8 * height]);
    return this.part("box").focus();
  }

  fromFields() {
    const [left, top, width, height] = FIELDS.map((name) => Number(this.part(name).value) || 0);
    this.set([left, top, left + width, top + height]);
  }

  onKey(event) {
    if (event.key === "Delete" || event.key === "Backspace") {
      event.preventDefault();
      this.set(null);
      this.part("mark").focus();
      return;
    }
    const arrow = ARROWS[event.key];
    if (!arrow) return;
    event.preventDefault();
    const step = KEY_STEP * Math.max(this.size.width, this.size.height);
    this.nudge(arrow[0] * step, arrow[1] * step, event.shiftKey);
  }

  nudge(dx, dy, resize) {
    const [x1, y1, x2, y2] = this.box;
    if (!resize) return this.set([x1 + dx, y1 + dy, x2 + dx, y2 + dy]);
    return this.set([x1, y1, Math.max(x2 + dx, x1 + SMALLEST_PX), Math.max(y2 + dy, y1 + SMALLEST_PX)]);
  }

  at(event) {
    const area = this.part("photo").getBoundingClientRect();
    return [
      ((event.clientX - area.left) / area.width) * this.size.width,
      ((event.clientY - area.top) / area.height) * this.size.height,
    ];
  }

  grab(event) {
    if (!this.box || event.button !== 0) return;
    const corner = event.target.dataset.corner;
    const start = this.at(event);
    if (corner) this.drag = { fixed: this.opposite(corner), start };
    else if (event.target.dataset.part === "box") this.drag = { moved: [...this.box], start };
    else this.drag = { fixed: start, start };
    this.part("stage").setPointerCapture(event.pointerId);
    event.preventDefault();
    this.part("box").focus({ preventScroll: true });
  }

  opposite(corner) {
    const [x1, y1, x2, y2] = this.box;
    return [corner.includes("w") ? x2 : x1, corner.includes("n") ? y2 : y1];
  }

  move(event) {
    if (!this.drag) return;
    const [x, y] = this.at(event);
    const { fixed, moved, start } = this.drag;
    if (moved) {
      const [dx, dy] = [x - start[0], y - start[1]];
      this.set([moved[0] + dx, moved[1] + dy, moved[2] + dx, moved[3] + dy], false);
    } else {
      const { width, height } = this.size;
      this.set([fixed[0], fixed[1], clamp(x, 0, width), clamp(y, 0, height)], false);
    }
    this.drag.changed = true;
  }

  release() {
    const changed = this.drag?.changed;
    this.drag = null;
    if (changed) this.onChange();
  }
}

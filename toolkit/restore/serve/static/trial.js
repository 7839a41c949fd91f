/* Several models side by side on a part of a photo, before the whole is restored. */

import * as api from "./api.js";
import { $, el } from "./dom.js";
import { adjustable } from "./settings.js";

const SIDE = 96; // input pixels of the part
const between = (value, low, high) => Math.min(Math.max(value, low), Math.max(low, high));

export function openTrial(card) {
  const { image, page } = card;
  const [width, height] = image.size;
  const [wide, high] = [Math.min(SIDE, width), Math.min(SIDE, height)];
  const place = { x: (width - wide) >> 1, y: (height - high) >> 1 };
  const part = el("div", { className: "part" });
  const picture = el("img", { src: `/api/images/${image.id}/view`, alt: "" });
  const picker = el("div", { className: "picker", tabIndex: 0, role: "group", "aria-label": "Part to look at; move it with the arrow keys" }, picture, part);
  const cleaning = card.settings.scale === 1;
  const models = page.models.filter((model) => model.purpose === "auto" || (model.purpose === "clean") === cleaning || model.name === card.settings.model);
  const run = api.pool(2);
  let aborter = new AbortController();

  const before = el("canvas", { className: "shown input", width: wide, height: high, role: "img", "aria-label": "This part of the photo" });
  const tiles = models.map((model) => {
    const shown = el("img", { className: "shown", alt: `This part with ${model.title}` });
    const note = el("span");
    const use = el("button", { type: "button", onclick: () => choose(model.name) }, "Use this");
    use.setAttribute("aria-label", `Use ${model.title}`);
    const figure = el("figure", {}, shown, el("figcaption", {}, el("strong", { textContent: model.title }), " ", note, el("p", { textContent: model.summary })), use);
    return { model, shown, note };
  });

  function choose(model) {
    const enlarges = page.models.find(({ name }) => name === model).purpose === "enlarge";
    const scale = enlarges && card.settings.scale === 1 ? null : card.settings.scale;
    card.use({ ...card.settings, model, scale, strength: adjustable(page.models, model) ? card.settings.strength : 1 });
    $("trial").close();
  }

  function draw() {
    const percent = (value, whole) => `${(100 * value) / whole}%`;
    Object.assign(part.style, { left: percent(place.x, width), top: percent(place.y, height), width: percent(wide, width), height: percent(high, height) });
    if (picture.naturalWidth) before.getContext("2d").drawImage(picture, place.x, place.y, wide, high, 0, 0, wide, high);
  }

  let timer;
  function move(x, y) {
    place.x = Math.round(between(x, 0, width - wide));
    place.y = Math.round(between(y, 0, height - high));
    draw();
    clearTimeout(timer);
    timer = setTimeout(load, 150);
  }

  function load() {
    aborter.abort();
    const { signal } = (aborter = new AbortController());
    for (const { model, shown, note } of tiles) {
      note.textContent = "…";
      const settings = { model: model.name, scale: model.purpose === "clean" ? null : card.settings.scale, width: model.purpose === "clean" ? null : card.settings.width };
      run(() => (signal.aborted ? Promise.resolve(null) : api.preview(image.id, settings, [place.x, place.y, wide, high], signal))).then((blob) => {
        if (!blob || signal.aborted) return;
        URL.revokeObjectURL(shown.src);
        shown.src = URL.createObjectURL(blob);
        note.textContent = "";
      }).catch((error) => { if (!signal.aborted) note.textContent = error.message; });
    }
  }

  picture.onload = draw;
  picker.onclick = (event) => {
    const box = picker.getBoundingClientRect();
    move(((event.clientX - box.left) / box.width) * width - wide / 2, ((event.clientY - box.top) / box.height) * height - high / 2);
  };
  picker.onkeydown = (event) => {
    const step = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
    if (!step) return;
    event.preventDefault();
    move(place.x + (step[0] * wide) / 2, place.y + (step[1] * high) / 2);
  };
  $("trial-title").textContent = `Try models on a part of ${image.name}`;
  $("trial-body").replaceChildren(el("div", { className: "trial" }, picker, el("div", { className: "tiles" },
    el("figure", {}, before, el("figcaption", {}, el("strong", { textContent: "The photo" }))),
    ...tiles.map(({ shown }) => shown.parentElement))));
  $("trial").onclose = () => { aborter.abort(); clearTimeout(timer); };
  $("trial").showModal();
  picker.focus();
  load();
}

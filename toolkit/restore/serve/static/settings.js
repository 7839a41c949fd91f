/* The form with the settings of one photo, or of all. */

import { el } from "./dom.js";

const SIZES = [["", "Set by the model"], ["2", "2 times as large"], ["3", "3 times as large"], ["4", "4 times as large"],
  ["1", "Same size, only cleaned"], ["width", "A width in pixels"]];
const FORMATS = [["", "As the photo"], ["png", "PNG, lossless"], ["jpg", "JPEG"], ["webp", "WebP"], ["tif", "TIFF"], ["avif", "AVIF"]];

export const DEFAULTS = { model: "auto", scale: null, width: null, strength: 1, format: null };

const entry = (models, name) => models.find((model) => model.name === name);

/* What people call a model; of a chain, those of its parts. */
export const title = (models, name) => name.split("+").map((part) => entry(models, part)?.title ?? part).join(" + ");

/* Whether the strength changes the results of a model. */
export const adjustable = (models, name) => entry(models, name)?.strength ?? false;

const select = (options, value) => {
  const made = el("select", {}, ...options.map(([key, text]) => el("option", { value: key, textContent: text })));
  made.value = value;
  return made;
};

function field(text, control, ...more) {
  control.setAttribute("aria-label", text); // the text of a label around a menu would name its choices too
  return el("label", {}, text, control, ...more);
}

/* A form; `changed` is called with the settings. */
export function settingsForm(models, start, changed, legend) {
  const of = (kind) => models.filter((model) => model.purpose === kind);
  const model = el("select", {}, ...[["auto", "Automatic"], ["enlarge", "Enlarge"], ["clean", "Clean, same size"]].map(([kind, label]) =>
    el("optgroup", { label }, ...of(kind).map(({ name, title: textContent }) => el("option", { value: name, textContent })))));
  model.value = start.model;
  const size = select(SIZES, start.width ? "width" : start.scale ? String(start.scale) : "");
  const width = el("input", { type: "number", min: 1, max: 65535, value: start.width ?? 1920 });
  const wide = field("Width", width);
  const strength = el("input", { type: "range", min: 0, max: 2, step: 0.25, value: start.strength });
  const strong = el("output", {});
  const cleaning = field("Strength", strength);
  cleaning.firstChild.after(" ", strong);
  const format = select(FORMATS, start.format ?? "");
  const about = el("p", { className: "purpose" });
  const chosen = () => entry(models, model.value);

  function show() {
    wide.hidden = size.value !== "width";
    cleaning.hidden = !adjustable(models, model.value);
    strong.textContent = `${Math.round(100 * strength.value)}%`;
    about.textContent = chosen()?.summary ?? "";
    for (const option of size.options) option.disabled = chosen()?.purpose === "clean" && !["", "1"].includes(option.value);
    if (size.selectedOptions[0].disabled) size.value = "";
  }

  function read() {
    show();
    const sized = size.value === "width";
    changed({
      model: model.value,
      scale: sized || size.value === "" ? null : Number(size.value),
      width: sized ? Number(width.value) || 0 : null, // the server refuses what is no width
      strength: adjustable(models, model.value) ? Number(strength.value) : 1,
      format: format.value || null,
    });
  }

  const form = el("fieldset", { className: "settings", "aria-label": legend, onchange: read, oninput: show },
    field("Model", model), field("Size", size), wide, cleaning, field("File format", format), about);
  show();
  return form;
}

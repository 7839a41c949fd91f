/* The form with the settings of one photo, or of all. */

import { el } from "./dom.js";

const PURPOSES = {
  auto: "Looks at each photo and chooses what it needs. Right for most photos.",
  bicubic: "Plain enlargement without restoration, the fastest. For comparing.",
  "enhancenet:pat": "Sharp enlargement with invented fine texture. For clean photos.",
  "enhancenet:e": "Careful enlargement that invents nothing. For documents, drawings and measurements.",
  "enhancenet:photo": "Enlargement of compressed or noisy photos, such as those from messages and the web.",
  "ffdnet:noise": "Removes noise in the same size. For photos taken in the dark.",
  "ffdnet:jpeg": "Removes the blocks and halos of JPEG compression in the same size.",
};

const SIZES = [["", "As the model, usually 4×"], ["2", "2 times as large"], ["3", "3 times as large"], ["4", "4 times as large"],
  ["1", "Same size, only cleaned"], ["width", "A width in pixels"]];
const FORMATS = [["", "Same as the photo"], ["png", "PNG, lossless"], ["jpg", "JPEG"], ["webp", "WebP"], ["tif", "TIFF"], ["avif", "AVIF"]];

export const DEFAULTS = { model: "auto", scale: null, width: null, strength: 1, format: null };

export const purpose = (models, name) => PURPOSES[name] ?? models.find((model) => model.name === name)?.summary ?? "";

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
    el("optgroup", { label }, ...of(kind).map(({ name }) => el("option", { value: name, textContent: name === "auto" ? "Choose for each photo" : name })))));
  model.value = start.model;
  const size = select(SIZES, start.width ? "width" : start.scale ? String(start.scale) : "");
  const width = el("input", { type: "number", min: 1, max: 65535, value: start.width ?? 1920 });
  const wide = field("Width", width);
  const strength = el("input", { type: "range", min: 0, max: 2, step: 0.25, value: start.strength });
  const strong = el("output", {});
  const cleaning = field("Strength of cleaning", strength, strong);
  const format = select(FORMATS, start.format ?? "");
  const about = el("p", { className: "purpose" });
  const kind = () => models.find(({ name }) => name === model.value)?.purpose;
  const estimates = () => model.value === "auto" || model.value.startsWith("ffdnet");

  function show() {
    wide.hidden = size.value !== "width";
    cleaning.hidden = !estimates();
    strong.textContent = `${Math.round(100 * strength.value)}%`;
    about.textContent = purpose(models, model.value);
    for (const option of size.options) option.disabled = kind() === "clean" && !["", "1"].includes(option.value);
    if (size.selectedOptions[0].disabled) size.value = "";
  }

  function read() {
    show();
    const sized = size.value === "width";
    changed({
      model: model.value,
      scale: sized || size.value === "" ? null : Number(size.value),
      width: sized ? Math.max(1, Math.round(Number(width.value)) || 1) : null,
      strength: estimates() ? Number(strength.value) : 1,
      format: format.value || null,
    });
  }

  const form = el("fieldset", { className: "settings", "aria-label": legend, onchange: read, oninput: show },
    field("Model", model), field("Size", size), wide, cleaning, field("File format", format), about);
  show();
  return form;
}

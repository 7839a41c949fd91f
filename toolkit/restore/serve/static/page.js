/* The page: what is dropped becomes cards, and events of the server reach them. */

import * as api from "./api.js";
import { Card } from "./card.js";
import { $, plural, say } from "./dom.js";
import { DEFAULTS, settingsForm } from "./settings.js";

const LOOKS_LIKE_IMAGE = /\.(avif|bmp|gif|heic|heif|jpe?g|jxl|png|tiff?|webp|jp2|ppm|pgm|tga)$/i;

const page = {
  models: [],
  settings: { ...DEFAULTS },
  cards: new Set(),
  latest: new Map(), // what events said of each job
  removed(card) { page.cards.delete(card); page.shown(); },
  shown() {
    const cards = [...page.cards];
    const done = cards.filter(({ state }) => state === "done").length;
    const ready = cards.filter(({ image, state }) => image && ["ready", "failed", "canceled"].includes(state)).length;
    $("pictures").hidden = !cards.length;
    $("pictures-title").textContent = plural(cards.length, "photo");
    $("start-all").hidden = !ready;
    $("start-all").textContent = ready === cards.length && ready > 1 ? `Restore all ${ready}` : `Restore ${plural(ready, "photo")}`;
    $("download-all").hidden = done < 2;
    $("clear").hidden = !done;
  },
};

function add(files) {
  const images = files.filter(({ name, type }) => type.startsWith("image/") || LOOKS_LIKE_IMAGE.test(name));
  for (const file of images) {
    const card = new Card(page, file.name || "pasted image");
    page.cards.add(card);
    $("list").append(card.element);
    card.open(file);
  }
  const left = files.length - images.length;
  const others = left ? `${plural(left, "file")} skipped: ${left > 1 ? "they are not photos" : "it is not a photo"}` : "";
  if (files.length) say([images.length ? `${plural(images.length, "photo")} added` : "", others].filter(Boolean).join("; "), left > 0);
  page.shown();
}

/* All files of what was dropped, those in folders too. */
async function dropped(transfer) {
  const entries = [...transfer.items].map((item) => item.webkitGetAsEntry?.()).filter(Boolean);
  if (!entries.length) return [...transfer.files];
  const files = [];
  const visit = async (entry) => {
    if (entry.name.startsWith(".")) return;
    if (entry.isFile) return files.push(await new Promise((done, failed) => entry.file(done, failed)));
    const reader = entry.createReader();
    for (;;) { // it gives a hundred at a time
      const some = await new Promise((done, failed) => reader.readEntries(done, failed));
      if (!some.length) return;
      for (const each of some) await visit(each);
    }
  };
  for (const entry of entries) await visit(entry);
  return files;
}

function wire() {
  for (const [button, input] of [["choose", "files"], ["choose-folder", "folder"]]) {
    $(button).onclick = () => $(input).click();
    $(input).onchange = () => { add([...$(input).files]); $(input).value = ""; };
  }
  let depth = 0; // dragging over children leaves the parent
  document.addEventListener("dragenter", () => $("drop").classList.toggle("over", ++depth > 0));
  document.addEventListener("dragleave", () => $("drop").classList.toggle("over", --depth > 0));
  document.addEventListener("dragover", (event) => event.preventDefault());
  document.addEventListener("drop", async (event) => {
    event.preventDefault();
    depth = 0;
    $("drop").classList.remove("over");
    add(await dropped(event.dataTransfer));
  });
  document.addEventListener("paste", (event) => add([...(event.clipboardData?.files ?? [])]));
  $("start-all").onclick = () => page.cards.forEach((card) => { if (!card.busy && card.state !== "done") card.submit(); });
  $("clear").onclick = () => [...page.cards].filter(({ state }) => state === "done").forEach((card) => card.discard());
  $("download-all").href = `/api/results.zip?group=${api.group}`;
  for (const dialog of document.querySelectorAll("dialog")) dialog.querySelector(".close").onclick = () => dialog.close();
  $("compare").addEventListener("close", () => $("compare-frame").replaceChildren());
}

async function open() {
  page.models = await api.json("/api/models");
  $("login").hidden = true;
  $("main").hidden = false;
  $("settings").replaceChildren(settingsForm(page.models, page.settings, (settings) => {
    page.settings = settings;
    page.cards.forEach((card) => { if (!card.own) card.replan(); });
  }, "Settings of all photos"));
  for (const job of await api.json(`/api/jobs?group=${api.group}`)) {
    const card = new Card(page, job.name);
    page.cards.add(card);
    $("list").append(card.element);
    card.reopen(job);
  }
  api.listen((job) => {
    page.latest.set(job.id, job);
    [...page.cards].find((card) => card.job?.id === job.id)?.changed(job);
  });
  page.shown();
  document.documentElement.dataset.ready = "";
}

async function login(token) {
  await api.call("/api/session", { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify({ token }) });
  await open();
}

async function begin() {
  wire();
  const token = new URLSearchParams(location.hash.slice(1)).get("token");
  history.replaceState(null, "", location.pathname);
  try {
    await (token ? login(token) : open());
  } catch (error) {
    if (error.status !== 401) return void document.body.append(error.message);
    $("login").hidden = false;
    $("token").focus();
    document.documentElement.dataset.ready = "";
  }
}

$("login").addEventListener("submit", async (event) => {
  event.preventDefault();
  try {
    await login($("token").value);
  } catch (error) {
    $("refused").textContent = error.message;
  }
});
begin();

/* One photo: what was found, what would be done, its job, and what can be done with the result. */

import * as api from "./api.js";
import { $, duration, el, say } from "./dom.js";
import { settingsForm, title } from "./settings.js";
import { openTrial } from "./trial.js";

const FOUND = { jpeg: "compression marks", noise: "noise", blur: "blur", enlarged: "an earlier enlargement" };
const NOTHING = "data:image/gif;base64,R0lGODlhAQABAAAAACH5BAEKAAEALAAAAAABAAEAAAICTAEAOw=="; // a transparent pixel
const uploads = api.pool(3);
const looks = api.pool(2);
const sentences = (notes) => notes.map((note) => `${note[0].toUpperCase()}${note.slice(1).replace(/\.$/, "")}.`).join(" ");
const list = (words) => (words.length > 1 ? `${words.slice(0, -1).join(", ")} and ${words.at(-1)}` : words[0]);

function checkWidth(width) {
  if (width === null || (Number.isInteger(width) && width >= 1 && width <= 65535)) return;
  throw new api.Problem(422, "The width must be a whole number from 1 to 65535.");
}

export class Card {
  /* `page` has the models, the common settings and what to call when something changes. */
  constructor(page, name) {
    this.page = page;
    this.image = null; // as the server describes it
    this.job = null;
    this.own = null; // settings, if they differ from the common ones
    this.failed = "";
    this.seconds = 0; // that restoring it takes, as the plan says
    this.aborter = new AbortController();
    this.build(name);
  }

  get settings() { return this.own ?? this.page.settings; }
  get state() { return this.job?.state ?? (this.failed ? "failed" : this.image ? "ready" : "uploading"); }
  get busy() { return ["queued", "running", "uploading"].includes(this.state); }

  build(name) {
    const button = (text, onclick, className = "") => el("button", { type: "button", className, onclick }, text);
    this.title = el("h3", { textContent: name });
    this.thumb = el("img", { className: "thumb", alt: "", loading: "lazy" });
    this.found = el("p", { className: "found", textContent: "Uploading…" });
    this.plan = el("p", { className: "plan" });
    this.details = el("details", { hidden: true }, el("summary", { textContent: "What was measured" }), el("ul"));
    this.bar = el("progress", { max: 1, hidden: true, "aria-label": `Progress of ${name}` });
    this.message = el("p", { className: "message" });
    this.start = button("Restore", () => this.submit(), "main");
    this.cancel = button("Cancel", () => this.stop());
    this.change = button("Change", () => this.toggle());
    this.change.setAttribute("aria-expanded", false);
    this.trial = button("Try models", () => openTrial(this));
    this.compare = button("Compare", () => this.showComparison(), "main");
    this.download = el("a", { className: "button", download: "", textContent: "Download" });
    this.remove = button("Remove", () => this.discard());
    for (const control of [this.start, this.cancel, this.change, this.trial, this.compare, this.download, this.remove]) {
      control.setAttribute("aria-label", `${control.textContent} ${name}`);
    }
    this.form = el("div", { className: "own", hidden: true });
    this.element = el("li", { className: "card" }, this.thumb,
      el("div", {}, this.title, this.found, this.plan, this.bar, this.message, this.details,
        el("div", { className: "row" }, this.start, this.compare, this.download, this.cancel, this.change, this.trial, this.remove)),
      this.form);
    this.show();
  }

  /* Upload a file, then look at it. */
  async open(file) {
    const local = URL.createObjectURL(file);
    this.thumb.onerror = () => {
      URL.revokeObjectURL(local);
      this.thumb.onerror = null;
      if (this.image) this.thumb.src = `/api/images/${this.image.id}/view`;
      else this.thumb.src = NOTHING;
    };
    this.thumb.src = local;
    try {
      this.described(await uploads(() => api.upload(file, this.aborter.signal)));
      if (!this.thumb.onerror) this.thumb.src = `/api/images/${this.image.id}/view`;
    } catch (error) {
      if (error.name === "AbortError") return;
      this.failed = error.message;
      this.found.hidden = true;
      say(`${file.name} failed`);
      this.show();
    }
  }

  /* Show a photo that the server has already, after a reload. */
  async reopen(job) {
    this.job = job;
    this.show();
    try {
      this.described(await api.json(`/api/images/${job.image}`));
      this.thumb.src = `/api/images/${job.image}/view`;
    } catch (error) {
      this.found.textContent = error.message;
    }
  }

  described(image) {
    this.image = image;
    const { size: [width, height], degradations, findings } = image;
    const seen = degradations.map((name) => FOUND[name] ?? name);
    this.found.textContent = `${width} × ${height} pixels. ${seen.length ? `Found ${list(seen)}.` : "No visible damage."}`;
    this.details.hidden = false;
    this.details.lastChild.replaceChildren(...findings.map((textContent) => el("li", { textContent })));
    if (!this.job) this.replan();
    this.show();
  }

  /* Say what would be done with the settings of now. */
  async replan() {
    if (!this.image || this.job) return;
    const asked = (this.asked = {});
    this.plan.classList.remove("bad");
    this.plan.textContent = "Working out what to do…";
    this.start.disabled = false;
    let text, bad = false, wrong = false;
    try {
      checkWidth(this.settings.width);
      const { size, seconds, model, notes, beyond } = await looks(() => (asked === this.asked ? api.plan(this.image.id, this.settings) : Promise.reject(new Error("outdated"))));
      const how = model ? `Model: ${title(this.page.models, model)}.` : "It stays as it is: it has no noise or compression marks to remove.";
      const better = `This model was trained on better photos; “${title(this.page.models, "auto")}” suits this one.`;
      text = `Becomes ${size.join(" × ")} pixels in ${duration(seconds)}. ${how} ${beyond ? better : ""} ${sentences(notes)}`;
      this.seconds = seconds;
      bad = beyond;
    } catch (error) {
      [text, bad, wrong] = [error.message, true, error.status === 422];
    }
    if (asked !== this.asked) return;
    this.start.disabled = wrong;
    this.plan.textContent = text;
    this.plan.classList.toggle("bad", bad);
    if (this.job) this.show(); // it was started before its time was known
  }

  async submit() {
    if (!this.image || this.busy) return;
    try {
      await this.removeJob();
      this.job = null;
      this.failed = "";
      const job = await api.submit(this.image.id, this.settings);
      this.changed(this.page.latest.get(job.id) ?? job); // its events may have come before the answer
    } catch (error) {
      this.failed = error.message;
      this.show();
    }
  }

  async stop() {
    if (this.state === "uploading") return this.discard();
    const { id } = this.job;
    this.job = { ...this.job, state: "canceled", removed: true };
    this.show();
    await api.remove(`/api/jobs/${id}`).catch((error) => { this.failed = error.message; this.show(); });
  }

  async discard() {
    this.aborter.abort();
    this.element.remove();
    this.page.removed(this);
    await this.removeJob();
    if (this.image) await api.remove(`/api/images/${this.image.id}`);
  }

  /* Remove the job from the server, unless that was done when it was canceled. */
  async removeJob() {
    if (this.job && !this.job.removed) await api.remove(`/api/jobs/${this.job.id}`);
  }

  /* The server says that the job changed. */
  changed(job) {
    if (this.state === "canceled" && job.id === this.job.id) return;
    const before = this.state;
    this.job = job;
    if (job.state !== before && ["done", "failed"].includes(job.state)) say(`${job.name} is ${job.state === "done" ? "restored" : "not restored"}`);
    this.show();
  }

  show() {
    const { state, job } = this;
    const texts = {
      uploading: "", ready: "",
      queued: job?.position > 1 ? `Waiting, ${job.position - 1} before it` : "Waiting",
      running: job?.progress ? `Restoring, ${Math.floor(100 * job.progress)}%` : this.seconds > 1.5 ? `Restoring, which takes ${duration(this.seconds)}` : "Restoring",
      done: job?.size ? `Done in ${job.seconds?.toFixed(1)} s: ${job.size.join(" × ")} pixels, ${(job.bytes / 1e6).toFixed(1)} MB. ${sentences(job.notes.map((note) => note.replace(job.model, title(this.page.models, job.model)).replace("the model 'auto'", `“${title(this.page.models, "auto")}”`)))}` : "",
      failed: this.reason(this.failed || job?.reason || ""), canceled: job?.reason || "Canceled",
    };
    this.element.dataset.state = state;
    this.message.textContent = texts[state];
    this.message.className = `message ${state === "failed" ? "bad" : state === "done" ? "good" : ""}`;
    this.bar.hidden = !["queued", "running"].includes(state);
    if (state === "queued" || job?.progress) this.bar.value = job.progress;
    else this.bar.removeAttribute("value"); // a photo that is restored as a whole: the bar moves to and fro
    const focused = this.element.contains(document.activeElement) ? document.activeElement : null;
    this.start.hidden = !this.image || !["ready", "failed", "canceled"].includes(state);
    this.start.textContent = state === "ready" ? "Restore" : "Try again";
    this.start.setAttribute("aria-label", `${this.start.textContent} ${this.title.textContent}`);
    this.cancel.hidden = !this.busy;
    this.compare.hidden = this.download.hidden = state !== "done";
    this.trial.hidden = !this.image || this.busy;
    this.change.hidden = !this.image || this.busy;
    this.plan.hidden = state !== "ready";
    this.remove.hidden = this.busy;
    if (state === "done") this.download.href = `/api/jobs/${job.id}/result`;
    if (focused?.hidden) [this.cancel, this.compare, this.start, this.remove].find((control) => !control.hidden)?.focus();
    this.page.shown();
  }

  /* Why it failed, without the name of the photo, which is the title of the card. */
  reason(problem) {
    const text = problem.startsWith(`${this.title.textContent}: `) ? problem.slice(this.title.textContent.length + 2) : problem;
    return text && `${text[0].toUpperCase()}${text.slice(1)}`;
  }

  toggle() {
    const open = this.form.hidden;
    this.form.hidden = !open;
    this.change.setAttribute("aria-expanded", open);
    if (open) this.form.replaceChildren(settingsForm(this.page.models, this.settings, (settings) => this.use(settings), `Settings of ${this.title.textContent}`));
  }

  /* Other settings for this photo; a result made with the former ones is given up. */
  use(settings) {
    this.own = settings;
    if (this.job) {
      this.removeJob().catch(() => {});
      this.job = null;
    }
    this.failed = "";
    this.show();
    this.replan();
  }

  showComparison() {
    $("compare-frame").replaceChildren(el("iframe", {
      title: `${this.title.textContent} before and after`, src: `/api/jobs/${this.job.id}/comparison`,
    }));
    $("compare").showModal();
  }
}

/* The interface of the server. A problem document becomes an Error with its sentence. */

const KEY = "restore-group";

/* By this random text the page finds its jobs again after a reload. */
export const group = sessionStorage.getItem(KEY) ?? crypto.getRandomValues(new Uint8Array(16))
  .reduce((text, byte) => text + byte.toString(16).padStart(2, "0"), "");
sessionStorage.setItem(KEY, group);

export class Problem extends Error {
  constructor(status, detail) {
    super(detail);
    this.status = status;
  }
}

const pause = (seconds) => new Promise((done) => setTimeout(done, 1000 * seconds));

/* Ask again while the server is busy, for a while. */
export async function call(path, options = {}) {
  for (let attempt = 0; ; attempt++) {
    let answer;
    try {
      answer = await fetch(path, options);
    } catch (error) {
      if (error.name === "AbortError") throw error;
      throw new Problem(0, "The server does not answer. Is restore still running?");
    }
    if (answer.ok) return answer;
    if (answer.status === 429 && attempt < 60) {
      await pause(Number(answer.headers.get("retry-after")) || 1);
      continue;
    }
    const { detail } = await answer.json().catch(() => ({ detail: `The server answered ${answer.status}.` }));
    throw new Problem(answer.status, detail);
  }
}

export const json = async (path, options) => (await call(path, options)).json();

const query = (settings) => new URLSearchParams(Object.entries(settings).filter(([, value]) => value !== null && value !== ""));

export function upload(file, signal) {
  const form = new FormData();
  form.append("image", file, file.name || "pasted.png");
  return json("/api/images", { method: "POST", body: form, signal });
}

export const plan = (image, settings) => json(`/api/images/${image}/plan?${query(settings)}`);

export const preview = async (image, settings, crop, signal) =>
  (await call(`/api/images/${image}/preview?${query({ ...settings, crop: crop.join(",") })}`, { signal })).blob();

export const submit = (image, settings) => json("/api/jobs", {
  method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify({ image, group, ...settings }),
});

export const remove = (path) => call(path, { method: "DELETE" }).catch((error) => {
  if (error.status !== 404) throw error;
});

/* Call `changed` with each job of this page that changes. */
export function listen(changed) {
  const source = new EventSource(`/api/events?group=${group}`);
  source.addEventListener("job", (event) => changed(JSON.parse(event.data)));
}

/* At most `count` of the functions that it is given run at the same time. */
export function pool(count) {
  const waiting = [];
  let running = 0;
  const next = () => {
    if (running >= count || !waiting.length) return;
    running++;
    waiting.shift()().finally(() => { running--; next(); });
  };
  return (work) => new Promise((done, failed) => {
    waiting.push(() => work().then(done, failed));
    next();
  });
}

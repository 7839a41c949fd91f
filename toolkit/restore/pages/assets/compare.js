"use strict";
/* One view (the point looked at, and the zoom) that every canvas draws: the two of the slider and one tile a picture. */
(() => {
  const $ = (id) => document.getElementById(id);
  const data = JSON.parse($("data").textContent);
  const [width, height] = data.size;
  const slider = $("slider");
  const first = data.regions[0];
  const view = { x: width / 2, y: height / 2, zoom: 0 }; // pixels of the results; CSS pixels for each of them, 0 fits
  const LARGEST = 32;
  const bitmaps = [];
  let shown = { left: 0, right: 0 };
  let region = -1;

  /* Pictures */

  function bytes(text) {
    if (Uint8Array.fromBase64) return Uint8Array.fromBase64(text); // browsers of 2025 and later
    const binary = atob(text);
    const found = new Uint8Array(binary.length);
    for (let at = 0; at < found.length; at++) found[at] = binary.charCodeAt(at);
    return found;
  }

  /* From the element `${kind}-${index}`, whose text is not needed any more; it may name an address instead. */
  async function decode(kind, index) {
    const element = $(`${kind}-${index}`);
    if (!element) return;
    const { address } = element.dataset;
    const file = address ? await (await fetch(address)).blob() : new Blob([bytes(element.textContent)], { type: "image/webp" });
    element.remove();
    bitmaps[index] = await createImageBitmap(file);
  }

  /* Drawing */

  const fitting = (canvas) => Math.min(canvas.clientWidth / width, canvas.clientHeight / height);
  const whole = () => Math.min(fitting(slider), LARGEST); // the zoom that shows the whole picture
  const pixelwise = 1 / devicePixelRatio; // one pixel of the results for each of the screen
  const stageZoom = () => view.zoom || whole();
  const detailZoom = () => {
    const tile = tiles[0].canvas.clientWidth;
    return Math.max(first ? Math.floor((tile / first.side) * devicePixelRatio) / devicePixelRatio : 1, fitting(tiles[0].canvas));
  };
  const tileZoom = () => Math.max(view.zoom, detailZoom());
  const between = (value, low, high) => (low > high ? (low + high) / 2 : Math.min(Math.max(value, low), high));

  /* The point in the middle of a canvas: the view's, but for what would leave the canvas partly empty. */
  function middle(canvas, zoom) {
    const [halfWidth, halfHeight] = [canvas.clientWidth / zoom / 2, canvas.clientHeight / zoom / 2];
    return { x: between(view.x, halfWidth, width - halfWidth), y: between(view.y, halfHeight, height - halfHeight) };
  }

  function draw(canvas, index, zoom) {
    const bitmap = bitmaps[index];
    const ratio = devicePixelRatio;
    const [w, h] = [Math.round(canvas.clientWidth * ratio), Math.round(canvas.clientHeight * ratio)];
    if (canvas.width !== w || canvas.height !== h) [canvas.width, canvas.height] = [w, h];
    const context = canvas.getContext("2d");
    context.clearRect(0, 0, w, h);
    if (!bitmap) return;
    const { x, y } = middle(canvas, zoom);
    const own = bitmap.width / width; // the input is smaller than the results
    const left = Math.round(w / 2 - x * zoom * ratio);
    const top = Math.round(h / 2 - y * zoom * ratio);
    context.imageSmoothingEnabled = zoom * ratio < 2 * own; // enlarged pixels stay what they are
    context.imageSmoothingQuality = "high";
    context.drawImage(bitmap, left, top, Math.round(width * zoom * ratio), Math.round(height * zoom * ratio));
  }

  let waiting = false;
  function redraw() {
    if (waiting) return;
    waiting = true;
    requestAnimationFrame(() => { waiting = false; drawAll(); });
  }

  function drawAll() {
    draw($("first"), shown.left, stageZoom());
    draw($("second"), shown.right, stageZoom());
    tiles.forEach(({ canvas }, index) => draw(canvas, index, tileZoom()));
    $("percent").textContent = `${Math.round(stageZoom() * devicePixelRatio * 100)}%`;
    placeMarks();
  }

  /* Frames on the whole picture: where it differs most, and what the tiles show. */
  function placeMarks() {
    const zoom = stageZoom();
    const { x, y } = middle(slider, zoom);
    const visible = zoom < detailZoom();
    $("marks").hidden = !visible;
    const place = (mark, left, top, wide, high) => Object.assign(mark.style, {
      left: `${(left - x) * zoom + slider.clientWidth / 2}px`, top: `${(top - y) * zoom + slider.clientHeight / 2}px`,
      width: `${wide * zoom}px`, height: `${high * zoom}px`,
    });
    marks.forEach((mark, index) => {
      const { left, top, side } = data.regions[index];
      place(mark, left, top, side, side);
      mark.classList.toggle("now", index === region);
      mark.classList.toggle("below", parseFloat(mark.style.top) < 18);
    });
    const { canvas } = tiles[0];
    const center = middle(canvas, tileZoom());
    const [wide, high] = [canvas.clientWidth / tileZoom(), canvas.clientHeight / tileZoom()];
    place(loupe, center.x - wide / 2, center.y - high / 2, wide, high);
    loupe.hidden = region >= 0;
  }

  /* Moving */

  function look(x, y, zoom = view.zoom) {
    Object.assign(view, { x: between(x, 0, width), y: between(y, 0, height), zoom: Math.min(zoom, LARGEST) });
    if (view.zoom) view.zoom = Math.max(view.zoom, Math.min(pixelwise, whole()));
    if (view.zoom === whole()) view.zoom = 0;
    slider.classList.toggle("zoomed", stageZoom() > whole()); // until then a finger may scroll the page
    choose(-1);
  }

  function choose(index) {
    region = index;
    [...$("regions").querySelectorAll("button")].forEach((button, other) => button.setAttribute("aria-pressed", other === index));
    redraw();
  }

  function lookAt(index) {
    const { left, top, side } = data.regions[index];
    look(left + side / 2, top + side / 2);
    choose(index);
  }

  /* Zoom so that what is under the pointer stays there. */
  function zoomBy(factor, canvas = slider, at = null) {
    const before = canvas === slider ? stageZoom() : tileZoom();
    const after = Math.min(before * factor, LARGEST);
    const center = middle(canvas, before);
    const box = canvas.getBoundingClientRect();
    const [dx, dy] = at ? [at.clientX - box.left - box.width / 2, at.clientY - box.top - box.height / 2] : [0, 0];
    const start = at ? center : view; // without a pointer the point looked at stays
    look(start.x + dx / before - dx / after, start.y + dy / before - dy / after, after);
  }

  /* One pointer moves, two zoom. While the stage shows the whole picture, it is the detail that moves. */
  function movable(element, zoomOf) {
    const pointers = new Map();
    element.addEventListener("pointerdown", (event) => {
      if (event.button || (element === slider && event.target.closest(".handle"))) return;
      pointers.set(event.pointerId, event);
      element.setPointerCapture(event.pointerId);
      element.classList.add("moving");
      if (element === slider && stageZoom() <= whole()) point(event);
    });
    element.addEventListener("pointermove", (event) => {
      const last = pointers.get(event.pointerId);
      if (!last) return;
      pointers.set(event.pointerId, event);
      if (pointers.size === 2) return pinch(last, event);
      if (element === slider && stageZoom() <= whole()) return point(event);
      const center = middle(element, zoomOf());
      look(center.x - (event.clientX - last.clientX) / zoomOf(), center.y - (event.clientY - last.clientY) / zoomOf());
    });
    function pinch(last, event) {
      const other = [...pointers.values()].find((pointer) => pointer.pointerId !== event.pointerId);
      const distance = (pointer) => Math.hypot(pointer.clientX - other.clientX, pointer.clientY - other.clientY);
      const at = { clientX: (event.clientX + other.clientX) / 2, clientY: (event.clientY + other.clientY) / 2 };
      zoomBy(distance(event) / Math.max(distance(last), 1), element, at);
    }
    function point(event) {
      const box = element.getBoundingClientRect();
      const center = middle(element, zoomOf());
      const { clientX, clientY } = event;
      look(center.x + (clientX - box.left - box.width / 2) / zoomOf(), center.y + (clientY - box.top - box.height / 2) / zoomOf());
    }
    const release = (event) => {
      pointers.delete(event.pointerId);
      if (!pointers.size) element.classList.remove("moving");
    };
    element.addEventListener("pointerup", release);
    element.addEventListener("pointercancel", release);
    element.addEventListener("wheel", (event) => {
      event.preventDefault();
      zoomBy(Math.exp(-event.deltaY * (event.deltaMode ? 0.05 : 0.0015)), element, event);
    }, { passive: false });
  }

  /* Choosing */

  function show(left, right) {
    shown = { left, right };
    [$("left").value, $("right").value] = [left, right];
    $("tag-left").textContent = data.pictures[left].name;
    $("tag-right").textContent = data.pictures[right].name;
    $("first").setAttribute("aria-label", `A: ${data.pictures[left].name}`);
    $("second").setAttribute("aria-label", `B: ${data.pictures[right].name}`);
    tiles.forEach(({ a, b }, index) => { a.hidden = index !== left; b.hidden = index !== right; });
    redraw();
  }

  function onKey(event) {
    if (event.target.closest("select") || event.ctrlKey || event.metaKey || event.altKey) return;
    const step = 60 / stageZoom();
    const arrows = { ArrowLeft: [-step, 0], ArrowRight: [step, 0], ArrowUp: [0, -step], ArrowDown: [0, step] };
    const keys = {
      "+": () => zoomBy(1.25), "=": () => zoomBy(1.25), "-": () => zoomBy(0.8), 0: () => look(view.x, view.y, 0),
      1: () => look(view.x, view.y, pixelwise), x: () => show(shown.right, shown.left),
      n: () => data.regions.length && lookAt((region + 1) % data.regions.length),
    };
    const action = event.shiftKey && arrows[event.key]
      ? () => look(view.x + arrows[event.key][0], view.y + arrows[event.key][1])
      : keys[event.key.toLowerCase()];
    if (!action) return;
    event.preventDefault();
    event.stopPropagation(); // before the slider takes the arrow for its line
    action();
  }

  /* Building */

  const made = (tag, properties = {}, ...children) => {
    const element = Object.assign(document.createElement(tag), properties);
    element.append(...children);
    return element;
  };

  const tiles = data.pictures.map(({ name, details }, index) => {
    const canvas = made("canvas");
    canvas.setAttribute("role", "img");
    canvas.setAttribute("aria-label", `Detail of ${name}`);
    const a = made("span", { className: "badge a", textContent: "A", hidden: true });
    const b = made("span", { className: "badge b", textContent: "B", hidden: true });
    $("tiles").append(made("figure", {}, canvas, made("figcaption", {}, made("strong", { textContent: name }), a, b,
      ...details.map((textContent) => made("small", { textContent })))));
    for (const id of ["left", "right"]) $(id).append(made("option", { value: index, textContent: name }));
    movable(canvas, tileZoom);
    return { canvas, a, b };
  });

  const marks = data.regions.map((_, index) => {
    const mark = made("div", { className: "mark" }, made("b", { textContent: index + 1 }));
    $("marks").append(mark);
    return mark;
  });
  const loupe = made("div", { className: "mark now" });
  $("marks").append(loupe);

  function buildRegions() {
    const aim = data.pictures.some(({ role }) => role === "target") ? "farthest from the target" : "largest differences";
    $("regions").append(made("span", { textContent: data.regions.length ? aim[0].toUpperCase() + aim.slice(1) : "The results do not differ" }));
    data.regions.forEach(({ difference }, index) => {
      const title = `Difference ${difference.toFixed(1)} of 255`;
      $("regions").append(made("button", { type: "button", title, textContent: index + 1, onclick: () => lookAt(index) }));
    });
  }

  function buildValues() {
    const results = data.pictures.filter(({ role }) => role === "result");
    const hasOptions = results.some(({ details }) => details.length);
    const titles = ["model", ...(hasOptions ? ["options"] : []), ...data.metrics.map(({ title }) => title), "seconds"];
    const head = made("tr", {}, ...titles.map((title) => made("th", { textContent: title, scope: "col" })));
    const rows = results.map(({ name, details, texts, best, seconds }) => made("tr", {},
      made("th", { textContent: name, scope: "row" }),
      ...(hasOptions ? [made("td", { textContent: details.join(", ") || "-" })] : []),
      ...data.metrics.map((metric) => made("td", {
        textContent: texts[metric.name],
        className: best.includes(metric.name) ? "best" : "",
      })),
      made("td", { textContent: seconds.toFixed(3) })));
    $("values").append(made("thead", {}, head), made("tbody", {}, ...rows));
    data.metrics.forEach(({ name, protocol }) => $("notes").append(made("p", { textContent: `${name}: ${protocol}.` })));
    data.failures.forEach(([name, reason]) => $("notes").append(made("p", { textContent: `${name}: ${reason}.` })));
    $("notes").append(made("p", { textContent: `Seconds: time of one run without reading and measuring${data.settings && `, with ${data.settings}`}.` }));
  }

  function buildFacts() {
    const [input] = data.pictures;
    const count = data.pictures.filter(({ role }) => role === "result").length;
    $("facts").textContent = `${input.size.join(" × ")} pixels to ${data.size.join(" × ")}, ${data.scale}× · ${count} ${count === 1 ? "model" : "models"}`;
    const embedded = data.embedded ? " The pictures are embedded without loss; the page loads nothing." : "";
    $("made").textContent = `Made with restore ${data.version}.${embedded}`;
  }

  function wire() {
    document.querySelector(".viewer").style.setProperty("--tall", height / width);
    for (const id of ["left", "right"]) $(id).onchange = () => show(+$("left").value, +$("right").value);
    $("swap").onclick = () => show(shown.right, shown.left);
    $("in").onclick = () => zoomBy(1.25);
    $("out").onclick = () => zoomBy(0.8);
    $("fit").onclick = () => look(view.x, view.y, 0);
    $("one").onclick = () => look(view.x, view.y, pixelwise);
    movable(slider, stageZoom);
    document.addEventListener("keydown", onKey, true);
    slider.addEventListener("slide", () => {
      const value = Math.round(slider.value);
      slider.setAttribute("aria-valuenow", value);
      slider.setAttribute("aria-valuetext", `${value}% A, ${100 - value}% B`);
    });
    new ResizeObserver(redraw).observe(document.body);
  }

  async function open() {
    buildFacts();
    buildRegions();
    buildValues();
    wire();
    show(...data.stage);
    if (first) lookAt(0);
    await Promise.all(data.stage.map((index) => decode("preview", index)));
    drawAll();
    performance.mark("stage-drawn");
    if (document.readyState === "loading") await new Promise((done) => addEventListener("DOMContentLoaded", done));
    await Promise.all(data.pictures.map((_, index) => decode("picture", index)));
    drawAll();
    performance.mark("all-drawn");
    document.documentElement.dataset.ready = "";
  }

  open();
})();

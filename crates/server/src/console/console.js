// What moves on the pages of the console. Every page works without it.
"use strict";

// --- Live figures: totals once a second, shown as what happened within that second.
(() => {
  const box = document.querySelector("[data-live]");
  if (!box) return;
  const POINTS = 60;
  const lines = {};
  let last = null;
  const texts = new Intl.NumberFormat(document.documentElement.lang, {
    maximumSignificantDigits: 4, notation: "standard",
  });

  const show = (name, text) => {
    const place = document.querySelector(`[data-figure="${name}"]`);
    if (place) place.textContent = text;
  };

  const draw = (name, value) => {
    const line = document.querySelector(`[data-line="${name}"] polyline`);
    if (!line) return;
    const points = (lines[name] ||= []);
    points.push(value);
    if (points.length > POINTS) points.shift();
    const most = Math.max(...points, 1e-9);
    const at = (value, n) => `${(n * 120) / (POINTS - 1)},${(26 - (value / most) * 24).toFixed(1)}`;
    line.setAttribute("points", points.map(at).join(" "));
  };

  const duration = (micros) => {
    if (micros === null) return "> 1 s";
    if (micros < 1000) return `${micros} µs`;
    return micros < 1e6 ? `${micros / 1000} ms` : `${micros / 1e6} s`;
  };

  // Of the answers since the last look; if none was measured, what is shown stays.
  const percentile = (name, part, now) => {
    const counts = now.durations.map((count, n) => count - last.durations[n]);
    const all = counts.reduce((sum, count) => sum + count, 0);
    if (all === 0) return;
    let below = 0;
    const found = counts.findIndex((count) => (below += count) >= Math.ceil(all * part));
    show(name, duration(now.bounds[found]));
  };

  const look = async () => {
    let now;
    try {
      const answer = await fetch(box.dataset.live, { cache: "no-store" });
      if (!answer.ok) return;
      now = await answer.json();
    } catch {
      return;
    }
    now.at = performance.now();
    if (last) {
      const seconds = (now.at - last.at) / 1000;
      for (const name of ["requests", "resolutions"]) {
        // One of the requests is this one.
        const own = name === "requests" ? 1 : 0;
        const rate = Math.max(0, now[name] - last[name] - own) / seconds;
        show(name, texts.format(rate < 10 ? Math.round(rate * 10) / 10 : Math.round(rate)));
        draw(name, rate);
      }
      const requests = now.requests - last.requests;
      const refused = now.refused - last.refused;
      show("refused", requests > 0 ? `${((refused * 100) / requests).toFixed(1)}%` : "0");
      percentile("median", 0.5, now);
      percentile("most", 0.99, now);
      show("connections", texts.format(now.connections));
      draw("connections", now.connections);
      for (const name of ["records", "changes"]) {
        const place = document.querySelector(`[data-total="${name}"]`);
        if (place && now[name] !== null) place.textContent = now[name].toLocaleString("en");
      }
    }
    last = now;
  };

  look();
  setInterval(() => document.hidden || look(), 1000);
})();

// --- Scan a code, with the camera or from a photo. Where the browser reads no codes itself, the
// node does: it is sent the picture in shades of grey, made small.
(() => {
  const box = document.getElementById("scanner");
  if (!box) return;
  const SIDE_MAX = 1000;
  const SIDE_FRAME = 640;
  const MARGIN = 16;
  const PAUSE_MS = 150;
  const BUSY_MS = 1000;
  const TRIES_MAX = 10;
  const [status, video] = [box.querySelector("p"), box.querySelector("video")];
  const [scan, photo] = [document.getElementById("scan"), document.getElementById("photo")];
  const file = document.getElementById("photo-file");
  const input = document.getElementById("handle");
  const begin = scan.textContent;
  const words = box.dataset;
  const canvas = document.createElement("canvas");
  const pen = canvas.getContext("2d", { willReadFrequently: true });
  let stream = null;
  let detector;

  const wait = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

  // The browser's own reader, if it knows both kinds of codes; null if not.
  const own = async () => {
    if (detector !== undefined) return detector;
    detector = null;
    const formats = ["qr_code", "data_matrix"];
    const known = "BarcodeDetector" in window
      ? await BarcodeDetector.getSupportedFormats().catch(() => []) : [];
    if (formats.every((format) => known.includes(format))) {
      detector = new BarcodeDetector({ formats });
    }
    return detector;
  };

  // Draws the middle of a picture, or all of it if `part` is 1, with a light margin around.
  const draw = (picture, part, side) => {
    const width = picture.videoWidth || picture.naturalWidth;
    const height = picture.videoHeight || picture.naturalHeight;
    const [w, h] = [width * part, height * part];
    const scale = Math.min(1, side / Math.max(w, h));
    const [across, down] = [w, h].map((length) => Math.max(1, Math.round(length * scale)));
    canvas.width = across + 2 * MARGIN;
    canvas.height = down + 2 * MARGIN;
    pen.fillStyle = "#ffffff";
    pen.fillRect(0, 0, canvas.width, canvas.height);
    const [x, y] = [(width - w) / 2, (height - h) / 2];
    pen.drawImage(picture, x, y, w, h, MARGIN, MARGIN, across, down);
  };

  // What the code on the canvas says; empty if there is none, null if the node asks for patience.
  const ask = async () => {
    const { data, width, height } = pen.getImageData(0, 0, canvas.width, canvas.height);
    const luma = new Uint8Array(width * height);
    for (let n = 0; n < luma.length; n++) {
      luma[n] = (data[4 * n] * 299 + data[4 * n + 1] * 587 + data[4 * n + 2] * 114) / 1000;
    }
    const said = new URLSearchParams({ width, height, token: words.token });
    const headers = { "Content-Type": "application/octet-stream" };
    const answer = await fetch(`/scan?${said}`, { method: "POST", headers, body: luma });
    if (answer.status === 204) return "";
    if (answer.status === 429 || answer.status === 503) return null;
    const text = await answer.text();
    if (!answer.ok) throw new Error(text);
    return text;
  };

  const read = async (picture, part, side) => {
    draw(picture, part, side);
    const reader = await own();
    if (!reader) return ask();
    const codes = await reader.detect(canvas);
    return codes.find((code) => code.rawValue)?.rawValue ?? "";
  };

  const stop = () => {
    stream?.getTracks().forEach((track) => track.stop());
    stream = null;
    video.srcObject = null;
    video.hidden = true;
    scan.textContent = begin;
  };

  const tell = (text) => {
    status.textContent = text;
  };

  const found = (text) => {
    stop();
    tell("");
    input.value = text;
    input.form.requestSubmit();
  };

  // Frame after frame: the whole one, and the middle of it for codes that are small or far away.
  const watch = async () => {
    for (let n = 0; stream; n++) {
      let text = "";
      try {
        if (video.videoWidth) text = await read(video, n % 2 ? 0.5 : 1, SIDE_FRAME);
      } catch (error) {
        stop();
        return tell(`${words.failed}: ${error.message}`);
      }
      if (!stream) return;
      if (text) return found(text);
      await wait(text === null ? BUSY_MS : PAUSE_MS);
    }
  };

  scan.addEventListener("click", async () => {
    if (stream) {
      tell("");
      return stop();
    }
    if (!navigator.mediaDevices) return tell(words.clear);
    try {
      const wanted = { facingMode: "environment", width: { ideal: 1280 } };
      stream = await navigator.mediaDevices.getUserMedia({ video: wanted });
    } catch ({ name }) {
      const why = {
        NotAllowedError: words.denied, SecurityError: words.denied,
        NotFoundError: words.none, OverconstrainedError: words.none,
      };
      return tell(why[name] ?? words.taken);
    }
    video.srcObject = stream;
    video.hidden = false;
    tell(words.aim);
    scan.textContent = words.stop;
    stream.getVideoTracks()[0].addEventListener("ended", stop);
    await video.play().catch(() => {});
    watch();
  });

  // A photo is looked at as a whole, more coarsely, and in its middle.
  const VIEWS = [[1, SIDE_MAX - 2 * MARGIN], [1, SIDE_FRAME / 2], [0.5, SIDE_FRAME]];
  const look = async (picture) => {
    for (const [part, side] of VIEWS) {
      let text = null;
      for (let n = 0; n < TRIES_MAX && text === null; n++) {
        if (n > 0) await wait(BUSY_MS);
        text = await read(picture, part, side);
      }
      if (text === null) throw new Error("503");
      if (text) return text;
    }
    return "";
  };

  const take = async (chosen) => {
    if (!chosen) return;
    stop();
    tell(words.wait);
    const picture = new Image();
    picture.src = URL.createObjectURL(chosen);
    try {
      await picture.decode().catch(() => {});
      if (!picture.naturalWidth) return tell(words.not);
      const text = await look(picture);
      if (text) found(text);
      else tell(words.blank);
    } catch (error) {
      tell(`${words.failed}: ${error.message}`);
    } finally {
      URL.revokeObjectURL(picture.src);
    }
  };
  photo.addEventListener("click", () => file.click());
  file.addEventListener("change", () => {
    take(file.files[0]);
    file.value = "";
  });
  input.form.addEventListener("dragover", (event) => {
    if (event.dataTransfer?.types.includes("Files")) event.preventDefault();
  });
  input.form.addEventListener("drop", (event) => {
    if (!event.dataTransfer?.files.length) return;
    event.preventDefault();
    take(event.dataTransfer.files[0]);
  });
  for (const id of ["scan", "photo", "photo-drop"]) document.getElementById(id).hidden = false;
})();

// --- Graph: where it is wider than the screen, show the record in the middle of it.
(() => {
  const box = document.querySelector(".graph");
  const here = box?.querySelector(".is-here rect")?.getBBox();
  if (here) box.scrollLeft = here.x + here.width / 2 - box.clientWidth / 2;
})();

// --- Designer: of the constraints, leave those of the type that was chosen.
document.querySelectorAll("[data-kind-choice]").forEach((choice) => {
  const limits = choice.closest("fieldset").querySelectorAll("[data-kinds]");
  const show = () => limits.forEach((limit) => {
    limit.hidden = !limit.dataset.kinds.split(" ").includes(choice.value);
  });
  choice.addEventListener("change", show);
  show();
});

// --- Import: send the chosen file as it is, and look again while a job is under way.
(() => {
  const form = document.getElementById("import");
  if (form) {
    const file = form.querySelector("input[type=file]");
    const fault = form.querySelector(".fault");
    const button = form.querySelector("button[type=submit]");
    file.closest("label").hidden = false;
    file.addEventListener("change", () => {
      const isLines = /\.(jsonl|ndjson)$/i.test(file.files[0]?.name ?? "");
      form.elements.format.value = isLines ? "jsonl" : "csv";
    });
    form.addEventListener("submit", async (event) => {
      const chosen = file.files[0];
      if (!chosen) return;
      event.preventDefault();
      const begin = button.textContent;
      button.disabled = true;
      button.textContent = form.dataset.sending;
      fault.textContent = "";
      const said = new URLSearchParams();
      for (const name of ["template", "mode", "format", "token"]) {
        said.set(name, form.elements[name].value);
      }
      if (form.elements.dryRun.checked) said.set("dryRun", "true");
      try {
        const headers = { "Content-Type": "application/octet-stream" };
        const answer = await fetch(`/import?${said}`, { method: "POST", headers, body: chosen });
        const isJson = answer.headers.get("content-type")?.includes("json");
        const told = isJson ? await answer.json() : { message: await answer.text() };
        if (answer.ok) location.assign(told.place);
        else fault.textContent = told.message;
      } catch (error) {
        fault.textContent = String(error);
      }
      button.disabled = false;
      button.textContent = begin;
    });
  }
  const waiting = document.querySelector("[data-again]");
  if (waiting) setTimeout(() => location.replace(waiting.dataset.again), 1500);
  // A narrow screen shows a part of the navigation: that with the page.
  const here = document.querySelector(".pages [aria-current]");
  if (here) here.scrollIntoView({ block: "nearest", inline: "center" });
})();

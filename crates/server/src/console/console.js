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

// --- Scan a code with the camera, where the browser reads codes.
(() => {
  const button = document.getElementById("scan");
  const box = document.getElementById("scanner");
  if (!button || !box || !navigator.mediaDevices) return;
  button.hidden = false;
  const [status, video] = [box.querySelector("p"), box.querySelector("video")];
  const begin = button.textContent;
  let stream = null;

  const stop = () => {
    stream?.getTracks().forEach((track) => track.stop());
    stream = null;
    video.hidden = true;
    button.textContent = begin;
  };

  const read = async (detector) => {
    if (!stream) return;
    const codes = await detector.detect(video).catch(() => []);
    const text = codes.find((code) => code.rawValue)?.rawValue;
    if (text && stream) {
      stop();
      const input = document.getElementById("handle");
      input.value = text;
      input.form.requestSubmit();
      return;
    }
    setTimeout(() => read(detector), 150);
  };

  button.addEventListener("click", async () => {
    if (stream) {
      box.hidden = true;
      return stop();
    }
    box.hidden = false;
    video.hidden = true;
    const known = "BarcodeDetector" in window
      ? await BarcodeDetector.getSupportedFormats().catch(() => []) : [];
    const formats = known.filter((format) => ["qr_code", "data_matrix"].includes(format));
    if (formats.length === 0) {
      status.textContent = button.dataset.unable;
      return;
    }
    try {
      stream = await navigator.mediaDevices.getUserMedia({ video: { facingMode: "environment" } });
      video.srcObject = stream;
      video.hidden = false;
      await video.play();
    } catch {
      stop();
      status.textContent = button.dataset.denied;
      return;
    }
    status.textContent = button.dataset.aim;
    button.textContent = button.dataset.stop;
    read(new BarcodeDetector({ formats }));
  });
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

// Codes read by the node: from a camera that shows a label which this node has printed, and from
// photos of one. The browser's own reader is taken away, as in most browsers.

import assert from "node:assert/strict";
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import { after, before, test } from "node:test";
import { base, judge, launch, open } from "./browser.mjs";

const HANDLE = "88.118.5/plain";
const FRAME = { width: 640, height: 480 };
const READ = /88\.118\.5\/plain$/;

let browser;
let folder;
before(async () => {
  folder = fs.mkdtempSync(path.join(os.tmpdir(), "guantong-scan-"));
  browser = await launch();
});
after(async () => {
  await browser.close();
  fs.rmSync(folder, { recursive: true });
});

const openResolve = async (from) => {
  const page = await open(from);
  await page.addInitScript(() => delete globalThis.BarcodeDetector);
  await page.goto(`${base}/resolve`);
  return page;
};

// Waits for the record behind a code; if it does not come, says what the page told instead.
const arrive = async (page) => {
  try {
    await page.locator("#found").waitFor();
  } catch (error) {
    const told = await page.locator("#scanner [role=status]").textContent().catch(() => "nothing");
    throw new Error(`no record: the page told "${told}"`, { cause: error });
  }
};

// A label from the console, as PNG.
const label = async (code) => {
  const page = await open(browser);
  await page.goto(`${base}/labels?handle=${HANDLE}&code=${code}&columns=2`);
  const picture = await page.locator("ul.labels li").first().screenshot();
  await page.context().close();
  return picture;
};

// The picture as it lies on a table, turned by some degrees: JPEG, or the grey of each pixel.
const photograph = async (picture, { width, height, part, degrees }) => {
  const page = await browser.newPage();
  const urls = await page.evaluate(async (task) => {
    const image = new Image();
    image.src = `data:image/png;base64,${task.picture}`;
    await image.decode();
    const canvas = document.createElement("canvas");
    [canvas.width, canvas.height] = [task.width, task.height];
    const pen = canvas.getContext("2d");
    pen.fillStyle = "#b8b0a8";
    pen.fillRect(0, 0, canvas.width, canvas.height);
    pen.translate(canvas.width / 2, canvas.height / 2);
    pen.rotate((task.degrees * Math.PI) / 180);
    const scale = (task.part * canvas.height) / image.height;
    pen.scale(scale, scale);
    pen.drawImage(image, -image.width / 2, -image.height / 2);
    const { data } = pen.getImageData(0, 0, canvas.width, canvas.height);
    let grey = "";
    for (let n = 0; n < data.length; n += 4) grey += String.fromCharCode(data[n + 1]);
    return { jpeg: canvas.toDataURL("image/jpeg", 0.85), grey: btoa(grey) };
  }, { picture: picture.toString("base64"), width, height, part, degrees });
  await page.close();
  const octets = (text) => Buffer.from(text, "base64");
  return { jpeg: octets(urls.jpeg.split(",")[1]), grey: octets(urls.grey) };
};

// A browser whose camera shows the picture.
const launchWithCamera = async (grey) => {
  const file = path.join(folder, "camera.y4m");
  const head = `YUV4MPEG2 W${FRAME.width} H${FRAME.height} F10:1 Ip A1:1 C420jpeg\n`;
  const colour = Buffer.alloc(grey.length / 2, 128);
  const frame = Buffer.concat([Buffer.from("FRAME\n"), grey, colour]);
  fs.writeFileSync(file, Buffer.concat([Buffer.from(head), frame, frame]));
  return launch([
    "--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream",
    `--use-file-for-fake-video-capture=${file}`,
  ]);
};

for (const code of ["qr", "datamatrix"]) {
  test(`the camera leads from a label with ${code} to its record`, async () => {
    const { grey } = await photograph(await label(code), { ...FRAME, part: 0.8, degrees: 8 });
    const seeing = await launchWithCamera(grey);
    try {
      const page = await openResolve(seeing);
      await page.locator("#scan").click();
      await arrive(page);
      assert.match(await page.inputValue("#handle"), READ);
      assert.equal(await page.locator("#found").count(), 1);
      await judge(page, "the record behind the camera");
    } finally {
      await seeing.close();
    }
  });

  test(`a photo leads from a label with ${code} to its record`, async () => {
    const size = { width: 2400, height: 1800 };
    const { jpeg } = await photograph(await label(code), { ...size, part: 0.4, degrees: -12 });
    const page = await openResolve(browser);
    const photo = { name: "label.jpg", mimeType: "image/jpeg", buffer: jpeg };
    await page.setInputFiles("#photo-file", photo);
    await arrive(page);
    assert.match(await page.inputValue("#handle"), READ);
    await page.context().close();
  });
}

test("a photo that is dropped is read, and one without a code is told", async () => {
  const page = await openResolve(browser);
  const drop = async (type, text) => {
    const given = await page.evaluateHandle(([type, text]) => {
      const octets = Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
      const transfer = new DataTransfer();
      transfer.items.add(new File([octets], "photo", { type }));
      return transfer;
    }, [type, text]);
    await page.dispatchEvent("#handle", "drop", { dataTransfer: given });
  };
  const status = page.locator("#scanner [role=status]");
  await drop("image/png", Buffer.from("no picture").toString("base64"));
  await status.filter({ hasText: "no picture" }).waitFor();
  const blank = await page.screenshot();
  await drop("image/png", blank.toString("base64"));
  await status.filter({ hasText: "No QR or Data Matrix code" }).waitFor();
  await judge(page, "a photo without a code");
  await drop("image/png", (await label("qr")).toString("base64"));
  await arrive(page);
  await page.context().close();
});

test("why there is no camera, and what to do, is told", async () => {
  const reasons = [
    ["NotAllowedError", /Allow it in the settings/],
    ["NotFoundError", /There is no camera/],
    ["NotReadableError", /Another program/],
    [null, /https/],
  ];
  for (const [name, told] of reasons) {
    const page = await open(browser);
    await page.addInitScript((name) => {
      const getUserMedia = () => Promise.reject(new DOMException("", name));
      const value = name ? { getUserMedia } : undefined;
      Object.defineProperty(navigator, "mediaDevices", { value });
    }, name);
    await page.goto(`${base}/resolve`);
    await page.locator("#scan").click();
    const status = page.locator("#scanner [role=status]");
    await status.filter({ hasText: told }).waitFor();
    assert.match(await status.innerText(), /photo/);
    await judge(page, `a camera that fails with ${name}`);
    await page.context().close();
  }
});

test("frames beyond the limits are refused", async () => {
  const page = await openResolve(browser);
  const answers = await page.evaluate(async () => {
    const send = async (said, len) => {
      const headers = { "Content-Type": "application/octet-stream" };
      const body = new Uint8Array(len);
      return (await fetch(`/scan?${said}`, { method: "POST", headers, body })).status;
    };
    return [
      await send("width=10&height=10", 99), await send("width=2000&height=10", 20000),
      await send("width=1024&height=1024", 1024 * 1024 + 1), await send("width=10&height=10", 100),
    ];
  });
  assert.deepEqual(answers, [400, 400, 413, 204]);
  await page.context().close();
});

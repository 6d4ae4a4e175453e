// The console in Chromium at work: a large import, a walk through a graph, a second factor, pasted
// codes, and what somebody means to be run and is shown.

import assert from "node:assert/strict";
import crypto from "node:crypto";
import fs from "node:fs";
import { after, before, test } from "node:test";
import { base, judge, launch, open, signIn } from "./browser.mjs";

let browser;
after(() => browser.close());

const CRATE = "88.118.5/META_crate";
const ROWS = 10_000;
const BAD = 37;

// A template with a serial number of four characters at least, and references.
const publish = async (page) => {
  await page.goto(`${base}/template/edit`);
  await page.fill('[name="title"]', "Crate");
  await page.fill('[name="code"]', "crate");
  await page.fill('[name="name.0"]', "serial");
  await page.check('[name="required.0"]');
  await page.selectOption('[name="readers.0"]', "everybody");
  await page.locator("summary").first().click();
  await page.fill('[name="lengthMin.0"]', "4");
  await page.locator("button[value=add]").click();
  await page.fill('[name="name.1"]', "part");
  await page.selectOption('[name="type.1"]', "reference");
  await page.selectOption('[name="readers.1"]', "everybody");
  await page.locator("button[value=save-publish]").click();
  await page.waitForURL(/META_crate/);
};

const register = async (page, handle, serial, part = "") => {
  await page.goto(`${base}/registration/edit?template=${CRATE}`);
  await page.fill('[name="named"]', handle);
  await page.fill('[name="field.serial"]', serial);
  await page.fill('[name="field.part"]', part);
  await page.locator("form.card button[type=submit]").click();
  await page.waitForURL(/\/record\?/);
};

before(async () => {
  browser = await launch();
  const page = await open(browser);
  await signIn(page);
  await publish(page);
  await register(page, "88.118.5/C1", "AB-0001");
  await register(page, "88.118.5/C2", "AB-0002", "88.118.5/C1");
  await register(page, "88.118.5/C3", "AB-0003", "88.118.5/C2");
  assert.deepEqual(page.faults, []);
  await page.context().close();
});

test("of ten thousand rows the wrong ones are listed, and start no program", async () => {
  const page = await open(browser);
  await signIn(page);
  await page.goto(`${base}/import?template=${CRATE}`);
  const lines = ["handle,serial"];
  for (let n = 0; n < ROWS; n++) {
    const isBad = n % 270 === 5 && n < BAD * 270;
    lines.push(`88.118.5/K${n},${isBad ? "=1" : `AB-${n}`}`);
  }
  // A name that a table would run, if it were not kept from it.
  lines[lines.length - 1] = "=cmd|' /C calc'!A0,AB-9999";
  lines[6] = "88.118.5/K5,AB-5000";
  const buffer = Buffer.from(lines.join("\n"));
  await page.setInputFiles("input[type=file]", { name: "k.csv", mimeType: "text/csv", buffer });
  await page.locator("#import button[type=submit]").click();
  await page.waitForURL(/\/import\?job=/);
  await page.locator("a[download]").first().waitFor({ timeout: 90_000 });
  await page.locator(".tag.good").waitFor({ timeout: 90_000 });
  assert.match(
    await page.locator("[role=status]").innerText(),
    /10,000 rows looked at · 9,963 made or changed · 37 refused/,
  );
  await judge(page, "the import");
  const loading = page.waitForEvent("download");
  await page.locator("a[download]").first().click();
  const table = fs.readFileSync(await (await loading).path(), "utf8").trimEnd().split("\n");
  assert.equal(table.length, BAD + 1);
  const risky = table.filter((line) => /(^|,)"?[=+@-]/.test(line));
  assert.deepEqual(risky, []);
  assert.ok(table.some((line) => line.includes("cmd|")), table.at(-1));
  await page.context().close();
});

test("the graph is walked with the mouse and with the keyboard", async () => {
  for (const width of [1280, 360]) {
    const page = await open(browser, { width });
    await signIn(page);
    await page.goto(`${base}/record?handle=88.118.5/C1&steps=1`);
    assert.equal(await page.locator(".graph-spot").count(), 2);
    await page.locator(".graph-spot", { hasText: "88.118.5/C2" }).click();
    await page.waitForURL(/C2/);
    assert.equal(await page.locator(".graph-spot").count(), 3);
    await page.locator(".graph-spot", { hasText: "88.118.5/C3" }).focus();
    await page.keyboard.press("Enter");
    await page.waitForURL(/C3/);
    await page.locator("#links ~ nav a", { hasText: /^2$/ }).click();
    await page.waitForURL(/steps=2/);
    assert.equal(await page.locator(".graph-spot").count(), 3);
    await judge(page, `the graph at ${width}`);
    await page.context().close();
  }
});

// What an app on a telephone shows for a secret in base32, `ahead` steps from now.
const codeOf = (secret, ahead = 0) => {
  const digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
  const bits = [...secret].map((c) => digits.indexOf(c).toString(2).padStart(5, "0")).join("");
  const key = Buffer.from(bits.match(/.{8}/g).map((octet) => parseInt(octet, 2)));
  const step = Buffer.alloc(8);
  step.writeBigUInt64BE(BigInt(Math.floor(Date.now() / 30_000) + ahead));
  const hash = crypto.createHmac("sha1", key).update(step).digest();
  const number = hash.readUInt32BE(hash.at(-1) & 15) & 0x7fffffff;
  return String(number % 1_000_000).padStart(6, "0");
};

test("a second factor is set up, and asked for from then on", async () => {
  const clerk = await open(browser);
  await signIn(clerk);
  await clerk.goto(`${base}/identities`);
  await clerk.locator("summary", { hasText: "New user" }).click();
  const form = clerk.locator("form:has([name=kind][value=user])");
  await form.locator("[name=code]").fill("zhao");
  await form.locator("[name=password]").fill("given by another");
  await form.locator("button[type=submit]").click();
  await clerk.waitForURL(/User_zhao/);
  await clerk.context().close();

  const page = await open(browser);
  const said = page.locator("form:has([name=user]):has([name=code])");
  const enter = async (fields) => {
    await page.fill("main [name=user]", "88.118.5/User_zhao");
    for (const [name, text] of Object.entries(fields)) {
      await said.locator(`[name=${name}]`).fill(text);
    }
    await said.locator("button[type=submit]").click();
  };
  const own = "known to himself alone";
  await page.goto(`${base}/sign-in`);
  await enter({ password: "given by another" });
  await enter({ password: "given by another", newPassword: own });
  await page.waitForURL(`${base}/`);

  await page.goto(`${base}/account`);
  const second = page.locator("form:has(button[value=begin])");
  await second.locator("[name=password]").fill(own);
  await second.locator("button[value=begin]").click();
  const secret = await page.locator("form code").innerText();
  await page.fill("main [name=password]", own);
  await page.fill("[name=newCode]", codeOf(secret));
  // That a password alone was refused is no fault of the page.
  page.faults.length = 0;
  await judge(page, "the secret of a second factor");
  await page.locator("button[value=confirm]").click();
  await page.locator("main [role=status]").waitFor();

  await page.context().clearCookies({ name: "guantong_session" });
  await page.goto(`${base}/sign-in`);
  await enter({ password: own });
  await page.locator("main [role=alert]").waitFor();
  // A code is good once: the app would show the next one by now.
  await enter({ password: own, code: codeOf(secret, 1) });
  await page.waitForURL(`${base}/`);
  await page.context().close();
});

test("what a scanner reads may be pasted", async () => {
  const page = await open(browser);
  for (const text of ["88.118.5/C1", "hdl:88.118.5/C1", "https://hdl.example/88.118.5/C1"]) {
    await page.goto(`${base}/resolve`);
    await page.fill("#handle", text);
    await page.locator("#handle").press("Enter");
    await page.waitForURL(/handle=/);
    assert.match(await page.locator("main").innerText(), /AB-0001/, text);
  }
  await judge(page, "a pasted code");
  await page.context().close();
});

test("what is meant to be run is shown as text", async () => {
  const page = await open(browser);
  page.on("dialog", (dialog) => {
    page.faults.push(`dialog: ${dialog.message()}`);
    dialog.dismiss();
  });
  await signIn(page);
  const text = `<script>alert(1)</script><img src="https://x.example/" onerror="alert(2)">`;
  await register(page, "88.118.5/X1", text, "88.118.5/C1");
  const places = [
    "/record?handle=88.118.5/X1", "/record?handle=88.118.5/C1", "/resolve?handle=88.118.5/X1",
    `/registrations?template=${CRATE}&field=serial&value=${encodeURIComponent(text)}`,
    "/registration/edit?handle=88.118.5/X1",
  ];
  for (const place of places) {
    await page.goto(base + place);
    await judge(page, place);
    assert.equal(await page.locator("main script, main img[src^=http]").count(), 0, place);
  }
  await page.goto(base + places[0]);
  assert.match(await page.locator("main").innerText(), /<script>alert\(1\)<\/script>/);
  await page.context().close();
});

test("the node reads its file again when it is told to", async () => {
  const page = await open(browser);
  await signIn(page);
  await page.goto(`${base}/settings`);
  await page.locator("button[value=reload]").click();
  assert.match(await page.locator("main [role=status]").innerText(), /Nothing in it has changed/);
  await judge(page, "the settings");
  await page.context().close();
});

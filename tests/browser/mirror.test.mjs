// A real mirror of the node: what the pages of both say of it while it follows, while it is gone, and
// while it cannot reach its primary.

import assert from "node:assert/strict";
import { execFileSync, spawn } from "node:child_process";
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import { after, before, test } from "node:test";
import { base, judge, launch, open, signIn } from "./browser.mjs";

const { GUANTONG_BINARY: binary, GUANTONG_CONFIG: config, GUANTONG_TCP: port } = process.env;
const NAME = "300:0.NA/88.118.5";
const DRESSES = [
  { width: 1280, lang: "en", theme: "light" },
  { width: 1280, lang: "zh", theme: "dark" },
  { width: 360, lang: "zh", theme: "dark" },
  { width: 360, lang: "en", theme: "light" },
];

let browser;
let folder;
let mirror;

const run = (...args) => execFileSync(binary, args, { encoding: "utf8" });

// Starts the mirror; gives the address of its console.
const start = async (of) => {
  const home = path.join(folder, "mirror");
  const settings = path.join(home, "guantong.toml");
  if (!fs.existsSync(home)) {
    run("init", home, "--port", "0", "--http-port", "0", "--console-port", "0");
  }
  const key = path.join(path.dirname(config), "admin_key.pem");
  const said = {
    primary: "false", of: `"${of}"`, identity: `"${NAME}"`, identity_key: `"${key}"`,
  };
  let text = fs.readFileSync(settings, "utf8");
  for (const [name, value] of Object.entries(said)) {
    text = text.replace(new RegExp(`^(# )?${name} = .*$`, "m"), `${name} = ${value}`);
  }
  fs.writeFileSync(settings, text);
  const addresses = path.join(home, "run", "addresses.json");
  fs.rmSync(addresses, { force: true });
  mirror = spawn(binary, ["serve", "--config", settings], { stdio: "ignore" });
  while (!fs.existsSync(addresses)) {
    assert.equal(mirror.exitCode, null, "the mirror has started");
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  return `http://${JSON.parse(fs.readFileSync(addresses, "utf8")).console}`;
};

const stop = async () => {
  if (!mirror || mirror.exitCode !== null) return;
  const ended = new Promise((resolve) => mirror.once("exit", resolve));
  mirror.kill("SIGTERM");
  await ended;
};

before(async () => {
  folder = fs.mkdtempSync(path.join(os.tmpdir(), "guantong-mirror-"));
  browser = await launch();
});
after(async () => {
  await stop();
  await browser.close();
  fs.rmSync(folder, { recursive: true });
});

// Loads a page anew until it says something.
const shows = async (page, place, text) => {
  for (;;) {
    await page.goto(place);
    const told = await page.locator("section:has(#sites)").innerText();
    if (text.test(told)) return told;
    await page.waitForTimeout(100);
  }
};

const seen = async (at, sign, text, what) => {
  for (const dress of DRESSES) {
    const page = await open(browser, { ...dress, at });
    if (sign) await signIn(page);
    await page.goto(`${at}/prefixes`);
    if (dress.lang === "en") {
      assert.match(await page.locator("section:has(#sites)").innerText(), text);
    }
    await judge(page, `${what} ${JSON.stringify(dress)}`);
    await page.context().close();
  }
};

test("a mirror is shown with its lag, by its primary and by itself", { timeout: 120_000 }, async () => {
  const there = await start(`127.0.0.1:${port}`);
  const page = await open(browser);
  await page.goto(`${base}/prefixes`);
  assert.doesNotMatch(await page.locator("main").innerText(), new RegExp(NAME), "to nobody");
  await signIn(page);
  const level = await shows(page, `${base}/prefixes`, /up to date/);
  assert.match(level, new RegExp(`${NAME}[^]*127\\.0\\.0\\.1:\\d+[^]*nothing`));
  const other = await open(browser, { at: there });
  await shows(other, `${there}/prefixes`, /up to date/);
  await other.context().close();
  await seen(there, false, new RegExp(`127\\.0\\.0\\.1:${port}[^]*up to date`), "the mirror");

  await stop();
  await shows(page, `${base}/prefixes`, /not connected/);
  run("record", "put", "88.118.5/behind", "--value", "1 URL https://example.org/", "--config", config);
  await shows(page, `${base}/prefixes`, /(\d+ changes|1 change) for \d+ second/);
  await seen(base, true, /not connected[^]*heard of/, "a mirror that is gone");
  await page.context().close();

  const alone = await start("127.0.0.1:1");
  const last = await open(browser, { at: alone });
  const told = await shows(last, `${alone}/prefixes`, /cannot be reached/);
  assert.match(told, /Last change taken\s+[1-9][^]*unknown until the primary is reached/);
  await last.context().close();
  await seen(alone, false, /cannot be reached/, "a mirror without its primary");
});

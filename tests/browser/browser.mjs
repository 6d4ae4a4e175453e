// A browser in front of the console, and what must hold of every page that it shows.

import assert from "node:assert/strict";
import fs from "node:fs";
import { createRequire } from "node:module";
import path from "node:path";

const packages = process.env.GUANTONG_PACKAGES;
const from = createRequire(path.join(packages, "x.js"));
const { chromium } = from("playwright-core");
const axe = fs.readFileSync(from.resolve("axe-core/axe.min.js"), "utf8");

export const base = `http://127.0.0.1:${process.env.GUANTONG_CONSOLE}`;

// Debian's; others say where theirs is.
const executablePath = process.env.CHROMIUM ?? "/usr/bin/chromium";

// Opens a browser; `close` ends it.
export const launch = (more = []) =>
  chromium.launch({ executablePath, args: ["--no-sandbox", ...more] });

// A page as one reader sees it, that remembers everything that must not happen.
export const open = async (
  browser, { width = 1280, lang = "en", theme = "light", at = base } = {},
) => {
  const context = await browser.newContext({
    viewport: { width, height: 800 },
    colorScheme: theme,
    locale: lang,
  });
  await context.addCookies([{ name: "gt_lang", value: lang, url: at }]);
  const page = await context.newPage();
  page.faults = [];
  page.on("console", (message) => {
    if (message.type() === "error") page.faults.push(`console: ${message.text()}`);
  });
  page.on("pageerror", (error) => page.faults.push(`script: ${error}`));
  page.on("request", (request) => {
    const url = request.url();
    if (!url.startsWith(at) && !/^(data|blob):/.test(url)) page.faults.push(`foreign: ${url}`);
  });
  return page;
};

export const signIn = async (page, who = "300:88.118.5/clerk", secret = "opensesame") => {
  await page.goto(`${base}/sign-in`);
  await page.locator("main summary").click();
  const form = page.locator("form:has(input[name=secret])");
  await form.locator("input[name=identity]").fill(who);
  await form.locator("input[name=secret]").fill(secret);
  await form.locator("button[type=submit]").click();
  await page.waitForURL(`${base}/`);
};

// What must hold of every page, whatever it shows.
export const judge = async (page, what) => {
  // The policy of the page lets no script in from outside, so axe comes through the debugger.
  await page.evaluate(axe);
  const { violations } = await page.evaluate(() => axe.run());
  const serious = violations.filter(({ impact }) => ["serious", "critical"].includes(impact));
  const told = serious.map(({ id, nodes }) => `${id}: ${nodes[0].html}`);
  assert.deepEqual(told, [], `axe of ${what}`);
  const over = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
  assert.ok(over <= 0, `${what} is ${over} pixels too wide`);
  assert.deepEqual(page.faults, [], what);
};

// The console in Chromium: the first steps, templates, registrations, every page in every dress.

import assert from "node:assert/strict";
import fs from "node:fs";
import path from "node:path";
import { after, before, test } from "node:test";
import { base, judge, launch, open, signIn } from "./browser.mjs";

let browser;
before(async () => {
  browser = await launch();
});
after(() => browser.close());

const TEMPLATE = "88.118.5/META_battery";

test("the first steps lead to an identifier that resolves", async () => {
  const page = await open(browser);
  await page.goto(`${base}/setup`);
  await judge(page, "the very first step");
  const code = fs.readFileSync(path.join(path.dirname(process.env.GUANTONG_CONFIG), "setup_code"));
  await page.fill("[name=setupCode]", code.toString().trim());
  await page.fill("main [name=user]", "li");
  await page.fill("main [name=password]", "correct horse battery");
  await page.locator("main button[type=submit]").click();
  await page.locator("button[value=battery]").waitFor();
  await judge(page, "the first steps");
  await page.locator("button[value=battery]").click();
  await page.waitForURL(/\/registration\/edit/);
  await page.fill('[name="named"]', "88.118.5/SN20260001");
  await page.fill('[name="field.serial"]', "AB-1234");
  await page.fill('[name="field.maker"]', "厂家 & Söhne");
  await page.fill('[name="field.capacity"]', "75.5");
  await page.fill('[name="field.made"]', "2026-03-01");
  await page.locator("form.card button[type=submit]").click();
  await page.waitForURL(/\/record\?handle=88\.118\.5\/SN20260001/);
  assert.equal(await page.locator("svg.qr").count(), 2);
  assert.match(await page.locator("main").innerText(), /厂家 & Söhne/);
  await page.goto(`${base}/resolve?handle=88.118.5/SN20260001`);
  assert.match(await page.locator("main").innerText(), /AB-1234/);
  await judge(page, "the first identifier");
  await page.context().close();
});

test("a template is designed, published, and refuses what does not fit", async () => {
  const page = await open(browser);
  await signIn(page);
  await page.goto(`${base}/template/edit`);
  await page.fill('[name="title"]', "Valve");
  await page.fill('[name="code"]', "valve");
  await page.fill('[name="name.0"]', "serial");
  await page.check('[name="required.0"]');
  await page.locator("summary").first().click();
  await page.fill('[name="lengthMin.0"]', "4");
  // Of the constraints only those of the chosen type are seen.
  assert.ok(!(await page.locator('[name="decimals.0"]').isVisible()));
  await page.locator("button[value=add]").click();
  await page.fill('[name="name.1"]', "pressure");
  await page.selectOption('[name="type.1"]', "number");
  await page.locator("button[value=save-publish]").click();
  await page.waitForURL(/META_valve/);
  await judge(page, "the template");
  await page.goto(`${base}/registration/edit?template=88.118.5/META_valve`);
  await page.fill('[name="named"]', "88.118.5/V1");
  await page.fill('[name="field.serial"]', "A");
  await page.fill('[name="field.pressure"]', "much");
  await page.locator("form.card button[type=submit]").click();
  const faults = await page.locator(".fault").allInnerTexts();
  assert.equal(faults.length, 2, faults.join("; "));
  assert.equal(await page.inputValue('[name="field.pressure"]'), "much");
  await judge(page, "the refused registration");
  await page.context().close();
});

test("a file is imported, and the refused rows are listed", async () => {
  const page = await open(browser);
  await signIn(page);
  await page.goto(`${base}/import?template=${TEMPLATE}`);
  const lines = ["handle,serial,maker", "88.118.5/SN2,AB-2222,甲", "88.118.5/SN3,A,乙"];
  const buffer = Buffer.from(lines.join("\n"));
  await page.setInputFiles("input[type=file]", { name: "b.csv", mimeType: "text/csv", buffer });
  await page.locator("#import button[type=submit]").click();
  await page.waitForURL(/\/import\?job=/);
  await page.locator("a[download]").first().waitFor();
  assert.match(await page.locator("main").innerText(), /1 made or changed · 1 refused/);
  await judge(page, "the import");
  await page.context().close();
});

test("a program gets a key that is shown once, and a user chooses his own password", async () => {
  const page = await open(browser);
  await signIn(page);
  await page.goto(`${base}/identities`);
  await page.locator("summary", { hasText: "New app identity" }).click();
  const app = page.locator("form:has([name=kind][value=app])");
  await app.locator("[name=code]").fill("line-3");
  await app.locator("button[type=submit]").click();
  assert.match(await page.locator(".notice pre").innerText(), /BEGIN PRIVATE KEY/);
  await judge(page, "the private key");
  await page.goto(`${base}/identities`);
  await page.locator("summary", { hasText: "New user" }).click();
  const form = page.locator("form:has([name=kind][value=user])");
  await form.locator("[name=code]").fill("wang");
  await form.locator("[name=password]").fill("given by another");
  await form.locator("button[type=submit]").click();
  await page.waitForURL(/User_wang/);
  const role = page.locator("li:has([name=role][value=auditors])");
  // The clerk was added to the prefix by hand, with every permission: he decides on roles.
  await role.locator("button", { hasText: "Give" }).click();
  await role.locator("button", { hasText: "Take away" }).waitFor();
  await role.locator("button").click();
  await role.locator("button", { hasText: "Give" }).waitFor();
  await judge(page, "the user");
  await page.context().close();

  const other = await open(browser);
  await other.goto(`${base}/sign-in`);
  await other.fill("main [name=user]", "88.118.5/User_wang");
  await other.fill("form:has([name=user]) [name=password]", "given by another");
  await other.locator("form:has([name=user]) button[type=submit]").click();
  await other.fill("form:has([name=user]) [name=password]", "given by another");
  await other.fill("[name=newPassword]", "known to himself alone");
  // That the first try was refused is no fault.
  other.faults.length = 0;
  await other.locator("form:has([name=user]) button[type=submit]").click();
  await other.waitForURL(`${base}/`);
  await judge(other, "the user's own overview");
  await other.context().close();
});

test("a granted field is shown to another enterprise's group, and then not", async () => {
  const page = await open(browser);
  await signIn(page);
  await page.goto(`${base}/registration/edit?template=88.118.5/META_valve`);
  await page.fill('[name="named"]', "88.118.5/V7");
  await page.fill('[name="field.serial"]', "AB12");
  await page.fill('[name="field.pressure"]', "4711");
  await page.locator("form.card button[type=submit]").click();
  await page.waitForURL(/\/record/);

  const other = await open(browser);
  await signIn(other, "300:88.118.6/App_tester", "shibboleth");
  const seen = async () => {
    await other.goto(`${base}/record?handle=88.118.5/V7`);
    return other.locator("main").innerText();
  };
  assert.doesNotMatch(await seen(), /4711/);
  assert.match(await seen(), /values that you may not see/);

  await page.goto(`${base}/grants?handle=88.118.5/META_valve`);
  await page.selectOption("form.fields [name=field]", "pressure");
  await page.fill("form.fields [name=subject]", "200:88.118.6/Group_quality");
  await page.locator("button[value=add]").click();
  await page.waitForURL(/done/);
  await page.fill("[name=for]", "300:88.118.6/App_tester");
  await page.locator("form:has([name=for]) button").click();
  await page.waitForURL(/for=/);
  assert.match(await page.locator("main").innerText(), /he is a member of 200:88\.118\.6/);
  await judge(page, "the grants");
  assert.match(await seen(), /4711/);
  await judge(other, "the record that was granted");
  await other.goto(`${base}/registrations?template=88.118.5/META_valve`);
  await judge(other, "the list that was granted");

  await page.locator("button[aria-label='Take away 200:88.118.6/Group_quality']").click();
  await page.waitForURL(/done/);
  assert.doesNotMatch(await seen(), /4711/);
  await page.context().close();
  await other.context().close();
});

test("an enterprise applies for a prefix, is rejected, amends, and is approved", async () => {
  const page = await open(browser);
  await signIn(page);
  await page.goto(`${base}/enterprise/edit?prefix=88.118.5`);
  const said = {
    name: "赤水酒业", number: "91520300MA6H00000X", prefix: "88.118.5.0042", user: "chishui",
    contact: "李", phone: "13900000000",
  };
  for (const [name, text] of Object.entries(said)) {
    await page.fill(`main [name="${name}"]`, text);
  }
  await page.locator("main form.card button[type=submit]").click();
  await page.waitForURL(/\/enterprise\?/);
  await page.fill("[name=reason]", "which document?");
  await page.locator("button[value=reject]").click();
  await page.locator("main a.button", { hasText: "Amend" }).click();
  await page.locator("main form.card button[type=submit]").click();
  await page.locator("button[value=approve]").click();
  await page.locator("button[value=delegate]").waitFor();
  await judge(page, "the application");
  await page.context().close();
});

test("every page is sound in both languages, light and dark, wide and narrow", async () => {
  const pages = [
    "/", "/sign-in", "/setup", "/resolve", "/resolve?handle=88.118.5/SN20260001",
    "/resolve?handle=%3Cb%3E", "/record?handle=88.118.5/SN20260001",
    "/record?handle=0.NA/88.118.5", "/templates", `/template?handle=${TEMPLATE}`,
    "/template/edit?example=batch", `/registrations?template=${TEMPLATE}`,
    `/registration/edit?template=${TEMPLATE}`,
    "/registration/edit?handle=88.118.5/SN20260001", "/labels",
    `/labels?template=${TEMPLATE}&code=datamatrix&columns=4`, `/import?template=${TEMPLATE}`,
    `/grants?handle=${TEMPLATE}`, "/grants", "/grants?handle=88.118.5/SN20260001",
    "/enterprises", "/enterprise/edit?prefix=88.118.5", "/identities", "/account",
    "/identity?handle=88.118.5/App_line-3", "/identity?handle=88.118.5/User_wang",
    "/group?handle=88.118.6/Group_quality",
    "/prefixes", "/audit", "/settings",
  ];
  const dresses = [
    { width: 1280, lang: "en", theme: "light" },
    { width: 1280, lang: "zh", theme: "dark" },
    { width: 360, lang: "zh", theme: "light" },
    { width: 360, lang: "en", theme: "dark" },
  ];
  for (const dress of dresses) {
    const page = await open(browser, dress);
    await signIn(page);
    for (const place of pages) {
      await page.goto(base + place);
      await judge(page, `${place} ${JSON.stringify(dress)}`);
    }
    await page.context().close();
  }
});

test("language and theme are switched by hand and stay", async () => {
  const page = await open(browser);
  await page.goto(`${base}/resolve`);
  await page.locator("button[name=lang]").click();
  assert.equal(await page.getAttribute("html", "lang"), "zh-CN");
  await page.locator("button[name=theme]").click();
  await page.locator("button[name=theme]").click();
  await page.goto(base);
  assert.equal(await page.getAttribute("html", "data-theme"), "dark");
  assert.equal(await page.getAttribute("html", "lang"), "zh-CN");
  await page.context().close();
});

test("the overview moves by itself", async () => {
  const page = await open(browser);
  await page.goto(base);
  await page.waitForFunction(() =>
    document.querySelector('[data-line="requests"] polyline').getAttribute("points").includes(" "));
  await judge(page, "the overview");
  await page.context().close();
});

test("the first key press leads past the navigation", async () => {
  const page = await open(browser);
  await page.goto(`${base}/templates`);
  await page.keyboard.press("Tab");
  await page.keyboard.press("Enter");
  assert.equal(await page.evaluate(() => document.activeElement.id), "content");
  await page.context().close();
});

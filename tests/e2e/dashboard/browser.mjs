// Drives the page of a dashboard that follows a run: `node dashboard.mjs URL FOLDER`. Its last line is what it saw, as JSON;
// anything that is not as it should be ends it with a failure.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";

const driver = join(process.env.CONVOKE_PUPPETEER, "lib/esm/puppeteer/puppeteer-core.js");
const { default: puppeteer } = await import(pathToFileURL(driver).href);
const [url, folder] = process.argv.slice(2);

const browser = await puppeteer.launch({
  executablePath: process.env.CONVOKE_CHROMIUM,
  // Whoever is root can't have the sandbox, as in most containers.
  args: ["--disable-gpu", "--no-first-run", ...(process.getuid?.() === 0 ? ["--no-sandbox"] : [])],
});
const page = await browser.newPage();
const [errors, outside, dialogs] = [[], [], []];
// That something was refused the browser says too: an item that had just ended can't be cancelled.
const refused = /the server responded with a status of 409/;
page.on("console", (message) => message.type() === "error" && !refused.test(message.text()) && errors.push(message.text()));
page.on("pageerror", (error) => errors.push(error.message));
page.on("dialog", (dialog) => { dialogs.push(dialog.message()); dialog.dismiss(); });
page.on("request", (request) => {
  if (!request.url().startsWith(url) && !request.url().startsWith("data:")) outside.push(request.url());
});
page.setDefaultTimeout(60_000);
await page.setViewport({ width: 1360, height: 900 });
await page.emulateMediaFeatures([{ name: "prefers-color-scheme", value: "light" }]);
await page.goto(url);

const text = (selector) => page.$eval(selector, (element) => element.textContent);
const until = (holds, ...given) => page.waitForFunction(holds, {}, ...given);
const controls = "#run .controls";

// What is live comes by itself: the run, and then how it goes on.
await until(() => document.querySelector("#running a[aria-current]") && location.hash.startsWith("#/live/"));
await page.waitForSelector(`${controls}:not([hidden])`);
const before = await text("#running .numbers");
await until((before) => document.querySelector("#running .numbers").textContent !== before, before);
assert.equal(await text("#run h1"), "agent-audit");
assert.ok((await page.$$("#now tbody tr")).length > 1, "workers and accounts are shown");

// No row of what goes on is higher than a line, and no heading breaks inside a word, however narrow it is.
for (const width of [1280, 1440, 1360]) {
  await page.setViewport({ width, height: 900 });
  const [rows, heads, labels] = await page.evaluate(() => {
    const high = (selector) => [...document.querySelectorAll(selector)].map((one) => one.offsetHeight);
    const of = "#now .workers tbody th";
    const cell = document.querySelector("#now .workers .long");
    cell.textContent = "a very long name of a file ".repeat(20);
    return [high("#now tbody tr"), high("#now thead tr"), high(of)];
  });
  assert.ok(Math.max(...rows, ...labels) < 36, `rows of one line at ${width}: ${rows}`);
  assert.ok(Math.max(...heads) < 36, `headings of one line at ${width}: ${heads}`);
  await page.screenshot({ path: join(folder, `live-${width}.png`) });
}

// Readable by all: names, roles, contrasts.
const axe = readFileSync(join(process.env.CONVOKE_PUPPETEER, "../axe-core/axe.min.js"), "utf8");
const readable = async (where) => {
  await page.evaluate(axe);
  const { violations } = await page.evaluate(() => window.axe.run(document));
  const said = violations.map(({ id, nodes }) => `${where}: ${id}: ${nodes[0].html.slice(0, 120)} (${nodes[0].failureSummary})`);
  assert.deepEqual(said, []);
};
await readable("live");

// The button pauses; what was under way ends; the key resumes.
await page.click(`${controls} button`);
await until((controls) => document.querySelector(`${controls} button`).textContent === "Resume", controls);
await until(() => document.querySelector("#running .state").textContent === "paused");
assert.match(await text("#run .banner"), /^Paused by /);
await page.screenshot({ path: join(folder, "paused.png") });
await page.emulateMediaFeatures([{ name: "prefers-color-scheme", value: "dark" }]);
await page.screenshot({ path: join(folder, "paused-dark.png") });
await readable("paused and dark");
await page.keyboard.press("p");
await until((controls) => document.querySelector(`${controls} button`).textContent === "Pause", controls);

// A page that is reloaded sees the same again.
await page.reload();
await page.waitForSelector(`${controls}:not([hidden])`);

// What is asked of an item names its number: labels can be those of others. While all is paused at once it stays in hands.
const asked = [];
page.on("request", (request) => request.url().endsWith("/api/control") && asked.push(JSON.parse(request.postData())));
const press = async (words, label) => {
  const button = await page.waitForFunction((words, label) => {
    const named = (button) => label === undefined || button.closest("tr")?.querySelector("b").textContent === label;
    return [...document.querySelectorAll("#run button")].find((one) => !one.hidden && one.textContent === words && named(one));
  }, {}, words, label);
  return button.evaluate((button) => {
    button.click();
    return button.closest("tr")?.querySelector("b").textContent;
  });
};
const stands = (label, ...states) => until((label, states) => {
  const row = [...document.querySelectorAll("#items tbody tr")].find((row) => row.querySelector("b").textContent === label);
  return states.find((state) => state === row?.querySelector(".badge").textContent);
}, label, states);
await press("Pause now");
await until(() => document.querySelector("#running .state").textContent === "paused");
// One whose answer had come by then ends, and can't be cancelled any more.
let label, became;
do {
  label = await press("Cancel");
  became = await (await stands(label, "skipped", "done")).jsonValue();
} while (became === "done");
assert.equal(typeof asked.at(-1).item, "number");
// And done again it is to be done, although nobody has it yet.
await press("Again", label);
await stands(label, "given back", "pending");
assert.equal(asked.at(-1).item, asked.at(-2).item);
await press("Resume");
await until((controls) => document.querySelector(`${controls} button`).textContent === "Pause", controls);

// It ends, and can't be changed any more. Then it is a past one, found by the keyboard.
await until(() => !["execute", "aggregate", "paused"].includes(document.querySelector("#running .state").textContent));
await until((controls) => document.querySelector(controls).hidden, controls);
await page.waitForSelector("#past a");
await page.keyboard.press("r");
await page.keyboard.type("no such run");
await until(() => document.querySelector("#none-past").textContent === "None is like this.");
await page.keyboard.press("Escape");
await page.waitForSelector("#past a");
await page.focus("#past a");
await page.keyboard.press("Enter");
await until(() => location.hash.startsWith("#/run/") && document.querySelector("#findings:not([hidden])"));
await page.screenshot({ path: join(folder, "past.png") });
await readable("past");
assert.match(await page.$eval("#run .keep", (link) => link.href), /\/api\/runs\/[0-9a-f-]+\/page$/);
await page.setViewport({ width: 400, height: 900 });
assert.ok(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth), "nothing sticks out where it is narrow");
await page.screenshot({ path: join(folder, "narrow.png") });

// Texts of files are shown, and are texts.
const seen = await page.evaluate(async () => ({
  shown: document.body.textContent.includes("onerror=window.attacked"),
  attacked: window.attacked ?? 0,
  elements: document.querySelectorAll("img, iframe, object, embed, svg, form, base, [onerror], [onclick], [onload]").length,
  strangers: [...document.scripts].filter((script) => !script.getAttribute("src")?.startsWith("assets/")).length,
  census: (await (await fetch(`api/runs/${location.hash.split("/").pop()}`)).json()).run.census,
}));
assert.ok(seen.shown, "the hostile names are shown");
assert.deepEqual([errors, outside, dialogs], [[], [], []]);
await browser.close();
console.log(JSON.stringify({ attacks: seen.attacked + seen.elements + seen.strangers, census: seen.census }));

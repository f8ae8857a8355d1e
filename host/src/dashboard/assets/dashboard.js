// The page: the lists of runs beside, the run that is looked at, and the keys.

import { folder, list, show, text, tone } from "./dom.js";
import { Live, ask } from "./live.js";
import { Past } from "./past.js";
import { RunView } from "./run.js";

const { count, counted, el, usd } = Convoke;
const $ = (id) => document.getElementById(id);

let silence = 0;

/** Says something for a moment, aloud for who does not see it. */
function say(line, bad = false) {
  const box = $("said");
  box.className = bad ? "said bad" : "said";
  text(box, line);
  clearTimeout(silence);
  silence = setTimeout(() => text(box, ""), bad ? 12_000 : 5_000);
}

const past = new Past($("past"), $("none-past"), { filter: $("filter"), status: $("status") });
const view = new RunView($("run"), { say });
const live = new Live(heard, linked);
let fleet = null;

/** What the address says. */
function named() {
  const [, which, run] = location.hash.match(/^#\/(run|live)\/([0-9a-f-]+)$/) ?? [];
  return { which, run };
}

function linked(state) {
  const words = { live: "live", away: "not connected, trying again", idle: "resting" };
  text($("link"), words[state]);
  $("link").className = `link ${state}`;
}

function heard({ fleet: runs, run }) {
  const ended = (of) => of?.filter((brief) => !brief.heard).map((brief) => brief.run).join();
  if (fleet === null || ended(fleet) !== ended(runs)) past.load();
  fleet = runs;
  list($("running"), runs, (brief) => brief.run, running);
  show($("none-running"), runs.length === 0);
  mark();
  const { which, run: wanted } = named();
  if (!wanted && runs.some((brief) => brief.heard)) location.replace(`#/live/${runs[0].run}`);
  if (which !== "live") return;
  if (run?.id === wanted) view.heard(run);
  // It is not among those that go on any more.
  else if (run === null) location.replace(`#/run/${wanted}`);
}

/** A run that goes on, in the list. */
function running() {
  const [name, state, where, numbers] = ["name", "state", "where", "numbers"].map((part) => el("span", { class: part }));
  const bar = el("i", {});
  const link = el("a", { class: "run" }, el("span", { class: "line" }, el("i", { class: "dot" }), name, state),
    el("span", { class: "meter", "aria-hidden": "true" }, bar), el("span", { class: "line" }, where, numbers));
  return {
    element: el("li", {}, link),
    update(brief) {
      const { items, pending } = brief.census;
      link.setAttribute("href", `#/live/${brief.run}`);
      Object.assign(link.dataset, { run: brief.run, tone: brief.alerts > 0 ? "bad" : tone(brief.state) });
      link.title = Convoke.text(`${brief.project} · process ${brief.pid}`);
      text(name, [brief.command, brief.subcommand].filter(Boolean).join(" ") || "a run");
      text(state, [brief.state, brief.alerts > 0 && counted(brief.alerts, "alert"), brief.incomplete && "incomplete"].filter(Boolean).join(", "));
      text(where, folder(brief.project));
      bar.style.width = `${items > 0 ? ((items - pending) / items) * 100 : 0}%`;
      text(numbers, `${count(items - pending)} of ${count(items)} · ${usd(brief.spent)}`);
    },
  };
}

/** Marks the run in the lists that is looked at. */
function mark() {
  const { which, run } = named();
  for (const link of document.querySelectorAll("a.run")) {
    if (run && link.getAttribute("href") === `#/${which}/${run}`) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
}

/** Shows what the address says. */
async function open() {
  const { which, run } = named();
  mark();
  show($("welcome"), !run);
  if (!run) show($("run"), false);
  live.look(which === "live" ? run : null);
  if (!run) return;
  view.open(run, which === "run");
  if (which !== "run") return;
  try {
    const whole = await ask(`api/runs/${run}`);
    if (view.id === run && view.isPast) view.past(whole);
  } catch (error) {
    say(error.message, true);
    show($("welcome"), true);
  }
}

function step(by) {
  const links = [...document.querySelectorAll("a.run")];
  const at = links.findIndex((link) => link.hasAttribute("aria-current"));
  const next = links[Math.min(Math.max(at + by, 0), links.length - 1)];
  next?.focus();
  next?.click();
}

function keys(event) {
  if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.target === $("filter") && event.key === "Escape") past.clear();
  if (event.target.closest?.("input, select, textarea, dialog")) return;
  const act = { j: () => step(1), k: () => step(-1), p: () => view.togglePause(), r: () => $("filter").focus() }[event.key];
  if (!act) return;
  event.preventDefault();
  act();
}

$("skip").addEventListener("click", (event) => {
  event.preventDefault();
  $("main").focus();
});
document.addEventListener("keydown", keys);
document.addEventListener("listed", mark);
window.addEventListener("hashchange", open);
setInterval(() => view.tick(), 1_000);
past.load();
open();

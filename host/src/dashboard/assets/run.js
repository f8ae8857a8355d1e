// The run that is looked at: the same page that a run has on disk, and beside it what can be seen and done while it goes on.

import { Controls } from "./controls.js";
import { folder, show, text } from "./dom.js";
import { Items } from "./items.js";
import { Model } from "./model.js";
import { Now } from "./now.js";

/** At most so often it is drawn. */
const EVERY = 500;

const KEYS = [["j k", "the next, the previous run"], ["p", "pause or resume the run"], ["r", "filter past runs"]];

export class RunView {
  constructor(root, { say }) {
    const { el } = Convoke;
    this.root = root;
    this.say = say;
    this.id = null;
    this.app = new Convoke.App(root);
    this.controls = new Controls(say);
    this.now = new Now();
    this.items = new Items((change, said) => this.controls.send(change, said));
    // The way past the lists is the page's own, and no address.
    root.querySelector(".skip").remove();
    this.app.main.tabIndex = -1;
    this.app.head.append(this.controls.element);
    const after = (id, element) => this.app.main.querySelector(`#${id}`).after(element);
    after("timeline", this.items.element);
    after("summary", this.now.element);
    this.app.help.querySelector("dl").append(...KEYS.flatMap(([keys, said]) =>
      [el("dt", {}, keys.split(" ").map((key) => el("kbd", { text: key }))), el("dd", { text: said })]));
    this.keep = el("a", { class: "keep", text: "Keep as a file", download: true });
    this.app.head.append(this.keep);
    this.app.onchoose = (hit) => this.chosen(hit);
  }

  /** Looks at this run from now on. */
  open(id, isPast) {
    Object.assign(this, { id, isPast, model: new Model(), shown: false });
    this.controls.of(id);
    this.items.all = false;
    this.items.find.value = "";
    this.app.view = null;
    this.app.rowsFilter.value = "";
    this.app.gantt.chosen = null;
    for (const part of [this.now, this.items]) show(part.element, false);
    show(this.root, false);
  }

  /** What was told live. */
  heard({ heard, incomplete, patch }) {
    this.model.apply(patch);
    Object.assign(this.model, { heard, incomplete });
    this.soon();
  }

  /** A run of the journal: its timeline, its report, and what is missing. */
  past({ timeline, report, missing }) {
    if (timeline) this.model.timeline = timeline;
    this.model.heard = false;
    this.report = report;
    this.missing = missing;
    this.draw();
  }

  /** Time goes by. */
  tick() {
    if (!this.id || this.isPast || !this.shown || document.hidden) return;
    this.model.tick();
    this.soon();
  }

  soon() {
    if (!this.shown) return this.draw();
    this.due ??= setTimeout(() => this.draw(), EVERY);
  }

  draw() {
    clearTimeout(this.due);
    this.due = null;
    const { model, app, isPast } = this;
    const { timeline } = model;
    show(this.root, true);
    app.set({ timeline, report: isPast ? this.report : null, missing: isPast ? this.missing : notices(model) });
    if (!this.shown) app.scale.fit();
    this.shown = true;
    const goes = !isPast && model.goes();
    show(this.keep, isPast);
    this.keep.setAttribute("href", `api/runs/${this.id}/page`);
    show(this.now.element, goes);
    show(this.items.element, goes);
    if (goes) {
      this.now.draw(model);
      this.items.draw(model);
    }
    const accounts = model.sample?.accounts ?? [];
    this.controls.update({
      goes,
      paused: timeline.paused !== undefined,
      limit: accounts.length > 0 ? Math.max(...accounts.map(({ limit }) => limit)) : null,
      mode: modeOf(timeline),
    });
    const name = timeline.run ? `${timeline.run.command} in ${folder(timeline.run.project)}` : "a run";
    document.title = `${Convoke.text(name)} · convoke`;
  }

  /** Who chooses a bar of the timeline wants its item. */
  chosen(hit) {
    const place = hit?.bar?.hold?.item ?? hit?.row?.question?.item;
    const item = this.model.timeline.items[place];
    if (!item || this.isPast) return;
    this.items.find.value = item.label;
    this.items.draw(this.model);
  }

  togglePause() {
    this.controls.toggle();
  }
}

/** The mode as it is now: what it began with, or what somebody has set since. */
function modeOf({ run, marks }) {
  const set = marks.findLast(({ kind, text }) => kind === "controlled" && /^mode (safe|balanced|performance)\b/.test(text));
  return set ? set.text.split(/[ :]/)[1] : run?.mode;
}

/** What has to be known before all else. */
function notices({ timeline, heard, incomplete }) {
  const lines = [];
  if (incomplete) {
    lines.push("A part of what this run has told is missing here: it has told more than it keeps for who comes late. " +
      "Items, questions and dollars are not all shown: `convoke ctl status` counts all of them, and so does the report.");
  }
  if (!heard && !timeline.ended) lines.push("Nothing is heard of its process any more. What was done is in the journal: `convoke resume` goes on.");
  if (timeline.ended) return lines;
  if (timeline.paused !== undefined) lines.push(`Paused by ${timeline.paused}: nothing more is begun until it is resumed.`);
  for (const [alert, reason] of Object.entries(timeline.alerts)) lines.push(`Alert, ${alert}: ${reason}`);
  return lines;
}

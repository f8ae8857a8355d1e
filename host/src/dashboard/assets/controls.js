// What can be done with a run that goes on: the same as `convoke ctl` does.

import { show, text } from "./dom.js";
import { control } from "./live.js";

const { el } = Convoke;
const MODES = ["safe", "balanced", "performance"];

export class Controls {
  constructor(say) {
    this.say = say;
    this.busy = false;
    this.pause = el("button", { type: "button", "aria-keyshortcuts": "p", on: { click: () => this.toggle() } });
    this.now = el("button", {
      type: "button", class: "quiet", text: "Pause now",
      title: "What is under way is broken off, and asked again later",
      on: { click: () => this.send({ do: "pause", now: true }, "paused at once") },
    });
    this.limit = el("input", { type: "number", min: 1, max: 100, step: 1, "aria-label": "Questions in flight at most" });
    this.limit.addEventListener("change", () => this.setLimit(Number(this.limit.value)));
    const step = (by, label) => el("button", {
      type: "button", class: "quiet step", text: by > 0 ? "+" : "−", "aria-label": label,
      on: { click: () => this.setLimit((Number(this.limit.value) || 0) + by) },
    });
    this.mode = el("select", { "aria-label": "Mode" }, ...MODES.map((mode) => el("option", { value: mode, text: mode })));
    this.mode.addEventListener("change", () => this.send({ do: "mode", set: this.mode.value }, `mode ${this.mode.value}`));
    this.element = el("div", { class: "controls", role: "toolbar", "aria-label": "Controls of this run" },
      this.pause, this.now,
      el("span", { class: "group" }, el("span", { class: "label", text: "Limit" }), step(-1, "One fewer"), this.limit, step(1, "One more")),
      el("label", { class: "group" }, el("span", { class: "label", text: "Mode" }), this.mode));
  }

  /** They are of this run from now on. */
  of(run) {
    this.run = run;
    this.update({ goes: false, paused: false, limit: null });
  }

  /** How the run stands now. */
  update({ goes, paused, limit, mode }) {
    this.goes = goes;
    this.paused = paused;
    show(this.element, goes);
    text(this.pause, paused ? "Resume" : "Pause");
    this.pause.className = paused ? "main" : "";
    show(this.now, !paused);
    if (document.activeElement !== this.limit && limit !== null) this.limit.value = limit;
    if (document.activeElement !== this.mode && mode) this.mode.value = mode;
  }

  toggle() {
    if (!this.goes) return;
    return this.paused ? this.send({ do: "resume" }, "resumed") : this.send({ do: "pause", now: false }, "paused");
  }

  setLimit(wanted) {
    const limit = Math.min(Math.max(Math.round(wanted), 1), 100);
    if (!Number.isFinite(limit)) return;
    this.limit.value = limit;
    return this.send({ do: "limit", set: limit }, `limit ${limit}`);
  }

  async send(change, done) {
    if (this.busy) return;
    this.busy = true;
    this.element.setAttribute("aria-busy", "true");
    const answer = await control(this.run, change);
    this.busy = false;
    this.element.removeAttribute("aria-busy");
    if (answer.ok) this.say(answer.changed?.map(({ became }) => became).filter(Boolean).join("; ") || done);
    else this.say([answer.error, answer.hint].filter(Boolean).join(": "), true);
  }
}

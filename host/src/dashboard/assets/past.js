// The runs that are over, as the journal has them.

import { folder, list, show, text, tone, when } from "./dom.js";
import { ask } from "./live.js";

const { counted, el, time, usd } = Convoke;

export class Past {
  constructor(element, none, { filter, status }) {
    Object.assign(this, { element, none, filter, status, runs: [], more: false });
    filter.addEventListener("input", () => this.draw());
    status.addEventListener("change", () => this.draw());
  }

  async load() {
    try {
      const { runs, more } = await ask("api/runs");
      Object.assign(this, { runs, more, trouble: null });
    } catch (error) {
      this.trouble = error.message;
    }
    this.draw();
  }

  clear() {
    this.filter.value = "";
    this.draw();
  }

  draw() {
    const words = this.filter.value.toLowerCase().split(/\s+/).filter(Boolean);
    const status = this.status.value;
    // What still runs stands above.
    const over = this.runs.filter((run) => run.status !== "running");
    const fitting = over.filter((run) => {
      const whole = [run.command, run.subcommand, ...(run.words ?? []), run.project, run.run, run.status].join(" ").toLowerCase();
      return (!status || run.status === status) && words.every((word) => whole.includes(word));
    });
    list(this.element, fitting, (run) => run.run, line);
    const older = this.more ? "Older ones: convoke runs --all" : "";
    const none = over.length > 0 ? "None is like this." : "Nothing was run yet.";
    text(this.none, this.trouble ?? (fitting.length > 0 ? older : none));
    show(this.none, this.none.textContent);
    document.dispatchEvent(new Event("listed"));
  }
}

/** A run in the list. */
function line() {
  const [name, state, where, numbers] = ["name", "state", "where", "numbers"].map((part) => el("span", { class: part }));
  const link = el("a", { class: "run" }, el("span", { class: "line" }, el("i", { class: "dot" }), name, state),
    el("span", { class: "line" }, where, numbers));
  return {
    element: el("li", {}, link),
    update(run) {
      link.setAttribute("href", `#/run/${run.run}`);
      Object.assign(link.dataset, { run: run.run, tone: tone(run.status) });
      link.title = Convoke.text([run.words?.join(" "), counted(run.census.items, "item"), run.project, run.short].filter(Boolean).join(" · "));
      text(name, [run.command, run.subcommand].filter(Boolean).join(" "));
      text(state, run.status);
      text(where, [when(run.started), folder(run.project)].join(" · "));
      const took = run.took_ms === null ? "" : `${time(run.took_ms * 1000)} · `;
      text(numbers, `${took}${usd(run.usage.usd)}`);
    },
  };
}

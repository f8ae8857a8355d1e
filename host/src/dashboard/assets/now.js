// What a run does at this moment: its accounts with their queues and quotas, and what each worker is at.

import { list, show, text } from "./dom.js";

const { count, counted, el, percent, short, time } = Convoke;
const SAID = new Map(Convoke.STATES);

/** So many workers are shown. */
const MOST = 100;

const cells = (...classes) => classes.map((name, place) => el(place === 0 ? "th" : "td", { class: name, scope: place === 0 && "row" }));

export class Now {
  constructor() {
    this.accounts = el("tbody", {});
    this.workers = el("tbody", {});
    this.machine = el("p", { class: "small" });
    this.accountsIn = table(["Account", "In flight", "Waiting", "Idle", "Breaker", "Quota left a minute"], this.accounts, [1, 2, 3]);
    this.workersIn = table(["Worker", "Item", "What it does", "For"], this.workers, [3]);
    this.element = Convoke.sectionOf("now", "Now", this.machine, el("div", { class: "pair" }, this.workersIn, this.accountsIn));
  }

  draw({ timeline, sample }) {
    const { cpu, memory, retries_left: retries } = sample ?? {};
    const known = [
      timeline.phases.at(-1)?.phase ?? "planning",
      typeof cpu === "number" && `CPU ${percent(cpu)}`,
      typeof memory === "number" && `memory ${percent(memory)}`,
      retries !== undefined && `${counted(retries, "retry", "retries")} left to this process`,
    ];
    text(this.machine, known.filter(Boolean).join(" · "));
    this.drawAccounts(sample?.accounts ?? []);
    this.drawWorkers(timeline);
  }

  drawAccounts(accounts) {
    list(this.accounts, accounts, ({ account }) => account, () => {
      const all = cells("", "end", "end", "end", "", "");
      return {
        element: el("tr", {}, all),
        update({ account, in_flight: inFlight, limit, waiting, idle, breaker, free: [requests, input, output] }) {
          const left = [[requests, "requests"], [input, "tokens in"], [output, "out"]].filter(([many]) => many !== null);
          const values = [account, `${count(inFlight)} of ${count(limit)}`, count(waiting), count(idle), breaker,
            left.map(([many, what]) => `${short(many)} ${what}`).join(", ") || "not limited"];
          all.forEach((cell, place) => text(cell, values[place]));
          all[4].dataset.tone = breaker === "closed" ? "good" : "bad";
        },
      };
    });
    show(this.accountsIn, accounts.length > 0);
  }

  drawWorkers(timeline) {
    const asked = new Map();
    // Those that are open are among the last.
    for (const question of timeline.questions.slice(-2000)) if (question.to === undefined && question.item !== null) asked.set(question.item, question);
    const rows = [];
    timeline.workers.forEach((worker, place) => {
      if (worker.to !== undefined || rows.length >= MOST) return;
      const last = worker.holds.at(-1);
      const hold = last && last.to === undefined ? last : null;
      rows.push({ worker, place, hold, last, item: hold && timeline.items[hold.item], question: hold && asked.get(hold.item) });
    });
    list(this.workers, rows, ({ place }) => place, () => {
      const all = cells("", "", "", "end");
      return {
        element: el("tr", {}, all),
        update({ worker, hold, last, item, question }) {
          const [state, since] = question?.states.at(-1) ?? [];
          const beside = [question?.pace && `${count(question.pace)} tokens/s`, question?.tier, item?.progress?.[1]];
          const does = question ? SAID.get(state) ?? state : hold ? "at work" : worker.ready_after === undefined ? "starting" : "idle";
          const values = [`worker ${worker.worker + 1}`, item ? item.label || `item ${item.item + 1}` : "",
            [does, ...beside].filter(Boolean).join(", "), time(Math.max(0, timeline.now - (since ?? hold?.from ?? last?.to ?? worker.from)))];
          all.forEach((cell, place) => text(cell, values[place]));
          all[0].title = Convoke.text(worker.segment);
          all[2].dataset.state = state ?? (hold ? "held" : "idle");
        },
      };
    });
    show(this.workersIn, rows.length > 0);
  }
}

/** A table with these columns, those at the `ends` on the right. */
export function table(columns, body, ends = []) {
  const head = columns.map((column, place) => el("th", { scope: "col", class: ends.includes(place) && "end", text: column }));
  return el("div", { class: "wide" }, el("table", { class: "plain" }, el("thead", {}, el("tr", {}, head)), body));
}

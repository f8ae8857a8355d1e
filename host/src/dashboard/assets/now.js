// What a run does at this moment: its accounts with their queues and quotas, and what each worker is at.

import { asked, clock, doing } from "./doing.js";
import { list, show, text } from "./dom.js";

const { count, counted, el, percent, short } = Convoke;

/** So many workers are shown. */
const MOST = 100;

const cells = (...classes) => classes.map((name, place) => el(place === 0 ? "th" : "td", { class: name, scope: place === 0 && "row" }));

export class Now {
  constructor() {
    this.accounts = el("tbody", {});
    this.workers = el("tbody", {});
    this.machine = el("p", { class: "small" });
    this.accountsIn = table(["Account", "In flight", "Waiting", "Idle", "Breaker", "Quota left a minute"], this.accounts, [1, 2, 3]);
    this.accountsIn.classList.add("accounts");
    this.workersIn = table(["Worker", "Item", "Held", "What it does", "Tier"], this.workers, [2]);
    this.workersIn.classList.add("workers");
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
      const all = cells("", "end", "end", "end", "", "long");
      return {
        element: el("tr", {}, all),
        update({ account, in_flight: inFlight, limit, waiting, idle, breaker, free: [requests, input, output] }) {
          const left = [[requests, "requests"], [input, "tokens in"], [output, "out"]].filter(([many]) => many !== null);
          const values = [account, `${count(inFlight)} of ${count(limit)}`, count(waiting), count(idle), breaker,
            left.map(([many, what]) => `${short(many)} ${what}`).join(", ") || "not limited"];
          all.forEach((cell, place) => text(cell, values[place]));
          all[5].title = Convoke.text(values[5]);
          all[4].dataset.tone = breaker === "closed" ? "good" : "bad";
        },
      };
    });
    show(this.accountsIn, accounts.length > 0);
  }

  drawWorkers(timeline) {
    const questions = asked(timeline);
    const rows = [];
    timeline.workers.forEach((worker, place) => {
      if (worker.to !== undefined || rows.length >= MOST) return;
      const last = worker.holds.at(-1);
      const hold = last && last.to === undefined ? last : null;
      const does = doing(timeline, worker, hold, hold && questions.get(hold.item));
      const held = hold ? [Convoke.itemName(timeline, hold.item), clock(timeline.now - hold.from)] : ["", ""];
      rows.push({ worker, place, held, does });
    });
    list(this.workers, rows, ({ place }) => place, () => {
      const all = cells("", "long", "end", "long", "");
      return {
        element: el("tr", {}, all),
        update({ worker, held, does }) {
          const values = [`worker ${worker.worker + 1}`, ...held, does.words, does.tier ?? ""];
          all.forEach((cell, place) => text(cell, values[place]));
          [worker.segment, values[1], "", values[3]].forEach((whole, place) => (all[place].title = Convoke.text(whole)));
          all[3].dataset.state = does.state;
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

// The items of a run that goes on, those first that want a look, each with what can be done with it.

import { list, show, text } from "./dom.js";
import { table } from "./now.js";

const { el, time } = Convoke;
const ORDER = { failed: 0, fallback: 1, "in hand": 2, "given back": 3, pending: 3, skipped: 4, done: 5, cached: 6 };
const AGAIN = ["failed", "fallback", "skipped"];

/** So many are shown at first, and so many at most. */
const [FIRST, MOST] = [30, 1000];

export class Items {
  /** `send(change, said)` asks the run. */
  constructor(send) {
    this.send = send;
    this.all = false;
    this.body = el("tbody", {});
    this.find = el("input", {
      type: "search", class: "narrow", placeholder: "Filter items…", spellcheck: "false",
      "aria-label": "Filter items by name, group or how they stand", on: { input: () => this.draw(this.model) },
    });
    this.more = el("button", { type: "button", class: "quiet", on: { click: () => { this.all = true; this.draw(this.model); } } });
    this.none = el("p", { class: "nothing" });
    this.element = Convoke.sectionOf("items", "Items", el("div", { class: "tools" }, this.find),
      table(["Item", "Stands", "Attempts", "Took", "Change"], this.body, [2, 3, 4]), this.none, this.more);
  }

  draw(model) {
    this.model = model;
    const { timeline } = model;
    const goes = model.goes();
    const wanted = this.find.value.trim().toLowerCase();
    const rows = [];
    timeline.items.forEach((item, place) => {
      const state = stands(timeline, item, place);
      if (!wanted || `${item.label} ${item.group ?? ""} ${state}`.toLowerCase().includes(wanted)) rows.push({ item, place, state, goes, now: timeline.now });
    });
    rows.sort((one, other) => ORDER[one.state] - ORDER[other.state] || other.place - one.place);
    const shown = rows.slice(0, this.all ? MOST : FIRST);
    list(this.body, shown, ({ place }) => place, () => this.row());
    text(this.more, `Show ${Math.min(rows.length, MOST) - shown.length} more`);
    show(this.more, !this.all && rows.length > shown.length);
    text(this.none, timeline.items.length > 0 ? "No item is like this." : "No item was taken yet.");
    show(this.none, rows.length === 0);
  }

  row() {
    // Others may be called as it is, or have its name as their id: nobody else has its number.
    let [label, number] = ["", 0];
    const button = (words, change, said) =>
      el("button", { type: "button", class: "quiet", text: words, on: { click: () => this.send({ do: change, item: number }, `${label}: ${said}`) } });
    const [cancel, again] = [button("Cancel", "cancel", "cancelled"), button("Again", "requeue", "is done again")];
    const [name, group, badge, reason] = [el("b", {}), el("small", {}), el("span", { class: "badge" }), el("span", { class: "because" })];
    const [tries, took] = [el("td", { class: "end" }), el("td", { class: "end" })];
    return {
      element: el("tr", {}, el("th", { scope: "row" }, name, " ", group), el("td", {}, badge, " ", reason), tries, took,
        el("td", { class: "end" }, cancel, again)),
      update({ item, state, goes, now }) {
        number = item.item;
        label = item.label || `item ${number}`;
        text(name, label);
        text(group, item.group ?? "");
        text(badge, state);
        badge.className = `badge o-${item.outcome?.state ?? (state === "in hand" ? "held" : "pending")}`;
        text(reason, item.outcome ? item.outcome.reason ?? "" : item.returned?.at(-1)?.reason ?? "");
        text(tries, item.attempts);
        const until = item.to ?? (state === "in hand" ? now : undefined);
        text(took, item.from === undefined || until === undefined ? "" : time(Math.max(0, until - item.from)));
        cancel.setAttribute("aria-label", `Cancel ${Convoke.text(label)}`);
        again.setAttribute("aria-label", `Do ${Convoke.text(label)} again`);
        show(cancel, goes && !item.outcome);
        show(again, goes && AGAIN.includes(state));
      },
    };
  }
}

function stands(timeline, item, place) {
  if (item.outcome) return item.outcome.state;
  const hold = timeline.workers[item.worker]?.holds.at(-1);
  if (hold && hold.to === undefined && hold.item === place) return "in hand";
  // One that had ended and is done again may have been given back by nobody.
  return item.returned ? "given back" : "pending";
}

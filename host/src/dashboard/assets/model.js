// The picture of a run that goes on, as the server's patches make it. The fold of events is the server's: here rows are only
// put where they belong.

export class Model {
  constructor() {
    this.timeline = empty();
    this.sample = null;
    this.heard = true;
    this.incomplete = false;
    this.received = performance.now();
  }

  /** Takes in what changed. */
  apply(patch) {
    if (patch.full) this.timeline = empty();
    const timeline = this.timeline;
    for (const [name, value] of Object.entries(patch)) {
      if (name === "rows") {
        for (const [which, rows] of Object.entries(value)) for (const [place, row] of rows) timeline[which][place] = row;
      } else if (name === "tails") {
        for (const [which, [from, rows]] of Object.entries(value)) {
          timeline[which].length = from;
          for (const row of rows) timeline[which].push(row);
        }
      } else if (name === "sample") this.sample = value;
      else if (name === "paused" && value === null) delete timeline.paused;
      else if (name !== "full" && name !== "version") timeline[name] = value;
    }
    this.told = timeline.now;
    this.received = performance.now();
  }

  /** The time of the run goes on between events. */
  tick() {
    const { ended } = this.timeline;
    if (!ended && this.heard) this.timeline.now = this.told + Math.round((performance.now() - this.received) * 1000);
  }

  /** Whether it can be changed. */
  goes() {
    return this.heard && !this.timeline.ended;
  }
}

function empty() {
  return {
    now: 0, run: null, continued: [], plan: null, phases: [], workers: [], items: [], questions: [], limits: [], samples: [],
    marks: [], census: { items: 0, done: 0, cached: 0, fallback: 0, failed: 0, skipped: 0, pending: 0 },
    totals: {
      questions: 0, sent: 0, retries: 0, hedges: 0, by: {}, uncertain: 0, models: [],
      usage: { requests: 0, input_tokens: 0, cache_read_tokens: 0, cache_write_tokens: 0, output_tokens: 0, usd: 0 },
    },
    level: "full", alerts: {}, ended: null, left_out: { questions: 0, items: 0, workers: 0, marks: 0, samples: 0 },
  };
}

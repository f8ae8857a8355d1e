// What is live: one connection for the page, whatever it shows.

const AGAIN = 2000;

export class Live {
  /** `heard(piece)` gets what comes, `linked(state)` how the connection stands: `live`, `away`, `idle`. */
  constructor(heard, linked) {
    this.heard = heard;
    this.linked = linked;
    this.run = null;
    this.seen = null;
    this.source = null;
    this.timer = 0;
    // A page that nobody looks at needs nothing, and leaves its connection to others.
    document.addEventListener("visibilitychange", () => (document.hidden ? this.rest() : this.open()));
  }

  /** Looks at this run from now on, or at none. */
  look(run) {
    if (this.source && this.run === run) return;
    this.run = run;
    this.seen = null;
    this.open();
  }

  open() {
    this.close();
    if (document.hidden) return this.linked("idle");
    const query = new URLSearchParams();
    if (this.run) query.set("run", this.run);
    if (this.seen) query.set("seen", this.seen);
    const source = new EventSource(`api/live?${query}`);
    source.onopen = () => this.linked("live");
    source.onmessage = (message) => {
      this.seen = message.lastEventId;
      this.heard(JSON.parse(message.data));
    };
    source.onerror = () => {
      this.linked("away");
      // The browser comes back by itself, unless it was refused.
      if (source.readyState === EventSource.CLOSED) this.timer = setTimeout(() => this.open(), AGAIN);
    };
    this.source = source;
  }

  rest() {
    this.close();
    this.linked("idle");
  }

  close() {
    clearTimeout(this.timer);
    this.source?.close();
    this.source = null;
  }
}

/** Asks a run to do something; what it answers. */
export async function control(run, change) {
  try {
    const answer = await fetch("api/control", {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ run, ...change }),
    });
    return await answer.json();
  } catch (error) {
    return { ok: false, error: `the dashboard does not answer: ${error.message}` };
  }
}

/** Asks for a value; throws what went wrong. */
export async function ask(path) {
  const answer = await fetch(path);
  const value = await answer.json();
  if (!answer.ok) throw new Error(value.hint ? `${value.error} (${value.hint})` : value.error);
  return value;
}

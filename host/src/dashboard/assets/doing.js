// What goes on in a worker's hands, in the words that the terminal has (host/src/progress/doing.rs). Times in microseconds.

/** Shorter waits are not counted: a number would only flicker. */
const WORTH_SAYING = 2e6;
/** A question that was sent so long ago and has no answer yet is slow to begin. */
const SLOW = 15e6;
/** The longest reason, in characters. */
const REASON = 40;

const WAITS = {
  quota: "waiting for quota", limit: "waiting for the limit", instance: "waiting for an instance",
  breaker: "waiting for the breaker", context: "waiting for a shared context",
};

/** Of several questions of an item that which is the furthest is shown. */
const RANK = { streaming: 4, sent: 3, retry: 2, queued: 0 };

/** `0:07`, `12:34`, `1:02:03`. */
export function clock(micros) {
  const seconds = Math.floor(Math.max(0, micros) / 1e6);
  const two = (value) => String(value).padStart(2, "0");
  const [hours, minutes] = [Math.floor(seconds / 3600), Math.floor(seconds / 60) % 60];
  return hours > 0 ? `${hours}:${two(minutes)}:${two(seconds % 60)}` : `${minutes}:${two(seconds % 60)}`;
}

/** The questions of each item that is in somebody's hands: those that are open, and when the last one ended. */
export function asked(timeline) {
  const known = new Map();
  // Those that are open are among the last.
  for (const question of timeline.questions.slice(-2000)) {
    if (question.item === null) continue;
    if (!known.has(question.item)) known.set(question.item, { open: [], ended: 0 });
    const of = known.get(question.item);
    if (question.to === undefined) of.open.push(question);
    else of.ended = Math.max(of.ended, question.to);
  }
  return known;
}

/**
 * What a worker does: `words`, the `state` it is coloured by, and the `tier` of its question. `hold`: what it has in its
 * hands; `of`: what `asked` knows of that item.
 */
export function doing(timeline, worker, hold, of) {
  const { now, paused } = timeline;
  const plain = (words, from, state = "held") => {
    const waited = now - from;
    return { words: waited < WORTH_SAYING ? words : `${words} ${clock(waited)}`, state };
  };
  if (!hold) {
    if (worker.ready_after === undefined && worker.holds.length === 0) return plain("starting", worker.from, "idle");
    return paused === undefined ? { words: "idle", state: "idle" } : { words: "paused", state: "pause" };
  }
  const item = timeline.items[hold.item];
  const open = (of?.open ?? []).filter(({ states }) => states.length > 0);
  const stateOf = ({ states }) => states.at(-1)[0];
  const rank = (question) => RANK[stateOf(question)] ?? 1;
  const first = open.reduce((best, question) => (best && rank(best) >= rank(question) ? best : question), null);
  if (!first) {
    const note = item?.progress?.[1];
    return note ? { words: note, state: "held" } : plain("working", Math.max(hold.from, of?.ended ?? 0));
  }
  const [state, since] = first.states.at(-1);
  const { tier } = first;
  const is = (words, by = state) => ({ words, state: by, tier });
  const counted = (words, by = state) => ({ ...plain(words, since, by), tier });
  if (state === "pause" || (paused !== undefined && !["sent", "streaming", "retry"].includes(state))) return counted("paused", "pause");
  if (state === "streaming") return answering(open.filter((one) => stateOf(one) === state), now, is, counted);
  if (state === "sent" && first.hedged) return counted("asked twice");
  if (state === "sent") return now - since >= SLOW ? counted("no token yet", "slow") : counted("asked");
  if (state === "retry") {
    const { at, wait, kind, reason } = first.retries?.at(-1) ?? { at: since, wait: 0, kind: "", reason: "" };
    const why = Array.from(kind ? kind.replaceAll("-", " ") : reason);
    const said = why.length > REASON ? `${why.slice(0, REASON).join("")}…` : why.join("");
    return is(`retrying in ${clock(at + wait - now)} (${said})`);
  }
  const left = (first.until ?? now) - now;
  const words = WAITS[state] ?? "queued";
  return left >= WORTH_SAYING ? is(`${words}, ${clock(left)} or more`) : counted(words);
}

/** Of the answers that come: all their tokens together, the last tool, and since when nothing was heard of any. */
function answering(open, now, is, counted) {
  const paces = open.map(({ pace }) => pace).filter((pace) => pace !== undefined);
  const tool = open.findLast((one) => one.tool !== undefined)?.tool;
  const quiet = now - Math.max(...open.map((one) => one.heard ?? one.states.at(-1)[1]));
  if (quiet >= Convoke.STALLED) return tool === undefined ? is(`stalled ${clock(quiet)}`, "stalled") : is(`silent ${clock(quiet)} after ${tool}`, "slow");
  const said = counted("answering");
  const more = [
    paces.length > 0 && `~${Convoke.count(paces.reduce((sum, pace) => sum + pace, 0))} tok/s`,
    tool,
    open.length > 1 && `${open.length} questions`,
  ];
  return { ...said, words: [said.words, ...more].filter(Boolean).join("  ") };
}

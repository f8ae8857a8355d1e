// What the Gantt draws: a row for each worker or each question, made of a timeline's value. And what is said of each.
//
// A row is {label, sub, at, bars, strips}: bars are drawn full, strips below them. A bar is {from, to, colour, name, about}.
// Within a row they are in the order of time.
(() => {
  const COLOUR_OF_END = { returned: 'returned', fallback: 'fallback', failed: 'failed', skipped: 'skipped' };
  const words = new Map(Convoke.STATES);

  // When nothing came of a question's answer for long, as [from, to]. After a tool it may have been at work with it.
  const silences = ({ stalls = [], to, tool, heard }, now) => {
    const over = stalls.filter((stall) => stall.tool === undefined).map(({ at, lasted }) => [at - lasted, at]);
    const isSilent = to === undefined && tool === undefined && now - heard >= Convoke.STALLED;
    return isSilent ? [...over, [heard, now]] : over;
  };

  // An answer that streamed, with its silences apart.
  const apart = (from, to, silent) => {
    const parts = [];
    let at = from;
    for (const [quiet, heard] of silent) {
      const [begins, ends] = [Math.max(quiet, at), Math.min(heard, to)];
      if (ends <= begins) continue;
      if (begins > at) parts.push(['streaming', at, begins]);
      parts.push(['stalled', begins, ends]);
      at = ends;
    }
    if (at < to || parts.length === 0) parts.push(['streaming', at, to]);
    return parts;
  };

  // The states of a question as [state, from, to]. Of an answer that stalled the silence is a state of its own.
  Convoke.stretches = (question, now) => {
    const end = question.to ?? now;
    const silent = silences(question, now);
    return question.states.flatMap(([state, from], place) => {
      const next = question.states[place + 1];
      const to = Math.max(from, next ? next[1] : end);
      return state === 'streaming' && silent.length > 0 ? apart(from, to, silent) : [[state, from, to]];
    });
  };

  // For how long a question was in some states, in microseconds.
  Convoke.spent = (question, states, now) =>
    Convoke.stretches(question, now).reduce((sum, [state, from, to]) => sum + (states.includes(state) ? to - from : 0), 0);

  Convoke.WAITING = ['queued', 'context', 'quota', 'limit', 'instance', 'breaker', 'pause'];

  Convoke.itemName = (value, place) => {
    const item = value.items[place];
    return item ? item.label || `item ${item.item + 1}` : 'an item';
  };

  const named = (value, worker) => {
    const again = value.continued.length > 0 && value.workers.indexOf(worker) >= value.continued[0].workers;
    return `worker ${worker.worker + 1}${again ? '′' : ''}`;
  };

  const barsOf = (question, now) =>
    Convoke.stretches(question, now).map(([state, from, to]) => ({ from, to, colour: `s-${state}`, state, question }));

  // A row for each worker: the items that it held, and below them what their questions were in.
  const workers = (value) => {
    const holders = new Map();
    const rows = value.workers.map((worker, place) => {
      const end = worker.to ?? value.now;
      const bars = [];
      const ready = worker.from + (worker.ready_after ?? 0);
      if (worker.ready_after) bars.push({ from: worker.from, to: Math.min(ready, end), colour: 'starting', worker });
      for (const hold of worker.holds) {
        const colour = hold.end ? COLOUR_OF_END[hold.end] ?? 'done' : 'held';
        const name = Convoke.itemName(value, hold.item);
        const bar = { from: hold.from, to: hold.to ?? end, colour, name, hold, worker };
        bars.push(bar);
        if (!holders.has(hold.item)) holders.set(hold.item, []);
        holders.get(hold.item).push([bar, place]);
      }
      const label = named(value, worker);
      return { label, sub: worker.segment, place, worker, bars, strips: [], from: worker.from, to: end };
    });
    for (const question of value.questions) {
      const held = holders.get(question.item) ?? [];
      const found = held.find(([bar]) => bar.from <= question.from && question.from <= bar.to) ?? held[held.length - 1];
      if (found) rows[found[1]].strips.push(...barsOf(question, value.now));
    }
    rows.forEach((row) => row.strips.sort((one, other) => one.from - other.from));
    return rows;
  };

  // A row for each question.
  const questions = (value) =>
    value.questions.map((question, place) => {
      const end = question.to ?? value.now;
      let bars = barsOf(question, value.now);
      // One that was never asked: answered from the cache, or by a fallback.
      if (bars.length === 0) bars = [{ from: question.from, to: end, colour: 'unasked', question }];
      const label = Convoke.itemName(value, question.item);
      return { label, sub: question.role, place, question, bars, strips: [], from: question.from, to: end };
    });

  const ORDERS = {
    asked: (one, other) => one.from - other.from || one.place - other.place,
    longest: (one, other) => other.to - other.from - (one.to - one.from) || one.place - other.place,
    waited: (one, other) => other.waited - one.waited || one.place - other.place,
  };

  // As few rows as there were questions at once: each holds one after the other.
  const lanes = (rows) => {
    const packed = [];
    for (const row of rows) {
      const lane = packed.find((one) => one.to <= row.from);
      if (lane) {
        lane.bars.push(...row.bars);
        lane.questions += 1;
        lane.to = row.to;
      } else {
        const lane = packed.length;
        packed.push({ label: `lane ${lane + 1}`, sub: '', place: lane, lane, questions: 1, bars: [...row.bars], strips: [], from: row.from, to: row.to });
      }
    }
    packed.forEach((row) => (row.sub = Convoke.counted(row.questions, 'question')));
    return packed;
  };

  // The rows of a view (`workers` or `questions`), of those with some text. Questions in an order: `packed` in lanes, or
  // one a row as `asked`, the `longest` or the one that `waited` most first.
  Convoke.rows = (value, view, order = 'asked', text = '') => {
    let rows = view === 'workers' ? workers(value) : questions(value);
    const wanted = text.trim().toLowerCase();
    if (wanted) {
      rows = rows.filter(({ label, sub, question, worker }) => {
        const more = question
          ? [question.model, question.backend, Convoke.came(question)]
          : worker.holds.map((hold) => Convoke.itemName(value, hold.item));
        return [label, sub, ...more].some((one) => one.toLowerCase().includes(wanted));
      });
    }
    if (view === 'questions') {
      if (order === 'waited') {
        rows.forEach((row) => (row.waited = Convoke.spent(row.question, [...Convoke.WAITING, 'retry'], value.now)));
      }
      rows.sort(ORDERS[order] ?? ORDERS.asked);
      if (order === 'packed') return lanes(rows);
    }
    return rows;
  };

  // What is said of a question: [name, value] lines.
  Convoke.aboutQuestion = (value, question) => {
    const { time, count, usd } = Convoke;
    const spent = (...states) => Convoke.spent(question, states, value.now);
    const lines = [
      ['item', Convoke.itemName(value, question.item)],
      ['model', [question.model || 'none', question.backend].filter(Boolean).join(' · ')],
      ['asked at', time(question.from)],
      ['took', time((question.to ?? value.now) - question.from)],
    ];
    for (const [state, said] of Convoke.STATES) {
      const took = spent(state);
      if (took > 0) lines.push([said, time(took)]);
    }
    lines.push(['sent', Convoke.counted(question.attempts, 'time')]);
    if (question.hedged) lines.push(['hedged', 'asked a second time beside the first']);
    for (const retry of (question.retries ?? []).slice(-3)) {
      lines.push([`retry at ${time(retry.at)}`, `${retry.kind}: ${retry.reason}`]);
    }
    if (question.pace) lines.push(['pace', `${question.pace} tokens/s`]);
    lines.push(['came to', Convoke.came(question)]);
    if (question.end) {
      const { usage, uncertain } = question.end;
      const input = usage.input_tokens + usage.cache_read_tokens + usage.cache_write_tokens;
      lines.push(['tokens', `${count(input)} in, ${count(usage.output_tokens)} out`]);
      lines.push(['cost', uncertain > 0 ? `${usd(usage.usd)} to ${usd(usage.usd + uncertain)}` : usd(usage.usd)]);
    }
    return lines;
  };

  // What is said of a bar: {title, lines}.
  Convoke.about = (value, row, bar) => {
    const { time } = Convoke;
    if (bar.question) {
      const state = bar.state ? `${words.get(bar.state)}, ${time(bar.to - bar.from)}` : Convoke.came(bar.question);
      return { title: `${bar.question.role || 'question'}: ${state}`, lines: Convoke.aboutQuestion(value, bar.question) };
    }
    if (!bar.hold) return { title: `${row.label} starts`, lines: [['took', time(bar.to - bar.from)]] };
    const item = value.items[bar.hold.item];
    const lines = [
      ['worker', row.label + (row.sub ? ` (${row.sub})` : '')],
      ['group', item?.group ?? 'none'],
      ['taken at', time(bar.from)],
      ['held for', time(bar.to - bar.from)],
      ['attempt', String(bar.hold.attempt)],
      ['ended as', bar.hold.end ?? (bar.hold.to === undefined ? 'still held' : 'broken off')],
    ];
    if (item?.outcome?.reason && item.outcome.state === bar.hold.end) lines.push(['because', item.outcome.reason]);
    const back = item?.returned?.find((one) => one.at === bar.hold.to);
    if (back) lines.push(['given back', back.reason]);
    if (item?.progress && bar.hold.to === undefined) {
      lines.push(['progress', `${Math.round(item.progress[0] * 100)} %, ${item.progress[1]}`]);
    }
    return { title: bar.name, lines };
  };
})();

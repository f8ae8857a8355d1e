// What happened, in words: failures with their attempts, the levels and marks of a run, its notes.
(() => {
  const { el, time, counted } = Convoke;

  const BECAME = {
    died: 'its worker died',
    aside: 'set aside, to be done again',
    again: 'done again, when the run was continued',
    failed: 'failed',
  };

  // The place of the item that a report names: by its id, and where events told none, by its label. A run that was
  // continued has an item once for each time, and what is reported is what became of it last.
  Convoke.placeOf = (timeline, id) => timeline.items.findLastIndex((item) => (item.id ?? item.label) === id);

  // What an item went through, by its place: [moment, words].
  Convoke.steps = (timeline, place) => {
    const item = timeline.items[place];
    if (!item) return [];
    const told = [];
    timeline.workers.forEach((worker) => worker.holds.filter((hold) => hold.item === place).forEach((hold) => {
      told.push([hold.from, `attempt ${hold.attempt}: taken by worker ${worker.worker + 1}`]);
      if (hold.end && hold.end !== 'returned') told.push([hold.to, hold.end]);
    }));
    (item.returned ?? []).forEach((one) => told.push([one.at, `given back: ${one.reason}`]));
    timeline.questions.filter((question) => question.item === place).forEach((question) => {
      const role = question.role || 'a question';
      (question.retries ?? []).forEach((retry) =>
        told.push([retry.at, `${role}: ${retry.kind}: ${retry.reason}; asked again after ${time(retry.wait)}`]));
      if (question.end && question.end.by !== 'model') told.push([question.to, `${role}: ${Convoke.came(question)}`]);
    });
    return told.sort((one, other) => one[0] - other[0]);
  };

  // The places of the items that fell back, and without a report of those that failed, but for what is known already, and
  // for what was taken again when the run was continued.
  Convoke.fallen = (timeline, known, reported) => {
    const latest = new Map(timeline.items.map((item, place) => [item.id, place]));
    const states = reported ? ['fallback'] : ['fallback', 'failed'];
    return [...timeline.items.keys()].filter((place) => {
      const { id, outcome } = timeline.items[place];
      return states.includes(outcome?.state) && !known.has(place) && (id === undefined || latest.get(id) === place);
    });
  };

  const MOST = 100;

  const story = (told) => {
    const lines = told.slice(0, MOST).map(([at, text]) => el('li', {}, el('time', { text: time(at) }), el('span', { text })));
    if (told.length > MOST) lines.push(el('li', {}, `and ${counted(told.length - MOST, 'more')}`));
    return el('ol', { class: 'story' }, lines);
  };

  const reported = (failure, timeline) => {
    const tried = failure.tried.map((one) => {
      const worker = one.worker === null ? '' : ` on worker ${one.worker + 1}`;
      return el('li', {}, el('time', { text: `attempt ${one.number}` }),
        el('span', { text: `${BECAME[one.became] ?? one.became}${worker}, ${time(one.took_ms * 1e3)}: ${one.reason}` }));
    });
    const { questions } = failure;
    const failed = (questions?.failures ?? []).map((one) => `${one.count} ${one.kind}`).join(', ');
    const asked = questions
      && `${counted(questions.asked, 'question')}, sent ${counted(questions.sent, 'time')}${failed ? `: ${failed}` : ''}`;
    const told = Convoke.steps(timeline, Convoke.placeOf(timeline, failure.item));
    return [
      tried.length > 0 && el('ol', { class: 'story' }, tried),
      asked && el('p', { class: 'small', text: asked }),
      told.length > 0 && el('div', {}, el('h3', { text: 'As it was told' }), story(told)),
      failure.log && el('div', {}, el('h3', { text: 'The last of its log' }), el('pre', { tabindex: '0', text: Convoke.lines(failure.log) })),
    ];
  };

  // Text of several lines, cleaned line by line.
  Convoke.lines = (text) => text.split(/\r\n|\r|\n/).map(Convoke.text).join('\n');

  const card = (open, name, badge, reason, more) =>
    el('details', { class: 'failure', open }, el('summary', {}, el('span', { class: `badge o-${badge}`, text: badge }),
      el('b', { text: name }), el('span', { class: 'because', text: reason })), el('div', { class: 'inside' }, more));

  const MOST_CARDS = 200;

  // The failures, and what fell back or is pending, each with its story. Null: there are none.
  Convoke.failures = ({ timeline, report }) => {
    const cards = [];
    if (report) {
      report.failures.forEach((one) =>
        cards.push([one.item, 'failed', one.reason, () => reported(one, timeline)]));
      report.attempts.filter((one) => one.outcome !== 'failed').forEach((one) => {
        const failure = { item: one.item, tried: one.tried, log: '' };
        cards.push([one.item, one.outcome, `after ${counted(one.attempts, 'attempt')}`, () => reported(failure, timeline)]);
      });
    }
    const known = new Set(cards.map(([id]) => Convoke.placeOf(timeline, id)));
    for (const place of Convoke.fallen(timeline, known, Boolean(report))) {
      const { state, reason } = timeline.items[place].outcome;
      cards.push([Convoke.itemName(timeline, place), state, reason ?? '', () => [story(Convoke.steps(timeline, place))]]);
    }
    if (cards.length === 0) return null;
    const shown = cards.slice(0, MOST_CARDS).map(([name, state, reason, more], place) => {
      const made = card(cards.length <= 3 && place === 0, name, state, reason, []);
      const fill = () => {
        const inside = made.lastElementChild;
        if (made.open && !inside.hasChildNodes()) inside.append(...more().filter(Boolean));
      };
      made.addEventListener('toggle', fill);
      fill();
      return made;
    });
    if (cards.length > MOST_CARDS) shown.push(el('p', { class: 'small', text: `and ${cards.length - MOST_CARDS} more` }));
    return el('div', { class: 'failures' }, shown);
  };

  const WORDS = {
    level: (mark) => `goes on as ${mark.what}: ${mark.text}`,
    breaker: (mark) => `breaker ${mark.what}: ${mark.text}`,
    'safe-mode': (mark) => `safe mode of ${mark.what} ${mark.text}`,
    policy: (mark) => `policy ${mark.what}: ${mark.text}`,
    paused: (mark) => `paused by ${mark.what}: ${mark.text}`,
    resumed: (mark) => `resumed by ${mark.what}`,
    controlled: (mark) => `${mark.what}: ${mark.text}`,
    alert: (mark) => `alert, ${mark.what}: ${mark.text}`,
    'alert-cleared': (mark) => `well again, ${mark.what}: ${mark.text}`,
    'dispatch-stopped': (mark) => `no more questions are sent: ${mark.text}`,
    'done-again': (mark) => `${mark.what} items again: ${mark.text}`,
    quarantined: (mark) => `${mark.what} is not tried again: ${mark.text}`,
    'items-added': (mark) => mark.text,
    stopping: (mark) => `stopped by its user: ${mark.text}`,
    warning: (mark) => mark.text,
  };
  const BAD = ['level', 'breaker', 'alert', 'dispatch-stopped', 'quarantined', 'warning', 'stopping', 'stalled', 'question-failed'];

  const ANSWERED = ['model', 'cache', 'dropped'];

  // What went wrong with questions: attempts that failed, answers that stalled, and those that did not come.
  const troubles = (timeline) => timeline.questions.flatMap((question) => {
    const { retries = [], stalls = [], end } = question;
    if (retries.length + stalls.length === 0 && (!end || ANSWERED.includes(end.by))) return [];
    const who = `${question.role || 'a question'} of ${Convoke.itemName(timeline, question.item)}`;
    const rows = retries.map(({ at, kind, reason, wait }) => ({
      at, kind: 'attempt-failed', text: `${who}: ${kind.replaceAll('-', ' ') || 'no answer'}, asked again after ${time(wait)}: ${reason}`,
    }));
    rows.push(...stalls.map(({ at, lasted, tool }) => (tool === undefined
      ? { at, kind: 'stalled', text: `${who}: nothing came of its answer for ${time(lasted)}` }
      : { at, kind: 'silent', text: `${who}: nothing came for ${time(lasted)} after ${tool}` })));
    if (end && end.by === 'fallback') rows.push({ at: question.to, kind: 'fallback', text: `${who}: no answer, what stands for it was taken` });
    else if (end && !ANSWERED.includes(end.by)) rows.push({ at: question.to, kind: 'question-failed', text: `${who}: ${end.by.replaceAll('-', ' ')}` });
    return rows;
  });

  // All that happened beside items, and what went wrong with questions, in the order of time.
  Convoke.happened = (timeline) => {
    const rows = timeline.marks.map((mark) => ({
      at: mark.at, kind: mark.kind, text: (WORDS[mark.kind] ?? WORDS.warning)(mark), isWell: ['full', 'closed'].includes(mark.what),
    }));
    timeline.limits.forEach((one) => rows.push({
      at: one.at, kind: 'limit', text: `${one.account} may have ${one.limit} in flight, before ${one.before}: ${one.reason}`,
    }));
    rows.push(...troubles(timeline));
    timeline.phases.forEach((phase) => rows.push({ at: phase.from, kind: 'phase', text: `${phase.phase} begins` }));
    timeline.continued.forEach((one) => rows.push({ at: one.at, kind: 'phase', text: 'continued in another process' }));
    if (timeline.ended) rows.push({ at: timeline.ended.at, kind: 'phase', text: `ended: ${timeline.ended.status}` });
    return rows.sort((one, other) => one.at - other.at);
  };

  Convoke.Happened = class {
    constructor() {
      this.table = new Convoke.Table(
        [
          { name: 'at', title: 'At', width: '76px', end: true, cell: (row) => time(row.at) },
          { name: 'kind', title: 'What', width: '120px', cell: (row) => row.kind.replaceAll('-', ' ') },
          { name: 'text', title: 'In words', width: 'minmax(0, 1fr)', cell: (row) => row.text },
        ],
        { label: 'What happened', most: 10, mark: (row) => (BAD.includes(row.kind) && !row.isWell ? 'bad' : ''), note: 'Nothing out of the ordinary was told.' },
      );
      this.element = this.table.element;
    }

    set(timeline) {
      this.table.set(Convoke.happened(timeline));
    }
  };

  // Notes are shown as they were written, and not as markup.
  Convoke.notes = (report) => {
    const notes = (report?.notes ?? []).map((note) =>
      el('details', { class: 'note', open: report.notes.length <= 3 }, el('summary', { text: note.item ?? 'The whole run' }),
        el('pre', { tabindex: '0', text: Convoke.lines(note.text) })));
    const warnings = (report?.warnings ?? []).map((text) => el('li', { text }));
    const documents = Convoke.documents(report);
    if (notes.length + warnings.length + documents.length === 0) return null;
    return el('div', {}, warnings.length > 0 && el('ul', { class: 'warnings' }, warnings), notes, documents);
  };
})();

// The picture of a run, as a fold of its events: the same one that the host makes (host/runtime/src/timeline/hear.rs).
//
// `new Convoke.Timeline(value)` takes the host's value, or nothing for a run that begins; `.update(event)` takes an event
// as the stream has it in JSON. `.value` is always what the host would write.
(() => {
  const MOST = { questions: 100_000, items: 100_000, workers: 10_000, marks: 10_000, samples: 4_000 };
  const [MOST_STATES, MOST_HOLDS, MOST_MODELS, LONGEST] = [200, 100_000, 64, 500];
  const ENDED = ['done', 'cached', 'fallback', 'failed', 'skipped'];
  const WAITS = ['quota', 'limit', 'instance', 'breaker', 'pause', 'context'];

  const bounded = (text) => {
    if (text.length <= LONGEST) return text;
    const letters = Array.from(text);
    return letters.length <= LONGEST ? text : `${letters.slice(0, LONGEST).join('')}…`;
  };
  const last = (list) => list[list.length - 1];
  const TOOK = ['requests', 'input_tokens', 'cache_read_tokens', 'cache_write_tokens', 'output_tokens', 'usd'];
  const usage = () => Object.fromEntries(TOOK.map((name) => [name, 0]));
  const add = (sum, more) => Object.keys(sum).forEach((name) => (sum[name] += more[name] ?? 0));
  const census = () => ({ items: 0, done: 0, cached: 0, fallback: 0, failed: 0, skipped: 0, pending: 0 });

  const empty = () => ({
    now: 0,
    run: null,
    continued: [],
    plan: null,
    phases: [],
    workers: [],
    items: [],
    questions: [],
    limits: [],
    samples: [],
    marks: [],
    census: census(),
    totals: { questions: 0, sent: 0, retries: 0, hedges: 0, by: {}, usage: usage(), uncertain: 0, models: [] },
    level: 'full',
    alerts: {},
    ended: null,
    left_out: { questions: 0, items: 0, workers: 0, marks: 0, samples: 0 },
  });

  Convoke.Timeline = class {
    constructor(value) {
      this.set(value);
    }

    set(value) {
      this.value = value ?? empty();
      const from = last(this.value.continued) ?? { at: 0, workers: 0, items: 0, questions: 0 };
      const numbered = (list, name, begin) => {
        const places = new Map();
        for (let place = begin; place < list.length; place += 1) places.set(list[place][name], place);
        return places;
      };
      const { workers, items, questions, left_out: out, samples } = this.value;
      this.offset = from.at;
      this.workers = numbered(workers, 'worker', from.workers);
      this.items = numbered(items, 'item', from.items);
      this.questions = new Map();
      // Those that nobody waits for any more, and of which it may never be told that they have ended.
      this.left = new Map();
      this.flying = new Set();
      for (let place = from.questions; place < questions.length; place += 1) {
        const question = questions[place];
        if (question.end) continue;
        const isLeft = question.to !== undefined;
        (isLeft ? this.left : this.questions).set(question.question, place);
        if (!isLeft && ['sent', 'streaming'].includes(last(question.states)?.[0])) this.flying.add(question.question);
      }
      this.known = this.value.census.items;
      this.sampled = samples.length + out.samples;
      this.every = 1;
      while (Math.ceil(this.sampled / this.every) > MOST.samples) this.every *= 2;
    }

    // How many questions are in flight now.
    inFlight() {
      return this.flying.size;
    }

    label(place) {
      const item = this.value.items[place];
      return item ? item.label || `item ${item.item}` : 'an item';
    }

    // The run goes on in another process, whose stream began so long (in microseconds) after the first one.
    continues(offset) {
      const value = this.value;
      const broken = value.now;
      const at = Math.max(offset, broken);
      for (const worker of value.workers.filter((one) => one.to === undefined)) {
        worker.to = broken;
        worker.holds.filter((hold) => hold.to === undefined).forEach((hold) => (hold.to = broken));
      }
      value.questions.filter((one) => one.to === undefined).forEach((one) => (one.to = broken));
      this.endPhase(broken);
      const places = { workers: value.workers.length, items: value.items.length, questions: value.questions.length };
      value.continued.push({ at, ...places });
      Object.assign(value, { census: census(), plan: null, ended: null, level: 'full', alerts: {}, now: at });
      delete value.paused;
      this.set(value);
    }

    // Takes an event in.
    update(event) {
      const value = this.value;
      const at = this.offset + event.at;
      value.now = Math.max(value.now, at);
      const { worker, item, question } = event;
      switch (event.event) {
        case 'run-started': {
          const { at: _at, event: _event, ...facts } = event;
          value.run = facts;
          break;
        }
        case 'planned': {
          const { items, cached, workers, assessed_in, allocated_in, expected } = event;
          value.plan = { at, items, cached, workers, assessed_in, allocated_in };
          if (expected !== null && expected !== undefined) value.plan.expected = expected;
          this.moreItems(items);
          break;
        }
        case 'phase-started':
          this.endPhase(at);
          if (value.phases.length < MOST_STATES) value.phases.push({ phase: bounded(event.phase), from: at });
          break;
        case 'worker-started':
          if (value.workers.length >= MOST.workers) {
            value.left_out.workers += 1;
            break;
          }
          this.workers.set(worker, value.workers.length);
          value.workers.push({ worker, segment: bounded(event.segment), from: at, holds: [] });
          break;
        case 'worker-ready':
          this.worker(worker, (one) => (one.ready_after = event.after));
          break;
        case 'worker-ended':
          this.worker(worker, (one) => {
            one.to = at;
            if (event.died !== null && event.died !== undefined) one.died = bounded(event.died);
          });
          break;
        case 'item-started':
          this.itemStarted(at, event);
          break;
        case 'item-progress':
          this.item(item, (one) => (one.progress = [event.done, bounded(event.note)]));
          break;
        case 'item-ended':
          this.itemEnded(at, event);
          break;
        case 'items-added':
          this.moreItems(event.items);
          this.mark(at, 'items-added', '', `${event.items} added by ${this.label(this.items.get(event.parent))}`);
          break;
        case 'item-reopened':
          this.count(event.was.state, undefined);
          this.item(item, (one) => {
            delete one.outcome;
            delete one.to;
          });
          break;
        case 'item-returned':
          this.item(item, (one) => {
            // Another worker may have it already.
            if (one.worker === this.workers.get(worker)) {
              delete one.progress;
              this.closeUnsent(at, item);
            }
            one.returned ??= [];
            if (one.returned.length < MOST_STATES) one.returned.push({ at, worker, reason: bounded(event.reason) });
          });
          this.letGo(at, worker, item, 'returned');
          break;
        case 'degraded':
          value.level = event.to;
          this.mark(at, 'level', event.to, event.reason);
          break;
        case 'done-again':
          this.mark(at, 'done-again', String(event.items), event.reason);
          break;
        case 'quarantined':
          this.mark(at, 'quarantined', this.label(this.items.get(item)), event.reason);
          break;
        case 'question-queued':
          this.asked(at, question, item, (one) => {
            one.role = bounded(event.role);
            one.tier = event.tier;
            this.isIn(one, 'queued', at);
          });
          break;
        case 'question-waits':
          if (event.reason === 'pause') this.flying.delete(question);
          this.asked(at, question, item, (one) => {
            // A second try beside one that is under way may wait too: only a pause breaks that off.
            const flies = ['sent', 'streaming'].includes(last(one.states)?.[0]);
            if (flies && event.reason !== 'pause') return;
            this.isIn(one, WAITS.includes(event.reason) ? event.reason : 'queued', at);
            if (event.lasts !== null && event.lasts !== undefined) one.until = at + event.lasts;
          });
          break;
        case 'question-sent':
          value.totals.sent += 1;
          this.flying.add(question);
          this.comesBack(question);
          this.asked(at, question, item, (one) => {
            one.model = bounded(event.model);
            one.backend = bounded(event.backend);
            one.attempts = event.attempt;
            this.isIn(one, 'sent', at);
          });
          break;
        case 'question-hedged':
          value.totals.sent += 1;
          value.totals.hedges += 1;
          this.open(question, (one) => (one.hedged = true));
          break;
        case 'question-started':
          this.open(question, (one) => {
            if (last(one.states)?.[0] !== 'sent') return;
            this.isIn(one, 'streaming', at);
            one.heard = at;
          });
          break;
        case 'question-progress':
          this.open(question, (one) => {
            if (last(one.states)?.[0] !== 'streaming') return;
            if (event.tokens_per_second === null) delete one.pace;
            else one.pace = event.tokens_per_second;
            one.heard = at;
            if (typeof event.tool === 'string') one.tool = bounded(event.tool);
            else delete one.tool;
          });
          break;
        case 'question-stalled':
          this.open(question, (one) => {
            one.stalls ??= [];
            const stall = { at, lasted: event.lasted };
            if (typeof event.tool === 'string') stall.tool = bounded(event.tool);
            if (one.stalls.length < MOST_STATES) one.stalls.push(stall);
          });
          break;
        case 'question-retried':
          value.totals.retries += 1;
          this.flying.delete(question);
          this.asked(at, question, item, (one) => {
            one.retries ??= [];
            const retry = { at, kind: bounded(event.kind), reason: bounded(event.reason), wait: event.wait };
            if (one.retries.length < MOST_STATES) one.retries.push(retry);
            this.isIn(one, 'retry', at);
          });
          break;
        case 'question-settled':
          this.settled(at, event);
          break;
        case 'breaker-changed':
          this.mark(at, 'breaker', event.state, event.reason);
          break;
        case 'limit-changed':
          if (value.limits.length < MOST.marks) {
            const { limit, before } = event;
            value.limits.push({ at, account: bounded(event.account), limit, before, reason: bounded(event.reason) });
          } else value.left_out.marks += 1;
          break;
        case 'safe-mode-changed':
          this.mark(at, 'safe-mode', event.account, `${event.safe ? 'begins' : 'ends'}: ${event.reason}`);
          break;
        case 'policy-changed':
          this.mark(at, 'policy', event.policy, event.reason);
          break;
        case 'paused': {
          value.paused = bounded(event.by);
          const text = event.at_once ? 'what was under way is broken off' : 'what is under way ends';
          this.mark(at, 'paused', event.by, text);
          break;
        }
        case 'resumed':
          delete value.paused;
          this.mark(at, 'resumed', event.by, '');
          break;
        case 'controlled':
          this.mark(at, 'controlled', event.by, `${event.what}: ${event.became}`);
          break;
        case 'sampled': {
          const { at: _at, event: _event, ...sample } = event;
          this.sample(at, sample);
          break;
        }
        case 'alert-raised':
          if (Object.keys(value.alerts).length < MOST_STATES) value.alerts[bounded(event.alert)] = bounded(event.reason);
          this.mark(at, 'alert', event.alert, event.reason);
          break;
        case 'alert-cleared':
          delete value.alerts[bounded(event.alert)];
          this.mark(at, 'alert-cleared', event.alert, event.reason);
          break;
        case 'dispatch-stopped':
          this.mark(at, 'dispatch-stopped', '', event.reason);
          break;
        case 'warned':
          this.mark(at, 'warning', '', event.message);
          break;
        case 'stopping':
          this.mark(at, 'stopping', '', `what is under way has ${Math.floor(event.at_most / 1e6)} s`);
          break;
        case 'ended':
          this.endPhase(at);
          this.closeQuestions(at, () => true);
          this.flying.clear();
          value.census = event.census;
          value.ended = { at, census: event.census, status: event.status };
          break;
        default:
        // What a later version tells, and what says nothing for a picture.
      }
    }

    endPhase(at) {
      const phase = last(this.value.phases);
      if (phase && phase.to === undefined) phase.to = at;
    }

    mark(at, kind, what, text) {
      const { marks, left_out: out } = this.value;
      if (marks.length < MOST.marks) marks.push({ at, kind, what: bounded(what), text: bounded(text) });
      else out.marks += 1;
    }

    worker(number, change) {
      const worker = this.value.workers[this.workers.get(number)];
      if (worker) change(worker);
    }

    moreItems(items) {
      this.known += items;
      this.count();
    }

    // An item stands otherwise than before.
    count(before, after) {
      const counts = this.value.census;
      if (ENDED.includes(before)) counts[before] = Math.max(0, counts[before] - 1);
      if (ENDED.includes(after)) counts[after] += 1;
      const ended = ENDED.reduce((sum, name) => sum + counts[name], 0);
      counts.items = Math.max(this.known, ended);
      counts.pending = counts.items - ended;
    }

    // The place of an item, which is made where it was not told of yet; null: there are too many.
    place(number) {
      const { items, left_out: out } = this.value;
      if (this.items.has(number)) return this.items.get(number);
      if (items.length >= MOST.items) {
        out.items += 1;
        return null;
      }
      this.items.set(number, items.length);
      items.push({ item: number, label: '', attempts: 0 });
      return items.length - 1;
    }

    item(number, change) {
      const place = this.place(number);
      if (place !== null) change(this.value.items[place]);
    }

    itemStarted(at, { worker, item, id, label, group, attempt }) {
      const holder = this.workers.get(worker);
      const place = this.place(item);
      // Those of who had it before, which may still be told to have given it back.
      this.closeUnsent(at, item);
      if (place !== null) {
        const one = this.value.items[place];
        if (id) one.id = bounded(id);
        else delete one.id;
        one.label = bounded(label);
        if (group === null || group === undefined) delete one.group;
        else one.group = bounded(group);
        if (holder === undefined) delete one.worker;
        else one.worker = holder;
        one.attempts = attempt;
        one.from ??= at;
        delete one.progress;
      }
      if (holder === undefined) return;
      const { holds } = this.value.workers[holder];
      if (holds.length < MOST_HOLDS) holds.push({ item: place, attempt, from: at });
      else this.value.left_out.workers += 1;
    }

    letGo(at, worker, item, end) {
      const place = this.items.get(item) ?? null;
      this.worker(worker, (one) => {
        const recent = one.holds.slice(-4).reverse();
        const hold = recent.find((held) => held.item === place && held.to === undefined);
        if (hold) Object.assign(hold, { to: at, end });
      });
    }

    itemEnded(at, { worker, item, outcome }) {
      const kept = { ...outcome };
      if (typeof kept.reason === 'string') kept.reason = bounded(kept.reason);
      let before;
      this.item(item, (one) => {
        before = one.outcome?.state;
        one.to = at;
        delete one.progress;
        one.outcome = kept;
      });
      this.count(before, outcome.state);
      this.closeUnsent(at, item);
      if (worker !== null && worker !== undefined) this.letGo(at, worker, item, outcome.state);
    }

    // Who has asked has its item no more. That one which was never sent has ended need not be told; of all others it is.
    closeUnsent(at, item) {
      const place = this.items.get(item);
      this.closeQuestions(at, (question) => question.item === place && question.attempts === 0);
    }

    closeQuestions(at, isIt) {
      for (const [number, place] of this.questions) {
        const question = this.value.questions[place];
        if (!isIt(question)) continue;
        question.to = at;
        delete question.pace;
        this.questions.delete(number);
        this.left.set(number, place);
      }
    }

    // It is heard of again: somebody waits for it after all.
    comesBack(number) {
      const place = this.left.get(number);
      if (place === undefined) return;
      this.left.delete(number);
      this.questions.set(number, place);
      delete this.value.questions[place].to;
    }

    open(number, change) {
      const question = this.value.questions[this.questions.get(number)];
      if (question) change(question);
    }

    asked(at, number, item, change) {
      const { questions } = this.value;
      if (this.left.has(number)) return false;
      if (!this.questions.has(number)) {
        if (questions.length >= MOST.questions) return false;
        const place = this.place(item);
        this.questions.set(number, questions.length);
        const none = { role: '', model: '', backend: '', attempts: 0 };
        questions.push({ question: number, item: place, ...none, from: at, states: [] });
      }
      this.open(number, change);
      return true;
    }

    // What holds only for a while.
    heardNoMore(question) {
      for (const name of ['pace', 'heard', 'tool', 'until']) delete question[name];
    }

    isIn(question, state, at) {
      this.heardNoMore(question);
      if (last(question.states)?.[0] === state || question.states.length >= MOST_STATES) return;
      question.states.push([state, at]);
    }

    ofModel({ model: name, backend }) {
      const { models } = this.value.totals;
      let model = bounded(name);
      const find = () => models.find((one) => one.model === model && one.backend === backend);
      if (models.length >= MOST_MODELS && !find()) model = 'other models';
      if (!find()) models.push({ model, backend, questions: 0, usage: usage(), uncertain: 0 });
      return find();
    }

    settled(at, settled) {
      const { totals, left_out: out } = this.value;
      totals.questions += 1;
      add(totals.usage, settled.usage);
      totals.uncertain += settled.uncertain;
      const by = bounded(settled.by);
      if (Object.keys(totals.by).length < MOST_MODELS || totals.by[by]) totals.by[by] = (totals.by[by] ?? 0) + 1;
      this.ofModel(settled).questions += 1;
      for (const share of settled.by_model?.length ? settled.by_model : [settled]) {
        const sum = this.ofModel(share);
        add(sum.usage, share.usage);
        sum.uncertain += share.uncertain;
      }
      this.flying.delete(settled.question);
      this.comesBack(settled.question);
      const began = Math.max(at - settled.took, this.offset);
      const kept = this.asked(began, settled.question, settled.item, (one) => {
        one.to = at;
        this.heardNoMore(one);
        one.attempts = settled.attempts;
        one.role = bounded(settled.role);
        if (settled.model) one.model = bounded(settled.model);
        if (settled.backend) one.backend = bounded(settled.backend);
        const { uncertain, queued, took } = settled;
        one.end = { by, usage: settled.usage, uncertain, queued, took };
      });
      if (!kept) out.questions += 1;
      this.questions.delete(settled.question);
    }

    sample(at, sample) {
      const value = this.value;
      const isKept = this.sampled % this.every === 0;
      this.sampled += 1;
      if (!isKept) {
        value.left_out.samples += 1;
        return;
      }
      if (value.samples.length >= MOST.samples) {
        const before = value.samples.length;
        value.samples = value.samples.filter((_, place) => place % 2 === 0);
        value.left_out.samples += before - value.samples.length;
        this.every *= 2;
      }
      value.samples.push({ at, ...sample });
    }
  };
})();

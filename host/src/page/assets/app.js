// All of a run on one page. `new Convoke.App(root)` draws into an element; `.set({timeline, report, missing})` shows a
// run, and for one that goes on `.update(event)` takes each event as the stream has it in JSON. A server's page can put
// more into `.head` (controls) and `.main` (sections), and listens to what is chosen by `.onchoose`.
(() => {
  const { el, count, time } = Convoke;
  const THEMES = ['auto', 'light', 'dark'];
  const LIVE_EVERY = 400;

  const KEYS = [
    ['/', 'filter: of the timeline where it has the focus, else of the findings'],
    ['t', 'to the timeline'],
    ['f', 'to the findings'],
    ['↑ ↓', 'timeline: another row; in a table: another line'],
    ['← →', 'timeline: another bar of the row; with Shift: move in time'],
    ['+ − 0', 'zoom in, zoom out, show all'],
    ['Home End', 'the first, the last row'],
    ['Enter', 'zoom to the bar; in a table: open it'],
    ['Esc', 'let go'],
    ['d', 'light, dark, or as the system'],
    ['?', 'these keys'],
  ];

  // A part of the page with a head. `Convoke.sectionOf` is for those who add more.
  const section = (id, title, ...content) =>
    el('section', { id, 'aria-labelledby': `${id}-title` }, el('h2', { id: `${id}-title`, text: title }), content);

  const option = (value, text) => el('option', { value, text });

  Convoke.App = class {
    constructor(root) {
      this.root = root;
      this.timeline = new Convoke.Timeline();
      this.report = null;
      this.shownReport = undefined;
      this.ins = {};
      this.missing = [];
      this.scale = new Convoke.Scale();
      this.scale.onchange(() => this.seen());
      this.view = null;
      this.head = el('header', { class: 'top' });
      this.banner = el('div', { class: 'banner', role: 'note', hidden: true });
      this.tiles = el('div', {});
      this.main = el('main', { id: 'main' }, this.banner, section('summary', 'Summary', this.tiles), this.timelineSection(),
        this.findingsSection(), this.failuresSection(), this.costSection(), this.workersSection(), this.proposalsSection(),
        this.numbersSection(), this.eventsSection(), this.notesSection());
      this.help = this.helpDialog();
      const skip = el('a', { class: 'skip', href: '#findings', text: 'Skip to the findings' });
      this.foot = el('footer', { class: 'foot' });
      root.replaceChildren(skip, this.head, this.main, this.foot, this.help);
      document.addEventListener('keydown', (event) => this.key(event));
      matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => this.dress(this.dressed));
      this.dress(this.kept());
    }

    // Shows a run: the host's JSON, or the parts of it that are there.
    set({ timeline, report = null, missing = [] }) {
      this.timeline.set(timeline);
      [this.report, this.missing] = [report, missing];
      this.show();
    }

    // Takes an event in, and shows it soon.
    update(event) {
      this.timeline.update(event);
      if (this.due) return;
      // Of the time of a large run's browser an eighth at most.
      this.due = setTimeout(() => {
        this.due = null;
        const began = performance.now();
        this.show();
        this.took = performance.now() - began;
      }, Math.max(LIVE_EVERY, (this.took ?? 0) * 8));
    }

    data() {
      return { timeline: this.timeline.value, report: this.report, missing: this.missing };
    }

    show() {
      const data = this.data();
      const { timeline, report } = data;
      this.showHead(data);
      this.banner.hidden = this.missing.length === 0;
      this.banner.replaceChildren(...this.missing.map((text) => el('p', { text })));
      this.tiles.replaceChildren(Convoke.tiles(data));
      if (this.view === null && timeline.run) {
        this.view = timeline.workers.some((worker) => worker.holds.length > 0) || timeline.questions.length === 0 ? 'workers' : 'questions';
      }
      this.showRows();
      this.scale.whole(timeline.now);
      this.curves.set(timeline);
      this.showTable();
      this.parts.findings.hidden = !report;
      if (report && this.shownReport !== report) this.findings.set(report.findings);
      // What is open there stays open while nothing else fails.
      const { failed, fallback } = timeline.census;
      const told = `${timeline.run?.run} ${failed} ${fallback}`;
      if (this.shownFailures !== told || this.shownReport !== report) {
        const failures = Convoke.failures(data);
        this.parts.failures.hidden = failures === null;
        this.failuresIn.replaceChildren(...(failures ? [failures] : []));
        this.shownFailures = told;
      }
      this.costIn.replaceChildren(Convoke.costs(data));
      const workers = Convoke.workersTable(data);
      this.parts.workers.hidden = workers === null;
      this.workersIn.replaceChildren(...(workers ? [workers] : []));
      for (const [name, part] of [['proposals', Convoke.proposals], ['numbers', Convoke.numbers]]) {
        if (this.shownReport === report) break;
        const made = part(report);
        this.parts[name].hidden = made === null;
        this.ins[name].replaceChildren(...(made ? [made] : []));
      }
      this.happened.set(timeline);
      if (this.shownReport !== report) {
        const notes = Convoke.notes(report);
        this.parts.notes.hidden = notes === null;
        this.notesIn.replaceChildren(...(notes ? [notes] : []));
      }
      this.shownReport = report;
      this.foot.replaceChildren(el('p', { text: this.footText(data) }));
    }

    footText({ timeline, report }) {
      const run = timeline.run?.run ?? report?.run?.id;
      return run ? `Run ${run}. Times are since it began. Made of the events that the run told and of its report; nothing on this page was asked of the network.` : '';
    }

    showHead(data) {
      const { timeline, report } = data;
      const run = timeline.run;
      const status = Convoke.status(data);
      const name = run ? [run.command, run.subcommand].filter(Boolean).join(' ') : report?.run?.command ?? 'a run';
      const about = [
        Convoke.shortId(run?.run ?? report?.run?.id),
        run ? `${run.plugin} ${run.version}` : report && `${report.run.plugin.name} ${report.run.plugin.version}`,
        run?.mode ?? report?.run?.mode,
        run?.backend ?? report?.run?.backend,
        Convoke.moment(run?.started ?? report?.run?.started ?? ''),
      ].filter(Boolean);
      const level = timeline.level !== 'full' && !timeline.ended ? el('span', { class: 'badge o-fallback', text: `level: ${timeline.level}` }) : null;
      const title = el('div', { class: 'title' }, el('p', { class: 'brand', text: 'convoke' }), el('h1', {}, name),
        el('span', { class: `badge status-${status}`, text: status }), level);
      const facts = el('ul', { class: 'facts' }, about.map((text) => el('li', { text })));
      if (run?.project) facts.append(el('li', { class: 'path', text: run.project }));
      this.theme ??= el('button', { type: 'button', class: 'quiet', on: { click: () => this.turn() } });
      this.helper ??= el('button', { type: 'button', class: 'quiet', 'aria-label': 'Keys', text: '?', on: { click: () => this.help.showModal() } });
      this.actions ??= el('div', { class: 'actions' }, this.theme, this.helper);
      this.headText ??= el('div', { class: 'head-text' });
      this.headText.replaceChildren(title, facts);
      if (!this.headText.isConnected) this.head.append(this.headText, this.actions);
      this.named();
    }

    timelineSection() {
      const button = (text, label, click) => el('button', { type: 'button', class: 'tool', 'aria-label': label, title: label, text, on: { click } });
      this.views = ['workers', 'questions'].map((view) =>
        el('button', { type: 'button', 'aria-pressed': 'false', text: view === 'workers' ? 'Workers' : 'Questions', data: { view },
          on: { click: () => this.look(view) } }));
      this.order = el('select', { 'aria-label': 'Order', on: { change: () => { this.ordered = true; this.showRows(); this.showTable(); } } }, option('packed', 'packed in lanes'), option('asked', 'one a row, as asked'),
        option('longest', 'one a row, longest first'), option('waited', 'one a row, longest waiting first'));
      this.rowsFilter = el('input', {
        type: 'search', class: 'narrow', placeholder: 'Filter rows…', 'aria-label': 'Filter rows of the timeline', spellcheck: 'false',
        on: { input: () => { this.showRows(); this.showTable(); } },
      });
      this.window = el('span', { class: 'small window', 'aria-live': 'off' });
      const tools = el('div', { class: 'tools' },
        el('div', { class: 'switch', role: 'group', 'aria-label': 'Rows' }, this.views), this.order, this.rowsFilter,
        el('div', { class: 'spring' }), this.window,
        el('div', { class: 'switch', role: 'group', 'aria-label': 'Zoom' },
          button('−', 'Zoom out', () => this.gantt.zoomed(1 / 0.6)), button('+', 'Zoom in', () => this.gantt.zoomed(0.6)),
          button('all', 'Show all', () => this.scale.fit())));
      this.legend = el('ul', { class: 'legend states', 'aria-label': 'Colours' });
      this.gantt = new Convoke.Gantt(this.scale, (row, bar) => Convoke.about(this.timeline.value, row, bar));
      this.gantt.onchoose = (hit) => this.onchoose?.(hit);
      this.curves = new Convoke.Curves(this.scale);
      this.tables = { workers: this.itemsTable(), questions: this.questionsTable() };
      this.tableIn = el('div', {});
      this.asTable = el('details', { class: 'as-table', on: { toggle: () => this.showTable() } },
        el('summary', { text: 'The same as a table' }), this.tableIn);
      this.empty = el('p', { class: 'nothing', hidden: true });
      return section('timeline', 'Timeline', tools, this.legend, this.gantt.element, this.empty, this.curves.element, this.asTable);
    }

    look(view) {
      this.view = view;
      this.showRows();
      this.showTable();
    }

    showRows() {
      const value = this.timeline.value;
      const view = this.view ?? 'workers';
      this.views.forEach((button) => button.setAttribute('aria-pressed', String(button.dataset.view === view)));
      this.order.hidden = view !== 'questions';
      if (!this.ordered) this.order.value = value.questions.length > 60 ? 'packed' : 'asked';
      const order = this.order.value;
      const rows = Convoke.rows(value, view, order, this.rowsFilter.value);
      const height = view === 'workers' ? 30 : order === 'packed' ? 18 : rows.length <= 400 ? 18 : rows.length <= 3_000 ? 9 : 5;
      this.gantt.set(rows, height);
      this.gantt.element.hidden = rows.length === 0;
      this.empty.hidden = rows.length > 0;
      this.empty.textContent = this.rowsFilter.value ? 'No row fits the filter.' : `No ${view} were told of.`;
      const states = new Set();
      rows.forEach((row) => [...row.bars, ...row.strips].forEach((bar) => states.add(bar.colour)));
      const ends = [['done', 'item done'], ['held', 'item in hand'], ['fallback', 'fell back'], ['failed', 'failed'],
        ['skipped', 'skipped'], ['returned', 'given back'], ['starting', 'worker starts'], ['unasked', 'answered without asking']];
      const all = [...ends, ...Convoke.STATES.map(([state, said]) => [`s-${state}`, said])];
      const entries = all.filter(([colour]) => states.has(colour));
      this.legend.replaceChildren(...entries.map(([colour, said]) => el('li', {}, el('i', { class: `swatch c-${colour}` }), said)));
    }

    seen() {
      const { from, to, end } = this.scale;
      this.window.textContent = from === 0 && to >= end ? time(end) : `${time(from)} to ${time(to)}`;
    }

    questionsTable() {
      const value = () => this.timeline.value;
      const spent = (question, ...states) => Convoke.spent(question, states, value().now);
      const took = (question) => (question.to ?? value().now) - question.from;
      const streamed = (question) => spent(question, 'streaming', 'stalled');
      const output = (question) => question.end?.usage.output_tokens ?? 0;
      const number = (name, title, by, cell, width = '76px') => ({ name, title, width, end: true, by, cell });
      return new Convoke.Table(
        [
          number('at', 'Asked', (one) => one.from, (one) => time(one.from)),
          { name: 'item', title: 'Item', width: 'minmax(120px, 2fr)', by: (one) => Convoke.itemName(value(), one.item), cell: (one) => Convoke.itemName(value(), one.item) },
          { name: 'role', title: 'Role', width: 'minmax(80px, 1fr)', by: (one) => one.role, cell: (one) => one.role },
          { name: 'model', title: 'Model', width: 'minmax(90px, 1.2fr)', by: (one) => one.model, cell: (one) => one.model || '–' },
          { name: 'came', title: 'Came to', width: '100px', by: Convoke.came, cell: Convoke.came },
          number('waited', 'Waited', (one) => spent(one, ...Convoke.WAITING), (one) => time(spent(one, ...Convoke.WAITING))),
          number('first', 'First token', (one) => spent(one, 'sent'), (one) => time(spent(one, 'sent')), '92px'),
          number('streamed', 'Streamed', streamed, (one) => time(streamed(one)), '84px'),
          number('took', 'Took', took, (one) => time(took(one))),
          number('sent', 'Sent', (one) => one.attempts, (one) => count(one.attempts), '56px'),
          number('out', 'Output', output, (one) => count(output(one)), '72px'),
          number('cost', 'Cost', (one) => one.end?.usage.usd ?? 0, (one) => Convoke.usd(one.end?.usage.usd), '80px'),
        ],
        { label: 'Questions', most: 12, note: 'No questions were told of.' },
      );
    }

    itemsTable() {
      const value = () => this.timeline.value;
      const took = (item) => (item.from === undefined ? 0 : (item.to ?? value().now) - item.from);
      const worker = (item) => (item.worker === undefined ? '–' : String(value().workers[item.worker].worker + 1));
      return new Convoke.Table(
        [
          { name: 'item', title: 'Item', width: 'minmax(140px, 3fr)', by: (one) => one.label, cell: (one) => one.label || `item ${one.item + 1}` },
          { name: 'group', title: 'Group', width: 'minmax(80px, 1fr)', by: (one) => one.group ?? '', cell: (one) => one.group ?? '–' },
          { name: 'outcome', title: 'Outcome', width: '96px', by: (one) => one.outcome?.state ?? 'pending', cell: (one) => one.outcome?.state ?? 'pending' },
          { name: 'worker', title: 'Worker', width: '72px', end: true, by: (one) => one.worker ?? -1, cell: worker },
          { name: 'attempts', title: 'Attempts', width: '80px', end: true, by: (one) => one.attempts, cell: (one) => count(one.attempts) },
          { name: 'from', title: 'Taken', width: '84px', end: true, by: (one) => one.from ?? -1, cell: (one) => time(one.from) },
          { name: 'took', title: 'Took', width: '84px', end: true, by: took, cell: (one) => (one.from === undefined ? '–' : time(took(one))) },
          { name: 'why', title: 'Because', width: 'minmax(80px, 2fr)', cell: (one) => one.outcome?.reason ?? '' },
        ],
        { label: 'Items', most: 12, note: 'No items were told of.' },
      );
    }

    showTable() {
      if (!this.asTable.open) return;
      const view = this.view ?? 'workers';
      const table = this.tables[view];
      if (this.tableIn.firstChild !== table.element) this.tableIn.replaceChildren(table.element);
      const { items } = this.timeline.value;
      const wanted = this.rowsFilter.value.trim().toLowerCase();
      const one = this.order.value === 'packed' ? 'asked' : this.order.value;
      const rows = view === 'questions'
        ? Convoke.rows(this.timeline.value, view, one, this.rowsFilter.value).map((row) => row.question)
        : items.filter((item) => !wanted || item.label.toLowerCase().includes(wanted));
      table.set(rows);
    }

    findingsSection() {
      this.findings = new Convoke.Findings();
      this.parts = { findings: section('findings', 'Findings', this.findings.element) };
      return this.parts.findings;
    }

    failuresSection() {
      this.failuresIn = el('div', {});
      this.parts.failures = section('failures', 'What did not go well', this.failuresIn);
      return this.parts.failures;
    }

    costSection() {
      this.costIn = el('div', {});
      return section('cost', 'Cost by model', this.costIn);
    }

    workersSection() {
      this.workersIn = el('div', {});
      this.parts.workers = section('workers', 'Workers', this.workersIn);
      return this.parts.workers;
    }

    proposalsSection() {
      this.ins.proposals = el('div', {});
      this.parts.proposals = section('proposals', 'Proposed changes', this.ins.proposals);
      return this.parts.proposals;
    }

    numbersSection() {
      this.ins.numbers = el('div', {});
      this.parts.numbers = section('numbers', 'Numbers', this.ins.numbers);
      return this.parts.numbers;
    }

    eventsSection() {
      this.happened = new Convoke.Happened();
      return section('happened', 'What happened', this.happened.element);
    }

    notesSection() {
      this.notesIn = el('div', {});
      this.parts.notes = section('notes', 'Notes and warnings', this.notesIn);
      return this.parts.notes;
    }

    helpDialog() {
      const close = el('button', { type: 'button', text: 'Close', on: { click: () => this.help.close() } });
      const rows = KEYS.map(([key, said]) => [el('dt', {}, key.split(' ').map((one) => el('kbd', { text: one }))), el('dd', { text: said })]);
      return el('dialog', { class: 'help', 'aria-labelledby': 'keys-title' }, el('h2', { id: 'keys-title', text: 'Keys' }),
        el('dl', {}, rows.flat()), el('p', { class: 'small', text: 'With a mouse: drag to move, Ctrl and wheel to zoom, double click to zoom to a bar.' }), close);
    }

    key(event) {
      const typing = event.target.closest?.('input, select, textarea, dialog');
      if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey) return;
      if (typing) {
        if (event.key === 'Escape' && event.target.matches('input')) event.target.blur();
        return;
      }
      const to = (element) => {
        element.scrollIntoView({ block: 'nearest' });
        element.focus({ preventScroll: true });
      };
      const inTimeline = document.activeElement?.closest('#timeline');
      const keys = {
        '/': () => to(inTimeline || this.parts.findings.hidden ? this.rowsFilter : this.findings.text),
        t: () => to(this.gantt.scroller),
        f: () => to(this.findings.table.scroller.hidden ? this.findings.text : this.findings.table.scroller),
        d: () => this.turn(),
        '?': () => this.help.showModal(),
        '+': () => this.gantt.zoomed(0.7),
        '-': () => this.gantt.zoomed(1 / 0.7),
        0: () => this.scale.fit(),
      };
      const act = keys[event.key];
      if (!act) return;
      event.preventDefault();
      act();
    }

    // The theme that was chosen before, where the browser keeps it for this page.
    kept() {
      try {
        const kept = localStorage.getItem('convoke-theme');
        return THEMES.includes(kept) ? kept : 'auto';
      } catch {
        return 'auto';
      }
    }

    turn() {
      this.dress(THEMES[(THEMES.indexOf(this.dressed) + 1) % THEMES.length]);
      try {
        localStorage.setItem('convoke-theme', this.dressed);
      } catch {
        // It holds for this page only.
      }
    }

    dress(theme) {
      this.dressed = theme;
      const isDark = theme === 'auto' ? matchMedia('(prefers-color-scheme: dark)').matches : theme === 'dark';
      document.documentElement.dataset.theme = isDark ? 'dark' : 'light';
      this.named();
      this.redraw();
    }

    named() {
      if (!this.theme) return;
      this.theme.textContent = { auto: '◐ auto', light: '○ light', dark: '● dark' }[this.dressed];
      this.theme.setAttribute('aria-label', `Theme: ${this.dressed}`);
    }

    redraw() {
      this.gantt?.draw();
      this.curves?.draw();
    }
  };

  Convoke.sectionOf = section;
})();

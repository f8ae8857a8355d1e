// The findings of a report: filtered by text, severity and rule, and one of them in full.
(() => {
  const { el, count, counted } = Convoke;

  const place = (finding) => (finding.path ? `${finding.path}${finding.line ? `:${finding.line}` : ''}` : finding.item);

  Convoke.Findings = class {
    constructor() {
      this.all = [];
      this.severities = new Set(Convoke.SEVERITIES);
      this.text = el('input', {
        type: 'search',
        placeholder: 'Filter by text, path, rule…',
        'aria-label': 'Filter findings by text',
        spellcheck: 'false',
        autocomplete: 'off',
        on: { input: () => this.filter() },
      });
      this.rule = el('select', { 'aria-label': 'Rule', on: { change: () => this.filter() } });
      this.hidden = el('input', { type: 'checkbox', on: { change: () => this.filter() } });
      this.chips = el('div', { class: 'chips', role: 'group', 'aria-label': 'Severities' });
      this.shown = el('p', { class: 'small', role: 'status', 'aria-live': 'polite' });
      this.full = el('div', { class: 'finding-full', hidden: true });
      this.table = new Convoke.Table(
        [
          {
            name: 'severity', title: 'Severity', width: '84px', by: (one) => Convoke.SEVERITIES.indexOf(one.severity),
            cell: (one) => el('span', { class: `severity v-${one.severity}`, text: one.severity }),
          },
          { name: 'message', title: 'Finding', width: 'minmax(0, 3fr)', by: (one) => one.message, cell: (one) => one.message },
          { name: 'place', title: 'Where', width: 'minmax(0, 2fr)', by: place, cell: place },
          { name: 'rule', title: 'Rule', width: 'minmax(0, 1.2fr)', by: (one) => one.rule, cell: (one) => one.rule },
        ],
        {
          label: 'Findings',
          most: 16,
          height: 30,
          follows: true,
          onchoose: (finding) => this.show(finding),
          mark: (finding) => (finding.suppressed ? 'faint' : ''),
        },
      );
      const toggle = el('label', { class: 'check' }, this.hidden, 'suppressed too');
      this.toggle = toggle;
      const tools = el('div', { class: 'tools' }, this.text, this.chips, this.rule, toggle);
      this.element = el('div', { class: 'findings' }, tools, this.shown, this.table.element, this.full);
    }

    set(findings) {
      this.all = findings;
      this.chips.replaceChildren(...Convoke.SEVERITIES.map((severity) => this.chip(severity)));
      const rules = new Map();
      findings.forEach((one) => rules.set(one.rule, (rules.get(one.rule) ?? 0) + 1));
      const chosen = this.rule.value;
      this.rule.replaceChildren(el('option', { value: '', text: 'all rules' }),
        ...[...rules].sort(([one], [other]) => one.localeCompare(other)).map(([rule, number]) =>
          el('option', { value: rule, text: `${rule} (${count(number)})` })));
      this.rule.value = rules.has(chosen) ? chosen : '';
      this.toggle.hidden = !findings.some((one) => one.suppressed);
      this.filter();
    }

    chip(severity) {
      const number = this.all.filter((one) => one.severity === severity && !one.suppressed).length;
      return el('button', {
        type: 'button',
        class: `chip v-${severity}`,
        'aria-pressed': String(this.severities.has(severity)),
        disabled: number === 0 && !this.all.some((one) => one.severity === severity),
        text: `${severity} ${count(number)}`,
        data: { severity },
        on: {
          click: (event) => {
            if (this.severities.has(severity)) this.severities.delete(severity);
            else this.severities.add(severity);
            event.currentTarget.setAttribute('aria-pressed', String(this.severities.has(severity)));
            this.filter();
          },
        },
      });
    }

    filter() {
      const wanted = this.text.value.trim().toLowerCase();
      const rule = this.rule.selectedIndex > 0 ? this.rule.value : null;
      const fits = (one) =>
        this.severities.has(one.severity)
        && (rule === null || one.rule === rule)
        && (this.hidden.checked || !one.suppressed)
        && (!wanted || [one.message, one.path, one.rule, one.item, one.help].some((text) => text?.toLowerCase().includes(wanted)));
      const rows = this.all.filter(fits);
      const note = this.all.length === 0 ? 'Nothing was found.' : 'No finding fits the filter.';
      this.table.set(rows, note);
      const open = this.all.filter((one) => !one.suppressed).length;
      const hidden = this.all.length - open;
      const more = hidden > 0 ? `, ${counted(hidden, 'suppressed', 'suppressed')}` : '';
      this.shown.textContent = `${count(rows.length)} of ${counted(open, 'finding')} shown${more}`;
      if (this.chosen && !rows.includes(this.chosen)) this.show(null);
    }

    show(finding) {
      this.chosen = finding;
      this.full.hidden = !finding;
      if (!finding) return;
      const line = (name, value) => (value ? [el('dt', { text: name }), el('dd', { text: value })] : []);
      const also = (finding.also ?? []).map((one) => `${one.path ?? one.item}${one.line ? `:${one.line}` : ''}`);
      const suppressed = finding.suppressed && `${finding.suppressed.by}: ${finding.suppressed.reason}`;
      this.full.replaceChildren(
        el('p', { class: 'finding-message' }, el('span', { class: `severity v-${finding.severity}`, text: finding.severity }), ' ', finding.message),
        el('dl', {}, [
          line('where', place(finding)), line('also', also.join(', ')), line('what to do', finding.help),
          line('rule', finding.rule), line('item', finding.item), line('found by', finding.source), line('suppressed', suppressed),
          line('fingerprint', finding.fingerprint),
        ].flat()),
      );
    }
  };
})();

// A table of any length, of which only what is seen is in the page. It is sorted by its heads, and walked with the
// keyboard; a screen reader hears how many rows there are and which one it is at.
(() => {
  const { el } = Convoke;
  let tables = 0;

  Convoke.Table = class {
    // `columns`: {name, title, width (a track of a grid), cell(row) → text or element, by(row) → what it is sorted by,
    // end: true for numbers}. `options`: label, height of a row, most (rows seen), onchoose(row), note (what stands there
    // where nothing is).
    constructor(columns, options) {
      Object.assign(this, { columns, options, rows: [], shown: [], active: -1, order: null });
      tables += 1;
      this.id = `table-${tables}`;
      this.high = options.height ?? 28;
      this.heads = columns.map((column) => {
        const head = el('div', { class: column.end ? 'cell end' : 'cell', role: 'columnheader', 'aria-sort': 'none' });
        if (column.by) {
          head.append(el('button', { type: 'button', text: column.title, on: { click: () => this.sort(column) } }));
        } else head.textContent = Convoke.text(column.title);
        return head;
      });
      const header = el('div', { class: 'row head', role: 'row', 'aria-rowindex': '1' }, this.heads);
      this.body = el('div', { class: 'table-rows', role: 'rowgroup' });
      this.spacer = el('div', { class: 'table-spacer' }, this.body);
      this.scroller = el(
        'div',
        { class: 'table-scroller', tabindex: '0', role: 'grid', 'aria-label': options.label, 'aria-readonly': 'true' },
        el('div', { role: 'rowgroup', class: 'table-head' }, header),
        this.spacer,
      );
      this.note = el('p', { class: 'nothing', hidden: true });
      this.element = el('div', { class: 'table' }, this.scroller, this.note);
      this.element.style.setProperty('--tracks', columns.map((column) => column.width).join(' '));
      this.element.style.setProperty('--row-height', `${this.high}px`);
      this.draw = Convoke.framed(() => this.paint());
      this.scroller.addEventListener('scroll', this.draw, { passive: true });
      this.scroller.addEventListener('keydown', (event) => this.key(event));
      this.scroller.addEventListener('focus', () => {
        if (this.active < 0 && this.shown.length > 0) this.go(0, false);
      });
      this.body.addEventListener('click', (event) => {
        const row = event.target.closest('[data-row]');
        if (row) this.go(Number(row.dataset.row), true);
      });
      new ResizeObserver(this.draw).observe(this.scroller);
    }

    set(rows, note) {
      const before = this.shown[this.active];
      this.rows = rows;
      this.note.textContent = Convoke.text(note ?? this.options.note ?? 'Nothing.');
      this.arrange();
      this.active = before ? this.shown.indexOf(before) : -1;
      this.draw();
    }

    arrange() {
      const { column, falls } = this.order ?? {};
      this.shown = this.rows;
      if (column) {
        const keys = new Map(this.rows.map((row) => [row, column.by(row)]));
        const compare = (one, other) => {
          const [a, b] = [keys.get(one), keys.get(other)];
          return typeof a === 'number' && typeof b === 'number' ? a - b : String(a).localeCompare(String(b));
        };
        this.shown = [...this.rows].sort((one, other) => (falls ? -compare(one, other) : compare(one, other)));
      }
      const all = this.shown.length * this.high;
      this.spacer.style.height = `${all}px`;
      this.scroller.style.maxHeight = `${(this.options.most ?? 14) * this.high + 34}px`;
      this.scroller.setAttribute('aria-rowcount', String(this.shown.length + 1));
      this.scroller.hidden = this.shown.length === 0;
      this.note.hidden = this.shown.length > 0;
    }

    sort(column) {
      const falls = this.order?.column === column ? !this.order.falls : Boolean(column.end);
      this.order = { column, falls };
      this.columns.forEach((one, place) => {
        const is = one === column ? (falls ? 'descending' : 'ascending') : 'none';
        this.heads[place].setAttribute('aria-sort', is);
      });
      this.arrange();
      this.active = -1;
      this.scroller.scrollTop = 0;
      this.draw();
    }

    go(place, chooses) {
      if (this.shown.length === 0) return;
      this.active = Math.min(Math.max(place, 0), this.shown.length - 1);
      const head = this.heads[0].offsetHeight;
      const top = this.active * this.high;
      const room = this.scroller.clientHeight - head - this.high;
      if (top < this.scroller.scrollTop) this.scroller.scrollTop = top;
      else if (top > this.scroller.scrollTop + room) this.scroller.scrollTop = top - Math.max(room, 0);
      this.paint();
      if (chooses) this.options.onchoose?.(this.shown[this.active]);
    }

    key(event) {
      if (event.target !== this.scroller || event.altKey || event.ctrlKey || event.metaKey) return;
      const page = Math.max(1, Math.floor(this.scroller.clientHeight / this.high) - 2);
      const to = {
        ArrowDown: this.active + 1,
        ArrowUp: this.active - 1,
        PageDown: this.active + page,
        PageUp: this.active - page,
        Home: 0,
        End: this.shown.length - 1,
      }[event.key];
      if (to !== undefined) this.go(to, Boolean(this.options.follows));
      else if (event.key === 'Enter' || event.key === ' ') this.go(this.active, true);
      else return;
      event.preventDefault();
      event.stopPropagation();
    }

    paint() {
      const top = this.scroller.scrollTop;
      const room = this.scroller.clientHeight || 400;
      const first = Math.max(0, Math.floor(top / this.high) - 4);
      const end = Math.min(this.shown.length, Math.ceil((top + room) / this.high) + 4);
      const rows = [];
      for (let place = first; place < end; place += 1) rows.push(this.row(place));
      this.body.replaceChildren(...rows);
      this.body.style.transform = `translateY(${first * this.high}px)`;
      if (this.active >= 0) this.scroller.setAttribute('aria-activedescendant', `${this.id}-${this.active}`);
      else this.scroller.removeAttribute('aria-activedescendant');
    }

    row(place) {
      const value = this.shown[place];
      const cells = this.columns.map((column) => {
        const content = column.cell(value);
        const isText = !(content instanceof Node);
        const title = isText ? content : undefined;
        return el('div', { class: column.end ? 'cell end' : 'cell', role: 'gridcell', title }, content);
      });
      const isActive = place === this.active;
      const more = this.options.mark?.(value) ?? '';
      return el(
        'div',
        {
          class: `row ${isActive ? 'active' : ''} ${more}`,
          role: 'row',
          id: `${this.id}-${place}`,
          'aria-rowindex': String(place + 2),
          'aria-selected': String(isActive),
          data: { row: place },
        },
        cells,
      );
    }
  };
})();

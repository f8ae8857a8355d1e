// The Gantt: rows of bars over time on a canvas, of which only what is seen is drawn. It can be dragged, pinched, wheeled
// and walked with the keyboard; what is pointed at is told to those who listen.
(() => {
  const AXIS = 26;
  const SMALLEST = 1;

  Convoke.Gantt = class {
    // `scale`: shared with the curves; `about(row, bar)` gives {title, lines} of a bar.
    constructor(scale, about) {
      const { el } = Convoke;
      [this.scale, this.about, this.rows, this.chosen, this.over] = [scale, about, [], null, null];
      this.canvas = el('canvas', { class: 'gantt-canvas', 'aria-hidden': 'true' });
      this.spacer = el('div', { class: 'gantt-spacer' });
      this.tip = el('div', { class: 'tip', hidden: true });
      this.said = el('div', { class: 'only-heard', role: 'status', 'aria-live': 'polite' });
      this.scroller = el(
        'div',
        {
          class: 'gantt-scroller',
          tabindex: '0',
          role: 'application',
          'aria-roledescription': 'timeline',
          'aria-label':
            'Timeline. Up and down choose a row, left and right a bar, plus and minus zoom, 0 shows all. The table below has the same.',
        },
        this.canvas,
        this.spacer,
      );
      this.element = el('div', { class: 'gantt' }, this.scroller, this.tip, this.said);
      this.draw = Convoke.framed(() => this.paint());
      this.pointers = new Map();
      this.listen();
      scale.onchange(this.draw);
      new ResizeObserver(this.draw).observe(this.scroller);
    }

    set(rows, height) {
      rows.forEach((row, number) => (row.number = number));
      const key = (row) => row && (row.question ?? row.worker ?? row.lane);
      const before = this.chosen && key(this.chosen.row);
      [this.rows, this.height] = [rows, height];
      const row = before !== null && rows.find((one) => key(one) === before);
      this.chosen = row ? { row, bar: row.bars[Math.min(row.bars.length - 1, this.chosen.place)], place: this.chosen.place } : null;
      this.over = null;
      const all = rows.length * height + AXIS;
      const most = Math.round(window.innerHeight * 0.6);
      this.scroller.style.height = `${Math.min(Math.max(all + 8, 120), Math.max(most, 240))}px`;
      this.spacer.style.height = `${Math.max(0, all - this.scroller.clientHeight)}px`;
      this.draw();
    }

    // How wide the names are.
    labels(width) {
      return width < 620 ? 84 : 190;
    }

    listen() {
      const { scroller } = this;
      scroller.addEventListener('scroll', this.draw, { passive: true });
      scroller.addEventListener('keydown', (event) => this.key(event));
      scroller.addEventListener('focus', this.draw);
      scroller.addEventListener('blur', () => {
        this.tell(null);
        this.draw();
      });
      scroller.addEventListener('wheel', (event) => this.wheel(event), { passive: false });
      scroller.addEventListener('pointerdown', (event) => this.down(event));
      scroller.addEventListener('pointermove', (event) => this.move(event));
      for (const name of ['pointerup', 'pointercancel']) scroller.addEventListener(name, (event) => this.up(event));
      scroller.addEventListener('pointerleave', () => this.point(null));
      scroller.addEventListener('dblclick', (event) => {
        const hit = this.hit(event);
        if (hit) this.onto(hit.bar);
        else this.scale.fit();
      });
    }

    wheel(event) {
      const { x } = this.spot(event);
      if (event.ctrlKey || event.metaKey) {
        event.preventDefault();
        this.scale.zoom(Math.exp(Math.max(-60, Math.min(60, event.deltaY)) * 0.012), this.scale.at(x));
        return;
      }
      const across = event.shiftKey ? event.deltaY || event.deltaX : event.deltaX;
      if (across && (event.shiftKey || Math.abs(event.deltaX) > Math.abs(event.deltaY))) {
        event.preventDefault();
        this.scale.pan(across / this.scale.width);
      }
    }

    spot(event) {
      const box = this.canvas.getBoundingClientRect();
      return { x: event.clientX - box.left, y: event.clientY - box.top };
    }

    down(event) {
      if (event.button !== 0) return;
      this.pointers.set(event.pointerId, { ...this.spot(event), moved: 0 });
    }

    move(event) {
      const held = this.pointers.get(event.pointerId);
      const spot = this.spot(event);
      if (!held) {
        this.point(this.hit(event), spot);
        return;
      }
      const others = [...this.pointers.entries()].filter(([id]) => id !== event.pointerId).map(([, other]) => other);
      if (others.length === 1) {
        const [before, after] = [Math.abs(held.x - others[0].x), Math.abs(spot.x - others[0].x)];
        const middle = this.scale.at((spot.x + others[0].x) / 2);
        if (before > 8 && after > 8) this.scale.zoom(before / after, middle);
      } else if (others.length === 0) {
        held.moved += Math.abs(spot.x - held.x) + Math.abs(spot.y - held.y);
        if (held.moved > 4) {
          if (!this.scroller.hasPointerCapture(event.pointerId)) this.scroller.setPointerCapture(event.pointerId);
          this.scroller.classList.add('dragged');
          this.point(null);
          this.scale.pan((held.x - spot.x) / this.scale.width);
          if (event.pointerType === 'mouse') this.scroller.scrollTop += held.y - spot.y;
        }
      }
      [held.x, held.y] = [spot.x, spot.y];
    }

    up(event) {
      const held = this.pointers.get(event.pointerId);
      this.pointers.delete(event.pointerId);
      this.scroller.classList.remove('dragged');
      if (!held || held.moved > 4 || event.type === 'pointercancel') return;
      const hit = this.hit(event);
      this.choose(hit, false);
    }

    // The row and bar at a pointer.
    hit(event) {
      const { x, y } = this.spot(event);
      if (y < AXIS || !this.height) return null;
      const row = this.rows[Math.floor((y - AXIS + this.scroller.scrollTop) / this.height)];
      if (!row) return null;
      if (x < this.scale.left) return { row, bar: row.bars[0], place: 0 };
      const inside = y - AXIS + this.scroller.scrollTop - row.number * this.height;
      const [from, to] = [this.scale.at(x - 3), this.scale.at(x + 3)];
      const near = (bars) => {
        let found = null;
        for (let place = Convoke.firstAfter(bars, from); place < bars.length && bars[place].from <= to; place += 1) {
          const bar = bars[place];
          if (bar.to >= from && (!found || bar.from <= this.scale.at(x))) found = { row, bar, place };
        }
        return found;
      };
      const inStrips = inside > this.height * 0.66 && row.strips.length > 0 ? near(row.strips) : null;
      return inStrips ?? near(row.bars);
    }

    point(hit, spot) {
      const at = spot && spot.x >= this.scale.left ? this.scale.at(spot.x) : null;
      this.over = hit;
      this.tell(hit, spot);
      this.scale.point(at);
      this.draw();
    }

    // The card beside what is pointed at.
    tell(hit, spot) {
      if (!hit || !hit.bar || !spot) {
        this.tip.hidden = true;
        return;
      }
      const { title, lines } = this.about(hit.row, hit.bar);
      if (this.told !== hit.bar) {
        this.told = hit.bar;
        const { el } = Convoke;
        const list = lines.map(([name, value]) => [el('dt', { text: name }), el('dd', { text: value })]);
        this.tip.replaceChildren(el('p', { class: 'tip-title', text: title }), el('dl', {}, list));
      }
      this.tip.hidden = false;
      const box = this.element.getBoundingClientRect();
      const [wide, high] = [this.tip.offsetWidth, this.tip.offsetHeight];
      const x = spot.x + 16 + wide > box.width ? Math.max(4, spot.x - wide - 12) : spot.x + 16;
      const roof = -box.top + 4;
      const y = Math.min(Math.max(spot.y + 14, roof), Math.max(roof, window.innerHeight - box.top - high - 8));
      this.tip.style.transform = `translate(${Math.round(x)}px, ${Math.round(y)}px)`;
    }

    choose(hit, speaks) {
      this.chosen = hit;
      if (hit && speaks) {
        this.see(hit);
        const { title, lines } = this.about(hit.row, hit.bar);
        this.said.textContent = Convoke.text(`${hit.row.label}. ${title}. ${lines.map((line) => line.join(' ')).join(', ')}`);
        const top = AXIS + hit.row.number * this.height - this.scroller.scrollTop + this.height;
        const x = Math.max(this.scale.left, this.scale.x(Math.max(hit.bar.from, this.scale.from)));
        this.tell(hit, { x, y: top - 8 });
      } else if (!hit) this.tell(null);
      this.draw();
      this.onchoose?.(hit);
    }

    // Scrolls to it.
    see({ row, bar }) {
      const top = row.number * this.height;
      const room = this.scroller.clientHeight - AXIS - this.height;
      if (top < this.scroller.scrollTop) this.scroller.scrollTop = top;
      else if (top > this.scroller.scrollTop + room) this.scroller.scrollTop = top - room;
      const { from, to } = this.scale;
      if (bar.to < from || bar.from > to) {
        const half = (to - from) / 2;
        const middle = (bar.from + bar.to) / 2;
        this.scale.show(middle - half, middle + half);
      }
    }

    // Zooms to a bar.
    onto(bar) {
      const room = Math.max((bar.to - bar.from) * 0.4, 500);
      this.scale.show(bar.from - room, bar.to + room);
    }

    key(event) {
      if (event.altKey || event.ctrlKey || event.metaKey || this.rows.length === 0) return;
      const row = this.chosen ? this.chosen.row.number : -1;
      const place = this.chosen?.place ?? 0;
      const pick = (wanted, bar) => {
        const next = this.rows[Math.min(Math.max(wanted, 0), this.rows.length - 1)];
        const number = Math.min(Math.max(bar, 0), next.bars.length - 1);
        if (next.bars.length > 0) this.choose({ row: next, bar: next.bars[number], place: number }, true);
      };
      const page = Math.max(1, Math.floor(this.scroller.clientHeight / this.height) - 2);
      const keys = {
        ArrowDown: () => pick(row + 1, place),
        ArrowUp: () => pick(row < 0 ? 0 : row - 1, place),
        PageDown: () => pick(row + page, place),
        PageUp: () => pick(row - page, place),
        Home: () => pick(0, 0),
        End: () => pick(this.rows.length - 1, 0),
        ArrowRight: () => (event.shiftKey ? this.scale.pan(0.2) : pick(Math.max(row, 0), row < 0 ? 0 : place + 1)),
        ArrowLeft: () => (event.shiftKey ? this.scale.pan(-0.2) : pick(Math.max(row, 0), place - 1)),
        '+': () => this.zoomed(0.7),
        '=': () => this.zoomed(0.7),
        '-': () => this.zoomed(1 / 0.7),
        0: () => this.scale.fit(),
        Enter: () => this.chosen && this.onto(this.chosen.bar),
        Escape: () => this.choose(null, false),
      };
      const act = keys[event.key];
      if (!act) return;
      event.preventDefault();
      event.stopPropagation();
      act();
    }

    zoomed(factor) {
      const bar = this.chosen?.bar;
      this.scale.zoom(factor, bar ? (Math.max(bar.from, this.scale.from) + Math.min(bar.to, this.scale.to)) / 2 : undefined);
    }

    paint() {
      if (!this.height || !this.canvas.isConnected) return;
      const { context, width, height } = Convoke.sized(this.canvas);
      const { scale } = this;
      scale.place(width, this.labels(width));
      const colour = Convoke.colours(this.element);
      const [top, high] = [this.scroller.scrollTop, this.height];
      const [first, end] = [Math.floor(top / high), Math.min(this.rows.length, Math.ceil((top + height - AXIS) / high))];
      context.save();
      context.beginPath();
      context.rect(0, AXIS, width, height - AXIS);
      context.clip();
      this.grid(context, colour, height);
      for (let number = first; number < end; number += 1) {
        const y = AXIS + number * high - top;
        this.row(context, colour, this.rows[number], y, width);
      }
      this.marked(context, colour, top);
      context.restore();
      this.names(context, colour, first, end, top);
      this.axis(context, colour, width);
      if (scale.hover !== null) {
        context.fillStyle = colour('hover');
        context.fillRect(scale.x(scale.hover), AXIS, 1, height);
      }
    }

    grid(context, colour, height) {
      context.fillStyle = colour('grid');
      for (const at of this.scale.ticks()) context.fillRect(Math.round(this.scale.x(at)), AXIS, 1, height);
    }

    row(context, colour, row, y, width) {
      const high = this.height;
      const gap = high > 6 ? 2 : high > 3 ? 1 : 0;
      const hasStrips = row.strips.length > 0 && high > 18;
      const strip = hasStrips ? Math.max(4, Math.round(high * 0.28)) : 0;
      if (row.worker) {
        context.fillStyle = colour('lane');
        const [from, to] = [Math.max(this.scale.x(row.from), this.scale.left), Math.min(this.scale.x(row.to), width)];
        if (to > from) context.fillRect(from, y + gap, to - from, high - gap * 2);
      }
      this.bars(context, colour, row.bars, y + gap, high - gap * 2 - strip, width, high > 16);
      if (hasStrips) this.bars(context, colour, row.strips, y + high - gap - strip, strip, width, false);
    }

    // Bars that are narrower than a pixel are drawn as one.
    bars(context, colour, bars, y, high, width, hasNames) {
      const { scale } = this;
      let drawn = -1;
      for (let place = Convoke.firstAfter(bars, scale.from); place < bars.length; place += 1) {
        const bar = bars[place];
        if (bar.from > scale.to) break;
        const from = Math.max(scale.x(bar.from), scale.left);
        const to = Math.min(Math.max(scale.x(bar.to), from + SMALLEST), width);
        if (to <= drawn + SMALLEST || to <= scale.left) continue;
        context.fillStyle = colour(bar.colour);
        const room = to - from;
        const gap = room > 6 && hasNames ? 1 : 0;
        context.fillRect(from, y, Math.max(room - gap, SMALLEST), high);
        drawn = to;
        if (hasNames && bar.name && room > 42 && high > 11) {
          context.fillStyle = colour('on-bar');
          context.font = '11px system-ui, sans-serif';
          context.textBaseline = 'middle';
          context.fillText(Convoke.fitted(context, bar.name, room - 10), from + 5, y + high / 2 + 0.5);
        }
      }
    }

    // What is chosen, and what is pointed at.
    marked(context, colour, top) {
      for (const [hit, name] of [[this.over, 'hover'], [this.chosen, 'focus']]) {
        const number = hit ? hit.row.number : -1;
        if (number < 0 || !hit.bar) continue;
        const y = AXIS + number * this.height - top;
        const from = Math.max(this.scale.x(hit.bar.from), this.scale.left);
        const to = Math.max(this.scale.x(hit.bar.to), from + 2);
        context.strokeStyle = colour(name);
        context.lineWidth = name === 'focus' ? 2 : 1;
        context.strokeRect(from - 0.5, y + 0.5, to - from + 1, Math.max(this.height - 1, 3));
      }
    }

    names(context, colour, first, end, top) {
      const { left } = this.scale;
      context.fillStyle = colour('panel');
      context.fillRect(0, 0, left, this.canvas.clientHeight);
      context.fillStyle = colour('line');
      context.fillRect(left - 1, 0, 1, this.canvas.clientHeight);
      context.textBaseline = 'middle';
      context.save();
      context.beginPath();
      context.rect(0, AXIS, left - 6, this.canvas.clientHeight);
      context.clip();
      // Names of rows that are lower than text: of as many as have room.
      const each = Math.max(1, Math.ceil(13 / this.height));
      for (let number = Math.ceil(first / each) * each; number < end; number += each) {
        const row = this.rows[number];
        const y = AXIS + number * this.height - top + Math.max(this.height, 12) / 2;
        const isChosen = this.chosen && this.rows[number] === this.chosen.row;
        context.fillStyle = colour(isChosen ? 'focus' : row.worker?.died ? 'bad' : 'text');
        context.font = `${isChosen ? '600 ' : ''}12px system-ui, sans-serif`;
        const label = Convoke.fitted(context, row.label, left - 14);
        context.fillText(label, 8, y);
        const room = left - 24 - context.measureText(label).width;
        if (row.sub && room > 30) {
          const used = 14 + context.measureText(label).width;
          context.fillStyle = colour('faint');
          context.font = '11px system-ui, sans-serif';
          context.fillText(Convoke.fitted(context, row.sub, room), used, y);
        }
      }
      context.restore();
    }

    axis(context, colour, width) {
      const { scale } = this;
      context.fillStyle = colour('panel');
      context.fillRect(0, 0, width, AXIS);
      context.fillStyle = colour('line');
      context.fillRect(0, AXIS - 1, width, 1);
      context.font = '11px system-ui, sans-serif';
      context.textBaseline = 'middle';
      context.fillStyle = colour('faint');
      for (const at of scale.ticks()) {
        const x = Math.round(scale.x(at));
        const text = Convoke.time(at);
        if (x + 4 + context.measureText(text).width < width) context.fillText(text, x + 4, AXIS / 2);
        context.fillRect(x, AXIS - 6, 1, 5);
      }
    }
  };

  // The first bar that may reach a moment, of bars in the order of their beginnings. Those before may be longer than one
  // that follows, so it begins a little earlier.
  Convoke.firstAfter = (bars, at) => {
    let [low, high] = [0, bars.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (bars[middle].from < at) low = middle + 1;
      else high = middle;
    }
    return Math.max(0, low - 64);
  };

  const widths = new Map();

  // As much of a text as has room.
  Convoke.fitted = (context, text, room) => {
    const clean = Convoke.text(text);
    const key = `${context.font}|${clean}`;
    if (!widths.has(key)) {
      if (widths.size > 20_000) widths.clear();
      widths.set(key, context.measureText(clean).width);
    }
    const width = widths.get(key);
    if (width <= room) return clean;
    const keep = Math.floor((clean.length * room) / width) - 1;
    return keep < 1 ? '' : `${clean.slice(0, keep)}…`;
  };
})();

// The curves below the Gantt, over the same time: questions in flight and the limit, quota left, the machine, dollars.
(() => {
  const { el } = Convoke;

  // Points [at, value] that go up and down by one at the given moments.
  const counted = (changes) => {
    changes.sort((one, other) => one[0] - other[0] || one[1] - other[1]);
    const points = [[0, 0]];
    let sum = 0;
    for (const [at, by] of changes) {
      sum += by;
      const last = points[points.length - 1];
      if (last[0] === at) last[1] = sum;
      else points.push([at, sum]);
    }
    return points;
  };

  // How many questions were in some states.
  const inStates = (value, states) => {
    const changes = [];
    for (const question of value.questions) {
      const stretches = Convoke.stretches(question, value.now);
      stretches.forEach(([state, from, to], place) => {
        // What one that has not ended is in goes on.
        const goesOn = question.to === undefined && place === stretches.length - 1;
        if (!states.includes(state) || (to <= from && !goesOn)) return;
        changes.push([from, 1]);
        if (!goesOn) changes.push([to, -1]);
      });
    }
    return counted(changes);
  };

  // The limit of each account: as sampled, and as told when it changed.
  const limits = (value) => {
    const known = new Map();
    const add = (account, at, limit) => {
      if (!known.has(account)) known.set(account, []);
      known.get(account).push([at, limit]);
    };
    value.limits.forEach((one) => {
      if (!known.has(one.account)) add(one.account, 0, one.before);
      add(one.account, one.at, one.limit);
    });
    value.samples.forEach(({ at, accounts }) => accounts.forEach((one) => add(one.account, at, one.limit)));
    return [...known].map(([account, points]) => ({ account, points: points.sort((one, other) => one[0] - other[0]) }));
  };

  const QUOTAS = ['requests', 'input tokens', 'output tokens'];

  // The share of each quota that is free, of the most that was seen free.
  const quotas = (value) => {
    const known = new Map();
    for (const { at, accounts } of value.samples) {
      for (const { account, free } of accounts) {
        free.forEach((left, place) => {
          if (left === null || left === undefined) return;
          const name = `${account}: ${QUOTAS[place]}`;
          if (!known.has(name)) known.set(name, []);
          known.get(name).push([at, left]);
        });
      }
    }
    return [...known].map(([name, points]) => {
      const most = points.reduce((most, [, left]) => Math.max(most, left), 1);
      return { name, points: points.map(([at, left]) => [at, left / most, left]) };
    });
  };

  const sampled = (value, name) =>
    value.samples.filter((sample) => typeof sample[name] === 'number').map((sample) => [sample.at, sample[name]]);

  const spent = (value) => {
    const ended = value.questions.filter((question) => question.end && question.to !== undefined);
    let sum = 0;
    const steps = ended.map((question) => [question.to, question.end.usage.usd]).sort((one, other) => one[0] - other[0]);
    return [[0, 0], ...steps.map(([at, usd]) => [at, (sum += usd)])];
  };

  // The panels of a timeline: {title, lines: [{name, colour, points, fills}], most (the height), top (a value and its name
  // at the edge), said (how a value is written)}. Those with nothing are left out.
  Convoke.panels = (value) => {
    const { count, percent, usd } = Convoke;
    const panels = [];
    const flying = inStates(value, ['sent', 'streaming', 'stalled']);
    if (flying.some(([, many]) => many > 0)) {
      const lines = [
        { name: 'in flight', colour: 's-streaming', points: flying, fills: true },
        { name: 'waiting', colour: 's-queued', points: inStates(value, [...Convoke.WAITING]) },
      ];
      const known = limits(value);
      known.forEach(({ account, points }, place) => {
        const name = known.length > 1 ? `limit of ${account}` : 'limit';
        lines.push({ name, colour: place % 2 ? 'line-3' : 'line-1', points, dashed: true });
      });
      // Of all that wait only so many are of interest.
      const most = lines.filter((line) => line.name !== 'waiting').flatMap((line) => line.points);
      const top = most.reduce((top, [, number]) => Math.max(top, number), 1);
      panels.push({ title: 'Questions', lines, most: top * 1.15, top: [top, count(top)], said: count });
    }
    const free = quotas(value);
    if (free.length > 0) {
      const lines = free.map(({ name, points }, place) => ({ name, colour: `line-${(place % 3) + 1}`, points }));
      panels.push({ title: 'Quota left', lines, most: 1.05, top: [1, 'most seen'], said: (share, point) => Convoke.short(point[2]) });
    }
    const machine = [
      { name: 'CPU', colour: 'line-1', points: sampled(value, 'cpu') },
      { name: 'memory', colour: 'line-2', points: sampled(value, 'memory') },
    ].filter((line) => line.points.length > 0);
    if (machine.length > 0) panels.push({ title: 'Machine', lines: machine, most: 1.05, top: [1, '100 %'], said: percent });
    const money = spent(value);
    const total = money[money.length - 1][1];
    if (total > 0) {
      const lines = [{ name: 'spent', colour: 'line-2', points: money, fills: true }];
      panels.push({ title: 'Dollars', lines, most: total * 1.15, top: [total, usd(total)], said: usd });
    }
    return panels;
  };

  // The last point at or before a moment, by its place.
  const placeAt = (points, at) => {
    let [low, high] = [0, points.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (points[middle][0] <= at) low = middle + 1;
      else high = middle;
    }
    return low - 1;
  };

  Convoke.Curves = class {
    // `scale`: shared with the Gantt.
    constructor(scale) {
      this.scale = scale;
      this.panels = [];
      this.element = el('div', { class: 'curves' });
      this.draw = Convoke.framed(() => this.paint());
      scale.onchange(this.draw);
      new ResizeObserver(this.draw).observe(this.element);
      this.element.addEventListener('pointermove', (event) => {
        const box = this.element.getBoundingClientRect();
        const x = event.clientX - box.left;
        this.scale.point(x >= this.scale.left ? this.scale.at(x) : null);
      });
      this.element.addEventListener('pointerleave', () => this.scale.point(null));
    }

    set(value) {
      this.value = value;
      const panels = Convoke.panels(value);
      const same = panels.length === this.panels.length && panels.every((one, place) => one.title === this.panels[place].title
        && one.lines.length === this.panels[place].lines.length);
      if (!same) {
        this.parts = panels.map((panel) => {
          const canvas = el('canvas', { class: 'curve', role: 'img' });
          const legend = panel.lines.map((line) => {
            const swatch = el('i', { class: `swatch c-${line.colour}` });
            const reading = el('b', { text: '' });
            return { reading, element: el('span', { class: 'reading' }, swatch, line.name, ' ', reading) };
          });
          const names = el('div', { class: 'curve-name' }, el('h3', { text: panel.title }), legend.map((one) => one.element));
          return { canvas, legend, element: el('div', { class: 'panel' }, names, canvas) };
        });
        this.element.replaceChildren(...this.parts.map((part) => part.element));
      }
      this.panels = panels;
      panels.forEach((panel, number) => {
        const now = panel.lines.map((line) => {
          const most = line.points.reduce((most, point) => (point[1] > most[1] ? point : most), line.points[0] ?? [0, 0]);
          return `${line.name} at most ${panel.said(most[1], most)}`;
        });
        this.parts[number].canvas.setAttribute('aria-label', Convoke.text(`${panel.title}: ${now.join(', ')}`));
      });
      this.draw();
    }

    paint() {
      const colour = Convoke.colours(this.element);
      this.panels.forEach((panel, number) => {
        const part = this.parts[number];
        const { context, width, height } = Convoke.sized(part.canvas);
        if (width === 0) return;
        const at = this.scale.hover;
        context.fillStyle = colour('grid');
        for (const tick of this.scale.ticks()) context.fillRect(Math.round(this.scale.x(tick)), 0, 1, height);
        this.edge(context, colour, panel, height);
        context.save();
        context.beginPath();
        context.rect(this.scale.left, 0, width - this.scale.left, height);
        context.clip();
        for (const line of panel.lines) this.line(context, colour, panel, line, height);
        context.restore();
        if (at !== null) {
          context.fillStyle = colour('hover');
          context.fillRect(this.scale.x(at), 0, 1, height);
        }
        panel.lines.forEach((line, place) => {
          const moment = at ?? this.value.now;
          const point = line.points[placeAt(line.points, moment)];
          part.legend[place].reading.textContent = point ? Convoke.text(panel.said(point[1], point)) : '–';
        });
      });
    }

    // Where a value is, from above.
    static y(panel, value, height) {
      return height - 4 - Math.max(0, Math.min(value / panel.most, 1)) * (height - 10);
    }

    // What the lines reach, and nothing.
    edge(context, colour, panel, height) {
      const { left } = this.scale;
      context.font = '10px system-ui, sans-serif';
      context.textAlign = 'right';
      context.textBaseline = 'middle';
      for (const [value, name] of [panel.top, [0, '0']]) {
        const y = Convoke.Curves.y(panel, value, height);
        context.fillStyle = colour('faint');
        context.fillText(name, left - 6, Math.min(y, height - 6));
        context.fillStyle = colour('grid');
        context.fillRect(left, Math.round(y), this.scale.width, 1);
      }
      context.textAlign = 'left';
    }

    // Steps from point to point; of those in one pixel the highest.
    line(context, colour, panel, line, height) {
      const { scale } = this;
      const { points } = line;
      const y = (value) => Convoke.Curves.y(panel, value, height);
      const first = Math.max(0, placeAt(points, scale.from));
      if (points.length === 0) return;
      const path = [];
      let [pixel, top] = [-1, -1];
      for (let place = first; place < points.length && points[place][0] <= scale.to; place += 1) {
        const [at, value] = points[place];
        const x = Math.round(Math.max(scale.x(at), scale.left));
        if (x === pixel) {
          top = Math.max(top, value);
          path[path.length - 1] = [x, y(top), y(value)];
        } else {
          [pixel, top] = [x, value];
          path.push([x, y(value), y(value)]);
        }
      }
      if (path.length === 0) return;
      const end = Math.min(scale.x(this.value.now), scale.left + scale.width);
      context.beginPath();
      context.moveTo(path[0][0], path[0][1]);
      let before = path[0][2];
      for (const [x, high, after] of path) {
        context.lineTo(x, before);
        context.lineTo(x, high);
        context.lineTo(x, after);
        before = after;
      }
      context.lineTo(end, before);
      context.strokeStyle = colour(line.colour);
      context.lineWidth = 1.5;
      context.setLineDash(line.dashed ? [4, 3] : []);
      context.stroke();
      context.setLineDash([]);
      if (line.fills) {
        context.lineTo(end, height - 4);
        context.lineTo(path[0][0], height - 4);
        context.closePath();
        context.globalAlpha = 0.18;
        context.fillStyle = colour(line.colour);
        context.fill();
        context.globalAlpha = 1;
      }
    }
  };
})();

// Time on the screen: which stretch of it is seen, and where a moment stands. Shared by all that draw it, who hear of
// every change.
(() => {
  const STEPS = [1, 2, 5, 10, 20, 50, 100, 200, 500].flatMap((step) => [step, step * 1e3]);
  const LONG = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 21600, 43200, 86400];
  const ALL = [...STEPS, ...LONG.map((seconds) => seconds * 1e6)].sort((one, other) => one - other);
  const LEAST = 100;

  Convoke.Scale = class {
    constructor() {
      [this.from, this.to, this.end, this.width, this.left] = [0, 1e6, 1e6, 100, 0];
      this.hover = null;
      this.heard = new Set();
    }

    onchange(call) {
      this.heard.add(call);
    }

    changed() {
      this.heard.forEach((call) => call());
    }

    // How wide the drawing is, and where in it time begins.
    place(width, left) {
      if (this.width === width - left && this.left === left) return;
      [this.width, this.left] = [Math.max(1, width - left), left];
    }

    // The whole is so long; who sees all of it goes on to see all.
    whole(end) {
      const saw = this.from === 0 && this.to >= this.end;
      this.end = Math.max(end, LEAST);
      if (saw) [this.from, this.to] = [0, this.end];
      this.changed();
    }

    x(at) {
      return this.left + ((at - this.from) / (this.to - this.from)) * this.width;
    }

    at(x) {
      return this.from + ((x - this.left) / this.width) * (this.to - this.from);
    }

    show(from, to) {
      const long = Math.min(Math.max(to - from, LEAST), this.end);
      const begin = Math.min(Math.max(from, 0), this.end - long);
      [this.from, this.to] = [begin, begin + long];
      this.changed();
    }

    zoom(factor, around = (this.from + this.to) / 2) {
      const [before, after] = [around - this.from, this.to - around];
      this.show(around - before * factor, around + after * factor);
    }

    // By a share of what is seen.
    pan(share) {
      const by = (this.to - this.from) * share;
      this.show(this.from + by, this.to + by);
    }

    fit() {
      this.show(0, this.end);
    }

    point(at) {
      if (this.hover === at) return;
      this.hover = at;
      this.changed();
    }

    // Round moments to mark.
    ticks() {
      const wanted = ((this.to - this.from) / this.width) * 90;
      const step = ALL.find((one) => one >= wanted) ?? Math.ceil(wanted / 864e8) * 864e8;
      const ticks = [];
      for (let at = Math.ceil(this.from / step) * step; at <= this.to && ticks.length < 200; at += step) ticks.push(at);
      return ticks;
    }
  };
})();

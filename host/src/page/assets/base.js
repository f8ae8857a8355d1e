// What all scripts of the page share: the one global name, elements made of text, and how numbers and times are written.
//
// Text of models, files and plugins only ever goes through `text()` into `textContent`: nothing here can make markup.
'use strict';
const Convoke = {};

(() => {
  // What moves the cursor, is invisible, or turns text around is shown by its number.
  const HIDDEN = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u2028-\u202e\u2060-\u206f\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufffb]|[\u{e0000}-\u{e0fff}]/gu;
  const shown = (letter) => `‹U+${letter.codePointAt(0).toString(16).toUpperCase().padStart(4, '0')}›`;

  // Text from anywhere, with what hides in it made visible.
  Convoke.text = (value) => String(value ?? '').replace(HIDDEN, shown);

  // An element. `options`: class, text, title, on (listeners), data, and attributes by their names; children are
  // elements or text.
  Convoke.el = (tag, options = {}, ...children) => {
    const element = document.createElement(tag);
    for (const [name, value] of Object.entries(options)) {
      if (value === undefined || value === null || value === false) continue;
      if (name === 'class') element.className = value;
      else if (name === 'text') element.textContent = Convoke.text(value);
      else if (name === 'on') for (const [event, heard] of Object.entries(value)) element.addEventListener(event, heard);
      else if (name === 'data') Object.assign(element.dataset, value);
      else if (name === 'title') element.title = Convoke.text(value);
      else element.setAttribute(name, value === true ? '' : Convoke.text(value));
    }
    for (const child of children.flat(Infinity)) {
      if (child === null || child === undefined || child === false) continue;
      element.append(child instanceof Node ? child : Convoke.text(child));
    }
    return element;
  };

  const number = new Intl.NumberFormat('en-US', { maximumFractionDigits: 0 });

  // The id of a run as `convoke runs` shows it: its last part.
  Convoke.shortId = (id) => id?.split('-').at(-1);

  // 12,345
  Convoke.count = (value) => number.format(value ?? 0);

  // 1 item, 2 items
  Convoke.counted = (value, one, many = `${one}s`) => `${Convoke.count(value)} ${value === 1 ? one : many}`;

  // 812 · 12.3k · 1.2M
  Convoke.short = (value) => {
    const size = Math.abs(value ?? 0);
    if (size < 1_000) return Convoke.count(value);
    const [unit, name] = size < 999_950 ? [1e3, 'k'] : size < 999_950_000 ? [1e6, 'M'] : [1e9, 'G'];
    return `${(value / unit).toFixed(size / unit < 99.95 ? 1 : 0)}${name}`;
  };

  // A time in microseconds as people read it: 0.4 ms · 12 ms · 1.24 s · 2:07 · 1:02:07
  Convoke.time = (micros) => {
    if (micros === null || micros === undefined) return '–';
    const ms = micros / 1e3;
    if (ms < 10) return `${ms.toFixed(ms < 1 ? 2 : 1).replace(/\.?0+$/, '') || '0'} ms`;
    if (ms < 1_000) return `${Math.round(ms)} ms`;
    if (ms < 59_950) return `${(ms / 1e3).toFixed(ms < 9_995 ? 2 : 1)} s`;
    const seconds = Math.round(ms / 1e3);
    const two = (value) => String(value).padStart(2, '0');
    const [hours, minutes] = [Math.floor(seconds / 3_600), Math.floor(seconds / 60) % 60];
    return hours > 0 ? `${hours}:${two(minutes)}:${two(seconds % 60)}` : `${minutes}:${two(seconds % 60)}`;
  };

  // $1.23, $0.0042
  Convoke.usd = (dollars) => {
    if (dollars === null || dollars === undefined) return '–';
    if (dollars === 0) return '$0.00';
    if (dollars < 0.0001) return '<$0.0001';
    return `$${dollars.toFixed(digits(dollars))}`;
  };
  const digits = (dollars) => (dollars < 0.995 ? 4 : 2);

  // What is left of a budget: with as many digits as what was spent, and never rounded up, so that the two fit together.
  Convoke.usdLeft = (left, spent) => {
    if (!(spent > 0)) return Convoke.usd(left);
    const parts = 10 ** digits(spent);
    // What floating point makes of a whole number of parts is still that number.
    return `$${(Math.floor(left * parts + 1e-6) / parts).toFixed(digits(spent))}`;
  };

  // 0.1234 as 12 %
  Convoke.percent = (share) => `${(share * 100).toFixed(share > 0 && share < 0.0995 ? 1 : 0)} %`;

  // A moment, as this browser's user reads it.
  Convoke.moment = (text) => {
    const moment = new Date(text);
    if (Number.isNaN(moment.getTime())) return Convoke.text(text);
    return new Intl.DateTimeFormat(undefined, { dateStyle: 'medium', timeStyle: 'medium' }).format(moment);
  };

  // The states of a question, in the order of its life: name in events, words, and the name of its colour in the style.
  Convoke.STATES = [
    ['queued', 'queued'],
    ['context', 'waiting for shared context'],
    ['quota', 'waiting for quota'],
    ['limit', 'waiting for the limit'],
    ['instance', 'waiting for an instance'],
    ['breaker', 'waiting for the breaker'],
    ['pause', 'paused'],
    ['sent', 'sent, no answer yet'],
    ['streaming', 'answer streaming'],
    ['stalled', 'nothing came of the answer'],
    ['retry', 'waiting to retry'],
  ];
  // An answer that had begun, and of which so long nothing was heard, has stalled: in microseconds.
  Convoke.STALLED = 5e6;
  Convoke.OUTCOMES = ['done', 'cached', 'skipped', 'fallback', 'failed', 'pending'];
  Convoke.SEVERITIES = ['critical', 'high', 'medium', 'low', 'info'];

  // The colours of the theme that holds now, by name. Canvases can't be styled, so they ask here.
  Convoke.colours = (root) => {
    const style = getComputedStyle(root);
    const known = new Map();
    return (name) => {
      if (!known.has(name)) known.set(name, style.getPropertyValue(`--${name}`).trim() || '#888');
      return known.get(name);
    };
  };

  // Calls at most once a frame.
  Convoke.framed = (call) => {
    let asked = false;
    return () => {
      if (asked) return;
      asked = true;
      requestAnimationFrame(() => {
        asked = false;
        call();
      });
    };
  };

  // A canvas as large as its element, sharp on every screen; its context counts in CSS pixels.
  Convoke.sized = (canvas) => {
    const [width, height, ratio] = [canvas.clientWidth, canvas.clientHeight, window.devicePixelRatio || 1];
    const [wide, high] = [Math.round(width * ratio), Math.round(height * ratio)];
    if (canvas.width !== wide || canvas.height !== high) [canvas.width, canvas.height] = [wide, high];
    const context = canvas.getContext('2d');
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    context.clearRect(0, 0, width, height);
    return { context, width, height };
  };

  // What a question came to, in words.
  Convoke.came = (question) => {
    if (!question.end) return question.to === undefined ? 'under way' : 'broken off';
    const words = { model: 'answered', cache: 'from cache', fallback: 'fallback', dropped: 'dropped' };
    return words[question.end.by] || question.end.by;
  };
})();

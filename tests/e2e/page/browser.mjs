// Looks at a page of a run with a headless Chromium, as its user would, and prints what it saw as JSON.
//
//   node browser.mjs look PAGE FOLDER      clicks, filters, types; pictures go to the folder
//   node browser.mjs smooth PAGE FOLDER    pans over many questions, and measures the frames
//   node browser.mjs tiles PAGE            reads the tiles
//   node browser.mjs fold EVENTS SCRIPT…   what the page's scripts make of events, without a browser
//   node browser.mjs says ASKED SCRIPT…    what they say of a picture, without a browser: ASKED is { data, asks: [code] }
//
// CONVOKE_CHROMIUM and CONVOKE_PUPPETEER name the browser and the folder of puppeteer-core, beside which axe-core lies.
import { readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { runInNewContext } from 'node:vm';

const [, , what, file, ...rest] = process.argv;

const fold = () => {
  const scripts = rest.map((script) => readFileSync(script, 'utf8')).join('\n');
  const streams = JSON.parse(readFileSync(file, 'utf8'));
  const context = { streams, Node: class {}, Intl };
  return runInNewContext(
    `${scripts}\nconst whole = new Convoke.Timeline();
     const again = () => JSON.parse(JSON.stringify(whole.value));
     streams.forEach(({ offset, events }, place) => {
       if (place > 0) whole.continues(offset);
       // One that is taken up in the middle comes to the same.
       events.forEach((event, number) => { if (number % 7 === 3) whole.set(again()); whole.update(event); });
     });
     JSON.stringify(whole.value);`,
    context,
  );
};

const says = () => {
  const scripts = rest.map((script) => readFileSync(script, 'utf8').replaceAll(/^export /gm, '')).join('\n');
  const { data, asks } = JSON.parse(readFileSync(file, 'utf8'));
  const context = { data, Node: class {}, Intl };
  return runInNewContext(`${scripts}\nJSON.stringify([${asks.map((code) => `(${code})`).join()}]);`, context);
};

const browse = async (drive) => {
  const { default: puppeteer } = await import(
    pathToFileURL(join(process.env.CONVOKE_PUPPETEER, 'lib/esm/puppeteer/puppeteer-core.js')).href
  );
  const browser = await puppeteer.launch({
    executablePath: process.env.CONVOKE_CHROMIUM,
    // Whoever is root can't have the sandbox, as in most containers.
    args: ['--disable-gpu', '--no-first-run', ...(process.getuid?.() === 0 ? ['--no-sandbox'] : [])],
  });
  try {
    const page = await browser.newPage();
    const seen = { said: [], errors: [], requests: [], dialogs: [] };
    const url = pathToFileURL(file).href;
    page.on('console', (message) => seen.said.push(`${message.type()}: ${message.text()}`));
    page.on('pageerror', (error) => seen.errors.push(String(error?.stack ?? error)));
    page.on('request', (request) => {
      if (request.url() !== url && request.url() !== 'data:,') seen.requests.push(request.url());
    });
    page.on('dialog', async (dialog) => {
      seen.dialogs.push(dialog.message());
      await dialog.dismiss();
    });
    await page.setViewport({ width: 1280, height: 900 });
    await page.emulateMediaFeatures([
      { name: 'prefers-color-scheme', value: 'light' },
      // Nothing fades, so that what is measured is what is there.
      { name: 'prefers-reduced-motion', value: 'reduce' },
    ]);
    const began = Date.now();
    await page.goto(url);
    await frame(page);
    seen.loaded_ms = Date.now() - began;
    await drive(page, seen);
    return JSON.stringify(seen);
  } finally {
    await browser.close();
  }
};

// Until what was changed is drawn.
const frame = (page) =>
  page.evaluate(() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(() => done()))));

// How many colours are on the canvas of the Gantt: one that is blank has one or two.
const colours = (page) =>
  page.evaluate(() => {
    const canvas = document.querySelector('.gantt-canvas');
    const { data } = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);
    const seen = new Set();
    for (let at = 0; at < data.length; at += 16) seen.add((data[at] << 16) | (data[at + 1] << 8) | data[at + 2]);
    return seen.size;
  });

const text = (page, selector) => page.$eval(selector, (element) => element.textContent);
const attribute = (page, selector, name) => page.$eval(selector, (element, name) => element.getAttribute(name), name);

const look = async (page, seen) => {
  const picture = async (name) => {
    const path = join(rest[0], `${name}.png`);
    await page.screenshot({ path, fullPage: true });
    return statSync(path).size;
  };
  seen.title = await page.title();
  seen.heading = await text(page, 'h1');
  seen.status = await text(page, '.top .badge');
  seen.sections = await page.$$eval('main > section:not([hidden])', (all) => all.map((one) => one.id));
  seen.census = await attribute(page, '.census', 'aria-label');
  seen.elements = await page.evaluate(() =>
    Object.fromEntries(['script', 'style', 'img', 'svg', 'iframe', 'object', 'form', 'base'].map((name) =>
      [name, document.getElementsByTagName(name).length])));
  seen.colours = await colours(page);
  seen.light = await picture('light');

  // Click: the other rows, then the theme.
  await page.click('[data-view="questions"]');
  await frame(page);
  seen.questions_pressed = await attribute(page, '[data-view="questions"]', 'aria-pressed');
  await page.click('[data-view="workers"]');
  await page.click('.actions button');
  await page.click('.actions button');
  await frame(page);
  seen.theme = await page.evaluate(() => document.documentElement.dataset.theme);
  seen.dark_back = await page.evaluate(() => getComputedStyle(document.body).backgroundColor);
  seen.dark = await picture('dark');

  // Filter: by text, then by severity, then neither.
  const shown = () => text(page, '.findings [role="status"]');
  seen.findings = await shown();
  if (!(await page.$eval('#findings', (section) => section.hidden))) {
    await page.keyboard.press('/');
    seen.filter_has_focus = await page.evaluate(() => document.activeElement?.getAttribute('aria-label'));
    await page.keyboard.type('no finding says this');
    seen.findings_of_text = await shown();
    seen.nothing = await page.$eval('.findings .nothing', (note) => (note.hidden ? null : note.textContent));
    await page.$eval('.findings input[type="search"]', (input) => {
      input.value = '';
      input.dispatchEvent(new Event('input'));
    });
    await page.keyboard.press('Escape');
    await page.$eval('.chip:not(:disabled)', (chip) => chip.click());
    seen.findings_of_severity = await shown();
    await page.$eval('.chip:not(:disabled)', (chip) => chip.click());
    await page.keyboard.press('f');
    await page.keyboard.press('ArrowDown');
    seen.active_row = await page.evaluate(() => {
      const id = document.activeElement?.getAttribute('aria-activedescendant');
      return id ? document.getElementById(id)?.getAttribute('aria-rowindex') : null;
    });
    seen.full = await page.$eval('.finding-full', (full) => (full.hidden ? null : full.textContent));
  }

  // Keyboard: into the timeline, along its rows and bars, zoom, back.
  const seconds = () => page.evaluate(() => Convoke.app.scale.to - Convoke.app.scale.from);
  await page.keyboard.press('t');
  seen.timeline_has_focus = await page.evaluate(() => document.activeElement?.getAttribute('aria-roledescription'));
  const whole = await seconds();
  for (const key of ['ArrowDown', 'ArrowRight', '+', '+', 'ArrowLeft']) await page.keyboard.press(key);
  await frame(page);
  seen.zoomed = (await seconds()) < whole;
  seen.heard = await text(page, '.gantt [role="status"]');
  seen.card = await page.$eval('.tip', (tip) => !tip.hidden);
  await page.keyboard.press('0');
  seen.whole_again = (await seconds()) === whole;
  await page.keyboard.press('End');
  await page.keyboard.press('Home');
  await page.keyboard.press('Escape');
  await page.keyboard.press('?');
  seen.help = await page.$eval('dialog', (dialog) => dialog.open);
  await page.keyboard.press('Escape');

  // The pointer: a card beside what it is over; dragging moves, a wheel with Ctrl zooms.
  await page.$eval('.gantt-scroller', (scroller) => scroller.scrollIntoView({ block: 'center' }));
  const box = await (await page.$('.gantt-scroller')).boundingBox();
  await page.mouse.move(box.x + box.width * 0.5, box.y + 40);
  await frame(page);
  await page.keyboard.down('Control');
  await page.mouse.wheel({ deltaY: -300 });
  await page.keyboard.up('Control');
  await frame(page);
  seen.wheeled = (await seconds()) < whole;
  const before = await page.evaluate(() => Convoke.app.scale.from);
  await page.mouse.down();
  await page.mouse.move(box.x + box.width * 0.4, box.y + 44, { steps: 4 });
  await page.mouse.up();
  seen.dragged = (await page.evaluate(() => Convoke.app.scale.from)) !== before;

  // The table beside it, sorted.
  await page.click('.as-table summary');
  await frame(page);
  seen.table_rows = Number(await attribute(page, '.as-table [role="grid"]', 'aria-rowcount')) - 1;
  await page.click('.as-table [role="columnheader"] button');
  seen.sorted = await attribute(page, '.as-table [role="columnheader"]', 'aria-sort');
  await page.$$eval('details', (all) => all.forEach((one) => (one.open = true)));
  await frame(page);

  // What is not text was made text by mistake.
  seen.mistakes = await page.evaluate(() =>
    [...document.body.innerText.matchAll(/.{0,40}(\[object|undefined|NaN|null).{0,40}/g)].map((found) => found[0]));
  seen.told = await page.$eval('.tip', (tip) => tip.textContent);

  // What a screen reader needs.
  await page.evaluate(readFileSync(join(process.env.CONVOKE_PUPPETEER, '../axe-core/axe.min.js'), 'utf8'));
  seen.barriers = [];
  for (const theme of ['light', 'dark']) {
    await page.evaluate((theme) => Convoke.app.dress(theme), theme);
    const barriers = await page.evaluate(async () => {
      const { violations } = await window.axe.run(document);
      return violations.map((one) => `${one.id}: ${one.nodes.map((node) => node.target).join(' · ').slice(0, 300)}`);
    });
    seen.barriers.push(...barriers.map((barrier) => `${theme}: ${barrier}`));
  }

  // Narrow.
  await page.setViewport({ width: 400, height: 800 });
  await frame(page);
  await new Promise((done) => setTimeout(done, 200));
  seen.too_wide = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
  seen.narrow = await picture('narrow');

  // What the page's policy forbids does not run.
  const before_that = seen.said.length;
  seen.injected = await page.evaluate(() => {
    try {
      const script = document.createElement('script');
      script.textContent = 'window.injected = true';
      document.body.append(script);
    } catch (error) {
      return `refused: ${error.name}`;
    }
    return window.injected ? 'ran' : 'blocked';
  });
  await frame(page);
  seen.refused = seen.said.splice(before_that);
  seen.scripts_of_others = await page.evaluate(() => window.hostile ?? null);
};

const smooth = async (page, seen) => {
  seen.asked = await page.evaluate(() => Convoke.app.timeline.value.questions.length);
  for (const view of ['workers', 'questions']) {
    seen[view] = await page.evaluate(async (view) => {
      const { app } = Convoke;
      const next = () => new Promise((done) => requestAnimationFrame(done));
      app.look(view);
      await next();
      app.scale.zoom(0.3);
      const drawn = [];
      const paint = app.gantt.paint.bind(app.gantt);
      app.gantt.paint = () => {
        const began = performance.now();
        paint();
        drawn.push(performance.now() - began);
      };
      const frames = [];
      let last = performance.now();
      for (let number = 0; number < 60; number += 1) {
        app.scale.pan(number < 30 ? 0.03 : -0.03);
        app.gantt.scroller.scrollTop += 25;
        await next();
        frames.push(performance.now() - last);
        last = performance.now();
      }
      delete app.gantt.paint;
      app.scale.fit();
      const at = (list, share) => [...list].sort((one, other) => one - other)[Math.floor(list.length * share)];
      return { rows: app.gantt.rows.length, frame_ms: at(frames, 0.5), slow_frame_ms: at(frames, 0.95), draw_ms: at(drawn, 0.95) };
    }, view);
  }
  const elements = () => page.evaluate(() => document.getElementsByTagName('*').length);
  await page.click('.as-table summary');
  await frame(page);
  seen.table_rows = Number(await attribute(page, '.as-table [role="grid"]', 'aria-rowcount')) - 1;
  seen.elements = await elements();
  await page.screenshot({ path: join(rest[0], 'many.png') });
};

const tiles = async (page, seen) => {
  seen.tiles = await page.$$eval('.tile', (all) => all.map((one) => one.textContent));
};

const said = what === 'fold' ? fold() : what === 'says' ? says() : await browse({ look, smooth, tiles }[what]);
process.stdout.write(`${said}\n`);

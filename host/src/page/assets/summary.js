// What a run came to, in a few numbers: census, time, questions, tokens, money; then models, budgets and groups.
(() => {
  const { el, count, counted, usd, usdLeft, time, percent, short } = Convoke;

  // The status that is shown: that of the report, else of the events.
  Convoke.status = ({ timeline, report }) => {
    if (report) return report.status;
    if (timeline.ended) return timeline.ended.status;
    if (timeline.paused !== undefined) return 'paused';
    return timeline.run ? 'running' : 'unknown';
  };

  const tile = (name, big, more, ...rest) =>
    el('div', { class: 'tile' }, el('h3', { text: name }), el('p', { class: 'big' }, big), rest,
      more.filter(Boolean).map((line) => el('p', { class: 'small', text: line })));

  // A bar of parts that add up, with their names and counts below.
  const censusBar = (census) => {
    const parts = Convoke.OUTCOMES.filter((name) => census[name] > 0);
    const said = parts.map((name) => `${count(census[name])} ${name}`).join(', ');
    const bar = el('div', { class: 'census', role: 'img', 'aria-label': `${counted(census.items, 'item')}: ${said || 'none'}` });
    for (const name of parts) {
      const part = el('i', { class: `o-${name}`, title: `${count(census[name])} ${name}` });
      part.style.flexGrow = String(census[name]);
      bar.append(part);
    }
    const legend = parts.map((name) => el('li', {}, el('i', { class: `swatch o-${name}` }), `${count(census[name])} ${name}`));
    return [bar, el('ul', { class: 'legend' }, legend)];
  };

  // What is left of the run's budget: also what it took before it was continued is off it, and what runs beside it took.
  const leftOf = ({ timeline, report }) => {
    if (report?.cost) return report.cost.budgets?.find((one) => one.limit === 'usd')?.left;
    const spent = timeline.samples.at(-1)?.budgets?.find((one) => one.budget === 'usd')?.spent;
    return spent === undefined || !timeline.run?.budget ? undefined : timeline.run.budget * Math.max(0, 1 - spent);
  };

  const moneyOf = ({ timeline, report }) => {
    const { totals } = timeline;
    const cost = report?.cost;
    return {
      known: cost ? cost.usd : totals.usage.usd,
      uncertain: cost ? cost.uncertain_usd : totals.uncertain,
      notional: cost?.notional_usd ?? 0,
      estimate: cost?.estimate?.usd ?? null,
      budget: timeline.run?.budget ?? null,
      left: leftOf({ timeline, report }),
    };
  };

  // How long questions waited to be sent, all together: as told at their ends, and so far where they go on.
  Convoke.waited = (timeline) => timeline.questions.reduce((sum, one) =>
    sum + (one.end?.queued ?? (one.to === undefined ? Convoke.spent(one, Convoke.WAITING, timeline.now) : 0)), 0);

  // The tiles.
  Convoke.tiles = (data) => {
    const { timeline, report } = data;
    const census = report?.census ?? timeline.census;
    const { totals } = timeline;
    const usage = report?.usage ?? totals.usage;
    const wall = report ? report.timing.wall_ms * 1e3 : timeline.now;
    const held = timeline.workers.flatMap((worker) => worker.holds.map((hold) => (hold.to ?? timeline.now) - hold.from));
    const work = report ? report.timing.work_ms * 1e3 : held.reduce((sum, one) => sum + one, 0);
    const ended = census.items - census.pending;
    const input = usage.input_tokens + usage.cache_read_tokens + usage.cache_write_tokens;
    const money = moneyOf(data);
    const hits = totals.by.cache ?? 0;
    const asked = (totals.questions || 0) + timeline.questions.filter((one) => one.to === undefined).length;
    const waited = Convoke.waited(timeline);
    const items = ended === census.items ? count(census.items) : [count(ended), el('small', { text: ` of ${count(census.items)}` })];
    return el(
      'div',
      { class: 'tiles' },
      tile('Items', items, [], ...censusBar(census)),
      tile('Time', time(wall), [
        `${time(work)} of work in ${counted(timeline.workers.length || report?.workers?.length || 0, 'worker')}`,
        wall > 0 && work > 0 && `${(work / wall).toFixed(2)} × faster than one after the other`,
        report?.timing.bottleneck?.reason,
      ]),
      tile('Questions', count(asked), [
        `sent ${counted(totals.sent, 'time')}, ${counted(totals.retries, 'retry', 'retries')}`,
        hits > 0 && `${count(hits)} answered from the cache`,
        asked > 0 && `waited ${time(waited / asked)} each, in the mean`,
      ]),
      tile('Tokens', short(input + usage.output_tokens), [
        `${count(input)} in, ${count(usage.output_tokens)} out`,
        usage.cache_read_tokens > 0 && `${percent(usage.cache_read_tokens / input)} of input from the provider's cache`,
      ]),
      tile('Cost', usd(money.known), [
        money.uncertain > 0 && `at most ${usd(money.known + money.uncertain)}: some requests broke off`,
        money.notional > 0 && `${usd(money.notional)} of it is paid by a subscription`,
        money.estimate !== null && `about ${usd(money.estimate)} was expected`,
        money.budget !== null && `budget ${usd(money.budget)}${money.left === undefined ? '' : `, ${usdLeft(money.left, money.known || money.uncertain)} left`}`,
        'US dollars, list price',
      ]),
    );
  };

  const plain = (head, rows, ends = []) =>
    el('div', { class: 'wide' }, el('table', { class: 'plain' },
      el('thead', {}, el('tr', {}, head.map((name, place) => el('th', { scope: 'col', class: ends.includes(place) && 'end', text: name })))),
      el('tbody', {}, rows.map((row) => el('tr', {}, row.map((cell, place) =>
        el(place === 0 ? 'th' : 'td', { scope: place === 0 && 'row', class: ends.includes(place) && 'end' }, cell)))))));

  // Cost by model, and the budgets.
  Convoke.costs = ({ timeline, report }) => {
    const models = report
      ? report.cost.by_model.map((one) => ({ ...one, uncertain: one.uncertain_usd, questions: null }))
      : timeline.totals.models.filter((one) => one.model);
    const all = models.reduce((sum, one) => sum + one.usage.usd, 0);
    const asked = (model) => timeline.totals.models.find((one) => one.model === model.model && one.backend === model.backend);
    const rows = models.map((one) => {
      const share = el('span', { class: 'share' }, el('i', {}));
      share.firstChild.style.width = `${all > 0 ? (one.usage.usd / all) * 100 : 0}%`;
      return [
        el('span', { class: 'name' }, one.model || 'none', el('small', { text: ` ${one.backend}${one.notional ? ', subscription' : ''}` })),
        count(one.questions ?? asked(one)?.questions ?? 0),
        count(one.usage.requests),
        count(one.usage.input_tokens),
        count(one.usage.cache_read_tokens),
        count(one.usage.cache_write_tokens),
        count(one.usage.output_tokens),
        el('span', {}, usd(one.usage.usd), one.uncertain > 0 && el('small', { text: ` to ${usd(one.usage.usd + one.uncertain)}` })),
        share,
      ];
    });
    const parts = [];
    if (rows.length > 0) {
      const head = ['Model', 'Questions', 'Requests', 'Input', 'Cache read', 'Cache written', 'Output', 'Cost', 'Share'];
      parts.push(plain(head, rows, [1, 2, 3, 4, 5, 6, 7]));
    } else parts.push(el('p', { class: 'nothing', text: 'No model was asked.' }));
    const budgets = report?.cost?.budgets ?? [];
    if (budgets.length > 0) {
      const isMoney = (name) => name.startsWith('usd');
      const amount = (name, value) => (isMoney(name) ? usd(value) : count(value));
      parts.push(el('h3', { text: 'Budgets' }), plain(['Budget', 'Limit', 'Spent', 'Left'],
        budgets.map((one) => [one.limit, amount(one.limit, one.size), amount(one.limit, one.spent),
          isMoney(one.limit) ? usdLeft(one.left, one.spent) : count(one.left)]), [1, 2, 3]));
    }
    return el('div', {}, parts);
  };

  // The workers: how long each was busy, and with what.
  Convoke.workersTable = ({ timeline }) => {
    const rows = timeline.workers.map((worker) => {
      const end = worker.to ?? timeline.now;
      const long = Math.max(1, end - worker.from);
      const busy = worker.holds.reduce((sum, hold) => sum + (hold.to ?? end) - hold.from, 0);
      const share = el('span', { class: 'share' }, el('i', {}));
      share.firstChild.style.width = `${Math.min(100, (busy / long) * 100)}%`;
      const longest = worker.holds.reduce((most, hold) => {
        const took = (hold.to ?? end) - hold.from;
        return took > most.took ? { took, item: hold.item } : most;
      }, { took: -1, item: null });
      return [
        String(worker.worker + 1),
        worker.segment || '–',
        count(worker.holds.length),
        time(worker.ready_after),
        el('span', {}, time(busy), ' ', share),
        longest.took < 0 ? '–' : `${Convoke.itemName(timeline, longest.item)} (${time(longest.took)})`,
        worker.died ?? '',
      ];
    });
    if (rows.length === 0) return null;
    return plain(['Worker', 'Segment', 'Items', 'Ready after', 'Busy', 'Longest item', 'Died'], rows, [2, 3]);
  };

  Convoke.plainTable = plain;
})();

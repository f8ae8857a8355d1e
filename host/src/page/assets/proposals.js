// What a command proposes to change, what it counted, and the texts that it hands out.
(() => {
  const { el, count } = Convoke;
  const LONGEST = 200_000;
  const MOST = 200;

  const GOOD = ['applied', 'done', 'done-before', 'confirmed-done'];
  const BAD = ['conflict', 'refused', 'failed', 'unknown'];
  const badge = (state) =>
    el('span', { class: `badge o-${GOOD.includes(state) ? 'done' : BAD.includes(state) ? 'failed' : 'pending'}`, text: state });

  // The lines of a diff, coloured; a text that is too long to look at is cut.
  const diff = (text) => {
    const lines = Convoke.lines(text.slice(0, LONGEST)).split('\n');
    const classOf = (line) => (line.startsWith('+') ? 'added' : line.startsWith('-') ? 'removed' : line.startsWith('@') ? 'where' : null);
    return el('pre', { tabindex: '0', class: 'diff' }, lines.map((line) => el('span', { class: classOf(line), text: `${line}\n` })));
  };

  // A text that is opened; what is in it is made then.
  const opened = (head, body) => {
    const made = el('details', { class: 'note' }, el('summary', {}, head));
    made.addEventListener('toggle', () => {
      if (made.open && made.childElementCount === 1) made.append(body());
    });
    return made;
  };
  Convoke.opened = opened;

  // Edits and actions. Null: nothing is proposed.
  Convoke.proposals = (report) => {
    const [edits, actions] = [report?.edits ?? [], report?.actions ?? []];
    if (edits.length + actions.length === 0) return null;
    const ofEdit = (edit) => {
      const why = [edit.conflict, edit.problem, ...edit.reasons].filter(Boolean).join('; ');
      const head = [badge(edit.state), el('b', { text: edit.path }), el('span', { class: 'because', text: why })];
      return opened(head, () => (edit.diff ? diff(edit.diff) : el('p', { class: 'nothing', text: 'There is no diff of it.' })));
    };
    const ofAction = (action) => {
      const head = [badge(action.state), el('b', { text: `${action.kind}: ${action.title}` }), el('span', { class: 'because', text: action.problem })];
      const text = [JSON.stringify(action.body, null, 2), action.output, action.errors].filter(Boolean).join('\n\n');
      return opened(head, () => el('pre', { tabindex: '0', text: Convoke.lines(text.slice(0, LONGEST)) }));
    };
    const all = [...edits.map((edit) => [ofEdit, edit]), ...actions.map((action) => [ofAction, action])];
    const shown = all.slice(0, MOST).map(([make, one]) => make(one));
    if (all.length > MOST) shown.push(el('p', { class: 'small', text: `and ${count(all.length - MOST)} more` }));
    return el('div', {}, shown);
  };

  // Metrics, and findings by group. Null: there are none.
  Convoke.numbers = (report) => {
    const [metrics, groups] = [report?.metrics ?? [], report?.groups ?? []];
    const parts = [];
    if (metrics.length > 0) {
      const amount = (value) => (Number.isInteger(value) ? count(value) : String(Math.round(value * 100) / 100));
      const rows = metrics.slice(0, 1_000).map((one) => [one.item ? `${one.name} of ${one.item}` : one.name, `${amount(one.value)} ${one.unit}`, one.reduce, count(one.values)]);
      parts.push(Convoke.plainTable(['Metric', 'Value', 'Made as', 'Of values'], rows, [1, 3]));
    }
    if (groups.length > 0) {
      const rows = groups.slice(0, 1_000).map((group) => [group.name ?? 'no group', count(group.items),
        ...Convoke.SEVERITIES.map((severity) => count(group.findings[severity])), count(group.census.failed), count(group.census.fallback)]);
      parts.push(el('h3', { text: 'Groups' }),
        Convoke.plainTable(['Group', 'Items', ...Convoke.SEVERITIES, 'Failed', 'Fell back'], rows, [1, 2, 3, 4, 5, 6, 7, 8]));
    }
    return parts.length > 0 ? el('div', {}, parts) : null;
  };

  // The texts that are handed out, as they are.
  Convoke.documents = (report) =>
    (report?.documents ?? []).slice(0, MOST).map((one) =>
      opened([el('b', { text: one.name }), el('span', { class: 'because', text: one.media_type })],
        () => el('pre', { tabindex: '0', text: Convoke.lines(one.text.slice(0, LONGEST)) })));
})();

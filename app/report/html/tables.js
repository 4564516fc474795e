// Makes the tables of the report sort, filter and turn pages, and shows one format's at a time. Without it all of them
// stand there whole.
'use strict';
(() => {
  const kRowsOfAPage = 25;
  const make = (name, attributes, ...children) => {
    const element = Object.assign(document.createElement(name), attributes);
    element.append(...children);
    return element;
  };

  // One of the formats, the same in every place that has it.
  const groups = [...document.querySelectorAll('.choices')].filter((group) => group.children.length > 1);
  const selects = [];
  const choose = (name) => {
    for (const group of groups) {
      const choices = [...group.querySelectorAll(':scope > .choice')];
      if (!choices.some((choice) => choice.dataset.name === name)) continue;
      for (const choice of choices) choice.hidden = choice.dataset.name !== name;
    }
    for (const select of selects) select.value = name;
  };
  for (const group of groups) {
    const choices = [...group.querySelectorAll(':scope > .choice')];
    const select = make('select', {}, ...choices.map(({ dataset }) => make('option', { value: dataset.name }, dataset.name)));
    select.addEventListener('change', () => choose(select.value));
    selects.push(select);
    group.prepend(make('div', { className: 'controls' }, make('label', {}, `${group.dataset.label} `, select)));
  }
  for (const group of groups) choose(group.querySelector(':scope > .choice').dataset.name);

  // What stays together when a table is sorted or turned: a body for each group, or a row.
  const unitsOf = (table) => (table.tBodies.length > 1 ? [...table.tBodies] : [...table.tBodies[0].rows]);

  const pagers = new Map();
  const addPager = (table) => {
    const units = unitsOf(table);
    if (units.length <= kRowsOfAPage) return;
    const search = make('input', { type: 'search', size: 14 });
    const before = make('button', { type: 'button' }, 'previous');
    const after = make('button', { type: 'button' }, 'next');
    const where = make('span', {});
    where.setAttribute('aria-live', 'polite');
    let first = 0;
    const show = () => {
      const wanted = search.value.trim().toLowerCase();
      const found = unitsOf(table).filter((unit) => unit.querySelector('th').textContent.toLowerCase().includes(wanted));
      first = Math.min(first, Math.max(0, Math.ceil(found.length / kRowsOfAPage) - 1) * kRowsOfAPage);
      const shown = new Set(found.slice(first, first + kRowsOfAPage));
      for (const unit of unitsOf(table)) unit.hidden = !shown.has(unit);
      before.disabled = first === 0;
      after.disabled = first + kRowsOfAPage >= found.length;
      where.textContent = found.length === 0 ? 'no layer'
        : `layers ${first + 1} to ${first + shown.size} of ${found.length}` +
          (found.length < units.length ? ` found, ${units.length} in all` : '');
    };
    search.addEventListener('input', () => { first = 0; show(); });
    before.addEventListener('click', () => { first -= kRowsOfAPage; show(); });
    after.addEventListener('click', () => { first += kRowsOfAPage; show(); });
    table.parentElement.before(make('div', { className: 'controls' }, make('label', {}, 'Filter layers ', search), before,
      after, where));
    pagers.set(table, () => { first = 0; show(); });
    show();
  };
  for (const table of document.querySelectorAll('table.paged')) addPager(table);

  // The cells of a column by its place among the cells of a row; undefined ones last.
  const orderOf = (row, column) => {
    const cell = row.cells[column];
    return column === 0 ? cell.textContent : cell.dataset.order === undefined ? NaN : Number(cell.dataset.order);
  };
  const compare = (one, other, sign) => {
    if (typeof one === 'string') return sign * one.localeCompare(other, 'en', { numeric: true });
    if (Number.isNaN(one) || Number.isNaN(other)) return Number.isNaN(one) - Number.isNaN(other);
    return sign * (one === other ? 0 : one < other ? -1 : 1);
  };
  const addSorting = (table) => {
    const body = table.tBodies[0];
    const heads = [table.tHead.rows[0].cells[0], ...table.tHead.rows[1].cells];
    const original = [...body.rows];
    heads.forEach((head, column) => {
      const button = make('button', { type: 'button', className: 'sort' }, ...head.childNodes);
      head.append(button);
      button.addEventListener('click', () => {
        // Largest first, then smallest first, then the order of the network.
        const states = column === 0 ? ['ascending', 'descending', null] : ['descending', 'ascending', null];
        const state = states[(states.indexOf(head.getAttribute('aria-sort')) + 1) % states.length];
        for (const other of heads) other.removeAttribute('aria-sort');
        if (state) head.setAttribute('aria-sort', state);
        const sign = state === 'descending' ? -1 : 1;
        const rows = state
          ? [...original].sort((one, other) => compare(orderOf(one, column), orderOf(other, column), sign)) : original;
        body.append(...rows);
        pagers.get(table)?.();
      });
    });
  };
  for (const table of document.querySelectorAll('table.sortable')) addSorting(table);
})();

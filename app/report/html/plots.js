// Draws the plots of the report from the data in the page. Colours that follow the reader's scheme are CSS variables,
// which works because the plots are SVG.
'use strict';
(() => {
  const { report, labels, sweep, machines } = JSON.parse(document.getElementById('data').textContent);
  const results = report.results.map((result, i) => ({ ...result, label: labels[i] }));
  const several = results.length > 1;

  const kLines = [
    ['operations only', 'operations_only_pj'],
    ['computing', 'computing_pj'],
    ['memory', 'memory_pj'],
  ];
  // A format has its colour in every plot and table; past eight of them its marker changes too (page_parts.cpp).
  const kColours = ['var(--f0)', 'var(--f1)', 'var(--f2)', 'var(--f3)', 'var(--f4)', 'var(--f5)', 'var(--f6)', 'var(--f7)'];
  const kMarkers = ['circle', 'square', 'triangle-up', 'diamond'];
  const kBaselineMarkers = ['circle', 'square', 'triangle-up', 'diamond', 'triangle-down', 'cross'];
  const colourOf = (source) => kColours[source % kColours.length];
  const markerOf = (source) => kMarkers[Math.floor(source / kColours.length) % kMarkers.length];
  const kParts = ['var(--p0)', 'var(--p1)', 'var(--p2)', 'var(--p3)', 'var(--p4)'];
  const ink = 'var(--ink)';
  const faint = 'var(--faint)';
  const rule = 'var(--rule)';
  const font = getComputedStyle(document.body).fontFamily;
  const kFontSize = 12;
  const config = {
    background: null,
    font,
    view: { stroke: null },
    axis: {
      labelColor: ink, titleColor: ink, gridColor: rule, domainColor: rule, tickColor: rule,
      labelFontSize: kFontSize, titleFontSize: kFontSize, titleFontWeight: 'normal', titleLimit: 0,
    },
    legend: { labelColor: ink, titleColor: ink, labelFontSize: kFontSize, titleFontSize: kFontSize, orient: 'top', offset: 8,
      layout: { top: { direction: 'vertical', anchor: 'start', margin: 4 } },
    },
    range: { category: kColours },
  };

  const kUnits = [[1e12, 'J'], [1e9, 'mJ'], [1e6, 'µJ'], [1e3, 'nJ'], [1, 'pJ']];
  const kDelayUnits = [[1, 'J·s'], [1e-3, 'mJ·s'], [1e-6, 'µJ·s'], [1e-9, 'nJ·s'], [1e-12, 'pJ·s']];
  const joules = (pj) => {
    const [size, name] = kUnits.find(([size]) => pj >= size) ?? [1, 'pJ'];
    return `${(pj / size).toPrecision(3)} ${name}`;
  };
  const jouleAxis = { title: 'energy', labelExpr: "replace(format(datum.value, '~s'), regexp('([^0-9.]?)$'), ' $1J')", tickCount: 5 };
  // Beyond 2^53 not every integer is a number here, so that its digits would be made up.
  const countText = (count) => (Number.isSafeInteger(count) ? count.toLocaleString('en-US') : count.toExponential(3));
  const percent = (part, whole) => (whole > 0 ? `${(100 * part / whole).toFixed(1)} %` : '-');

  const canvas = document.createElement('canvas').getContext('2d');
  const widthOf = (text) => {
    canvas.font = `${kFontSize}px ${font}`;
    return canvas.measureText(text).width;
  };

  const namesWidth = (width) => Math.max(110, width * 0.4);
  // Category axes of one line for each part of the name that ' | ' separates.
  const names = (title, width) => ({
    title, labelExpr: "split(datum.label, ' | ')", domain: false, ticks: false, labelLimit: namesWidth(width),
  });
  // As many columns as hold the longest entry, and rows that are about as long. Legends begin where an axis of names ends.
  const besideNames = (width) => width - namesWidth(width) - 10;
  const legend = (width, entries, extra) => {
    const longest = Math.max(0, ...entries.map(widthOf)) + 40;
    const rows = Math.ceil(entries.length / Math.max(1, Math.floor((width - 20) / longest)));
    return { columns: Math.ceil(entries.length / Math.max(1, rows)), labelLimit: width - 40, title: null, ...extra };
  };
  const radio = (name, value, options, label) => ({ name, value, bind: { input: 'radio', options, name: label } });
  const shown = { name: 'shown', select: { type: 'point', fields: ['series'] }, bind: 'legend' };
  const faded = { condition: { param: 'shown', value: 1 }, value: 0.15 };
  const once = (values) => [...new Set(values)];
  const passesOf = (result) => Object.keys(result.totals).filter((name) => name !== 'all' && !name.startsWith('of '));
  const beside = (result, name) => (several ? `${result.label} | ${name}` : name);
  const ofFormats = (width, extra) => ({
    field: 'series', type: 'nominal', scale: { domain: labels, range: labels.map((_, i) => colourOf(i)) },
    legend: legend(width, labels), ...extra,
  });

  // Name of each baseline of each result: its own where results agree about it, else with the result's.
  const baselineNames = (valuesOf) => {
    const kinds = Object.keys(results[0].totals.all.baselines);
    return results.map((result) => Object.fromEntries(kinds.map((kind) => {
      const same = results.every((other) => JSON.stringify(valuesOf(other, kind)) ===
          JSON.stringify(valuesOf(results[0], kind)));
      return [kind, same ? kind : beside(result, kind)];
    })));
  };

  // Layers of large networks turn pages: `page` is that of a layer, `param` what chooses one.
  const kLayersOfAPage = 25;
  const layerNames = once(results.flatMap((result) => result.layers.map(({ name }) => name)));
  const pageOf = new Map(layerNames.map((name, i) => [name, Math.floor(i / kLayersOfAPage)]));
  const pageParams = () => {
    if (layerNames.length <= kLayersOfAPage) return [];
    const options = once([...pageOf.values()]);
    const last = (page) => Math.min((page + 1) * kLayersOfAPage, layerNames.length);
    return [{
      name: 'page', value: 0, bind: {
        input: 'select', name: 'Layers: ', options,
        labels: options.map((page) => `${page * kLayersOfAPage + 1} to ${last(page)} of ${layerNames.length}`),
      },
    }];
  };
  const pageFilter = layerNames.length <= kLayersOfAPage ? '' : ' && datum.page === page';

  const logTicks = ([low, high], digits) => {
    const ticks = [];
    for (let power = Math.floor(Math.log10(low)); power <= Math.log10(high); ++power) {
      for (const digit of digits) {
        const tick = Number(`${digit}e${power}`);
        if (tick >= low && tick <= high) ticks.push(tick);
      }
    }
    return ticks;
  };
  // As many round figures as have room in `space` pixels.
  const logAxis = (title, domain, space) => {
    const kRoom = 42;
    const place = (tick) => space * Math.log(tick / domain[0]) / Math.log(domain[1] / domain[0]);
    const sets = [[1, 1.2, 1.4, 1.6, 1.8, 2, 2.5, 3, 3.5, 4, 5, 6, 7, 8, 9], [1, 1.5, 2, 3, 4, 5, 6, 8], [1, 2, 3, 5], [1, 2, 5], [1]];
    const fits = (ticks) => ticks.every((tick, i) => i === 0 || place(tick) - place(ticks[i - 1]) >= kRoom);
    const all = sets.map((digits) => logTicks(domain, digits));
    const values = all.find(fits) ?? all[sets.length - 1];
    return { title, values, labelExpr: "format(datum.value, '~g')", grid: true };
  };

  // Where labels of points stand, in pixels: each beside its point, or at the end of a line to it, and on no other
  // label, point or obstacle. A label for which there is no such place is left to the tooltip.
  const placeLabels = (points, width, height, obstacles = []) => {
    const kHigh = kFontSize + 2;
    const taken = [...obstacles, ...points.map(({ x, y }) => [x - 6, y - 6, x + 6, y + 6])];
    const isFree = ([left, top, right, bottom]) => left >= 0 && top >= 0 && right <= width && bottom <= height &&
        taken.every(([l, t, r, b]) => right <= l || left >= r || bottom <= t || top >= b);
    const directions = [0, 180, 45, 315, 135, 225, 90, 270, 20, 340, 160, 200].map((degrees) => degrees * Math.PI / 180);
    const place = ({ x, y, text }) => {
      const wide = widthOf(text) + 4;
      for (const distance of [9, 16, 26, 38, 52, 70, 90]) {
        for (const angle of directions) {
          const [endX, endY] = [x + distance * Math.cos(angle), y - distance * Math.sin(angle)];
          const side = Math.cos(angle) > 0.2 ? 0 : Math.cos(angle) < -0.2 ? 1 : 0.5;
          const left = endX - side * wide;
          const box = [left, endY - kHigh / 2, left + wide, endY + kHigh / 2];
          if (isFree(box)) return { box, line: distance > 16 ? [endX, endY] : null };
        }
      }
      return null;
    };
    return points.map((point) => {
      const found = point.text ? place(point) : null;
      if (found) taken.push(found.box);
      return found;
    });
  };

  // The layers of a plot's names: what leads to one that stands apart, and the names. `rows` have x, y and a text, maybe
  // none; `points` are the same in pixels, which `toData` turns into x and y.
  const nameLayers = (rows, points, [width, height], toData, encoding, obstacles) => {
    const texts = [];
    const lines = [];
    placeLabels(points, width, height, obstacles).forEach((found, i) => {
      if (!found) return;
      const [left, top, right, bottom] = found.box;
      const [x, y] = toData((left + right) / 2, (top + bottom) / 2);
      texts.push({ x, y, text: rows[i].text });
      if (!found.line) return;
      const [x2, y2] = toData(...found.line);
      lines.push({ x: rows[i].x, y: rows[i].y, x2, y2 });
    });
    return [
      { data: { values: lines }, mark: { type: 'rule', color: faint, strokeWidth: 0.75 },
        encoding: { ...encoding, x2: { field: 'x2' }, y2: { field: 'y2' } } },
      { data: { values: texts }, mark: { type: 'text', color: ink, fontSize: kFontSize, baseline: 'middle' },
        encoding: { ...encoding, text: { field: 'text' } } },
    ];
  };

  // Machines by energy and another figure, each with its name. `rows`: name, source, pj, y, capped, text, tip.
  const kPadding = { left: 52, right: 14, top: 10, bottom: 42 };
  const heightOf = (inner) => Math.round(Math.min(400, Math.max(280, inner * 0.55)));
  const scatter = (width, rows, [low, high], title, tooltip) => {
    const inner = width - kPadding.left - kPadding.right;
    const height = heightOf(inner);
    const energies = rows.map(({ pj }) => pj);
    const domain = [Math.min(...energies) / 1.12, Math.max(...energies) * 1.12];
    const span = Math.log(domain[1] / domain[0]);
    const toX = (pj) => inner * Math.log(pj / domain[0]) / span;
    const toY = (y) => height * (high - y) / (high - low);
    const toData = (x, y) => [domain[0] * Math.exp(span * x / inner), high - (high - low) * y / height];
    const x = { field: 'x', type: 'quantitative', scale: { type: 'log', domain, nice: false },
      axis: logAxis('pJ a multiply-add, with memory', domain, inner) };
    const y = { field: 'y', type: 'quantitative', scale: { domain: [low, high], nice: false, zero: false },
      axis: { title, tickCount: 6 } };
    const points = rows.map((row) => ({ ...row, x: row.pj, colour: row.source === null ? faint : colourOf(row.source) }));
    const [pointers, texts] = nameLayers(points, points.map((row) => ({ x: toX(row.x), y: toY(row.y), text: row.text })),
      [inner, height], toData, { x, y });
    const point = (extra) => ({ type: 'point', size: 80, strokeWidth: 2, opacity: 1, ...extra });
    const marks = (filter, mark) => ({
      transform: [{ filter }], mark,
      encoding: {
        x, y, shape: { field: 'shape', type: 'nominal', scale: null },
        [mark.filled ? 'fill' : 'stroke']: { field: 'colour', type: 'nominal', scale: null }, tooltip,
      },
    });
    return {
      data: { values: points }, width: inner, height, padding: kPadding, autosize: 'none',
      layer: [
        pointers,
        { transform: [{ filter: 'datum.low < datum.high' }], mark: { type: 'rule', color: ink, strokeWidth: 1.5 },
          encoding: { x, y: { ...y, field: 'low' }, y2: { field: 'high' } } },
        marks('datum.source === null', point({ filled: false })),
        marks('datum.source !== null', point({ filled: true })),
        texts,
      ],
    };
  };
  const nameTip = [{ field: 'name', title: 'machine' }, { field: 'pj', title: 'pJ, with memory', format: '.3f' }];
  const shapeOf = (machine, baselines) => (machine.source === null
    ? kBaselineMarkers[baselines.indexOf(machine) % kBaselineMarkers.length] : markerOf(machine.source));

  // Decibels up to which formats spread out; what is beyond stands at the upper edge.
  const decibelEnds = (values, formatValues) => {
    const finite = (formatValues.length > 0 ? formatValues : values).filter((value) => typeof value === 'number');
    if (finite.length === 0) return [0, 1];
    const most = Math.max(...finite);
    const reach = Math.max(10, (most - Math.min(...finite)) * 0.6);
    const kept = values.filter((value) => typeof value === 'number' && value <= most + reach);
    const [low, high] = [Math.min(...kept), Math.max(...kept)];
    const margin = Math.max(2, (high - low) * 0.12);
    return [low - margin, high + 2 * margin];
  };

  const kPlots = {
    roofline(width) {
      const rows = results.flatMap((result) => result.layers.flatMap((layer) =>
        Object.entries(layer.passes).map(([pass, figures]) => ({
          series: result.label, layer: layer.name, pass, x: figures.operations_per_dram_byte, y: figures.tops,
          needed: figures.needed_gigabytes_per_second,
          utilization: typeof figures.utilization === 'number' ? percent(figures.utilization, 1) : '-',
        })))).filter(({ x, y }) => x > 0 && y > 0);
      if (rows.length === 0) return null;
      const peaks = once(results.map((result) => result.roofline.peak_tops));
      const ends = (values, margin) => [Math.min(...values) / margin, Math.max(...values) * margin];
      const xs = ends(rows.map(({ x }) => x), 1.4);
      const ys = ends([...rows.map(({ y }) => y), ...peaks], 1.4);
      const peak = Math.max(...peaks);
      const lines = [];
      for (const top of peaks) {
        const line = `all elements busy: ${Number(top.toPrecision(3))} TOPS`;
        lines.push({ line, x: xs[0], y: top }, { line, x: xs[1], y: top });
      }
      // A machine's own memory stands in the place of those that it might have, and ends where its elements are all busy.
      const memories = new Map();
      for (const { roofline: { bandwidth, peak_tops: top } } of results) {
        if (bandwidth === undefined) continue;
        const key = `${bandwidth.name} ${bandwidth.gigabytes_per_second}`;
        memories.set(key, { ...bandwidth, top: Math.max(top, memories.get(key)?.top ?? 0) });
      }
      const examples = results[0].roofline.example_bandwidths.map((memory) => ({ ...memory, top: peak }));
      for (const { name, gigabytes_per_second: rate, top } of memories.size > 0 ? memories.values() : examples) {
        const begin = Math.max(xs[0], ys[0] * 1e3 / rate);
        const end = Math.min(xs[1], top * 1e3 / rate);
        const line = `${name}: ${Number(rate.toPrecision(6))} GB/s`;
        if (begin < end) lines.push({ line, x: begin, y: begin * rate / 1e3 }, { line, x: end, y: end * rate / 1e3 });
      }
      const lineNames = once(lines.map(({ line }) => line));
      const x = { field: 'x', type: 'quantitative', scale: { type: 'log', domain: xs, nice: false },
        axis: logAxis('operations for a byte of DRAM traffic', xs, width - 80) };
      const y = { field: 'y', type: 'quantitative', scale: { type: 'log', domain: ys, nice: false },
        axis: logAxis('TOPS', ys, 600) };
      const passes = once(rows.map(({ pass }) => pass));
      const byPass = labels.length <= kColours.length;
      const shape = byPass
        ? { field: 'pass', type: 'nominal', scale: { domain: passes, range: kMarkers }, legend: legend(width, passes, { symbolFillColor: faint, symbolStrokeWidth: 0, symbolOpacity: 1 }) }
        : { field: 'series', type: 'nominal', scale: { domain: labels, range: labels.map((_, i) => markerOf(i)) }, legend: legend(width, labels) };
      return {
        description: 'Each layer and pass: operations for a byte of DRAM traffic, and the rate at which they are done.',
        height: Math.round(Math.min(420, Math.max(300, width * 0.5))),
        layer: [
          { data: { values: lines }, mark: { type: 'line', color: ink, strokeWidth: 1.5 },
            encoding: { x, y, strokeDash: { field: 'line', type: 'nominal', scale: { domain: lineNames, range: [[1, 0], [6, 3], [2, 3], [8, 2, 2, 2]] },
              legend: legend(width, lineNames, { symbolStrokeColor: ink, symbolType: 'stroke', symbolSize: 300 }) } } },
          {
            data: { values: rows }, params: [shown], mark: { type: 'point', filled: true, size: 55 },
            encoding: {
              x, y, shape, color: ofFormats(width, { legend: legend(width, labels, { symbolOpacity: 1 }) }),
              opacity: { condition: { param: 'shown', value: 0.8 }, value: 0.06 },
              tooltip: [
                { field: 'series', title: 'format' }, { field: 'layer', title: 'layer' }, { field: 'pass', title: 'pass' },
                { field: 'x', title: 'operations a byte', format: '.3~r' }, { field: 'y', title: 'TOPS', format: '.3~r' },
                { field: 'needed', title: 'needed, GB/s', format: '.3~r' }, { field: 'utilization', title: 'utilization' },
              ],
            },
          },
        ],
        resolve: { scale: { color: 'independent', shape: 'independent' } },
      };
    },

    tradeoff(width) {
      const measured = machines.filter(({ pj, db }) => pj > 0 && db !== null);
      const baselines = measured.filter(({ source }) => source === null);
      const own = measured.filter(({ source }) => source !== null);
      const [low, high] = decibelEnds(measured.map(({ db }) => db), own.map(({ db }) => db));
      const edge = high - (high - low) * 0.03;
      const rows = measured.map((machine) => {
        const capped = !(machine.db < edge);
        const db = typeof machine.db === 'number' ? machine.db.toFixed(1) : machine.db;
        return {
          name: machine.name, source: machine.source, pj: machine.pj, y: capped ? edge : machine.db,
          shape: capped ? 'triangle-up' : shapeOf(machine, baselines), db,
          text: capped ? `${machine.name}: ${db}${typeof machine.db === 'number' ? ' dB' : ''}` : machine.name,
        };
      });
      return {
        description: 'Energy with memory and mean SQNR of each machine.',
        ...scatter(width, rows, [low, high], 'mean SQNR, dB', [...nameTip, { field: 'db', title: 'mean SQNR, dB' }]),
      };
    },

    accuracy(width) {
      const trained = machines.filter(({ pj, accuracy }) => pj > 0 && accuracy);
      const baselines = machines.filter(({ source }) => source === null);
      const rows = trained.map((machine) => {
        const { mean, low, high, runs } = machine.accuracy;
        return {
          name: machine.name, text: machine.name, source: machine.source, pj: machine.pj, y: 100 * mean, low: 100 * low,
          high: 100 * high, runs, shape: shapeOf(machine, baselines),
        };
      });
      if (rows.length === 0) return null;
      const lowest = Math.min(...rows.map(({ low }) => low));
      const highest = Math.max(...rows.map(({ high }) => high));
      const margin = Math.max(0.2, (highest - lowest) * 0.15);
      return {
        description: 'Energy with memory and test accuracy of each machine.',
        ...scatter(width, rows, [lowest - margin, highest + margin], 'test accuracy, %',
          [...nameTip, { field: 'y', title: 'test accuracy, %', format: '.2f' }, { field: 'runs', title: 'runs' }]),
      };
    },

    operations(width) {
      const kLineNames = ['operation', 'overhead', 'memory'];
      const kFilters = { everything: null, 'operations only': 'operation', overhead: 'overhead', memory: 'memory' };
      const rows = [];
      for (const result of results) {
        for (const pass of passesOf(result)) {
          for (const [operation, { line, count, pj }] of Object.entries(result.totals[pass].energy.operations)) {
            rows.push({
              name: beside(result, pass), series: operation, line, count: countText(count), value: pj.value * 1e-12,
              tip: `${joules(pj.value)} (${joules(pj.low)} to ${joules(pj.high)})`,
            });
          }
        }
      }
      const order = kLineNames.flatMap((line) => once(rows.filter((row) => row.line === line).map((row) => row.series)));
      for (const row of rows) row.index = order.indexOf(row.series);
      return {
        description: 'Energy of each pass, by operation.',
        data: { values: rows },
        params: [radio('line', 'operations only', Object.keys(kFilters), 'Line: '), shown],
        transform: [{ filter: `line === 'everything' || datum.line === (${JSON.stringify(kFilters)})[line]` }],
        height: { step: several ? 34 : 28 },
        mark: { type: 'bar', height: { band: 0.75 } },
        encoding: {
          y: { field: 'name', type: 'nominal', sort: once(rows.map((row) => row.name)), axis: names(null, width) },
          x: { field: 'value', type: 'quantitative', axis: jouleAxis },
          color: {
            field: 'series', type: 'nominal', sort: order, scale: { scheme: 'tableau20' },
            legend: legend(besideNames(width), order),
          },
          order: { field: 'index' },
          opacity: faded,
          tooltip: [
            { field: 'name', title: 'pass' }, { field: 'series', title: 'operation' },
            { field: 'count', title: 'count' }, { field: 'tip', title: 'energy' },
          ],
        },
      };
    },

    error(width) {
      const passes = once(results.flatMap(passesOf));
      const kinds = Object.keys(results[0].totals.all.baselines);
      const naming = baselineNames((result, kind) => result.layers.map((layer) =>
          passes.map((pass) => layer.passes[pass]?.baseline_sqnr_db?.[kind])));
      const values = new Map();
      const add = (series, layer, pass, db) => {
        if (typeof db === 'number') values.set(`${series}\n${layer}\n${pass}`, { series, layer, pass, db, page: pageOf.get(layer) });
      };
      results.forEach((result, i) => {
        for (const layer of result.layers) {
          for (const [pass, record] of Object.entries(layer.passes)) {
            add(result.label, layer.name, pass, record.sqnr_db);
            for (const kind of kinds) add(naming[i][kind], layer.name, pass, record.baseline_sqnr_db?.[kind]);
          }
        }
      });
      const rows = [...values.values()];
      const drawn = new Set(rows.map((row) => row.series));
      const order = once([...labels, ...naming.flatMap((names) => Object.values(names))]).filter((name) => drawn.has(name));
      const baselines = order.filter((name) => !labels.includes(name));
      const ends = decibelEnds(rows.map(({ db }) => db), rows.filter(({ series }) => labels.includes(series)).map(({ db }) => db));
      for (const row of rows) row.x = Math.min(row.db, ends[1]);
      const scaled = (field, range) => ({
        field: 'series', type: 'nominal', scale: { domain: order, range: order.map(range) }, legend: legend(besideNames(width), order),
      });
      const placeOf = (name) => labels.indexOf(name);
      const colour = (name) => (placeOf(name) < 0 ? faint : colourOf(placeOf(name)));
      const shape = (name) => (placeOf(name) < 0 ? kBaselineMarkers[baselines.indexOf(name) % kBaselineMarkers.length]
        : markerOf(placeOf(name)));
      return {
        description: 'SQNR of each layer in each format and baseline.',
        data: { values: rows },
        params: [radio('pass', passes[0], passes, 'Pass: '), ...pageParams(), shown],
        transform: [{ filter: `datum.pass === pass${pageFilter}` }],
        height: { step: 18 },
        mark: { type: 'point', size: 50, strokeWidth: 1.5 },
        encoding: {
          y: {
            field: 'layer', type: 'nominal', sort: layerNames,
            axis: { ...names(null, width), grid: true },
          },
          x: { field: 'x', type: 'quantitative', scale: { domain: ends, nice: false, zero: false },
            axis: { title: 'SQNR, dB', tickCount: 6 } },
          stroke: scaled('stroke', colour),
          fill: scaled('fill', (name) => (placeOf(name) < 0 ? 'transparent' : colour(name))),
          shape: scaled('shape', shape),
          opacity: faded,
          tooltip: [
            { field: 'layer', title: 'layer' }, { field: 'series', title: 'format' },
            { field: 'db', title: 'SQNR, dB', format: '.1f' },
          ],
        },
      };
    },

    cycles(width) {
      const rows = [];
      for (const result of results) {
        for (const pass of passesOf(result)) {
          const total = result.totals[pass];
          const memory = (total.dram_stalls || 0) + (total.sram_stalls || 0);
          const parts = {
            computing: total.array_cycles - total.fill_stalls - total.scaler_stalls - memory,
            'fill stalls': total.fill_stalls,
            'scaler stalls': total.scaler_stalls,
            ...(memory > 0 ? { 'memory stalls': memory } : {}),
            quantizer: total.quantizer_cycles,
          };
          for (const [series, cycles] of Object.entries(parts)) {
            rows.push({
              name: beside(result, pass), series, index: rows.length, cycles, count: countText(cycles),
              tip: percent(cycles, total.cycles),
            });
          }
        }
      }
      const waits = rows.some((row) => row.series === 'memory stalls');
      return {
        description: 'Cycles of each pass: computing, stalls, quantizer.',
        data: { values: rows },
        params: [shown],
        height: { step: several ? 34 : 28 },
        mark: { type: 'bar', height: { band: 0.75 }, stroke: faint, strokeWidth: 0.5 },
        encoding: {
          y: { field: 'name', type: 'nominal', sort: once(rows.map((row) => row.name)), axis: names(null, width) },
          x: { field: 'cycles', type: 'quantitative', axis: { title: 'cycles', format: '~s', tickCount: 5 } },
          color: {
            field: 'series', type: 'nominal',
            sort: ['computing', 'fill stalls', 'scaler stalls', ...(waits ? ['memory stalls'] : []), 'quantizer'],
            scale: { range: (waits ? [0, 1, 3, 2, 4] : [0, 1, 3, 4]).map((i) => kParts[i]) }, legend: legend(besideNames(width), once(rows.map((row) => row.series))),
          },
          order: { field: 'index' },
          opacity: faded,
          tooltip: [
            { field: 'name', title: 'pass' }, { field: 'series', title: 'part' },
            { field: 'count', title: 'cycles' }, { field: 'tip', title: 'share' },
          ],
        },
      };
    },

    blocks(width) {
      const naming = baselineNames((result, kind) => result.baseline_area_um2[kind]);
      const values = new Map();
      const add = (name, blocks) => {
        for (const [block, um2] of Object.entries(blocks)) {
          if (block !== 'total') {
            values.set(`${name}\n${block}`, {
              name, series: block.replaceAll('_', ' '), area: um2 / 1e6, tip: percent(um2, blocks.total),
            });
          }
        }
      };
      for (const result of results) add(result.label, result.area_um2);
      results.forEach((result, i) => {
        for (const [kind, blocks] of Object.entries(result.baseline_area_um2)) add(naming[i][kind], blocks);
      });
      const rows = [...values.values()];
      const order = once(rows.map((row) => row.series));
      for (const row of rows) row.index = order.indexOf(row.series);
      return {
        description: 'Area of each machine, by block.',
        data: { values: rows },
        params: [shown],
        height: { step: 26 },
        mark: { type: 'bar', height: { band: 0.7 }, stroke: faint, strokeWidth: 0.5 },
        encoding: {
          y: { field: 'name', type: 'nominal', sort: once(rows.map((row) => row.name)), axis: names(null, width) },
          x: { field: 'area', type: 'quantitative', axis: { title: 'area, mm²', tickCount: 5 } },
          color: {
            field: 'series', type: 'nominal', sort: order, scale: { range: kParts }, legend: legend(besideNames(width), order),
          },
          order: { field: 'index' },
          opacity: faded,
          tooltip: [
            { field: 'name', title: 'machine' }, { field: 'series', title: 'block' },
            { field: 'area', title: 'area, mm²', format: '.4f' }, { field: 'tip', title: 'share' },
          ],
        },
      };
    },

    'by-layer'(width) {
      const rows = [];
      for (const result of results) {
        for (const layer of result.layers) {
          for (const [pass, { energy }] of Object.entries(layer.passes)) {
            for (const [line, key] of kLines) {
              rows.push({
                layer: layer.name, page: pageOf.get(layer.name), series: result.label, pass, line,
                value: energy[key].value * 1e-12, tip: joules(energy[key].value),
              });
            }
          }
        }
      }
      const passes = once(rows.map((row) => row.pass));
      return {
        description: 'Energy of each layer.',
        data: { values: rows },
        params: [
          radio('line', kLines[1][0], kLines.map(([line]) => line), 'Line: '),
          radio('pass', passes[0], passes, 'Pass: '), ...pageParams(), shown,
        ],
        transform: [{ filter: `datum.line === line && datum.pass === pass${pageFilter}` }],
        height: { step: several ? 9 : 16, for: 'offset' },
        mark: { type: 'bar' },
        encoding: {
          y: {
            field: 'layer', type: 'nominal', sort: layerNames, scale: { paddingInner: 0.25 },
            axis: names(null, width),
          },
          yOffset: { field: 'series', sort: labels },
          x: { field: 'value', type: 'quantitative', axis: jouleAxis },
          color: ofFormats(besideNames(width)),
          opacity: faded,
          tooltip: [
            { field: 'layer', title: 'layer' }, { field: 'series', title: 'format' }, { field: 'tip', title: 'energy' },
          ],
        },
      };
    },

    sweep(width) {
      const [delay, delayUnit] = kDelayUnits.find(([size]) => sweep.points.some((point) => point.energy_delay_js >= size))
          ?? kDelayUnits[kDelayUnits.length - 1];
      const axes = {
        energy: { field: 'energy', title: 'pJ a multiply-add, with memory', format: '.3f' },
        computing: { field: 'computing', title: 'pJ a multiply-add, computing', format: '.3f' },
        area: { field: 'area', title: 'area, mm²', format: '.4f' },
        time: { field: 'cycles', title: 'cycles', format: ',' },
        edp: { field: 'delay', title: `energy-delay product, ${delayUnit}`, format: '.3~g' },
        error: { field: 'db', title: 'mean SQNR, dB', format: '.1f' },
      };
      // Energy to the right and error upwards, where the front is of them; two axes, whatever it is of.
      const chosen = Object.keys(axes).filter((name) => sweep.front.includes(name));
      const across = axes[chosen[0]];
      const up = axes[chosen.length > 1 ? chosen[chosen.length - 1] : Object.keys(axes).find((name) => name !== chosen[0])];
      const seriesOf = (format) => {
        if (/^(fp|bf|int)\d/.test(format)) return 'baselines';
        return /^e\d[^+]*$/.test(format) ? `${format[1]}-bit exponent` : 'others';
      };
      const each = (point, pj) => pj / point.multiply_adds;
      const arrayOf = ({ dataflow, rows, columns, taps_per_cycle: taps, elements_per_scaler: sharing }) =>
        `${dataflow === 'weight-stationary' ? 'WS ' : ''}${rows} x ${columns}${taps > 1 ? ` x ${taps}` : ''} / ${sharing}`;
      const rows = sweep.points.filter((point) => point.multiply_adds > 0).map((point) => ({
        format: point.format,
        series: seriesOf(point.format),
        front: point.pareto ? 'yes' : 'no',
        energy: each(point, point.with_memory_pj),
        computing: each(point, point.computing_pj),
        operations: each(point, point.operations_only_pj),
        cycles: point.cycles,
        delay: point.energy_delay_js === undefined ? null : point.energy_delay_js / delay,
        area: point.area_um2 === null ? null : point.area_um2 / 1e6,
        db: typeof point.mean_sqnr_db === 'number' ? point.mean_sqnr_db : null,
        accumulator: point.accumulator_bits === null ? '-' : `${point.accumulator_bits} bits`,
        array: arrayOf(point),
      })).filter((row) => row[across.field] > 0 && row[up.field] !== null);
      if (rows.length === 0) return null;
      const series = once(rows.map((row) => row.series)).sort();
      const entries = legend(width, series, { symbolOpacity: 1 });
      const padding = { ...kPadding, left: up === axes.time || up === axes.edp ? 84 : 64, top: 18 + 20 * Math.ceil(series.length / entries.columns) };
      const inner = width - padding.left - padding.right;
      const height = heightOf(inner);
      // Baselines may be far more exact than every format.
      const endsOf = ({ field }) => {
        const values = rows.map((row) => row[field]);
        if (field === 'db') return decibelEnds(values, rows.filter((row) => row.series !== 'baselines').map((row) => row.db));
        return [Math.min(...values) / 1.12, Math.max(...values) * 1.12];
      };
      const [xEnds, yEnds] = [endsOf(across), endsOf(up)];
      const isLog = ({ field }) => field !== 'db';
      const part = (of, [low, high], value) =>
        (isLog(of) ? Math.log(value / low) / Math.log(high / low) : (value - low) / (high - low));
      const value = (of, [low, high], at) => (isLog(of) ? low * (high / low) ** at : low + (high - low) * at);
      const top = yEnds[1] - (yEnds[1] - yEnds[0]) * 0.03;
      // What all MLS formats end in, such as /g8m1/nc, is in the tooltips.
      const ends = once(rows.filter(({ format }) => /^e\d/.test(format)).map(({ format }) => format.replace(/^[^/]*/, '')));
      for (const row of rows) {
        row.x = row[across.field];
        row.y = up.field === 'db' ? Math.min(row.db, top) : row[up.field];
        const short = ends.length === 1 && /^e\d/.test(row.format) ? row.format.replace(ends[0], '') : row.format;
        const text = up.field === 'db' && row.db > top ? `${short}: ${row.db.toFixed(1)} dB` : short;
        row.text = row.front === 'yes' || row.series === 'baselines' ? text : '';
      }
      const spots = rows.map(({ x, y, text, front }) => ({
        x: inner * part(across, xEnds, x), y: height * (1 - part(up, yEnds, y)), text, front,
      }));
      // The steps of the front, which no name is to lie on; a front of more than two is no line.
      const hasLine = chosen.length <= 2;
      const front = spots.filter((spot) => hasLine && spot.front === 'yes').sort((one, other) => one.x - other.x);
      const steps = front.slice(1).flatMap((next, i) => [
        [front[i].x, front[i].y - 1, next.x, front[i].y + 1],
        [next.x - 1, Math.min(front[i].y, next.y), next.x + 1, Math.max(front[i].y, next.y)],
      ]);
      const toData = (px, py) => [value(across, xEnds, px / inner), value(up, yEnds, 1 - py / height)];
      const axis = (field, of, domain, length) => ({
        field, type: 'quantitative', scale: { type: isLog(of) ? 'log' : 'linear', domain, nice: false, zero: false },
        axis: isLog(of) ? logAxis(of.title, domain, length) : { title: of.title, tickCount: 6 },
      });
      const x = axis('x', across, xEnds, inner);
      const y = axis('y', up, yEnds, height);
      const [pointers, texts] = nameLayers(rows, spots, [inner, height], toData, { x, y }, steps);
      return {
        description: `Each point of the sweep by ${across.title} and ${up.title}, with the Pareto front.`,
        data: { values: rows }, width: inner, height, padding, autosize: 'none',
        layer: [
          pointers,
          ...(!hasLine ? [] : [{
            transform: [{ filter: "datum.front === 'yes'" }],
            mark: { type: 'line', color: ink, strokeDash: [4, 3], strokeWidth: 1, interpolate: 'step-after' },
            encoding: { x, y, order: { field: 'x', type: 'quantitative' } },
          }]),
          {
            params: [shown],
            mark: { type: 'point', filled: true },
            encoding: {
              x, y,
              color: { field: 'series', type: 'nominal', sort: series, legend: entries },
              shape: { condition: { test: "datum.series === 'baselines'", value: 'triangle-up' }, value: 'circle' },
              size: { condition: { test: "datum.front === 'yes'", value: 110 }, value: 45 },
              opacity: faded,
              tooltip: [
                { field: 'format', title: 'format' },
                ...[axes.error, axes.energy, axes.computing].map(({ field, title, format }) => ({ field, title, format })),
                { field: 'operations', title: 'pJ a multiply-add, operations only', format: '.3f' },
                { field: 'cycles', title: 'cycles', format: ',' },
                ...(chosen.includes('edp') ? [axes.edp] : []),
                { field: 'accumulator', title: 'accumulator' }, { field: 'array', title: 'array' },
                { field: 'area', title: 'area, mm²', format: '.4f' }, { field: 'front', title: 'on the front' },
              ],
            },
          },
          texts,
        ],
      };
    },
  };

  // A plot is drawn for the width that it has, and when it is unfolded. Wider ones would be shrunk on paper.
  const kWidest = 820;
  const drawn = new Map();
  const draw = (figure) => {
    const width = Math.min(kWidest, figure.parentElement.clientWidth);
    if (figure.closest('details:not([open])') || drawn.get(figure)?.width === width) return;
    drawn.get(figure)?.embedded.then((result) => result?.finalize());
    const spec = kPlots[figure.dataset.plot](width);
    if (!spec) return;
    const embedded = vegaEmbed(figure, { width, autosize: { type: 'fit-x', contains: 'padding' }, ...spec }, {
      mode: 'vega-lite', renderer: 'svg', ast: true, actions: false, defaultStyle: false, logLevel: vega.Error, config,
      tooltip: { disableDefaultStyle: true },
    }).catch((error) => console.error(`plot ${figure.dataset.plot}: ${error.message}`));
    drawn.set(figure, { width, embedded });
  };
  const drawAll = () => document.querySelectorAll('.plot').forEach(draw);
  for (const details of document.querySelectorAll('details')) details.addEventListener('toggle', drawAll);
  let waiting = null;
  addEventListener('resize', () => {
    clearTimeout(waiting);
    waiting = setTimeout(drawAll, 200);
  });
  drawAll();
})();

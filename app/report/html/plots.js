// Draws the plots of the report from the data in the page. Colours that follow the reader's scheme are CSS variables,
// which works because the plots are SVG.
'use strict';
(() => {
  const { report, labels, sweep } = JSON.parse(document.getElementById('data').textContent);
  const results = report.results.map((result, i) => ({ ...result, label: labels[i] }));
  const several = results.length > 1;

  const kLines = [
    ['operations only', 'operations_only_pj'],
    ['with everything but memory', 'computing_pj'],
    ['memory', 'memory_pj'],
  ];
  const kColours = [
    '#d55e00', '#0072b2', '#009e73', '#cc79a7', '#56b4e9', '#e69f00', '#8c8c8c', '#b58900', '#7b52c7', '#a0522d',
    '#7cb518', '#e7298a',
  ];
  // With each colour in turn, so that more series than colours can be told apart.
  const kMarkers = ['circle', 'square', 'triangle-up', 'diamond', 'cross', 'triangle-down'];
  const ink = 'var(--ink)';
  const rule = 'var(--rule)';
  const font = getComputedStyle(document.body).fontFamily;
  const config = {
    background: null,
    font,
    view: { stroke: null },
    axis: {
      labelColor: ink, titleColor: ink, gridColor: rule, domainColor: rule, tickColor: rule, labelLimit: 160,
      labelFontSize: 12, titleFontSize: 12, titleFontWeight: 'normal',
    },
    legend: { labelColor: ink, titleColor: ink, labelFontSize: 12, titleFontSize: 12, orient: 'top', labelLimit: 220 },
    range: { category: kColours },
  };

  const kUnits = [[1e12, 'J'], [1e9, 'mJ'], [1e6, 'µJ'], [1e3, 'nJ'], [1, 'pJ']];
  const joules = (pj) => {
    const [size, name] = kUnits.find(([size]) => pj >= size) ?? [1, 'pJ'];
    return `${Number((pj / size).toPrecision(3))} ${name}`;
  };
  const jouleAxis = { title: 'energy', labelExpr: "replace(format(datum.value, '~s'), regexp('([^0-9.]?)$'), ' $1J')", tickCount: 5 };
  // Beyond 2^53 not every integer is a number here, so that its digits would be made up.
  const countText = (count) => (Number.isSafeInteger(count) ? count.toLocaleString('en-US') : count.toExponential(3));
  const percent = (part, whole) => (whole > 0 ? `${(100 * part / whole).toFixed(1)} %` : '-');

  // Category axes of one line for each part of the name that ' | ' separates.
  const names = (title) => ({ title, labelExpr: "split(datum.label, ' | ')", domain: false, ticks: false });
  const legend = (width, extra) => ({ columns: Math.max(1, Math.floor(width / 190)), ...extra });
  const radio = (name, value, options, label) => ({ name, value, bind: { input: 'radio', options, name: label } });
  const shown = { name: 'shown', select: { type: 'point', fields: ['series'] }, bind: 'legend' };
  const faded = { condition: { param: 'shown', value: 1 }, value: 0.15 };
  const once = (values) => [...new Set(values)];
  const passesOf = (result) => Object.keys(result.totals).filter((name) => name !== 'all' && !name.startsWith('of '));
  const beside = (result, name) => (several ? `${result.label} | ${name}` : name);

  // Name of each baseline of each result: its own where results agree about it, else with the result's.
  const baselineNames = (valuesOf) => {
    const kinds = Object.keys(results[0].totals.all.baselines);
    return results.map((result) => Object.fromEntries(kinds.map((kind) => {
      const same = results.every((other) => JSON.stringify(valuesOf(other, kind)) ===
          JSON.stringify(valuesOf(results[0], kind)));
      return [kind, same ? kind : beside(result, kind)];
    })));
  };

  const kPlots = {
    baselines(width) {
      const naming = baselineNames((result, kind) => kLines.map(([, key]) => result.totals.all.baselines[kind][key]));
      const values = new Map();
      const add = (name, series, energy) => {
        for (const [line, key] of kLines) {
          const { low, value, high } = energy[key];
          values.set(`${name}\n${line}`, {
            name, series, line, low: low * 1e-12, value: value * 1e-12, high: high * 1e-12,
            tip: `${joules(value)} (${joules(low)} to ${joules(high)})`,
          });
        }
      };
      for (const result of results) add(result.label, several ? 'these formats' : 'this format', result.totals.all.energy);
      results.forEach((result, i) => {
        for (const [kind, energy] of Object.entries(result.totals.all.baselines)) add(naming[i][kind], 'baselines', energy);
      });
      const rows = [...values.values()];
      return {
        description: 'Energy of all passes, of each format and each baseline, with error bars.',
        data: { values: rows },
        params: [radio('line', kLines[0][0], kLines.map(([line]) => line), 'Line: ')],
        transform: [{ filter: 'datum.line === line' }],
        height: { step: 26 },
        encoding: {
          y: { field: 'name', type: 'nominal', sort: once(rows.map((row) => row.name)), axis: names(null) },
          tooltip: [
            { field: 'name', title: 'machine' }, { field: 'line', title: 'line' }, { field: 'tip', title: 'energy' },
          ],
        },
        layer: [
          {
            params: [shown],
            mark: { type: 'bar', height: { band: 0.7 } },
            encoding: {
              x: { field: 'value', type: 'quantitative', axis: { ...jouleAxis, title: 'energy of all passes' } },
              color: {
                field: 'series', type: 'nominal', sort: once(rows.map((row) => row.series)),
                legend: legend(width, { title: null }),
              },
              opacity: faded,
            },
          },
          {
            mark: { type: 'rule', color: ink, strokeWidth: 1.5 },
            encoding: { x: { field: 'low', type: 'quantitative' }, x2: { field: 'high' } },
          },
        ],
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
          y: { field: 'name', type: 'nominal', sort: once(rows.map((row) => row.name)), axis: names(null) },
          x: { field: 'value', type: 'quantitative', axis: jouleAxis },
          color: {
            field: 'series', type: 'nominal', sort: order, scale: { scheme: 'tableau20' },
            legend: legend(width, { title: null }),
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
      const number = (value) => (typeof value === 'number' ? value : null);
      const naming = baselineNames((result, kind) => result.layers.map((layer) =>
          passes.map((pass) => layer.passes[pass]?.baseline_sqnr_db?.[kind])));
      const values = new Map();
      const add = (series, layer, pass, db) => {
        if (number(db) !== null) values.set(`${series}\n${layer}\n${pass}`, { series, layer, pass, db });
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
      const markerOf = (i) => kMarkers[Math.floor(i / kColours.length) % kMarkers.length];
      const scaled = (range) => ({
        field: 'series', type: 'nominal', scale: { domain: order, range }, legend: legend(width, { title: null }),
      });
      return {
        description: 'SQNR of each layer in each format and baseline.',
        data: { values: rows },
        params: [radio('pass', passes[0], passes, 'Pass: '), shown],
        transform: [{ filter: 'datum.pass === pass' }],
        height: { step: 16 },
        mark: { type: 'point', filled: true, size: 50 },
        encoding: {
          y: {
            field: 'layer', type: 'nominal', sort: once(rows.map((row) => row.layer)),
            axis: { ...names(null), grid: true },
          },
          x: { field: 'db', type: 'quantitative', scale: { zero: false }, axis: { title: 'SQNR, dB', tickCount: 6 } },
          color: scaled(order.map((_, i) => kColours[i % kColours.length])),
          shape: scaled(order.map((_, i) => markerOf(i))),
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
          const parts = {
            computing: total.array_cycles - total.fill_stalls - total.scaler_stalls,
            'fill stalls': total.fill_stalls,
            'scaler stalls': total.scaler_stalls,
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
      return {
        description: 'Cycles of each pass: computing, stalls, quantizer.',
        data: { values: rows },
        params: [shown],
        height: { step: several ? 34 : 28 },
        mark: { type: 'bar', height: { band: 0.75 } },
        encoding: {
          y: { field: 'name', type: 'nominal', sort: once(rows.map((row) => row.name)), axis: names(null) },
          x: { field: 'cycles', type: 'quantitative', axis: { title: 'cycles', format: '~s', tickCount: 5 } },
          color: {
            field: 'series', type: 'nominal', sort: ['computing', 'fill stalls', 'scaler stalls', 'quantizer'],
            scale: { range: ['#0072b2', '#e69f00', '#d55e00', '#8c8c8c'] }, legend: legend(width, { title: null }),
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
        mark: { type: 'bar', height: { band: 0.7 } },
        encoding: {
          y: { field: 'name', type: 'nominal', sort: once(rows.map((row) => row.name)), axis: names(null) },
          x: { field: 'area', type: 'quantitative', axis: { title: 'area, mm²', tickCount: 5 } },
          color: {
            field: 'series', type: 'nominal', sort: order, legend: legend(width, { title: null }),
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
                layer: layer.name, series: result.label, pass, line, value: energy[key].value * 1e-12,
                tip: joules(energy[key].value),
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
          radio('pass', passes[0], passes, 'Pass: '), shown,
        ],
        transform: [{ filter: 'datum.line === line && datum.pass === pass' }],
        height: { step: several ? 9 : 16, for: 'offset' },
        mark: { type: 'bar' },
        encoding: {
          y: {
            field: 'layer', type: 'nominal', sort: once(rows.map((row) => row.layer)), scale: { paddingInner: 0.25 },
            axis: names(null),
          },
          yOffset: { field: 'series', sort: labels },
          x: { field: 'value', type: 'quantitative', axis: jouleAxis },
          color: { field: 'series', type: 'nominal', sort: labels, legend: legend(width, { title: null }) },
          opacity: faded,
          tooltip: [
            { field: 'layer', title: 'layer' }, { field: 'series', title: 'format' }, { field: 'tip', title: 'energy' },
          ],
        },
      };
    },

    sweep(width) {
      const formatOf = (point) => once([point.activation, point.weight, point.error]).length === 1
        ? point.activation : `${point.activation}+${point.weight}+${point.error}`;
      const points = sweep.points.filter((point) => typeof point.mean_sqnr_db === 'number' && point.multiply_adds > 0);
      // What all formats end in, such as /g8m1/nc, is in the tooltips.
      const ends = once(points.map((point) => formatOf(point).replace(/^[^/]*/, '')));
      const rows = points.map((point) => {
        const format = formatOf(point);
        const exponent = /^e(\d)/.exec(format);
        return {
          format,
          short: ends.length === 1 ? format.slice(0, format.length - ends[0].length) : format,
          series: exponent && !format.includes('+') ? exponent[1] : 'mixed',
          front: point.pareto ? 'yes' : 'no',
          pj: point.computing_pj / point.multiply_adds,
          operations: point.operations_only_pj / point.multiply_adds,
          db: point.mean_sqnr_db,
          accumulator: `${point.accumulator_bits} bits`,
          array: `${point.rows} x ${point.columns} / ${point.elements_per_scaler}`,
          area: point.area_um2 === null ? '-' : (point.area_um2 / 1e6).toFixed(4),
        };
      });
      const x = {
        field: 'pj', type: 'quantitative', scale: { zero: false, nice: true },
        axis: { title: 'pJ a multiply-add, with everything but memory', tickCount: 6 },
      };
      const y = {
        field: 'db', type: 'quantitative', scale: { zero: false, nice: true }, axis: { title: 'mean SQNR, dB' },
      };
      const onFront = { filter: "datum.front === 'yes'" };
      return {
        description: 'Mean SQNR and energy of each point of the sweep, with the Pareto front.',
        data: { values: rows },
        height: 380,
        layer: [
          {
            transform: [onFront],
            mark: { type: 'line', color: ink, strokeDash: [4, 3], strokeWidth: 1, interpolate: 'step-after' },
            encoding: { x, y, order: { field: 'pj', type: 'quantitative' } },
          },
          {
            params: [shown],
            mark: { type: 'point', filled: true },
            encoding: {
              x, y,
              color: {
                field: 'series', type: 'nominal', sort: once(rows.map((row) => row.series)).sort(),
                legend: legend(width, { title: 'exponent bits', symbolOpacity: 1 }),
              },
              size: { condition: { test: "datum.front === 'yes'", value: 110 }, value: 45 },
              opacity: faded,
              tooltip: [
                { field: 'format', title: 'format' }, { field: 'db', title: 'mean SQNR, dB', format: '.1f' },
                { field: 'pj', title: 'pJ, all but memory', format: '.3f' },
                { field: 'operations', title: 'pJ, operations only', format: '.3f' },
                { field: 'accumulator', title: 'accumulator' }, { field: 'array', title: 'array' },
                { field: 'area', title: 'area, mm²' }, { field: 'front', title: 'on the front' },
              ],
            },
          },
          {
            transform: [onFront],
            mark: { type: 'text', align: 'right', dx: -9, dy: -6, color: ink, fontSize: 11 },
            encoding: { x, y, text: { field: 'short' } },
          },
        ],
      };
    },
  };

  for (const figure of document.querySelectorAll('.plot')) {
    const spec = kPlots[figure.dataset.plot](figure.parentElement.clientWidth);
    vegaEmbed(figure, {
      width: 'container', autosize: { type: 'fit-x', contains: 'padding' }, ...spec,
    }, {
      mode: 'vega-lite', renderer: 'svg', ast: true, actions: false, defaultStyle: false, logLevel: vega.Error, config,
      tooltip: { disableDefaultStyle: true },
    }).catch((error) => console.error(`plot ${figure.dataset.plot}: ${error.message}`));
  }
})();

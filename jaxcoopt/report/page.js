// Draws the report: reads the embedded numbers, and on every choice shows the points that pass the filters.
"use strict";

const data = JSON.parse(document.getElementById("data").textContent);
const byId = (id) => document.getElementById(id);
const CYCLE = ["#0072B2", "#D55E00", "#009E73", "#AA4499", "#56B4E9", "#E69F00", "#222222", "#999933"];
const BAD = "#c62828", INK = "#222222", FRAME = "#ff9f1c", GRID = "#e6e9ec";
const LINES = 8, BEST_ROWS = 20, DIVERGED_ROWS = 200, BOXES = 12, RULED = 600;
const CONFIG = { responsive: true, displaylogo: false };
const LAYOUT = { font: { family: "system-ui, sans-serif", size: 13, color: INK }, paper_bgcolor: "white",
                 plot_bgcolor: "white", hovermode: "closest", hoverlabel: { align: "left" } };
const VIRIDIS = ["#440154", "#482878", "#3e4989", "#31688e", "#26828e", "#1f9e89", "#35b779", "#6ece58", "#b5de2b"];

const points = data.where.length;
const all = Array.from({ length: points }, (_, point) => point);
const done = all.map((p) => data.seeds - data.counts.PENDING[p]);
const mostlyDiverged = (p) => 2 * metric().diverged[p] > done[p];
const state = { metric: 0, x: data.x, y: data.y, lines: -1,
                kept: data.axes.map((axis) => new Set(axis.labels.keys())) };
let numbers = {};

// ---- numbers

async function unpack() {
  const bytes = Uint8Array.from(atob(byId("numbers").textContent), (letter) => letter.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  const values = new Float32Array(await new Response(stream).arrayBuffer());
  let start = 0;
  for (const [name, size] of Object.entries(data.sizes)) {
    numbers[name] = values.subarray(start, start + size);
    start += size;
  }
}

const metric = () => data.metrics[state.metric];
const at = (field, point) => (numbers[`${metric().name}/${field}`] ?? numbers[`${metric().name}/median`])[point];
const curve = (band, point) => {
  const name = metric().name;
  const values = numbers[`${name}/curve/${band}`] ?? numbers[`${name}/curve/median`];
  return Array.from(values.subarray(point * data.records, (point + 1) * data.records));
};
const clock = (i, point) => Array.from(numbers[`clock/${i}`].subarray(point * data.records, (point + 1) * data.records));
const shown = (value) => (!Number.isFinite(value) ? "–" : value === 0 ? "0" : Number(value.toPrecision(3)).toString());
const range = (low, high) => `${shown(low)} … ${shown(high)}`;
const label = (axis, point) => data.axes[axis].labels[data.where[point][axis]];
const nameOf = (point, without = []) => data.axes.map((axis, i) => [axis.name, i]).filter(([, i]) => !without.includes(i))
  .map(([name, i]) => `${name} = ${label(i, point)}`).join(", ");

function passing() {
  return all.filter((point) => state.kept.every((kept, axis) => kept.has(data.where[point][axis])));
}

// Those with a median, the smallest first; points that may not be called the best come last.
function bestFirst(chosen) {
  return chosen.filter((p) => Number.isFinite(at("median", p)))
    .sort((a, b) => metric().settled[b] - metric().settled[a] || at("median", a) - at("median", b));
}

// The points that share the least median, none where no point may be called the best.
function best(chosen) {
  const good = bestFirst(chosen).filter((p) => metric().settled[p]);
  const least = good.length ? at("median", good[0]) : 0;
  return good.filter((p) => at("median", p) <= least + metric().same * Math.abs(least) + metric().rounding);
}

function details(point) {
  const lines = data.axes.map((axis, i) => `${escaped(axis.name)}: <b>${escaped(label(i, point))}</b>`);
  lines.push(`median: <b>${shown(at("median", point))}</b>`);
  if (data.seeds > 1) {
    lines.push(`95 % of the median: ${range(at("median_low", point), at("median_high", point))}`);
    lines.push(`quartiles: ${range(at("q1", point), at("q3", point))}`);
    lines.push(`mean: ${shown(at("mean", point))}, 95 %: ${range(at("mean_low", point), at("mean_high", point))}`);
  }
  lines.push(`finite runs: ${at("runs", point)} of ${data.seeds}, diverged: ${metric().diverged[point]}`);
  if (done[point] < data.seeds) lines.push(`not run yet: ${data.counts.PENDING[point]}`);
  return lines.join("<br>");
}

// Plotly reads HTML, and mathematics between dollars.
const escaped = (text) => text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;").replaceAll("$", "&#36;");

// ---- the metric over two axes, or along one

function drawMap(chosen) {
  byId("map-section").hidden = state.x < 0;
  if (state.x < 0) return;
  const seeds = data.seeds === 1 ? "1 seed" : `${data.seeds} seeds`;
  byId("map-title").textContent = `${metric().label}: median over ${seeds} after ${data.last.toLocaleString("en")} iterations`;
  if (state.y < 0) drawProfile(chosen);
  else drawCells(chosen);
}

function isGrid(chosen) {
  const pairs = new Set(chosen.map((p) => `${data.where[p][state.x]} ${data.where[p][state.y]}`));
  const values = (axis) => new Set(chosen.map((p) => data.where[p][axis])).size;
  return pairs.size >= 0.5 * values(state.x) * values(state.y);
}

// The values without a few that would take most of the scale from all others: one in 3, 4 or 50, at most.
function toldApart(values, of) {
  const kept = values.filter(Number.isFinite).sort((a, b) => a - b), count = kept.length;
  let [first, last] = [0, count - 1];
  for (const [part, least] of [[3, 0.05], [4, 0.25], [50, 0.6]]) {
    const spare = Math.max(Math.floor(count / part), count >= 10 ? 1 : 0);
    const tried = new Set(Array.from({ length: spare ? 60 : 0 }, (_, i) => Math.floor(spare ** (i / 59))));
    for (const far of tried) {
      for (let low = 0; low <= far; low++) {
        const high = count - 1 - (far - low), span = of(kept[high]) - of(kept[low]);
        if (span > 0 && span < least * (of(kept[last]) - of(kept[first]))) [first, last] = [low, high];
      }
    }
  }
  return kept.slice(first, last + 1);
}

// A log scale as exponents with labels, 0 at its foot.
function colours(cells) {
  const median = (points) => points.map((p) => at("median", p)).filter(Number.isFinite);
  const trusted = median(cells.filter((p) => !mostlyDiverged(p)));
  const every = trusted.length ? trusted : median(cells), foot = metric().zero;
  const log = metric().log && every.some((v) => v > 0);
  const finite = toldApart(every, (v) => (log ? Math.log10(Math.max(v, foot)) : v));
  if (!log || !finite.some((v) => v > 0)) return { of: (v) => v, bar: {}, range: [finite[0], finite[finite.length - 1]] };
  const positive = finite.filter((v) => v > 0), zero = finite.length > positive.length;
  const least = Math.min(...positive), floor = zero ? 10 ** (Math.floor(Math.log10(least)) - 1) : least;
  const [low, high] = [Math.log10(floor), Math.log10(Math.max(...positive))];
  const of = (v) => (Number.isFinite(v) ? Math.log10(Math.max(v, floor)) : NaN);
  const steps = high - low > 1.5 ? Math.ceil((high - low) / 7) : (high - low) / 3 || 1;
  const tickvals = [], ticktext = [];
  for (let e = high - low > 1.5 ? Math.ceil(low - 1e-9) : low; e <= high + 1e-9; e += steps) {
    tickvals.push(e);
    ticktext.push(zero && e - low < 1e-9 ? "0" : high - low > 1.5 ? `10<sup>${e}</sup>` : shown(10 ** e));
  }
  return { of, bar: { tickvals, ticktext }, range: [low, high] };
}

function axisLayout(axis, margin = 0, grid = true) {
  const { name, edges, places } = data.axes[axis];
  const ticks = grid ? data.axes[axis].ticks : data.axes[axis].roundTicks;
  const tickLabels = grid ? data.axes[axis].tickLabels : data.axes[axis].roundLabels;
  const kept = [...state.kept[axis]].filter((i) => i < places.length);
  const low = Math.min(...kept), high = Math.max(...kept);
  const bounds = kept.length ? [edges[low], edges[high + 1]] : [edges[0], edges[edges.length - 1]];
  const pad = margin * (bounds[1] - bounds[0]);
  return { title: { text: escaped(name), standoff: 12 }, tickvals: ticks, ticktext: tickLabels.map(escaped), range: [bounds[0] - pad, bounds[1] + pad],
           zeroline: false, gridcolor: GRID, automargin: true };
}

function drawCells(chosen) {
  const grid = isGrid(chosen), place = (axis) => (p) => data.axes[axis].places[data.where[p][axis]];
  const margin = grid ? 0 : 0.03;
  const cells = grid ? bestOfCells(chosen) : chosen;
  const scale = colours(cells), first = best(cells);
  const bar = { thickness: 16, outlinewidth: 0, ticks: "", ...scale.bar };
  const traces = [grid ? heatmap(cells, scale, bar) : dots(cells, scale, bar, place)];
  traces.push(marks(cells.filter(mostlyDiverged), place, "most runs diverged", { symbol: "x-thin", size: 9,
    line: { color: BAD, width: 2 } }));
  traces.push(marks(first.length === 1 ? first : [], place, "the best", { symbol: "square-open", size: 16,
    color: FRAME, line: { color: FRAME, width: 2.5 } }));
  const rest = data.axes.map((_, i) => i).filter((i) => i !== state.x && i !== state.y && state.kept[i].size > 1);
  const over = rest.map((i) => data.axes[i].name).join(", ");
  byId("map-note").textContent = (grid && over ? `A cell shows the best over ${over}; filter to see one of them. ` : "")
    + (first.length > 1 ? `${first.length} points share the least value. ` : "")
    + (first.length ? "" : "No point converged, or ended better than it began. ")
    + (grid ? "Grey: no number. " : "") + "Hover for the rest.";
  Plotly.react("map", traces, { ...LAYOUT, height: 480, margin: { l: 70, r: 20, t: 10, b: 60 },
    plot_bgcolor: grid ? GRID : "white", xaxis: axisLayout(state.x, margin, grid), yaxis: axisLayout(state.y, margin, grid),
    legend: { orientation: "h", y: 1.02, yanchor: "bottom", x: 0 } }, CONFIG);
}

// One point for each cell: the best that passes the filters.
function bestOfCells(chosen) {
  const found = new Map();
  const ranked = bestFirst(chosen), without = chosen.filter((p) => !Number.isFinite(at("median", p)));
  for (const point of [...ranked, ...without]) {
    const cell = `${data.where[point][state.x]} ${data.where[point][state.y]}`;
    if (!found.has(cell)) found.set(cell, point);
  }
  return [...found.values()];
}

function heatmap(cells, scale, bar) {
  const [across, up] = [data.axes[state.x], data.axes[state.y]];
  const blank = () => up.labels.map(() => across.labels.map(() => null));
  const z = blank(), text = blank(), gap = cells.length <= RULED ? 1 : 0;
  for (const point of cells) {
    const [i, j] = [data.where[point][state.y], data.where[point][state.x]];
    const value = scale.of(at("median", point));
    z[i][j] = Number.isFinite(value) ? value : null;
    text[i][j] = details(point);
  }
  return { type: "heatmap", x: across.edges, y: up.edges, z, text, hoverinfo: "text", hoverongaps: true, xgap: gap, ygap: gap,
           colorscale: "Viridis", colorbar: bar, zmin: scale.range[0], zmax: scale.range[1] };
}

function dots(cells, scale, bar, place) {
  const finite = cells.filter((p) => Number.isFinite(at("median", p)));
  return { type: "scatter", mode: "markers", x: finite.map(place(state.x)), y: finite.map(place(state.y)),
           text: finite.map(details), hoverinfo: "text", showlegend: false,
           marker: { color: finite.map((p) => scale.of(at("median", p))), colorscale: "Viridis", colorbar: bar, size: 9,
                     cmin: scale.range[0], cmax: scale.range[1], showscale: true, line: { color: "white", width: 0.5 } } };
}

function marks(cells, place, name, marker) {
  return { type: "scatter", mode: "markers", name, x: cells.map(place(state.x)), y: cells.map(place(state.y)),
           text: cells.map(details), hoverinfo: "text", marker, showlegend: cells.length > 0 };
}

function drawProfile(chosen) {
  const place = (p) => data.axes[state.x].places[data.where[p][state.x]];
  const order = bestOfEach(chosen).sort((a, b) => data.where[a][state.x] - data.where[b][state.x]);
  const floor = metric().log ? metric().zero : -Infinity;
  const level = (field) => order.map((p) => Math.max(at(field, p), floor));
  const median = level("median");
  const trace = { type: "scatter", mode: data.axes[state.x].numeric ? "lines+markers" : "markers", x: order.map(place),
    y: median, text: order.map(details), hoverinfo: "text", marker: { color: CYCLE[0], size: 8 }, showlegend: false,
    error_y: { type: "data", symmetric: false, array: level("q3").map((v, i) => v - median[i]),
               arrayminus: level("q1").map((v, i) => median[i] - v) } };
  const bad = chosen.filter(mostlyDiverged);
  const lost = { type: "scatter", mode: "markers", name: "most runs diverged", x: bad.map(place), y: bad.map(() => 0.97),
    yaxis: "y2", text: bad.map(details), hoverinfo: "text", marker: { symbol: "x-thin", size: 9, line: { color: BAD, width: 2 } } };
  const over = data.axes.filter((_, i) => i !== state.x && state.kept[i].size > 1).map((axis) => axis.name).join(", ");
  byId("map-note").textContent = "Whiskers from quartile to quartile." + (over ? ` Each the best over ${over}.` : "");
  Plotly.react("map", [trace, lost], { ...LAYOUT, height: 420, margin: { l: 70, r: 20, t: 10, b: 60 },
    xaxis: axisLayout(state.x), yaxis: valueAxis(metric().log), yaxis2: { overlaying: "y", range: [0, 1], visible: false },
    legend: { orientation: "h", y: 1.02, yanchor: "bottom", x: 0 } }, CONFIG);
}

function bestOfEach(chosen) {
  const found = new Map();
  for (const point of bestFirst(chosen)) {
    if (!found.has(data.where[point][state.x])) found.set(data.where[point][state.x], point);
  }
  return [...found.values()];
}

const valueAxis = (log) => ({ type: log ? "log" : "linear", gridcolor: GRID, zeroline: false, exponentformat: "power",
  automargin: true, ...(log ? { dtick: 1, nticks: 8, tickmode: "auto" } : {}) });

// ---- curves

function drawCurves(chosen) {
  const ranked = bestFirst(chosen), axis = state.lines;
  byId("curves").hidden = !ranked.length;
  if (!ranked.length) {
    Plotly.purge("curves");
    byId("curves-title").textContent = metric().label;
    byId("curves-note").textContent = "No point shown has a finite run.";
    return;
  }
  const lines = axis < 0 ? ranked.slice(0, LINES) : along(chosen, ranked[0], axis);
  const common = data.axes.map((_, i) => i).filter((i) => i !== axis && new Set(lines.map((p) => data.where[p][i])).size === 1);
  const without = lines.length > 1 ? common : [];
  const names = lines.map((p) => (axis < 0 ? nameOf(p, without) || "all runs" : label(axis, p)) + lost(p));
  const count = data.clocks.length, gap = 0.04, width = (1 - gap * (count - 1)) / count;
  const log = metric().logCurves, traces = [], dashes = strokes(lines.map((p) => curve("median", p)), log);
  const layout = { ...LAYOUT, height: 440 + 20 * (axis < 0 ? lines.length : 1), margin: { l: 70, r: 20, t: 10, b: 50 },
    yaxis: valueAxis(log), shapes: [], annotations: [], legend: { orientation: "h", y: -0.18, yanchor: "top", x: 0,
    title: { text: axis < 0 ? "" : escaped(data.axes[axis].name) } } };
  for (let i = 0; i < count; i++) {
    const number = i ? String(i + 1) : "";
    layout[`xaxis${number}`] = { title: { text: data.clocks[i] }, domain: [i * (width + gap), i * (width + gap) + width],
      gridcolor: GRID, zeroline: false, rangemode: "tozero", automargin: true };
    lines.forEach((point, line) =>
      traces.push(...band(point, i, number, colour(axis, line, lines.length), names[line], log, dashes[line])));
  }
  markZero(layout, traces, log);
  const which = axis < 0 ? (points > 1 ? `the ${lines.length} points with the least values` : "")
                         : `along ${data.axes[axis].name}`;
  byId("curves-title").textContent = `${metric().label}` + (which ? `: ${which}` : "");
  const rest = lines.length > 1 ? nameOf(lines[0], data.axes.map((_, i) => i).filter((i) => !common.includes(i))) : "";
  byId("curves-note").textContent = (rest ? `At ${rest}. ` : "")
    + (data.seeds > 1 ? "Median and quartiles over the seeds, without diverged runs." : "One seed.")
    + (layout.shapes.length ? " On the dotted line: exactly 0." : "")
    + (data.records < data.allRecords ? ` ${data.records} of ${data.allRecords} records are on this page.` : "");
  Plotly.react("curves", traces, layout, CONFIG);
}

function along(chosen, best, axis) {
  const same = chosen.filter((p) => data.where[p].every((value, i) => i === axis || value === data.where[best][i]));
  same.sort((a, b) => data.where[a][axis] - data.where[b][axis]);
  if (same.length <= LINES) return same;
  return Array.from({ length: LINES }, (_, i) => same[Math.round((i * (same.length - 1)) / (LINES - 1))]);
}

function colour(axis, line, count) {
  if (axis < 0 || !data.axes[axis].numeric) return CYCLE[line % CYCLE.length];
  return VIRIDIS[Math.round((line * (VIRIDIS.length - 1)) / Math.max(1, count - 1))];
}

// Of curves that lie on each other the later ones are dashed, with the wider gaps the later they are.
function strokes(curves, log) {
  const level = curves.map((values) => values.map((v) => (log ? Math.log10(Math.max(v, metric().zero)) : v)));
  const finite = level.flat().filter(Number.isFinite);
  const reach = 0.004 * (finite.reduce((a, b) => Math.max(a, b), -Infinity) - finite.reduce((a, b) => Math.min(a, b), Infinity));
  const same = (a, b) => {
    const apart = a.map((v, r) => Math.abs(v - b[r])).filter(Number.isFinite);
    return apart.length > 0 && 2 * apart.filter((d) => d <= reach).length > apart.length;
  };
  return level.map((values, i) => {
    const before = level.slice(0, i).filter((other) => same(values, other)).length;
    return before ? `5px,${5 * before}px` : "solid";
  });
}

const lost = (point) => (metric().diverged[point] ? ` (${metric().diverged[point]} of ${done[point]} diverged)` : "");

function band(point, i, number, color, name, log, dash) {
  const floor = log ? metric().zero : -Infinity;
  const x = clock(i, point), middle = curve("median", point), low = curve("q1", point), high = curve("q3", point);
  const known = x.map((_, r) => r).filter((r) => Number.isFinite(x[r]) && Number.isFinite(middle[r]));
  const of = (values) => known.map((r) => Math.max(values[r], floor)), xs = known.map((r) => x[r]);
  const shared = { type: "scatter", xaxis: `x${number}`, legendgroup: String(point) };
  const line = { ...shared, mode: "lines", name: escaped(name), x: xs, y: of(middle), line: { color, width: 2, dash },
    showlegend: i === 0, text: known.map((r) => `${escaped(name)}<br>${shown(middle[r])}, ${range(low[r], high[r])}`),
    hoverinfo: "text" };
  if (data.seeds === 1) return [line];
  return [line, { ...shared, mode: "none", x: [...xs, ...xs.toReversed()], y: [...of(high), ...of(low).toReversed()],
    fill: "toself", fillcolor: color + "26", hoverinfo: "skip", showlegend: false }];
}

// On a log axis: a dotted line at the level that stands for 0, and a label that covers the power of ten.
function markZero(layout, traces, log) {
  const zero = metric().zero;
  if (!log || !traces.some((trace) => trace.y.some((value) => value <= zero))) return;
  layout.shapes.push({ type: "line", xref: "paper", x0: 0, x1: 1, y0: zero, y1: zero,
    line: { color: "#b8bec4", width: 1, dash: "dot" } });
  layout.annotations.push({ xref: "paper", x: 0, xanchor: "right", y: Math.log10(zero), yanchor: "middle",
    text: "0", hovertext: "on the dotted line: exactly 0", align: "right", width: 44, height: 26, xshift: -1, bgcolor: "white", showarrow: false });
}

// ---- tables

function table(id, headings, rows, note) {
  const made = document.createElement("table"), home = byId(id);
  for (const [i, cells] of [headings, ...rows].entries()) {
    const row = made.insertRow();
    for (const text of cells) {
      const cell = document.createElement(i ? "td" : "th");
      cell.textContent = text;
      row.append(cell);
    }
  }
  home.replaceChildren(...(rows.length ? [made] : []));
  if (note) home.append(Object.assign(document.createElement("p"), { className: "dim", textContent: note }));
}

function drawTables(chosen) {
  const names = data.axes.map((axis) => axis.name), labels = (p) => data.axes.map((_, i) => label(i, p));
  const ranked = bestFirst(chosen).slice(0, BEST_ROWS);
  const spread = data.seeds > 1;
  table("best", [...names, "median", ...(spread ? ["95 % of the median", "quartiles", "mean", "95 % of the mean"] : []),
                 "finite runs", "diverged"],
    ranked.map((p) => [...labels(p), shown(at("median", p)), ...(spread ? [range(at("median_low", p), at("median_high", p)),
      range(at("q1", p), at("q3", p)), shown(at("mean", p)), range(at("mean_low", p), at("mean_high", p))] : []),
      `${at("runs", p)} of ${data.seeds}`, data.counts.DIVERGED[p]]),
    ranked.length ? "" : "No point shown has a finite run.");
  const gone = chosen.filter((p) => data.counts.DIVERGED[p])
    .sort((a, b) => data.counts.DIVERGED[b] / done[b] - data.counts.DIVERGED[a] / done[a]);
  table("diverged", [...names, "diverged", "runs done", "left at iteration (median)"],
    gone.slice(0, DIVERGED_ROWS).map((p) => [...labels(p), data.counts.DIVERGED[p], done[p], data.left[p].toLocaleString("en")]),
    gone.length ? (gone.length > DIVERGED_ROWS ? `and ${gone.length - DIVERGED_ROWS} more points; filter to see them` : "")
                : "No run of the points shown diverged.");
  const total = (name) => chosen.reduce((sum, p) => sum + data.counts[name][p], 0);
  const ended = Object.keys(data.counts).filter((name) => name !== "PENDING" && total(name)).map((name) => `${total(name)} ${name}`);
  const runs = chosen.length * data.seeds, pending = total("PENDING");
  byId("chosen").textContent = `Shown: ${chosen.length} of ${points} points, ${runs} runs: `
    + [...ended, ...(pending ? [`${pending} not run yet`] : [])].join(", ");
}

// ---- choices

function draw() {
  const chosen = passing();
  drawMap(chosen);
  drawCurves(chosen);
  drawTables(chosen);
}

function options(id, entries, picked, choose) {
  const select = byId(id);
  select.replaceChildren(...entries.map(([value, text]) => new Option(text, value, false, value === picked)));
  select.onchange = () => { choose(Number(select.value)); draw(); };
}

function controls() {
  const axes = data.axes.map((axis, i) => [i, axis.name]);
  options("metric", data.metrics.map((each, i) => [i, each.name.replaceAll("_", " ")]), state.metric, (i) => (state.metric = i));
  const set = (mine, other) => (i) => {
    if (i === state[other]) state[other] = state[mine];  // swapped, as the two must differ
    state[mine] = i;
    if (state.x < 0) [state.x, state.y] = [state.y, -1];
    controls();
  };
  options("x", axes, state.x, set("x", "y"));
  options("y", [...axes, [-1, "nothing"]], state.y, set("y", "x"));
  options("lines", [[-1, "of the best points"], ...axes.map(([i, name]) => [i, `along ${name}`])], state.lines, (i) => (state.lines = i));
  for (const each of document.querySelectorAll(".swept")) each.hidden = !data.axes.length;
  byId("reset").onclick = () => {
    state.kept = data.axes.map((axis) => new Set(axis.labels.keys()));
    filters();
    draw();
  };
}

function filters() {
  byId("filters").replaceChildren(...data.axes.map((axis, i) => {
    const home = Object.assign(document.createElement("div"), { className: "filter" });
    home.dataset.axis = axis.name;
    home.append(Object.assign(document.createElement("b"), { textContent: axis.name }));
    home.append(...(axis.numeric && axis.labels.length > BOXES ? limits(axis, i) : boxes(axis, i)));
    return home;
  }));
}

function boxes(axis, i) {
  return axis.labels.map((text, value) => {
    const box = Object.assign(document.createElement("input"), { type: "checkbox", checked: state.kept[i].has(value) });
    box.onchange = () => { state.kept[i][box.checked ? "add" : "delete"](value); draw(); };
    const home = document.createElement("label");
    home.append(box, text);
    return home;
  });
}

// From and to, for many numbers.
function limits(axis, i) {
  const picks = ["from", "to"].map((word) => {
    const select = document.createElement("select");
    select.append(...axis.labels.map((text, value) => new Option(text, value)));
    const home = document.createElement("label");
    home.append(`${word} `, select);
    return [home, select];
  });
  const [from, to] = picks.map(([, select]) => select);
  to.value = axis.labels.length - 1;
  from.onchange = to.onchange = () => {
    const [low, high] = [Number(from.value), Number(to.value)];
    state.kept[i] = new Set([...axis.labels.keys()].filter((value) => value >= low && value <= high));
    draw();
  };
  return picks.map(([home]) => home);
}

unpack().then(() => {
  controls();
  filters();
  draw();
  document.body.dataset.ready = "yes";
});

/* The leaderboard of one comparison: sortable, filterable, its intervals drawn in the rows. */

import { h, highlight, keyOf, own, s } from "./dom.js";
import { MISSING, SCORES, bracket, counted, fixed, grouped, memory, seconds, trimmed } from "./units.js";
import { linear, linearTicks } from "./scale.js";
import { ink, marker, swatch } from "./marks.js";
import { scroller } from "./chart.js";
import { COSTS, costOf, lengthsOf, trouble } from "./costs.js";
import { choice, search } from "./controls.js";

const STRIP = 100; // width of an interval drawn in a row
const ROW = 18;

/** The section; it listens to the state. */
export function leaderboard(data, comparison, state) {
  const columns = columnsOf(data, comparison, state);
  const heads = columns.map((column) => head(column, state));
  const body = h("tbody");
  const count = h("p", { class: "note", role: "status" });
  const draw = () => {
    const systems = ordered(comparison.systems, columns, state).filter((system) => passes(system, state));
    heads.forEach((cell, index) => mark(cell, columns[index], state));
    body.replaceChildren(...systems.map((system) => row(columns, system, state)));
    count.textContent = systems.length === comparison.systems.length
      ? counted(systems.length, "system")
      : `${systems.length} of ${counted(comparison.systems.length, "system")}`;
  };
  state.listen(draw);
  draw();
  const table = h("table", { class: "leaderboard" },
    h("caption", { class: "unseen" }, `Leaderboard of ${comparison.title}`),
    h("thead", null, h("tr", null, heads)), body);
  return h("section", { id: "leaderboard", "aria-labelledby": "leaderboard-head" },
    h("h3", { id: "leaderboard-head" }, "Leaderboard"),
    h("div", { class: "controls" }, search(state, "query", "Filter"), directionChoice(comparison, state),
      ...machineChoices(data, comparison, state), moreSwitch(columns, state), count),
    scroller(`Leaderboard of ${comparison.title}, scrollable`, table),
    failures(comparison));
}

/** Machine and length of speech: shared by the leaderboard and the chart of the trade-off. */
export function machineChoices(data, comparison, state) {
  if (!comparison.machines.length) return [];
  const lengths = () => lengthsOf(data, comparison.network, state.machine).map((length) => [length, seconds(length)]);
  return [
    choice(state, "machine", "Machine", () => comparison.machines.map((machine) => [machine, machine])),
    choice(state, "seconds", "Speech", lengths),
  ];
}

function directionChoice(comparison, state) {
  const directions = [...new Set(comparison.systems.map((system) => system.direction))].sort();
  return choice(state, "only", "Direction", () =>
    directions.length > 1 ? [["", "both"], ...directions.map((direction) => [direction, direction])] : []);
}

/** Shows the columns that are folded away; hiding them again ends an order by one of them. */
function moreSwitch(columns, state) {
  const flip = () => {
    const ordering = columns.find((column) => column.key === state.sort.key);
    const sort = state.more && ordering?.more ? { key: "place", down: false } : state.sort;
    state.set({ more: !state.more, sort });
  };
  const button = h("button", { type: "button", class: "quiet", click: flip }, "All columns");
  const draw = () => button.setAttribute("aria-pressed", String(state.more));
  state.listen(draw);
  draw();
  return button;
}

function passes(system, { query, only }) {
  const words = query.toLowerCase().split(/\s+/).filter(Boolean);
  const text = `${system.name} ${system.layout} ${system.direction} ${system.note}`.toLowerCase();
  return (!only || system.direction === only) && words.every((word) => text.includes(word));
}

/* Columns: { key, head, value, cell, wide?, text?, down?, more? }; `value` sorts, `down`: largest first,
   `more`: folded away until asked for, so that what decides between systems fits on a small screen. */

function columnsOf(data, comparison, state) {
  return [
    { key: "place", head: () => "#", value: (system) => system.place, cell: (system) => String(system.place ?? "") },
    { key: "name", head: () => "System", value: (system) => system.name, cell: (system) => systemCell(data, comparison, system), text: true, name: true },
    scoreColumn(data, comparison),
    ...differenceColumn(comparison),
    ...contrastColumns(comparison),
    ...(comparison.machines.length ? Object.entries(COSTS).map(([key, cost]) => costColumn(key, cost, data, comparison, state)) : []),
    ...directionColumn(comparison),
    ...plainScores(comparison),
    { key: "parameters", head: () => "Parameters", value: (system) => system.parameters, cell: (system) => thousands(system.parameters), more: true },
    ...fileColumns(comparison),
    { key: "scored", head: () => "Folds × seeds", value: (system) => system.folds * system.seeds, cell: scored, text: true, down: true, more: true },
  ];
}

function systemCell(data, comparison, system) {
  const address = `#/${comparison.id}/${encodeURIComponent(keyOf(system))}`;
  const why = system.note ? h("span", { class: "why" }, own(system.note)) : null;
  return [swatch(data.looks, system.look), h("a", { href: address, "aria-haspopup": "dialog" }, own(system.name)), why];
}

function directionColumn({ systems }) {
  const value = (system) => system.direction;
  if (new Set(systems.map(value)).size < 2) return [];
  return [{ key: "direction", head: () => "Direction", value, cell: value, text: true, more: true }];
}

function scoreColumn(data, comparison) {
  const { head: title, written } = SCORES[comparison.headline];
  const scoredAny = comparison.systems.some((system) => system.scores[comparison.headline]);
  const score = (system) => system.scores[comparison.headline] ?? null;
  const domain = domainOf(comparison.systems.map(score), []);
  const place = linear(domain, [7, STRIP - 7]);
  return {
    key: "score",
    head: () => title,
    extra: () => (scoredAny ? ruler(domain, place, (value) => trimmed(written(value))) : null),
    value: (system) => score(system)?.[0] ?? null,
    cell: (system) => withStrip(score(system), written, () => intervalStrip(data, system, score(system), place)),
    down: true,
    wide: true,
  };
}

function differenceColumn(comparison) {
  if (comparison.systems.every((system) => !system.delta)) return [];
  const { difference } = SCORES[comparison.headline];
  const domain = domainOf(comparison.systems.map((system) => system.delta), [0]);
  const place = linear(domain, [7, STRIP - 7]);
  return [{
    key: "delta",
    head: () => "Δ to softmax",
    extra: () => ruler([0, 0], place, () => "0"),
    value: (system) => system.delta?.[0] ?? null,
    cell: (system) => withStrip(system.delta, difference, () => differenceStrip(system.delta, place)),
    down: true,
    wide: true,
  }];
}

function contrastColumns({ systems }) {
  const all = [
    { key: "p", head: () => "p", value: (system) => system.p, cell: (system) => probability(system.p) },
    { key: "group", head: () => "Group", value: (system) => system.group, cell: (system) => String(system.group ?? MISSING) },
    {
      key: "ranks",
      head: () => "Rank",
      value: (system) => system.rankLow,
      cell: (system) => (system.rankLow === null ? MISSING : span(system.rankLow, system.rankHigh)),
    },
  ];
  return all.filter((column) => systems.some((system) => (column.value(system) ?? null) !== null));
}

function span(low, high) {
  return low === high ? String(low) : `${low}–${high}`;
}

function probability(p) {
  if (p === null) return MISSING;
  return p < 0.001 ? "< 0.001" : fixed(p, 3);
}

function plainScores(comparison) {
  const names = Object.keys(SCORES).filter((name) =>
    name !== comparison.headline && comparison.systems.some((system) => system.scores[name]));
  return names.map((name) => ({
    key: name,
    head: () => SCORES[name].head,
    value: (system) => system.scores[name]?.[0] ?? null,
    cell: (system) => SCORES[name].written(system.scores[name]?.[0]),
    down: true,
    more: true,
  }));
}

function costColumn(key, { field, written, name }, data, comparison, state) {
  const at = (system) => costOf(data, comparison, system, state);
  return {
    key,
    head: () => `${name} at ${seconds(state.seconds)}`,
    value: (system) => at(system)?.[field] ?? null,
    cell: (system) => (at(system)?.status ? trouble(at(system)) : written(at(system)?.[field])),
  };
}

function fileColumns({ systems }) {
  const held = ["float32", "int8"].filter((kind) => systems.some((system) => system.files?.[kind]));
  return held.map((kind) => ({
    key: `file-${kind}`,
    head: () => `${kind} file`,
    value: (system) => system.files?.[kind] ?? null,
    cell: (system) => memory(system.files?.[kind]),
    more: true,
  }));
}

function thousands(parameters) {
  return parameters === null ? MISSING : `${grouped(parameters / 1e3)} k`;
}

function scored(system) {
  const missing = system.seeds < system.seedsExpected ? ` of ${system.seedsExpected}` : "";
  return `${system.folds} × ${system.seeds}${missing}`;
}

/* Intervals in rows */

function domainOf(intervals, more) {
  const ends = [...intervals.flatMap((interval) => interval ?? []).filter((end) => end !== null), ...more];
  return ends.length ? [Math.min(...ends), Math.max(...ends)] : [0, 1];
}

function ruler(domain, place, written) {
  const values = domain[0] === domain[1] ? [domain[0]] : linearTicks(domain, 3);
  return s("svg", { class: "strip", viewBox: `0 0 ${STRIP} 14`, width: STRIP, height: 14, "aria-hidden": "true" },
    values.map((value) => [
      s("text", { x: place(value), y: 8, class: "tick middle" }, written(value)),
    ]));
}

function withStrip(interval, written, strip) {
  if (!interval) return MISSING;
  return [
    strip(),
    h("span", { class: "value" }, written(interval[0])),
    h("span", { class: "bracket" }, ` ${bracket(interval, written)}`),
  ];
}

function strip(...drawn) {
  return s("svg", { class: "strip", viewBox: `0 0 ${STRIP} ${ROW}`, width: STRIP, height: ROW, "aria-hidden": "true" }, drawn);
}

function whisker([, low, high], place, stroke) {
  if (low === null) return [];
  return [s("line", { class: "whisker", x1: place(low), x2: place(high), y1: ROW / 2, y2: ROW / 2, stroke })];
}

function intervalStrip(data, system, interval, place) {
  return strip(whisker(interval, place, ink(system.look)),
    marker(data.looks, system.look, place(interval[0]), ROW / 2, 4.5));
}

/** A filled dot where the interval leaves out zero, a ring where it does not. */
function differenceStrip(interval, place) {
  const [value, low, high] = interval;
  const certain = low !== null && (low > 0 || high < 0);
  return strip(
    s("line", { class: "zero", x1: place(0), x2: place(0), y1: 0, y2: ROW }),
    whisker(interval, place, "currentColor"),
    s("circle", { class: certain ? "certain" : "uncertain", cx: place(value), cy: ROW / 2, r: 4 }));
}

/* Heads and rows */

function head(column, state) {
  const button = h("button", { type: "button", click: () => state.set({ sort: sorted(column, state.sort) }) },
    h("span", { class: "words" }), h("span", { class: "arrow", "aria-hidden": "true" }));
  return h("th", { scope: "col", class: classes(column) }, button, column.extra?.());
}

function sorted(column, sort) {
  if (sort.key !== column.key) return { key: column.key, down: Boolean(column.down) };
  return { key: column.key, down: !sort.down };
}

function mark(cell, column, { sort, more }) {
  cell.hidden = Boolean(column.more) && !more;
  const active = sort.key === column.key;
  cell.querySelector(".words").textContent = column.head().replace(" %", "\u00a0%");
  cell.querySelector(".arrow").textContent = active ? (sort.down ? "▼" : "▲") : "";
  if (active) cell.setAttribute("aria-sort", sort.down ? "descending" : "ascending");
  else cell.removeAttribute("aria-sort");
}

function classes(column) {
  return [column.text ? "text" : "number", column.name && "name", column.wide && "wide"].filter(Boolean).join(" ");
}

function row(columns, system, { more }) {
  const cells = columns.map((column) => {
    const attributes = { class: classes(column), hidden: Boolean(column.more) && !more };
    return column.name ? h("th", { scope: "row", ...attributes }, column.cell(system)) : h("td", attributes, column.cell(system));
  });
  const charts = () => document.querySelector("#charts");
  return h("tr", {
    class: system.place === null ? "unplaced" : null,
    pointerenter: () => highlight(charts(), keyOf(system)),
    pointerleave: () => highlight(charts(), null),
  }, cells);
}

/** Those without a place come last whatever the order; what has no value comes after what has one. */
function ordered(systems, columns, { sort }) {
  const { value } = columns.find((column) => column.key === sort.key) ?? columns[0];
  const sign = sort.down ? -1 : 1;
  const compare = (one, other) => {
    if (one === null || one === undefined) return other === null || other === undefined ? 0 : 1;
    if (other === null || other === undefined) return -1;
    return sign * (typeof one === "string" ? one.localeCompare(other) : one - other);
  };
  return [...systems].sort((one, other) =>
    (one.place === null) - (other.place === null) || compare(value(one), value(other)));
}

function failures(comparison) {
  const lines = comparison.systems.flatMap((system) => system.failures.map((failure) => `${system.name}: ${failure}`));
  if (!lines.length) return null;
  return h("details", { class: "failures" }, h("summary", null, `${counted(lines.length, "cell")} failed`),
    h("ul", null, lines.map((line) => h("li", null, own(line)))));
}

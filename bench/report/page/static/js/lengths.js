/* Latency and memory against the length of speech, both axes logarithmic. */

import { h, keyOf, own, s } from "./dom.js";
import { seconds } from "./units.js";
import { log, logTicks, spread, thinned } from "./scale.js";
import { dashes, ink, lineSwatch, marker, textInk } from "./marks.js";
import { explained } from "./tooltip.js";
import { axes, canvas, figure, plainTable, shortName, target, textWidth, ticks, walkable } from "./chart.js";
import { COSTS, curvesOf, trouble } from "./costs.js";
import { choice } from "./controls.js";

const HEIGHT = 380;
const LEGEND_BELOW = 460; // narrower charts name their lines below
const TARGETS = { encoder: "whole encoder, features to emotion", mixer: "one mixer layer", model: "whole model, waveform to emotion" };

/** The section of one network's curves, or null where there are none. `machines`: where it was measured. */
export function lengths(data, network, machines, state) {
  if (!machines.length) return null;
  const quantities = Object.values(COSTS).map((cost) => chart(data, network, cost, state));
  const targets = () => Object.keys(TARGETS).filter((target) => curvesOf(data, network, state.machine, target).length);
  return h("section", { id: "lengths", "aria-labelledby": "lengths-head" },
    h("h3", { id: "lengths-head" }, "Cost against the length of speech"),
    h("div", { class: "controls" },
      choice(state, "target", "Measured", () => targets().map((target) => [target, TARGETS[target]])),
      choice(state, "machine", "Machine", () => machines.map((machine) => [machine, machine]))),
    h("div", { class: "pair" }, quantities));
}

function chart(data, network, cost, state) {
  const label = () => `${cost.name}: ${cost.axis}, against seconds of speech · ${TARGETS[state.target]} · ${state.machine}`;
  const drawn = figure(label, (width) => draw(data, network, cost, state, width));
  state.listen(drawn.redraw);
  return drawn.node;
}

function draw(data, network, cost, state, width) {
  const lines = curvesOf(data, network, state.machine, state.target)
    .map((curve) => ({ curve, points: curve.points.filter((point) => point[cost.field] > 0 && !point.status), stop: curve.points.find((point) => point.status) }))
    .filter(({ points, stop }) => points.length || stop);
  const measured = lines.flatMap(({ points }) => points);
  if (!measured.length) return { caption: "Nothing was measured." };
  const wanted = Math.max(...lines.map(({ curve, stop }) => textWidth(ending(curve, stop)))) + 40;
  const narrow = width < LEGEND_BELOW || wanted > width / 2;
  const right = narrow ? 16 : wanted;
  const box = { left: 58, right: width - right, top: 26, bottom: HEIGHT - 30 };
  const scales = scalesOf(lines, measured, cost, box);
  const svg = canvas(width, HEIGHT);
  svg.append(
    axes(box, ticks(thinned(scales.lengths, scales.x, 46), scales.x, seconds), ticks(logTicks(scales.costs, 7), scales.y, cost.written)),
    ...lines.map((line) => path(data, line, cost, scales)),
    ...(narrow ? [] : [endLabels(lines, cost, scales, box)]));
  const marks = lines.flatMap((line) => marksOf(data, line, cost, scales, box));
  svg.append(...marks.map(({ node }) => node));
  walkable(marks);
  return { svg, caption: finding(data, network, cost, state), table: table(lines, cost, scales.lengths), note: note(data, lines, cost), legend: narrow ? legend(data, lines) : null };
}

/** The sentence that the records give; it speaks of encoders where there are any. */
function finding(data, network, cost, state) {
  const found = data.costs.find((entry) => entry.machine === state.machine && entry.network === network);
  const encoders = curvesOf(data, network, state.machine, "encoder").length > 0;
  if (state.target === "encoder" || !encoders) return found?.[cost.field] ?? "";
  return `${cost.name} of ${TARGETS[state.target]}.`;
}

function scalesOf(lines, measured, cost, box) {
  const all = lines.flatMap(({ curve }) => curve.points.map((point) => point.seconds));
  const values = measured.flatMap((point) => [point[cost.field], point[cost.low], point[cost.high]]).filter((value) => value > 0);
  const along = [Math.min(...all), Math.max(...all)];
  const up = [Math.min(...values) / 1.2, Math.max(...values) * 1.2];
  const x = along[0] === along[1] ? () => (box.left + box.right) / 2 : log(along, [box.left + 8, box.right - 8]);
  return { lengths: [...new Set(all)].sort((a, b) => a - b), costs: up, x, y: log(up, [box.bottom, box.top]) };
}

function path(data, { curve, points }, cost, { x, y }) {
  const line = points.map((point, index) => `${index ? "L" : "M"}${x(point.seconds).toFixed(1)},${y(point[cost.field]).toFixed(1)}`).join("");
  const ends = points.filter((point) => point[cost.low] > 0);
  const there = ends.map((point) => `${x(point.seconds).toFixed(1)},${y(point[cost.high]).toFixed(1)}`);
  const back = ends.map((point) => `${x(point.seconds).toFixed(1)},${y(point[cost.low]).toFixed(1)}`).reverse();
  return s("g", { class: "curve", "data-system": keyOf(curve), "aria-hidden": "true" },
    s("path", { class: "band", d: ends.length > 1 ? `M${[...there, ...back].join("L")}Z` : "", fill: ink(curve.look) }),
    s("path", { class: "line", d: line, stroke: ink(curve.look), "stroke-dasharray": dashes(data.looks, curve.look) }));
}

function marksOf(data, { curve, points, stop }, cost, { x, y }, box) {
  const key = keyOf(curve);
  const measured = points.map((point) => {
    const place = [x(point.seconds), y(point[cost.field])];
    const hollow = cost.field === "ms" && point.sure === false;
    const node = target(...place, key, marker(data.looks, curve.look, ...place, 4, { hollow }));
    return { node: explained(node, lines(curve, point, cost, hollow)), x: place[0], y: -place[1], series: key };
  });
  return stop ? [...measured, stopMark(curve, points, stop, cost, { x, y }, box)] : measured;
}

function lines(curve, point, cost, hollow) {
  const interval = cost.low === cost.field || point[cost.low] === undefined ? "" : ` [${cost.written(point[cost.low])}, ${cost.written(point[cost.high])}]`;
  const state = cost.field === "bytes" && point.state > 0 ? [`State of a stream: ${cost.written(point.state)}`] : [];
  return [curve.name, `${seconds(point.seconds)} of speech: ${cost.written(point[cost.field])}${interval}`, ...state, ...(hollow ? ["Did not converge"] : [])];
}

/** A cross at the top where a curve ends for want of memory, or failed, and a dotted way to it. */
function stopMark(curve, points, stop, cost, { x, y }, box) {
  const place = [x(stop.seconds), box.top - 12];
  const last = points.at(-1);
  const way = last ? s("line", { class: "way", x1: x(last.seconds), y1: y(last[cost.field]), x2: place[0], y2: place[1], stroke: ink(curve.look) }) : null;
  const cross = s("path", { class: "stop", d: `M${place[0] - 5},${place[1] - 5}l10,10m0,-10l-10,10`, stroke: ink(curve.look) });
  const node = target(...place, keyOf(curve), ...(way ? [way] : []), cross);
  const reason = stop.reason ? [stop.reason] : [];
  return { node: explained(node, [curve.name, `${trouble(stop)} at ${seconds(stop.seconds)} of speech`, ...reason]), x: place[0], y: -place[1], series: keyOf(curve) };
}

/* Names of lines */

function ending(curve, stop) {
  const name = shortName(curve.name);
  return stop ? `${name} (${trouble(stop)} at ${seconds(stop.seconds)})` : name;
}

function endLabels(lines, cost, { x, y }, box) {
  const named = lines.filter(({ points }) => points.length);
  const ends = named.map(({ points }) => y(points.at(-1)[cost.field]));
  const places = spread(ends, 15, box.top, box.bottom);
  return s("g", { "aria-hidden": "true" }, named.map(({ curve, points, stop }, index) => {
    const from = x(points.at(-1).seconds) + 7;
    return s("g", { "data-system": keyOf(curve) },
      s("path", { class: "leader", d: `M${from},${ends[index]}H${Math.max(from, box.right)}L${box.right + 14},${places[index]}`, stroke: ink(curve.look) }),
      s("text", { class: "name start", x: box.right + 18, y: places[index], fill: textInk(curve.look) }, ending(curve, stop)));
  }));
}

function legend(data, lines) {
  return h("ul", { class: "legend" }, lines.map(({ curve, stop }) => h("li", null, lineSwatch(data.looks, curve.look), own(ending(curve, stop)))));
}

function note(data, lines, cost) {
  const looks = lines.map(({ curve }) => data.looks[curve.look]);
  const remarks = [
    cost.field === "ms" && "Bands: 95 % intervals of the median.",
    cost.field === "ms" && lines.some(({ points }) => points.some((point) => point.sure === false)) && "Hollow: did not converge within its time.",
    lines.some(({ stop }) => stop) && "×: out of memory or failed at that length.",
    looks.some((look) => look.dashed) && "Dashed: causal.",
  ];
  return remarks.filter(Boolean).join(" ");
}

function table(lines, cost, lengthsSeen) {
  const cell = (curve, length) => {
    const point = curve.points.find((found) => found.seconds === length);
    if (point?.status) return trouble(point);
    return cost.written(point?.[cost.field]);
  };
  return plainTable(`${cost.name} of every system by length`, ["System", ...lengthsSeen.map(seconds)],
    lines.map(({ curve }) => [curve.name, ...lengthsSeen.map((length) => cell(curve, length))]));
}

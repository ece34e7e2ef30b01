/* Accuracy against what it costs, with the Pareto front: which systems are worth their time or memory. */

import { h, keyOf, s } from "./dom.js";
import { SCORES, bracket, said, seconds, trimmed } from "./units.js";
import { linear, linearTicks, log, logTicks } from "./scale.js";
import { ink, marker, textInk } from "./marks.js";
import { explained } from "./tooltip.js";
import { axes, canvas, figure, plainTable, shortName, target, textWidth, ticks, walkable } from "./chart.js";
import { COSTS, costOf } from "./costs.js";
import { choice } from "./controls.js";
import { machineChoices } from "./leaderboard.js";

const HEIGHT = 400;
const MARGIN = { left: 46, right: 22, top: 14, bottom: 30 };

/** The section, or null where nothing of this comparison was profiled. */
export function pareto(data, comparison, state) {
  if (!comparison.machines.length || comparison.systems.every((system) => system.place === null)) return null;
  const label = () => `${SCORES[comparison.headline].head} against ${COSTS[state.cost].axis} on ${seconds(state.seconds)} of speech · ${state.machine}`;
  const drawn = figure(label, (width) => draw(data, comparison, state, width));
  state.listen(drawn.redraw);
  const costs = () => Object.entries(COSTS).map(([key, { name }]) => [key, name.toLowerCase()]);
  return h("section", { id: "pareto", "aria-labelledby": "pareto-head" },
    h("h3", { id: "pareto-head" }, "Accuracy against cost"),
    h("div", { class: "controls" }, choice(state, "cost", "Cost", costs), ...machineChoices(data, comparison, state)),
    drawn.node);
}

function draw(data, comparison, state, width) {
  const points = withFront(pointsOf(data, comparison, state));
  if (!points.length) return { caption: `Nothing was measured at ${seconds(state.seconds)} on this machine.` };
  const box = { left: MARGIN.left, right: width - MARGIN.right, top: MARGIN.top, bottom: HEIGHT - MARGIN.bottom };
  const scales = scalesOf(points, comparison, box);
  const marks = points.map((point) => ({ ...point, node: mark(data, comparison, state, point, scales), x: scales.x(point.cost), y: -scales.y(point.score[0]) }));
  const svg = canvas(width, HEIGHT);
  svg.append(
    axes(box, ticks(logTicks(scales.costs, Math.max(3, width / 90)), scales.x, COSTS[state.cost].written),
      ticks(linearTicks(scales.scores, 7), scales.y, (value) => trimmed(SCORES[comparison.headline].written(value)))),
    ...chance(comparison, scales, box),
    frontLine(points, scales, box),
    s("g", { "aria-hidden": "true" }, labels(points, scales, box)),
    ...[...marks].sort((one, other) => one.front - other.front).map(({ node }) => node));
  walkable([...marks].sort((one, other) => one.x - other.x));
  return { svg, caption: sentence(points), table: table(comparison, state, points), note: note(comparison, state) };
}

function pointsOf(data, comparison, state) {
  const { field, low, high } = COSTS[state.cost];
  return comparison.systems.flatMap((system) => {
    const point = costOf(data, comparison, system, state);
    const score = system.scores[comparison.headline];
    if (system.place === null || !score || !point?.[field]) return [];
    return [{ system, score, cost: point[field], costLow: point[low], costHigh: point[high] }];
  });
}

/** On the front: no other costs no more and scores no less, and is better in one of the two. */
function withFront(points) {
  const beats = (one, other) => one.cost <= other.cost && one.score[0] >= other.score[0]
    && (one.cost < other.cost || one.score[0] > other.score[0]);
  return points.map((point) => ({ ...point, front: !points.some((other) => beats(other, point)) }));
}

function scalesOf(points, comparison, box) {
  const costs = points.map((point) => point.cost);
  const scores = points.flatMap(({ score }) => score.filter((end) => end !== null));
  const room = 0.04 * (Math.max(...scores) - Math.min(...scores)) || 0.02;
  const across = [Math.min(...costs) / 1.35, Math.max(...costs) * 1.35];
  const up = [Math.min(...scores) - room, Math.max(...scores) + room];
  return { costs: across, scores: up, x: log(across, [box.left, box.right]), y: linear(up, [box.bottom, box.top]) };
}

function chance({ chance: value, headline }, { scores, y }, box) {
  if (headline !== "uar" || value === null || value < scores[0] || value > scores[1]) return [];
  return [s("line", { class: "chance", x1: box.left, x2: box.right, y1: y(value), y2: y(value) }),
    s("text", { class: "tick", x: box.left + 4, y: y(value) - 7 }, "chance")];
}

/** A staircase: the best score to be had for each cost. */
function frontLine(points, { x, y }, box) {
  const front = points.filter((point) => point.front).sort((one, other) => one.cost - other.cost);
  const steps = front.map(({ cost, score }, index) => `${index ? "H" : "M"}${x(cost)}${index ? "V" : ","}${y(score[0])}`);
  return s("path", { class: "front", d: `${steps.join("")}H${box.right}`, "aria-hidden": "true" });
}

function mark(data, comparison, state, { system, score, cost, front }, { x, y }) {
  const place = [x(cost), y(score[0])];
  const [, low, high] = score;
  const bar = low === null ? null : s("line", {
    class: "whisker", x1: place[0], x2: place[0], y1: y(low), y2: y(high), stroke: ink(system.look),
    "stroke-dasharray": data.looks[system.look].dashed ? "4 3" : null,
  });
  const node = target(...place, keyOf(system), ...(bar ? [bar] : []), marker(data.looks, system.look, ...place, front ? 6.5 : 5.5));
  if (!front) node.classList.add("dominated");
  const { written } = SCORES[comparison.headline];
  return explained(node, [
    system.name,
    `${said(comparison.headline, score[0])} ${bracket(score, written)}`.trim(),
    `${COSTS[state.cost].name} ${COSTS[state.cost].written(cost)} at ${seconds(state.seconds)}`,
    front ? "On the Pareto front" : "Dominated",
  ]);
}

/* Labels: each beside its point, where it covers least; left out where it would cover another, or a number of the axis. */

const SIDES = [[11, 0, "start"], [-11, 0, "end"], [11, -13, "start"], [-11, -13, "end"], [11, 13, "start"], [-11, 13, "end"]];

function labels(points, { x, y, scores }, box) {
  const taken = [
    ...points.map(({ cost, score }) => around(x(cost), y(score[0]), 8, 8)),
    ...linearTicks(scores, 7).map((value) => ({ left: 0, right: box.left, top: y(value) - 7, bottom: y(value) + 7 })),
  ];
  const bars = points.filter(({ score }) => score[1] !== null).map(({ cost, score }) =>
    ({ left: x(cost) - 2, right: x(cost) + 2, top: y(score[2]), bottom: y(score[1]) }));
  const first = [...points].sort((one, other) => other.front - one.front || other.score[0] - one.score[0]);
  return first.flatMap(({ system, cost, score, front }) => {
    const name = shortName(system.name);
    const width = textWidth(name) + 2;
    const places = SIDES.map(([dx, dy, anchor]) => placed(x(cost) + dx, y(score[0]) + dy, anchor, width));
    const free = places.filter((place) => inside(place, box) && !taken.some((other) => overlap(place, other)));
    const best = free.sort((one, other) => crossed(one, bars) - crossed(other, bars))[0];
    if (!best) return [];
    taken.push(best);
    return [s("text", { class: `name ${best.anchor}${front ? "" : " dominated"}`, x: best.x, y: best.y, fill: textInk(system.look), "data-system": keyOf(system) }, name)];
  });
}

function around(x, y, width, height) {
  return { left: x - width, right: x + width, top: y - height, bottom: y + height };
}

function placed(x, y, anchor, width) {
  const left = anchor === "start" ? x : x - width;
  return { x, y, anchor, left, right: left + width, top: y - 7, bottom: y + 7 };
}

function inside(place, box) {
  return place.left >= 2 && place.right <= box.right + MARGIN.right && place.top >= 0 && place.bottom <= box.bottom;
}

function overlap(one, other) {
  return one.left < other.right && other.left < one.right && one.top < other.bottom && other.top < one.bottom;
}

function crossed(place, bars) {
  return bars.filter((bar) => overlap(place, bar)).length;
}

/* Words */

function sentence(points) {
  const front = points.filter((point) => point.front).sort((one, other) => one.cost - other.cost);
  const names = front.map(({ system }) => system.name);
  if (points.length === 1) return `Only ${names[0]} was measured.`;
  if (names.length === 1) return `${names[0]} is both the cheapest and the most accurate.`;
  return `${names.length} of ${points.length} systems are on the Pareto front: ${names.slice(0, -1).join(", ")} and ${names.at(-1)}.`;
}

function note(comparison, state) {
  const bars = "Bars: 95 % intervals over speakers. Dotted: the best score for each cost. Pale: dominated, that is, another costs no more and scores no less.";
  const left = comparison.systems.length > 1 && state.cost === "bytes" ? " Memory is the peak beside weights and input." : "";
  return bars + left;
}

function table(comparison, state, points) {
  const { head, written } = SCORES[comparison.headline];
  const cost = COSTS[state.cost];
  return plainTable(`${head} and ${cost.name.toLowerCase()} of every system`,
    ["System", head, "95 % interval", `${cost.name} at ${seconds(state.seconds)}`, "Pareto front"],
    [...points].sort((one, other) => one.cost - other.cost).map(({ system, score, cost: value, front }) =>
      [system.name, written(score[0]), bracket(score, written), cost.written(value), front ? "yes" : "no"]));
}

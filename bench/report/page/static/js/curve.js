/* The learning curve of one run: the loss in training, the scores on the development split, the epoch kept. */

import { h, s } from "./dom.js";
import { SCORES, fixed, trimmed } from "./units.js";
import { linear, linearTicks } from "./scale.js";
import { explained } from "./tooltip.js";
import { axes, canvas, figure, plainTable, target, ticks, walkable } from "./chart.js";

const HEIGHT = 190;
const LINES = {
  loss: { name: "Training loss", written: (value) => fixed(value, 2) },
  uar: { name: "UAR on dev, %", written: SCORES.uar.written },
  f1: { name: "Macro-F1 on dev, %", written: SCORES.macro_f1.written },
  ccc: { name: "CCC on dev", written: SCORES.ccc.written },
};

/** The loss and the scores of a run, a panel each, or null where it has no curve. */
export function learningCurve(run) {
  const fields = Object.keys(LINES).filter((field) => run.curve[field]?.length && field !== "f1");
  if (!fields.length) return null;
  return h("section", null,
    h("h3", null, "Learning curve"),
    h("div", { class: "pair" }, fields.map((field) => panel(run, field))));
}

function panel(run, field) {
  const { node } = figure(() => LINES[field].name, (width) => draw(run, field, width));
  return node;
}

function draw(run, field, width) {
  const values = run.curve[field];
  const { name, written } = LINES[field];
  const known = values.filter((value) => value !== null);
  const box = { left: 46, right: width - 12, top: 12, bottom: HEIGHT - 28 };
  const x = linear([0, Math.max(values.length - 1, 1)], [box.left + 4, box.right - 4]);
  const domain = [Math.min(...known), Math.max(...known)];
  if (domain[0] === domain[1]) domain[1] += Math.abs(domain[1]) * 0.1 || 0.1;
  const y = linear(domain, [box.bottom - 4, box.top]);
  const epochs = linearTicks([1, Math.max(values.length, 2)], 6).filter(Number.isInteger);
  const svg = canvas(width, HEIGHT);
  const marks = values.flatMap((value, epoch) => (value === null ? [] : [epochMark(run, epoch, value, x(epoch), y(value), `${name} ${written(value)}`)]));
  svg.append(
    axes(box, ticks(epochs, (epoch) => x(epoch - 1), String), ticks(linearTicks(domain, 5), y, (value) => trimmed(written(value)))),
    ...kept(run, x, box),
    s("path", { class: "line", "aria-hidden": "true", stroke: "currentColor", d: line(values, x, y) }),
    ...marks.map(({ node }) => node));
  walkable(marks);
  const best = run.best === null ? "" : `, epoch ${run.best + 1} kept`;
  const table = plainTable(`${name} by epoch`, ["Epoch", name], values.map((value, epoch) => [String(epoch + 1), value === null ? "–" : written(value)]));
  return { svg, caption: `${values.length} epochs${best}`, table };
}

function line(values, x, y) {
  let pen = "M";
  return values.map((value, epoch) => {
    if (value === null) { pen = "M"; return ""; }
    const step = `${pen}${x(epoch).toFixed(1)},${y(value).toFixed(1)}`;
    pen = "L";
    return step;
  }).join("");
}

function kept(run, x, box) {
  if (run.best === null) return [];
  return [s("line", { class: "kept", x1: x(run.best), x2: x(run.best), y1: box.top, y2: box.bottom, "aria-hidden": "true" })];
}

function epochMark(run, epoch, value, x, y, text) {
  const drawn = s("circle", { class: epoch === run.best ? "best" : "epoch", cx: x, cy: y, r: epoch === run.best ? 4.5 : 2.2 });
  const node = target(x, y, null, drawn);
  return { node: explained(node, [`Epoch ${epoch + 1}`, text, ...(epoch === run.best ? ["Kept"] : [])]), x, y: -y };
}

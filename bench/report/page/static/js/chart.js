/* What every chart shares: frame, axes, marks that the arrow keys walk along, a table of the same numbers. */

import { h, own, s } from "./dom.js";
import { hideTooltip } from "./tooltip.js";

const LONGEST_NAME = 30; // letters
const FONT = "11.5px system-ui, sans-serif";
const pen = document.createElement("canvas").getContext("2d");
let charts = 0;

/** A name as it is written in a chart: cut where it is long. */
export function shortName(name) {
  return name.length > LONGEST_NAME ? `${name.slice(0, LONGEST_NAME - 1)}…` : name;
}

/** Width of a text in a chart, in pixels. */
export function textWidth(text) {
  pen.font = FONT;
  return pen.measureText(text).width;
}

/**
 * A figure that is drawn again when its width changes.
 * `draw(width)` gives { svg, caption, table, note? }; the figure has `redraw()`.
 */
export function figure(label, draw) {
  charts += 1;
  const id = `chart-${charts}`;
  const caption = h("figcaption", { id });
  const canvas = h("div", { class: "canvas" });
  const notes = h("p", { class: "note" });
  const details = h("details", { class: "data" }, h("summary", null, "The same as a table"));
  const node = h("figure", { "aria-labelledby": id }, caption, canvas, notes, details);
  let width = 0;
  const redraw = () => {
    if (!width) return;
    hideTooltip();
    const drawn = draw(width);
    caption.replaceChildren(h("span", { class: "label" }, label()), h("strong", null, own(drawn.caption)));
    canvas.replaceChildren(...(drawn.svg ? [named(drawn.svg, id)] : []), ...(drawn.legend ? [drawn.legend] : []));
    notes.textContent = drawn.note ?? "";
    notes.hidden = !drawn.note;
    details.hidden = !drawn.table;
    details.replaceChildren(details.firstChild, drawn.table ?? "");
  };
  new ResizeObserver(([entry]) => {
    if (Math.abs(entry.contentRect.width - width) < 1) return;
    width = entry.contentRect.width;
    redraw();
  }).observe(canvas);
  return { node, redraw };
}

function named(svg, id) {
  svg.setAttribute("role", "group");
  svg.setAttribute("aria-roledescription", "chart");
  svg.setAttribute("aria-labelledby", id);
  return svg;
}

/** An empty drawing, as wide as its place. */
export function canvas(width, height) {
  return s("svg", { viewBox: `0 0 ${width.toFixed(0)} ${height}`, width: width.toFixed(0), height });
}

/** Horizontal lines with their values to the left, and ticks with their values below. */
export function axes({ left, right, top, bottom }, xTicks, yTicks) {
  const rows = yTicks.map(({ at, text }) => [
    s("line", { class: "grid", x1: left, x2: right, y1: at, y2: at }),
    s("text", { x: left - 7, y: at, class: "tick end" }, text),
  ]);
  const columns = xTicks.map(({ at, text }) => [
    s("line", { class: "axis", x1: at, x2: at, y1: bottom, y2: bottom + 4 }),
    s("text", { x: at, y: bottom + 17, class: "tick middle" }, text),
  ]);
  const base = s("line", { class: "axis", x1: left, x2: right, y1: bottom, y2: bottom });
  return s("g", { "aria-hidden": "true" }, rows, base, columns);
}

/** Ticks from values, a scale and how they are written. */
export function ticks(values, place, written) {
  return values.map((value) => ({ at: place(value), text: written(value) }));
}

/**
 * Makes marks one stop of the Tab key, with the arrow keys going on from there.
 * A mark is { node, x, y, series? }: left and right stay in its series, up and down go to others at the same x
 * or, where there are no series, to the next higher or lower.
 */
export function walkable(marks) {
  marks.forEach(({ node }, index) => node.setAttribute("tabindex", index === 0 ? 0 : -1));
  for (const mark of marks) {
    mark.node.addEventListener("keydown", (event) => {
      const next = neighbour(marks, mark, event.key);
      if (!next) return;
      event.preventDefault();
      mark.node.setAttribute("tabindex", -1);
      next.node.setAttribute("tabindex", 0);
      next.node.focus();
    });
  }
}

function neighbour(marks, mark, key) {
  const across = key === "ArrowRight" || key === "ArrowLeft";
  if (!across && key !== "ArrowUp" && key !== "ArrowDown") return null;
  const path = across
    ? marks.filter(({ series }) => series === mark.series).sort((a, b) => a.x - b.x)
    : marks.filter(({ series, x }) => series === undefined || x === mark.x).sort((a, b) => b.y - a.y);
  const step = key === "ArrowRight" || key === "ArrowUp" ? 1 : -1;
  return path[path.indexOf(mark) + step] ?? null;
}

/** A focusable mark: what is drawn, on a disc large enough for a finger. */
export function target(x, y, key, ...drawn) {
  return s("g", { class: "target", role: "img", "data-system": key },
    s("circle", { class: "reach", cx: x, cy: y, r: 12 }), ...drawn);
}

/** A table of plain texts: heads, then rows whose first cell names the row. */
export function plainTable(caption, heads, rows) {
  return scroller(caption,
    h("table", { class: "plain" },
      h("caption", { class: "unseen" }, caption),
      h("thead", null, h("tr", null, heads.map((head) => h("th", { scope: "col" }, head)))),
      h("tbody", null, rows.map(([first, ...rest]) =>
        h("tr", null, h("th", { scope: "row" }, own(first)), rest.map((cell) => h("td", null, cell)))))));
}

/** A wide table in a region that scrolls by itself, with the keyboard too. */
export function scroller(label, table) {
  return h("div", { class: "scroller", role: "region", "aria-label": label, tabindex: 0 }, table);
}

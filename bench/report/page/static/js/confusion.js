/* Confusion counts as a table shaded by row, and the recall of every emotion beside them. */

import { h, own, s } from "./dom.js";
import { bracket, grouped, percent } from "./units.js";
import { scroller } from "./chart.js";
import { heatCell } from "./recall.js";

/** Element-wise sum of flat count matrices. */
export function summed(matrices) {
  return matrices.reduce((total, counts) => total.map((count, index) => count + counts[index]));
}

function rowsOf(counts, size) {
  return Array.from({ length: size }, (_, row) => counts.slice(row * size, (row + 1) * size));
}

function sum(values) {
  return values.reduce((total, value) => total + value, 0);
}

/** The matrix: reference on the rows, recognised on the columns. */
export function confusionTable(counts, emotions) {
  const rows = rowsOf(counts, emotions.length);
  return h("section", null,
    h("h3", null, "Confusion"),
    h("p", { class: "note" }, "Utterances; rows: what was meant, columns: what was recognised; shaded by the share of the row."),
    scroller("Confusion matrix, scrollable",
      h("table", { class: "heat confusion" },
        h("caption", { class: "unseen" }, "Confusion counts: what was meant by what was recognised"),
        h("thead", null, h("tr", null, h("td", null), emotions.map((emotion) => h("th", { scope: "col" }, own(emotion))))),
        h("tbody", null, rows.map((row, index) => h("tr", null,
          h("th", { scope: "row" }, own(emotions[index])),
          row.map((count) => heatCell(sum(row) ? count / sum(row) : 0, grouped(count)))))))));
}

/** Recall of every emotion as bars; `intervals` (value, low, high) where the bootstrap gives them. */
export function recallBars(counts, emotions, intervals = null) {
  const rows = rowsOf(counts, emotions.length);
  return h("section", null,
    h("h3", null, "Recall by emotion"),
    h("table", { class: "bars" },
      h("caption", { class: "unseen" }, "Recall by emotion"),
      h("thead", null, h("tr", null,
        h("th", { scope: "col" }, "Emotion"), h("td"), ["Recall %", "Utterances"].map((head) => h("th", { scope: "col", class: "number" }, head)))),
      h("tbody", null, rows.map((row, index) => barRow(emotions[index], row[index], sum(row), intervals?.[index] ?? null)))));
}

function barRow(emotion, hits, all, interval) {
  const value = interval ? interval[0] : all ? hits / all : null;
  return h("tr", null,
    h("th", { scope: "row" }, own(emotion)),
    h("td", { class: "bar" }, value === null ? null : bar(value, interval)),
    h("td", { class: "number" }, percent(value), h("span", { class: "bracket" }, interval ? ` ${bracket(interval, percent)}` : "")),
    h("td", { class: "number" }, grouped(all)));
}

function bar(value, interval) {
  const drawn = [s("rect", { class: "track", width: 100, height: 10, y: 3 }), s("rect", { class: "fill", width: 100 * value, height: 10, y: 3 })];
  if (interval && interval[1] !== null) drawn.push(s("line", { class: "ends", x1: 100 * interval[1], x2: 100 * interval[2], y1: 8, y2: 8 }));
  return s("svg", { viewBox: "0 0 100 16", preserveAspectRatio: "none", "aria-hidden": "true" }, drawn);
}

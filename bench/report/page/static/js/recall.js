/* Recall of every emotion by every system, as a heat map that is a table. */

import { h, own } from "./dom.js";
import { MISSING, grouped } from "./units.js";
import { swatch } from "./marks.js";
import { scroller } from "./chart.js";

const STEPS = 20;

/** The section, or null where no emotions were told apart. */
export function recall(data, comparison) {
  const systems = comparison.systems.filter((system) => system.recall.some(Boolean));
  if (!systems.length) return null;
  const heads = comparison.emotions.map((emotion, index) =>
    h("th", { scope: "col" }, own(emotion), h("span", { class: "sub" }, grouped(comparison.support[index]))));
  const rows = systems.map((system) => h("tr", null,
    h("th", { scope: "row", class: "name" }, swatch(data.looks, system.look), own(system.name)),
    system.recall.map((interval) => heatCell(interval?.[0] ?? null))));
  return h("section", { id: "recall", "aria-labelledby": "recall-head" },
    h("h3", { id: "recall-head" }, "Recall by emotion"),
    h("p", { class: "note" }, "Per cent of the utterances of an emotion that were recognised; below its name, how many there are."),
    scroller("Recall by emotion, scrollable",
      h("table", { class: "heat" },
        h("caption", { class: "unseen" }, "Recall by emotion, per cent"),
        h("thead", null, h("tr", null, h("th", { scope: "col" }, "System"), heads)),
        h("tbody", null, rows))));
}

/** A cell shaded by a share of 1, with `text` (or the share as per cent) in it. */
export function heatCell(share, text = null) {
  if (share === null || Number.isNaN(share)) return h("td", { class: "none" }, MISSING);
  const step = Math.round(share * STEPS);
  return h("td", { class: "shade", vars: { "--shade": `var(--heat-${step})`, "--shade-text": `var(--heat-${step}-text)` } },
    text ?? (100 * share).toFixed(0));
}

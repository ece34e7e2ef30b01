/* Published numbers: beside ours, in a table of their own, never ranked with them. */

import { h, own } from "./dom.js";
import { SCORES, milliseconds, memory, grouped, significant } from "./units.js";
import { scroller } from "./chart.js";

const COLUMNS = { system: "System", release: "Release", protocol: "Protocol", split: "Split", source: "Source", caveat: "What to know" };

/** The section: those of this comparison's corpus, then the others folded away; null where there are none. */
export function published(data, comparison) {
  if (!data.published.length) return null;
  const same = data.published.filter((row) => row.corpus && comparison?.corpus.split(/[^a-z0-9_]+/).includes(row.corpus));
  const others = data.published.filter((row) => !same.includes(row));
  return h("section", { id: "published", "aria-labelledby": "published-head" },
    h("h3", { id: "published-head" }, "Published numbers"),
    h("p", { class: "note" }, "Read from papers: other data, partitions and test conditions. They stand beside our results and are never ranked with them."),
    same.length ? table(same, "Published numbers on this corpus", false) : null,
    others.length ? h("details", { open: same.length === 0 }, h("summary", null, same.length ? "On other corpora, and of no corpus" : "All"), table(others, "Other published numbers", true)) : null);
}

function table(rows, caption, withCorpus) {
  const shown = Object.keys(COLUMNS).filter((name) => rows.some((row) => row[name]));
  const first = shown.filter((name) => !["source", "caveat"].includes(name));
  const last = shown.filter((name) => ["source", "caveat"].includes(name));
  const heads = [...first.map((name) => COLUMNS[name]), ...(withCorpus ? ["Corpus"] : []), "Measure", "Value", ...last.map((name) => COLUMNS[name])];
  const cells = (row) => [
    ...first.slice(1).map((name) => h("td", null, own(row[name]))),
    withCorpus ? h("td", null, own(row.corpus)) : null,
    h("td", null, own(row.metric)),
    h("td", { class: "number" }, own(value(row))),
    last.map((name) => h("td", { class: name }, own(row[name]))),
  ];
  return scroller(`${caption}, scrollable`, h("table", { class: "plain published" },
    h("caption", { class: "unseen" }, caption),
    h("thead", null, h("tr", null, heads.map((head) => h("th", { scope: "col" }, head)))),
    h("tbody", null, rows.map((row) => h("tr", null, h("th", { scope: "row" }, own(row.system)), cells(row))))));
}

/** The number as its measure is written; as it stands where the measure is not one of ours. */
function value({ metric, value: text, spread }) {
  const number = Number(text);
  if (text === "" || Number.isNaN(number)) return text;
  const written = writerOf(metric);
  return spread === "" || Number.isNaN(Number(spread)) ? written(number) : `${written(number)} ± ${written(Number(spread))}`;
}

function writerOf(metric) {
  if (SCORES[metric]) return (number) => SCORES[metric].written(number) + (metric.startsWith("ccc") ? "" : " %");
  if (metric.endsWith("_ms")) return milliseconds;
  if (metric.endsWith("_bytes")) return memory;
  if (metric === "parameters") return grouped;
  if (metric.startsWith("change")) return (number) => `${number > 0 ? "+" : ""}${significant(100 * number)} %`.replace("-", "−");
  return String;
}

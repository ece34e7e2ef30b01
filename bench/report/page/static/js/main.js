/* The page: reads the data, lists the comparisons, shows the one that the address names. */

import { h, own } from "./dom.js";
import { counted, percent, said } from "./units.js";
import { lengthsOf, nearest } from "./costs.js";
import { State } from "./controls.js";
import { leaderboard } from "./leaderboard.js";
import { pareto } from "./pareto.js";
import { lengths } from "./lengths.js";
import { recall } from "./recall.js";
import { closeDrilldown, openDrilldown } from "./drilldown.js";
import { published } from "./published.js";
import { switchable } from "./theme.js";

const data = JSON.parse(document.getElementById("data").textContent);
const subjects = [...data.comparisons, ...networksAlone()];
let current = null;

/** Networks that were profiled but of which nothing was trained: they have curves and no leaderboard. */
function networksAlone() {
  const trained = new Set(data.comparisons.map((comparison) => comparison.network));
  const alone = new Map(data.curves.filter((curve) => !trained.has(curve.network)).map((curve) => [curve.network, curve]));
  return [...alone.values()].map(({ network, setting }) => ({ id: `costs-${network}`, network, setting, costsOnly: true, title: "Costs alone", synthetic: false, systems: [], machines: [] }));
}

/* The address: #/comparison/system/run */

function address() {
  const [, id, system, run] = location.hash.split("/");
  return { id, system: system && decodeURIComponent(system), run };
}

function follow() {
  if (location.hash && !location.hash.startsWith("#/")) return; // a place on the page
  const { id, system, run } = address();
  const subject = subjects.find((found) => found.id === id) ?? subjects[0];
  if (!subject) return;
  if (subject !== current) show(subject);
  if (system && !subject.costsOnly) openDrilldown(data, subject, system, run);
  else closeDrilldown();
}

/* What is shown of one comparison */

function show(subject) {
  const moved = current !== null;
  current = subject;
  const machines = machinesOf(subject.network);
  const state = stateOf(subject, machines);
  const view = document.getElementById("view");
  view.replaceChildren(...[
    headline(subject),
    subject.costsOnly ? null : leaderboard(data, subject, state),
    h("div", { id: "charts" }, subject.costsOnly ? null : pareto(data, subject, state), lengths(data, subject.network, machines, state)),
    subject.costsOnly ? null : recall(data, subject),
    published(data, subject.costsOnly ? null : subject),
  ].filter(Boolean));
  for (const link of document.querySelectorAll("#comparisons a")) {
    if (link.dataset.id !== subject.id) link.removeAttribute("aria-current");
    else bringIntoSight(link);
  }
  if (moved) view.focus({ preventScroll: false });
}

/** Marks the link of the comparison that is shown; on a phone the list scrolls sideways to it. */
function bringIntoSight(link) {
  link.setAttribute("aria-current", "page");
  const list = link.closest("ul");
  list.scrollLeft += link.getBoundingClientRect().left - list.getBoundingClientRect().left - 12;
}

function machinesOf(network) {
  const counts = new Map();
  for (const curve of data.curves.filter((found) => found.network === network)) {
    counts.set(curve.machine, (counts.get(curve.machine) ?? 0) + curve.points.length);
  }
  return [...counts.keys()].sort((one, other) => counts.get(other) - counts.get(one) || one.localeCompare(other));
}

function stateOf(subject, machines) {
  const machine = subject.machines[0] ?? machines[0] ?? "";
  const target = data.curves.some((curve) => curve.network === subject.network && curve.target === "encoder") ? "encoder" : "mixer";
  const state = new State({ query: "", only: "", more: false, machine, seconds: nearest(lengthsOf(data, subject.network, machine), 10), cost: "ms", target, sort: { key: "place", down: false } });
  state.listen(() => {
    const measured = lengthsOf(data, subject.network, state.machine);
    if (measured.length && !measured.includes(state.seconds)) state.seconds = nearest(measured, state.seconds ?? 10);
  });
  return state;
}

function headline(subject) {
  const where = subject.costsOnly ? subject.setting : placeOf(subject);
  return h("section", { class: subject.synthetic ? "headline synthetic" : "headline" },
    subject.synthetic ? h("p", { class: "badge" }, "Smoke test: a synthetic corpus, not a result") : null,
    h("p", { class: "eyebrow" }, own(subject.title), " ", h("span", null, own(where))),
    h("h2", null, own(subject.finding ?? "No system has been trained with this encoder yet.")),
    subject.costsOnly ? null : h("p", { class: "lede" }, own(circumstances(subject))));
}

function placeOf(comparison) {
  const split = comparison.split === "test" ? "" : `, ${comparison.split}`;
  return `protocol ${comparison.protocol}${split}${comparison.options ? `, ${comparison.options}` : ""}, recipe ${comparison.recipe}`;
}

function circumstances(comparison) {
  const emotions = comparison.emotions.length && comparison.chance ? `${comparison.emotions.length} emotions, so chance is ${percent(comparison.chance)} % UAR` : "";
  const attributes = comparison.attributes.length ? `CCC of ${comparison.attributes.join(", ")}` : "";
  const dev = comparison.split === "dev" ? "The epoch was chosen on these, so the scores flatter" : "";
  return [comparison.scope, emotions, attributes, dev, comparison.setting, `Preset ${comparison.presets}`].filter(Boolean).join(". ") + ".";
}

/* The list of comparisons */

function listComparisons() {
  const nav = document.getElementById("comparisons");
  const real = subjects.filter((subject) => !subject.synthetic);
  const synthetic = subjects.filter((subject) => subject.synthetic);
  nav.hidden = subjects.length < 2;
  nav.replaceChildren(...list("Results", real), ...list("Smoke tests on synthetic corpora, not results", synthetic));
}

function list(title, some) {
  if (!some.length) return [];
  return [h("h2", null, title), h("ul", null, some.map((subject) => h("li", null, card(subject))))];
}

function card(subject) {
  const best = subject.systems.find((system) => system.place === 1);
  const score = best?.scores[subject.headline];
  const where = subject.costsOnly ? subject.setting : placeOf(subject);
  return h("a", { href: `#/${subject.id}`, "data-id": subject.id },
    h("strong", null, own(subject.title)), h("span", null, own(where)),
    h("span", { class: "best" }, score ? own(`${best.name}: ${said(subject.headline, score[0])}`) : `${counted(subject.systems.length, "system")}`));
}

/* Around it */

function introduce() {
  const runs = Object.values(data.runs.of).flat();
  const machines = [...new Set(data.curves.map((curve) => curve.machine))];
  const trained = runs.length ? [counted(runs.length, "trained model"), counted(data.comparisons.length, "comparison")] : [];
  const parts = [...trained, machines.length ? `costs on ${machines.join("; ")}` : ""];
  document.getElementById("contents").append(own(`${parts.filter(Boolean).join(" · ")}.`));
}

function explain() {
  document.getElementById("notes").append(
    h("h2", null, "How to read it"),
    h("p", null, "Scores are pooled over the test speakers of all folds and averaged over seeds. Brackets and bars are 95 % intervals from a bootstrap over speakers (10,000 draws): how far a score would move with other speakers, not with another training. Δ is the difference in the leading score to softmax of the same direction, paired on the same draws; a filled dot is one whose interval leaves out zero. The intervals are not adjusted for the number of systems; the p values are (Holm). A group holds the best system that is left and those that the data cannot tell apart from it; a rank is the 95 % interval of a system's place."),
    h("p", null, "In a chart, the arrow keys go from mark to mark. A system's name opens its runs. Everything here comes from the records in this folder (", h("code", null, "serbench report"), "); the same rows are in ", h("a", { href: "leaderboard.md" }, "leaderboard.md"), " and ", h("a", { href: "leaderboard.csv" }, "leaderboard.csv"), "."));
}

document.getElementById("drilldown").addEventListener("close", () => {
  if (address().system) location.hash = `#/${current.id}`;
});
addEventListener("hashchange", follow);
switchable(document.getElementById("theme"));
introduce();
listComparisons();
explain();
follow();

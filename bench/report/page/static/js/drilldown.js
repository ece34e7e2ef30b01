/* One system and its runs, in a dialog: what every cell did, and where and how it was trained. */

import { h, keyOf, own } from "./dom.js";
import { MISSING, SCORES, bracket, counted, fixed, grouped, memory, said } from "./units.js";
import { swatch } from "./marks.js";
import { hideTooltip } from "./tooltip.js";
import { scroller } from "./chart.js";
import { learningCurve } from "./curve.js";
import { confusionTable, recallBars, summed } from "./confusion.js";

const STATUS = { ok: "done", oom: "out of memory", failed: "failed", diverged: "diverged" };

/** Opens the dialog on a system of a comparison and, where `id` names one, on one of its runs. */
export function openDrilldown(data, comparison, key, id) {
  const system = comparison.systems.find((found) => keyOf(found) === key);
  if (!system) return closeDrilldown();
  const runs = (data.runs.of[comparison.base] ?? []).filter((run) => run.layout === system.layout && run.direction === system.direction);
  const run = runs.find((found) => found.id === id) ?? null;
  const dialog = document.getElementById("drilldown");
  const title = h("h2", { id: "drilldown-title", tabindex: -1 }, swatch(data.looks, system.look), own(system.name));
  dialog.replaceChildren(
    h("div", { class: "bar" }, title, h("button", { type: "button", class: "quiet", click: () => dialog.close() }, "Close")),
    h("p", { class: "lede" }, own(`${comparison.title}, protocol ${comparison.protocol}, ${comparison.split}`)),
    ...(run ? oneRun(data, comparison, run) : allRuns(comparison, system, runs)),
    h("section", null, h("h3", null, "Runs"), runsTable(comparison, system, runs, run)));
  if (!dialog.open) dialog.showModal();
  dialog.scrollTop = 0;
  title.focus();
  return undefined;
}

/** Closes it where it is open. */
export function closeDrilldown() {
  hideTooltip();
  const dialog = document.getElementById("drilldown");
  if (dialog.open) dialog.close();
}

/* All runs together */

function allRuns(comparison, system, runs) {
  const counts = runs.map((run) => run.confusion[comparison.split]).filter(Boolean);
  const tables = counts.length ? matrices(summed(counts), comparison, system.place === null ? null : system.recall) : [];
  const heading = counts.length > 1 ? `All ${counts.length} runs together` : "The only run";
  return [h("p", null, h("strong", null, counts.length ? heading : "No run is done"), system.note ? [": ", own(system.note)] : ""), scoresTable(system.scores), ...tables];
}

function scoresTable(scores) {
  const names = Object.keys(SCORES).filter((name) => scores[name]);
  if (!names.length) return null;
  return facts(names.map((name) => [SCORES[name].head, `${SCORES[name].written(scores[name][0])} ${bracket(scores[name], SCORES[name].written)}`]));
}

function matrices(counts, comparison, intervals) {
  return [recallBars(counts, comparison.emotions, intervals), confusionTable(counts, comparison.emotions)];
}

/* One run */

function oneRun(data, comparison, run) {
  const counts = run.confusion[comparison.split];
  return [
    h("p", null, h("strong", null, `Fold ${run.fold}, seed ${run.seed}: ${STATUS[run.status]}`), run.reason ? [". ", own(run.reason)] : ""),
    runScores(run, comparison),
    learningCurve(run),
    ...(counts ? matrices(counts, comparison, null) : []),
    h("section", null, h("h3", null, "Cost and size"), facts(costs(run))),
    h("section", null, h("h3", null, "Environment"), facts(environment(data, run))),
    h("section", null, h("h3", null, "Settings"), settings(data, comparison, run)),
  ].filter(Boolean);
}

function runScores(run, comparison) {
  const splits = Object.entries(run.scores).sort(([one], [other]) => (other === comparison.split) - (one === comparison.split));
  return facts(splits.flatMap(([split, scores]) =>
    Object.keys(SCORES).filter((name) => name in scores).map((name) => [`${SCORES[name].head}, ${split}`, SCORES[name].written(scores[name])])));
}

function costs(run) {
  const { parameters } = run;
  return [
    ["Parameters", parameters && grouped(parameters.total)],
    ["Of these in mixers", parameters && grouped(parameters.mixers)],
    ["Feed-forward width", parameters && grouped(parameters.feedforward_width)],
    ["Time in its own training", duration(run.train)],
    ["Wall time of the cohort", run.wall && `${duration(run.wall)}, ${counted(run.cohort, "system")}`],
    ["Utterances", Object.entries(run.utterances).map(([split, count]) => `${grouped(count)} ${split}`).join(", ")],
    ["Files left out", run.skipped ? grouped(run.skipped) : null],
  ];
}

function duration(seconds) {
  if (seconds === null || seconds === undefined) return null;
  return seconds < 120 ? `${fixed(seconds, 0)} s` : `${fixed(seconds / 60, seconds < 6000 ? 1 : 0)} min`;
}

function environment(data, run) {
  const { packages, device, memory_bytes: bytes, ...others } = data.runs.machines[run.machine];
  const plain = Object.entries(others).map(([name, value]) => [words(name), String(value)]);
  const versions = Object.entries(packages).map(([name, version]) => `${name} ${version}`).join(", ");
  return [["Device", device], ["Memory", memory(bytes)], ...plain, ["Packages", versions],
    ["Commit", run.commit ? run.commit + (run.dirty ? ", with changes" : "") : null], ["Preset", run.preset], ["Record", `runs/${run.id}.json`]];
}

function settings(data, comparison, run) {
  const shared = flat(data.runs.settings[comparison.base] ?? {});
  const ownSettings = [["task.fold", run.fold], ["seed", run.seed], ["system.layout", run.layout], ["system.direction", run.direction]];
  return h("details", null, h("summary", null, counted(shared.length + ownSettings.length, "setting")),
    facts([...ownSettings, ...shared].map(([name, value]) => [name, String(value)])));
}

function flat(value, path = "") {
  if (value === null || typeof value !== "object") return [[path, value]];
  if (Array.isArray(value)) return [[path, value.join(", ")]];
  return Object.entries(value).flatMap(([name, inner]) => flat(inner, path ? `${path}.${name}` : name));
}

function words(name) {
  const text = name.replaceAll("_", " ");
  return text[0].toUpperCase() + text.slice(1);
}

/** A list of names and values; those without a value are left out. */
function facts(pairs) {
  return h("dl", { class: "facts" }, pairs.filter(([, value]) => value).map(([name, value]) => h("div", null, h("dt", null, own(name)), h("dd", null, own(value)))));
}

/* The list of runs */

function runsTable(comparison, system, runs, shown) {
  const address = `#/${comparison.id}/${encodeURIComponent(keyOf(system))}`;
  const head = SCORES[comparison.headline].head;
  const score = (run) => run.scores[comparison.split]?.[comparison.headline];
  const rows = runs.map((run) => h("tr", { class: run === shown ? "shown" : null },
    h("th", { scope: "row" }, h("a", { href: `${address}/${run.id}`, "aria-current": run === shown ? "true" : null }, `Fold ${run.fold}, seed ${run.seed}`)),
    h("td", { class: "number" }, SCORES[comparison.headline].written(score(run))),
    h("td", { class: "number" }, run.best === null ? MISSING : `${run.best + 1} of ${run.curve.loss.length}`),
    h("td", { class: "number" }, duration(run.train) ?? MISSING),
    h("td", null, STATUS[run.status], run.reason ? [": ", own(run.reason)] : "")));
  const back = shown && runs.length > 1 ? h("p", null, h("a", { href: address }, `All ${runs.length} runs together`)) : null;
  return [back, scroller("Runs, scrollable",
    h("table", { class: "plain runs" },
      h("caption", { class: "unseen" }, `Runs of ${system.name}; ${said(comparison.headline, system.scores[comparison.headline]?.[0])} over all`),
      h("thead", null, h("tr", null, ["Run", head, "Epoch kept", "Training", "Status"].map((text) => h("th", { scope: "col" }, text)))),
      h("tbody", null, rows)))];
}

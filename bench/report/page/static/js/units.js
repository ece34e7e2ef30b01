/* Numbers as people read them, digit for digit as bench/report/units.py writes them. */

export const MISSING = "–";
const LENGTHS = [[3600, "h"], [60, "min"], [1, "s"]];
const DURATIONS_MS = [[1000, "s"], [1, "ms"], [1e-3, "µs"]];
const SIZES = [[1e12, "TB"], [1e9, "GB"], [1e6, "MB"], [1e3, "kB"], [1, "B"]];

/** So many decimals; an exact tie goes to the even digit, as in Python, where toFixed would go up. */
export function fixed(value, digits) {
  const halves = value * 2 ** (digits + 1);
  const scaled = value * 10 ** digits;
  if (halves % 1 !== 0 || Math.abs(scaled % 1) !== 0.5) return value.toFixed(digits);
  const even = 2 * Math.round(scaled / 2);
  return (even / 10 ** digits).toFixed(digits);
}

function missing(value) {
  return value === null || value === undefined || Number.isNaN(value);
}

/** A fraction as per cent. */
export function percent(value) {
  return missing(value) ? MISSING : fixed(100 * value, 1);
}

/** A difference of fractions in percentage points, with its sign. */
export function points(value) {
  return missing(value) ? MISSING : withSign(100 * value, 1);
}

/** A CCC. */
export function concordance(value) {
  return missing(value) ? MISSING : unsignedZero(fixed(value, 3)).replace("-", "−");
}

/** A difference of CCCs, with its sign. */
export function signed(value) {
  return missing(value) ? MISSING : withSign(value, 3);
}

function withSign(value, digits) {
  const text = unsignedZero(fixed(value, digits));
  if (Number(text) === 0) return text;
  return value > 0 ? `+${text}` : text.replace("-", "−");
}

function unsignedZero(text) {
  return Number(text) === 0 ? text.replace("-", "") : text;
}

/** A length of speech: "30 s", "1 min", "400 s". */
export function seconds(value) {
  return scaled(value, [LENGTHS.find(([size]) => value >= size && value % size === 0) ?? [1, "s"]]);
}

/** A time given in ms. */
export function milliseconds(value) {
  return scaled(value, DURATIONS_MS);
}

/** A size given in bytes, decimal. */
export function memory(value) {
  return scaled(value, SIZES);
}

function scaled(value, units) {
  if (missing(value)) return MISSING;
  const [size, name] = units.find(([least]) => value >= least * 0.9995) ?? units.at(-1);
  return `${significant(value / size)} ${name}`;
}

/** "1.50" as "1.5", "60.0" as "60": for the ticks of an axis. */
export function trimmed(text) {
  return text.includes(".") ? text.replace(/\.?0+$/, "") : text;
}

/** Two significant digits below 100, whole numbers above. */
export function significant(value) {
  if (value === 0 || Math.abs(value) >= 99.5) return fixed(value, 0);
  const digits = Math.max(0, 1 - Math.floor(Math.log10(Math.abs(value)) + 1e-12));
  return trimmed(fixed(value, digits));
}

/** "1,440". */
export function grouped(value) {
  return missing(value) ? MISSING : String(Math.round(value)).replace(/\B(?=(\d{3})+$)/g, ",");
}

/** "1 seed", "2 seeds". */
export function counted(count, thing) {
  return `${grouped(count)} ${thing}${count === 1 ? "" : "s"}`;
}

/** How a score is written: its head, its value, its difference. */
export const SCORES = {
  uar: { head: "UAR %", written: percent, difference: points },
  macro_f1: { head: "Macro-F1 %", written: percent, difference: points },
  wa: { head: "WA %", written: percent, difference: points },
  ccc: { head: "CCC", written: concordance, difference: signed },
  ccc_arousal: { head: "CCC arousal", written: concordance, difference: signed },
  ccc_valence: { head: "CCC valence", written: concordance, difference: signed },
  ccc_dominance: { head: "CCC dominance", written: concordance, difference: signed },
};

/** "UAR 60.0 %", "CCC 0.577". */
export function said(score, value) {
  const { head, written } = SCORES[score];
  return head.endsWith(" %") ? `${head.slice(0, -2)} ${written(value)} %` : `${head} ${written(value)}`;
}

/** "[54.4, 65.7]", or nothing where there are no ends. */
export function bracket([, low, high], written) {
  return missing(low) ? "" : `[${written(low)}, ${written(high)}]`;
}

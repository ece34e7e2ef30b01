/* Where values stand on an axis, which ticks it has, and how labels are kept apart. */

/** From a value in [low, high] to a place in [from, to]. */
export function linear([low, high], [from, to]) {
  const span = high - low || 1;
  return (value) => from + ((value - low) / span) * (to - from);
}

/** The same on a logarithmic axis. */
export function log([low, high], range) {
  const inner = linear([Math.log(low), Math.log(high)], range);
  return (value) => inner(Math.log(value));
}

/** Round values in [low, high], at most `most` of them, on a linear axis. */
export function linearTicks([low, high], most) {
  const rough = (high - low) / most;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((digit) => digit * power).find((size) => size >= rough);
  const first = Math.ceil(low / step - 1e-9);
  const last = Math.floor(high / step + 1e-9);
  return Array.from({ length: last - first + 1 }, (_, index) => (first + index) * step);
}

/** Round values in [low, high] on a logarithmic axis: the finest ladder with at most `most` of them. */
export function logTicks([low, high], most) {
  const ladders = [[1, 1.5, 2, 3, 4, 5, 7], [1, 2, 3, 5], [1, 2, 5], [1, 3], [1]];
  const choices = ladders.map((ladder) => rungs(ladder, low, high));
  const few = choices.find((ticks) => ticks.length <= most) ?? choices.at(-1);
  return few.filter((_, index) => index % Math.ceil(few.length / most) === 0);
}

function rungs(ladder, low, high) {
  const powers = [];
  for (let power = Math.floor(Math.log10(low)); power <= Math.log10(high); power += 1) powers.push(power);
  const all = powers.flatMap((power) => ladder.map((digit) => digit * 10 ** power));
  return all.filter((value) => value >= low && value <= high);
}

/** The values whose places keep `gap` between them, counted from the last one. */
export function thinned(values, place, gap) {
  const kept = [];
  for (const value of [...values].sort((a, b) => b - a)) {
    if (!kept.length || Math.abs(place(kept.at(-1)) - place(value)) >= gap) kept.push(value);
  }
  return kept.reverse();
}

/**
 * New positions, at least `gap` apart and within [low, high], moved as little as can be.
 * Less index × gap this is an isotonic regression: neighbours that violate the order are pooled.
 */
export function spread(positions, gap, low, high) {
  const room = Math.min(gap, (high - low) / Math.max(positions.length - 1, 1));
  const order = positions.map((_, index) => index).sort((a, b) => positions[a] - positions[b] || a - b);
  const blocks = [];
  order.forEach((index, rank) => {
    let block = { mean: positions[index] - rank * room, size: 1 };
    while (blocks.length && blocks.at(-1).mean > block.mean) block = pooled(blocks.pop(), block);
    blocks.push(block);
  });
  const levels = blocks.flatMap(({ mean, size }) => Array(size).fill(mean));
  const top = high - room * (positions.length - 1);
  const placed = [];
  order.forEach((index, rank) => {
    placed[index] = Math.min(Math.max(levels[rank], low), top) + rank * room;
  });
  return placed;
}

function pooled(one, other) {
  const size = one.size + other.size;
  return { mean: (one.mean * one.size + other.mean * other.size) / size, size };
}

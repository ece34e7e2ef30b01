/* What encoders cost: from the curves of the data to the number of one system, machine and length. */

import { milliseconds, memory } from "./units.js";

/** The two costs: the point's field, how it is written and what it is called. */
export const COSTS = {
  ms: { field: "ms", written: milliseconds, name: "Latency", axis: "time of one forward pass", low: "low", high: "high" },
  bytes: { field: "bytes", written: memory, name: "Memory", axis: "peak memory beside weights and input", low: "bytes", high: "bytes" },
};

/** The curves of one network and machine. */
export function curvesOf(data, network, machine, target) {
  return data.curves.filter((curve) =>
    curve.network === network && curve.machine === machine && curve.target === target);
}

/** The profile of a system's encoder at one length, failed or not; undefined where there is none. */
export function costOf(data, comparison, system, { machine, seconds }) {
  const curve = curvesOf(data, comparison.network, machine, "encoder").find((found) =>
    found.layout === system.layout && found.direction === system.direction);
  return curve?.points.find((point) => point.seconds === seconds);
}

/** Every length at which an encoder of a network was measured on a machine. */
export function lengthsOf(data, network, machine) {
  const points = curvesOf(data, network, machine, "encoder").flatMap((curve) => curve.points);
  return [...new Set(points.map((point) => point.seconds))].sort((a, b) => a - b);
}

/** The length nearest to `wanted`, in ratio. */
export function nearest(lengths, wanted) {
  const distance = (length) => Math.abs(Math.log(length / wanted));
  return lengths.reduce((best, length) => (distance(length) < distance(best) ? length : best), lengths[0]);
}

/** Why a point has no numbers: "out of memory". */
export function trouble(point) {
  return point.status === "oom" ? "out of memory" : point.status;
}

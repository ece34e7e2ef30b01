/* The markers of systems, as in the figures: one shape and one colour a mixer, two halves for a hybrid. */

import { s } from "./dom.js";

/** Corner points of a regular polygon or, with `inner`, of a star. */
function polygon(corners, radius, turn = 0, inner = null) {
  const count = inner === null ? corners : 2 * corners;
  const points = Array.from({ length: count }, (_, index) => {
    const size = inner !== null && index % 2 ? inner : radius;
    const angle = (index / count) * 2 * Math.PI - Math.PI / 2 + turn;
    return `${(size * Math.cos(angle)).toFixed(3)},${(size * Math.sin(angle)).toFixed(3)}`;
  });
  return `M${points.join("L")}Z`;
}

const CIRCLE = "M-1,0A1,1 0 1,1 1,0A1,1 0 1,1 -1,0Z";
const PLUS = "M-.4,-1.1H.4V-.4H1.1V.4H.4V1.1H-.4V.4H-1.1V-.4H-.4Z";
const CROSS = "M-1.1,-.55L-.55,-1.1 0,-.55 .55,-1.1 1.1,-.55 .55,0 1.1,.55 .55,1.1 0,.55 -.55,1.1 -1.1,.55 -.55,0Z";
// As matplotlib names them, about the same area each, around the origin.
const SHAPES = {
  o: CIRCLE,
  s: "M-.9,-.9H.9V.9H-.9Z",
  D: "M0,-1.25L1.25,0 0,1.25 -1.25,0Z",
  d: "M0,-1.4L.85,0 0,1.4 -.85,0Z",
  "^": polygon(3, 1.35),
  v: polygon(3, 1.35, Math.PI),
  "<": polygon(3, 1.35, -Math.PI / 2),
  ">": polygon(3, 1.35, Math.PI / 2),
  P: PLUS,
  X: CROSS,
  p: polygon(5, 1.15),
  h: polygon(6, 1.15),
  H: polygon(6, 1.2, Math.PI / 6),
  8: polygon(8, 1.1, Math.PI / 8),
  "*": polygon(5, 1.5, 0, 0.62),
};

/** The colour of a look's lines and outlines: its hue, dark or light enough to stand out. */
export function ink(look) {
  return `var(--look-${look}-line)`;
}

/** Its colour where text is written in it. */
export function textInk(look) {
  return `var(--look-${look}-text)`;
}

/** A marker of `size` (radius) at a place; hollow: what did not converge. */
export function marker(looks, look, x, y, size, { hollow = false } = {}) {
  const { marker: shape, halved } = looks[look];
  const path = SHAPES[shape] ?? CIRCLE;
  const at = `translate(${x.toFixed(2)},${y.toFixed(2)}) scale(${size})`;
  if (hollow) return outline(path, at, look);
  const edge = { class: "marker", stroke: ink(look) };
  if (!halved) return s("path", { d: path, transform: at, fill: `var(--look-${look})`, ...edge });
  return s("g", { transform: at },
    s("path", { d: path, fill: `var(--look-${look}-b)` }),
    s("path", { d: "M0,-1.2L-1.04,-.6V.6L0,1.2Z", fill: `var(--look-${look}-a)` }),
    s("path", { d: path, fill: "none", ...edge }));
}

function outline(path, at, look) {
  return s("path", { d: path, transform: at, stroke: ink(look), class: "hollow" });
}

/** A marker alone, to stand in a line of text. */
export function swatch(looks, look) {
  return s("svg", { class: "swatch", viewBox: "-8 -8 16 16", width: 16, height: 16, "aria-hidden": "true" },
    marker(looks, look, 0, 0, 5));
}

/** The same on a piece of its line. */
export function lineSwatch(looks, look) {
  return s("svg", { class: "swatch", viewBox: "-16 -8 32 16", width: 32, height: 16, "aria-hidden": "true" },
    s("line", { class: "whisker", x1: -15, x2: 15, stroke: ink(look), "stroke-dasharray": dashes(looks, look) }),
    marker(looks, look, 0, 0, 4.5));
}

/** SVG's stroke-dasharray of a look. */
export function dashes(looks, look) {
  return looks[look].dashed ? "5 3" : null;
}

/* Elements without markup strings: text given here stays text, whatever it holds. */

const SVG = "http://www.w3.org/2000/svg";

/** An HTML element: h("p", { class: "note", click: onClick }, "text", otherNode). */
export function h(name, attributes, ...children) {
  return fill(document.createElement(name), attributes, children);
}

/** The same in SVG. */
export function s(name, attributes, ...children) {
  return fill(document.createElementNS(SVG, name), attributes, children);
}

/** Text of others (a label, a reason), whose writing direction is its own. */
export function own(text) {
  return h("bdi", null, text);
}

/** Functions become listeners, `vars` CSS variables; null, undefined and false leave an attribute out. */
function fill(node, attributes, children) {
  for (const [key, value] of Object.entries(attributes ?? {})) {
    if (value === null || value === undefined || value === false) continue;
    if (typeof value === "function") node.addEventListener(key, value);
    else if (key === "vars") setVariables(node, value);
    else node.setAttribute(key, value === true ? "" : value);
  }
  node.append(...children.flat(Infinity).filter((child) => child || child === 0));
  return node;
}

function setVariables(node, variables) {
  for (const [name, value] of Object.entries(variables)) node.style.setProperty(name, value);
}

/** Look alike, in the page and in charts: everything of one system carries its key. */
export function keyOf(system) {
  return `${system.layout}, ${system.direction}`;
}

/** Pales every mark of other systems than `key` under `root`; null: none. */
export function highlight(root, key) {
  for (const node of root.querySelectorAll("[data-system]")) {
    node.classList.toggle("pale", key !== null && node.dataset.system !== key);
  }
}

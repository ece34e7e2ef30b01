/* One box beside whatever is pointed at or focused. What it says, the mark says itself to a screen reader. */

import { h, own } from "./dom.js";

const GAP = 10;
let pointedAt = null;

/** Shows `lines` (the first is a name) at `node` while it is hovered or focused, and names the node with them. */
export function explained(node, lines) {
  node.setAttribute("aria-label", lines.join(". "));
  const show = () => showTooltip(node, lines);
  node.addEventListener("pointerenter", show);
  node.addEventListener("focus", show);
  node.addEventListener("pointerleave", hideTooltip);
  node.addEventListener("blur", hideTooltip);
  return node;
}

function showTooltip(node, lines) {
  const box = document.getElementById("tooltip");
  box.replaceChildren(h("strong", null, own(lines[0])), ...lines.slice(1).map((line) => h("span", null, own(line))));
  if (box.matches(":popover-open")) box.hidePopover(); // so that it comes to the top, above an open dialog
  box.showPopover();
  pointedAt = node;
  place(box, node);
}

function place(box, node) {
  const target = (node.querySelector(".reach") ?? node).getBoundingClientRect(); // without its bars and lines
  const { width, height } = box.getBoundingClientRect();
  const above = target.top - height - GAP;
  const left = target.left + target.width / 2 - width / 2;
  const edge = document.documentElement.clientWidth - width - 4;
  box.style.left = `${Math.max(4, Math.min(left, edge))}px`;
  box.style.top = `${above > 4 ? above : target.bottom + GAP}px`;
}

/** Takes the box away. */
export function hideTooltip() {
  pointedAt = null;
  const box = document.getElementById("tooltip");
  if (box.matches(":popover-open")) box.hidePopover();
}

document.addEventListener("keydown", (event) => {
  if (event.key === "Escape") hideTooltip();
});
// Focus may scroll its mark into sight: the box goes with it.
document.addEventListener("scroll", () => {
  if (pointedAt) place(document.getElementById("tooltip"), pointedAt);
}, { passive: true, capture: true });

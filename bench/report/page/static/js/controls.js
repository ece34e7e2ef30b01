/* Labelled controls that show the state and change it. */

import { h } from "./dom.js";

/** A select for one field of the state; `options()` gives [value, text] pairs. Hidden where there is no choice. */
export function choice(state, field, label, options) {
  const select = h("select", { change: () => state.set({ [field]: values[select.selectedIndex] }) });
  const node = h("label", { class: "control" }, h("span", null, label), select);
  let values = [];
  const draw = () => {
    const pairs = options();
    values = pairs.map(([value]) => value);
    select.replaceChildren(...pairs.map(([, text]) => h("option", null, text)));
    select.selectedIndex = Math.max(0, values.indexOf(state[field]));
    node.hidden = values.length < 2;
  };
  draw();
  state.listen(draw);
  return node;
}

/** A search field. */
export function search(state, field, label) {
  const input = h("input", {
    type: "search", autocomplete: "off", spellcheck: "false", input: () => state.set({ [field]: input.value }),
  });
  return h("label", { class: "control" }, h("span", null, label), input);
}

/** What is shown, and who draws it again when it changes. */
export class State {
  #listeners = [];

  constructor(fields) {
    Object.assign(this, fields);
  }

  listen(draw) {
    this.#listeners.push(draw);
  }

  set(changes) {
    Object.assign(this, changes);
    for (const draw of this.#listeners) draw();
  }
}

import { fill, h, percent } from "./dom.js";
import { colour } from "./shares.js";

/** A mix of facts for made-up visitors: for each fact the values, and how often each of them comes. */
export class FactMix {
  constructor({ attributes, location }) {
    this.known = [...attributes.map((fact) => ({ ...fact, where: "attributes" })), ...location.map((fact) => ({ ...fact, where: "location" }))];
    this.chosen = []; // { fact, choices: [{ value, weight, missing }] }
    this.rows = h("div.mixes");
    this.add = h("select", { "aria-label": "Set the mix of a fact", onchange: () => this.choose() });
    this.element = h("fieldset", {}, h("legend", {}, "What is known of them"), this.rows, this.add, h("p.hint", {}, "A fact that is not here takes the values on the borders of its rules."));
    this.draw();
  }

  /** As the server takes it; null for the borders of the rules alone. */
  value() {
    if (!this.chosen.length) return null;
    const mix = { attributes: {}, location: {} };
    for (const fact of this.known) mix[fact.where][fact.key] = borders(fact, fact.choices.length);
    for (const { fact, choices } of this.chosen) {
      const taken = choices.filter((each) => each.weight > 0);
      if (taken.length) mix[fact.where][fact.key] = taken;
    }
    return mix;
  }

  choose() {
    const fact = this.known[this.add.value];
    this.chosen.push({ fact, choices: borders(fact, 6) });
    this.draw();
  }

  draw() {
    fill(this.rows, this.chosen.map((each) => this.mix(each)));
    const free = this.known.map((fact, index) => [fact, index]).filter(([fact]) => !this.chosen.some((each) => each.fact === fact));
    fill(
      this.add,
      h("option", { value: "" }, "set a fact …"),
      free.map(([fact, index]) => h("option", { value: index }, `${fact.where === "location" ? "location: " : ""}${fact.key}`)),
    );
  }

  mix({ fact, choices }) {
    const bar = h("div.bar", { "aria-hidden": "true" });
    const paint = () => fill(bar, choices.map((each, index) => each.weight > 0 && h("span", { title: label(each), style: { "--colour": each.missing ? "var(--c7)" : colour(index), "flex-grow": each.weight } })));
    const row = (each) => {
      const part = h("span.hint.number");
      const weight = h("input", { type: "number", min: 0, step: "any", value: each.weight, "aria-label": `${fact.key}: how often ${label(each)}`, oninput: () => ((each.weight = Math.max(0, Number(weight.value) || 0)), shares()) });
      return { part, each, element: h("li", {}, h("code", {}, label(each)), weight, part) };
    };
    const rows = choices.map(row);
    const shares = () => {
      const whole = choices.reduce((sum, each) => sum + each.weight, 0) || 1;
      for (const { part, each } of rows) part.textContent = percent(each.weight / whole, 0);
      paint();
    };
    shares();
    const other = h("input", { "aria-label": `${fact.key}: another value`, placeholder: "another value", onchange: () => this.include(fact, choices, other.value) });
    const remove = h("button.link", { type: "button", "aria-label": `Leave ${fact.key} to the rules`, onclick: () => ((this.chosen = this.chosen.filter((each) => each.fact !== fact)), this.draw()) }, "remove");
    return h("div.mix", {}, h("div.row", {}, h("h3", {}, fact.key), h("span.right", {}, remove)), bar, h("ul", {}, rows.map(({ element }) => element)), other);
  }

  include(fact, choices, text) {
    if (!text) return;
    let value = text;
    if (fact.type !== "text") {
      try {
        value = JSON.parse(text);
      } catch {
        value = text;
      }
    }
    choices.splice(-1, 0, { value, weight: 1 });
    this.draw();
  }
}

/** The first values on the borders of a fact's rules, and that it is not known, equally often. */
function borders(fact, most) {
  return [...fact.choices.slice(0, most).map((value) => ({ value, weight: 1 })), { value: null, weight: 1, missing: true }];
}

function label({ value, missing }) {
  return missing ? "not known" : typeof value === "string" ? value : JSON.stringify(value);
}

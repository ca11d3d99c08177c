import { fill, freshId, h } from "./dom.js";

const MOST = 40;

/**
 * Fields for facts: one for each that the project asks for, with the values that its rules compare with.
 *
 * `changed(facts)` is called with all facts after each change; a field that is empty is a fact that is not known.
 */
export class FactFields {
  constructor(label, known, changed) {
    this.known = known;
    this.changed = changed;
    this.facts = {};
    this.pointed = new Set();
    this.rows = h("div.facts");
    this.filter = h("input", { type: "search", "aria-label": `Find in ${label.toLowerCase()}`, placeholder: `Find among ${known.length} facts`, oninput: () => this.draw() });
    this.filter.hidden = known.length <= 12;
    this.element = h("fieldset.fact-fields", {}, h("legend", {}, label), this.filter, this.rows, this.own());
  }

  /** Show these facts. */
  show(facts) {
    this.facts = { ...facts };
    this.draw();
  }

  /** Let the fields of these facts stand out. */
  point(keys) {
    this.pointed = keys;
    for (const field of this.rows.querySelectorAll(".field")) field.classList.toggle("pointed", keys.has(field.dataset.key));
  }

  draw() {
    const words = this.filter.value.toLowerCase();
    const asked = this.known.filter((fact) => fact.key.toLowerCase().includes(words) || fact.key in this.facts);
    const known = new Set(this.known.map((fact) => fact.key));
    const others = Object.keys(this.facts).filter((key) => !known.has(key));
    const first = asked.filter((fact) => fact.key in this.facts);
    const shown = asked.length > MOST ? [...first, ...asked.filter((fact) => !(fact.key in this.facts))].slice(0, MOST) : asked;
    fill(
      this.rows,
      shown.map((fact) => this.field(fact)),
      others.map((key) => this.field({ key, type: "own", choices: [], asked_by: [] })),
      shown.length < asked.length && h("p.hint", {}, `${asked.length - shown.length} more: find them by name`),
    );
    this.filter.hidden = this.known.length <= 12;
  }

  field(fact) {
    const id = freshId("fact");
    const control = fact.type === "boolean" ? this.choice(fact, id) : this.input(fact, id);
    const hint = fact.type === "own" ? "no rule asks for it" : (fact.conditions ?? fact.asked_by).join("\n");
    return h("div.field", { title: hint, class: this.pointed.has(fact.key) ? "pointed" : "", dataset: { key: fact.key } }, h("label", { for: id }, fact.key), control);
  }

  choice(fact, id) {
    const value = this.facts[fact.key];
    const select = h(
      "select",
      { id, onchange: () => this.set(fact.key, { true: true, false: false }[select.value]) },
      ["", "true", "false"].map((each) => h("option", { value: each }, each || "not known")),
    );
    select.value = value === undefined ? "" : String(value);
    return select;
  }

  input(fact, id) {
    const list = freshId("choices");
    const choices = fact.choices.filter((each) => each !== null && each !== "");
    const input = h("input", {
      id,
      list: choices.length ? list : undefined,
      value: shown(this.facts[fact.key], fact.type),
      placeholder: "not known",
      autocomplete: "off",
      spellcheck: "false",
      inputmode: fact.type === "number" ? "decimal" : undefined,
      oninput: () => this.set(fact.key, read(input.value, fact.type)),
    });
    return [input, choices.length > 0 && h("datalist", { id: list }, choices.map((each) => h("option", { value: shown(each, fact.type) })))];
  }

  set(key, value) {
    if (value === undefined) delete this.facts[key];
    else this.facts[key] = value;
    this.changed({ ...this.facts });
  }

  /** A way to give a fact that no rule asks for. */
  own() {
    const key = h("input", { "aria-label": "Another fact", placeholder: "another fact", autocomplete: "off", spellcheck: "false" });
    const value = h("input", { "aria-label": "Its value", placeholder: "its value", autocomplete: "off", spellcheck: "false" });
    const add = h(
      "button.small",
      {
        type: "button",
        onclick: () => {
          const name = key.value.trim();
          if (!name || !value.value) return;
          this.set(name, read(value.value, "own"));
          key.value = value.value = "";
          this.draw();
        },
      },
      "Add",
    );
    return h("details.own", {}, h("summary", {}, "Another fact"), h("div.row", {}, h("div.grow", {}, key), h("div.grow", {}, value), add));
  }
}

/** A value as it stands in a field; JSON where the field would read its text otherwise. */
function shown(value, type) {
  if (value === undefined) return "";
  if (typeof value === "string" && (type === "text" || read(value, type) === value)) return value;
  return JSON.stringify(value);
}

/** The value that a field's text means. */
function read(text, type) {
  if (text === "") return undefined;
  if (type === "text" && !/^[[{]/.test(text)) return text;
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

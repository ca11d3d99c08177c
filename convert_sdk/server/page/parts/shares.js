import { h, percent } from "./dom.js";

const COLOURS = 8;

/** The colour of a variation, by its place in the experience. */
export function colour(index) {
  return `var(--c${index % COLOURS})`;
}

/** A dot in a variation's colour. */
export function dot(index) {
  return h("span.dot", { style: { "--colour": colour(index) } });
}

/** The traffic of an experience as a bar: what each variation owns, of all visitors. */
export function trafficBar(variations, className = "") {
  const words = variations.map((each) => `${each.key} ${each.percent} %`).join(", ");
  const owned = variations.reduce((sum, each) => sum + each.percent, 0);
  return h(
    "div.bar",
    { class: className, role: "img", "aria-label": words || "no traffic" },
    variations.map((each, index) => each.percent > 0 && h("span", { style: { "--colour": colour(index), "flex-grow": each.percent } })),
    owned < 100 && h("span", { style: { "--colour": "transparent", "flex-grow": 100 - owned } }),
  );
}

/** A ruler over all bucket values, with the ranges and the visitor's mark. */
export function ruler(hashed, indexOf) {
  const most = Math.max(hashed.max_traffic, ...hashed.ranges.map((each) => each.end));
  const left = (value) => `${(100 * value) / most}%`;
  const here = hashed.ranges.find((each) => each.here);
  const clear = ({ here, start, end }) => {
    // The mark does not stand on the name: that goes to the wider side of it.
    if (!here) return {};
    const [before, after] = [hashed.bucket_value - start, end - hashed.bucket_value];
    return before > after ? { "padding-right": `calc(${left(after)} + 5px)` } : { "padding-left": `calc(${left(before)} + 6px)` };
  };
  const words = `bucket value ${hashed.bucket_value} of ${hashed.max_traffic}: ${here ? here.variation_key : "no variation"}`;
  return h(
    "div.ruler",
    { role: "img", "aria-label": words },
    h(
      "div.ruler-ranges",
      {},
      hashed.ranges.map((each) =>
        h("span", { class: each.here ? "here" : "", style: { left: left(each.start), width: left(each.end - each.start), "--colour": colour(indexOf(each.variation_id)), ...clear(each) } }, h("b", {}, each.variation_key)),
      ),
    ),
    h("div.mark", { style: { left: left(hashed.bucket_value) } }, h("span.number", {}, hashed.bucket_value.toLocaleString("en"))),
    h("div.ruler-scale.number", {}, [0, 0.25, 0.5, 0.75, 1].map((part) => h("span", { style: { left: `${100 * part}%` } }, Math.round(part * most).toLocaleString("en")))),
  );
}

const RATIOS = { fits: ["good", "as allocated"], mismatch: ["bad", "mismatch"], too_few: ["", "too few to tell"], nothing: ["", "nothing to compare"] };

/** What the counts of variations say of their allocation, after a word for what is meant. */
export function ratioVerdict({ verdict, p }, name = null) {
  const [tone, words] = RATIOS[verdict];
  const chance = p !== null && h("span.number", {}, p < 0.001 ? "p < 0.001" : `p = ${p.toFixed(p < 0.1 ? 3 : 2)}`);
  return h("span.chip", { class: tone }, name && p !== null ? `${name} ${words}` : words, chance);
}

/** An interval as a line with its middle, on a scale that several of them share, with a mark at nought. */
export function intervalBar(middle, [low, high], [least, most]) {
  const place = (value) => `${Math.min(100, Math.max(0, (100 * (value - least)) / (most - least || 1)))}%`;
  const tone = low > 0 ? "good" : high < 0 ? "bad" : "";
  return h(
    "div.interval",
    { class: tone, role: "img", "aria-label": `${percent(middle)}, between ${percent(low)} and ${percent(high)}` },
    h("i", { style: { left: place(0) } }),
    h("span", { style: { left: place(low), width: `calc(${place(high)} - ${place(low)})` } }),
    h("b", { style: { left: place(middle) } }),
  );
}

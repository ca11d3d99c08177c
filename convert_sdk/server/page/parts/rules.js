import { h } from "./dom.js";

const VERDICTS = { true: ["yes", "✓", "yes"], false: ["no", "✕", "no"], null: ["", "–", "not asked"] };

/** The mark of a verdict: true, false, or null for what was not asked. */
export function verdictMark(verdict) {
  const [tone, sign, words] = VERDICTS[verdict];
  return h("span.verdict", { class: tone, role: "img", "aria-label": words }, sign);
}

/** A rule set of the project as a tree in words. */
export function ruleTree(rules) {
  if (rules.any_of === null) return h("p.dim", {}, rules.words);
  return tree(
    rules.any_of.map(({ all_of }) => all_of.map(({ any_of }) => any_of)),
    (leaf) => h("div.leaf", {}, condition(leaf)),
  );
}

/** The trace of a rule set for a visitor as a tree, each condition with its verdict. */
export function traceTree(trace) {
  return tree(trace.leaves, (leaf) =>
    h(
      "div.leaf",
      {},
      verdictMark(leaf.verdict),
      condition(leaf),
      h("span.and", {}, "the visitor has ", leaf.known ? h("code.value", {}, JSON.stringify(leaf.value)) : "nothing"),
      leaf.note && h("span.and", {}, `(${leaf.note})`),
    ),
  );
}

/** One condition: its key stands out, the rest is what the server says in words. */
function condition(leaf) {
  const rest = leaf.words.startsWith(`${leaf.key} `) ? leaf.words.slice(leaf.key.length + 1) : null;
  return rest === null ? h("span", {}, leaf.words) : h("span", {}, h("code", {}, leaf.key), ` ${rest}`);
}

function tree(blocks, leafOf) {
  const groups = (block) =>
    block.map((leaves) =>
      leaves.length === 1 ? h("li", {}, leafOf(leaves[0])) : h("li", {}, joined("any of these"), h("ul.all", {}, leaves.map((leaf) => h("li", {}, leafOf(leaf))))),
    );
  const parts = blocks.map((block) => h("ul.all", {}, block.length > 1 && h("li", {}, joined("all of these")), groups(block)));
  return h("div.rules", {}, parts.flatMap((part, index) => (index ? [joined("or"), part] : [part])));
}

function joined(words) {
  return h("span.joined", {}, words);
}

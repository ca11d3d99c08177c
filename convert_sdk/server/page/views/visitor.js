import { ask, isAborted, onlyLatest } from "../parts/api.js";
import { debounced, fill, freshId, h, refill } from "../parts/dom.js";
import { FactFields } from "../parts/fact_fields.js";
import { rewriteRoute, writeRoute } from "../parts/route.js";
import { traceTree, verdictMark } from "../parts/rules.js";
import { colour, dot, ruler } from "../parts/shares.js";
import { readVisitor, visitorRoute } from "../parts/visitor_link.js";
import { WindowedList } from "../parts/windowed_list.js";

const HOW = {
  force: "Force: as the application would by decide(…, force=…)",
  preview: "Preview: shown, and nothing is reported",
  override: "Override: put in place of the decision, gates or not",
};
const TONES = { bucketed: "good", sticky: "good", forced: "accent", preview: "accent", override: "accent" };
const REASONS = {
  not_ready: "no document yet",
  unknown_variation: "no such variation",
  archived: "archived",
  environment: "another environment",
  location: "not at its location",
  audience: "not in its audience",
  segment: "not in its segments",
  no_variations: "no variation runs",
  not_allocated: "outside its traffic",
  sticky: "remembered",
};

/** The view of a visitor: their facts, what they get, and why. */
export function open(page) {
  return new VisitorView(page);
}

class VisitorView {
  isFixed = true;

  constructor(page) {
    this.page = page;
    this.visitor = readVisitor(new URLSearchParams());
    this.experience = undefined;
    this.facts = null;
    this.arms = new Map(); // the variations of experiences by key, for their colours
    this.latestDecisions = onlyLatest();
    this.latestExplanation = onlyLatest();
    this.soon = debounced(() => this.ask(), 60);
    this.form = h("form.asked", { "aria-label": "The visitor", onsubmit: (event) => event.preventDefault() });
    this.list = new WindowedList({ label: "Decisions", rowHeight: 54, makeRow: (decision) => this.row(decision) });
    this.unknown = h("div");
    this.explanation = h("section.detail", { "aria-label": "Explanation" });
    this.element = h(
      "div.view.wide",
      {},
      h("h1.unseen", {}, "Visitor"),
      h("div.visitor", {}, this.form, h("div.master", {}, h("h2", {}, "Decisions"), this.unknown, h("div.listed", {}, this.list.element)), this.explanation),
    );
  }

  close() {
    this.list.end();
  }

  async revised() {
    this.facts = null;
    await this.show({ path: this.experience === undefined ? [] : [this.experience], parameters: new URLSearchParams(location.hash.split(/\?(.*)/s)[1] ?? "") });
  }

  async show({ path, parameters }) {
    this.experience = path[0];
    try {
      this.visitor = readVisitor(parameters);
    } catch {
      this.page.toast("The address has something that is no JSON: it is left out.");
      this.visitor = { ...readVisitor(new URLSearchParams()), visitor_id: parameters.get("visitor") ?? "" };
    }
    if (!this.visitor.visitor_id) this.visitor.visitor_id = "visitor-42";
    let made = null;
    if (this.facts === null) {
      this.facts = await ask(this.page.at(["facts"]));
      made = this.makeForm();
    }
    const known = (name) => this.facts.segments.find((each) => each.key === name || each.id === name)?.key;
    this.visitor.segments = this.visitor.segments.map(known).filter((key) => key !== undefined);
    this.fillForm();
    if (made) refill(this.form, made); // once it is filled: the focus may be on one of the facts
    await this.ask();
  }

  makeForm() {
    const { attributes, location, environments } = this.facts;
    const field = (label, control) => {
      const id = freshId("field");
      control.id = id;
      return h("div.field", {}, h("label", { for: id }, label), control);
    };
    this.id = h("input", { autocomplete: "off", spellcheck: "false", required: true, oninput: () => this.change({ visitor_id: this.id.value }) });
    this.environment = h(
      "select",
      { onchange: () => this.change({ environment: this.environment.value || null }) },
      h("option", { value: "" }, `the default${this.facts.default_environment ? ` (${this.facts.default_environment})` : ""}`),
      environments.map((each) => h("option", { value: each }, each)),
    );
    this.attributes = new FactFields("Attributes", attributes, (facts) => this.change({ attributes: facts }));
    this.location = new FactFields("Location", location, (facts) => this.change({ location: facts }));
    this.place = h(
      "select",
      { onchange: () => this.choosePlace() },
      h("option", { value: "known" }, "these facts"),
      h("option", { value: "anywhere" }, "anywhere: every location matches"),
      h("option", { value: "null" }, "not known"),
    );
    this.location.element.querySelector("legend").after(field("The visitor is at", this.place));
    this.remembered = h("div");
    this.segments = new Map();
    const segment = ({ key, name }) => {
      const box = h("input", { type: "checkbox", onchange: () => this.change({ segments: [...this.segments].filter(([, each]) => each.checked).map(([one]) => one) }) });
      this.segments.set(key, box);
      return h("label.check", {}, box, name || key);
    };
    const { segments } = this.facts;
    const inSegments = segments.length > 0 && h("fieldset.fact-fields", {}, h("legend", {}, "In segments"), h("div.members", {}, segments.map(segment)));
    return h("div.card", {}, field("Visitor id", this.id), environments.length > 1 && field("Environment", this.environment), this.attributes.element, this.location.element, inSegments, this.remembered);
  }

  fillForm() {
    const { visitor_id, environment, attributes, location } = this.visitor;
    this.id.value = visitor_id;
    this.environment.value = environment ?? "";
    this.attributes.show(attributes);
    const isKnown = location !== null && location !== "anywhere";
    this.place.value = isKnown ? "known" : String(location);
    this.location.show(isKnown ? location : {});
    this.location.rows.hidden = !isKnown;
    for (const [key, box] of this.segments) box.checked = this.visitor.segments.includes(key);
    this.fillRemembered();
  }

  choosePlace() {
    const location = { known: this.location.facts, anywhere: "anywhere", null: null }[this.place.value];
    this.location.rows.hidden = this.place.value !== "known";
    this.change({ location });
  }

  /** What is remembered of the visitor, and what is put in place of decisions. */
  fillRemembered() {
    const { state, instead } = this.visitor;
    const bucketing = Object.entries(state.bucketing ?? {});
    const entry = (words, remove) => h("li.row", {}, h("span.grow", {}, words), h("button.small", { type: "button", onclick: remove }, "Remove"));
    fill(
      this.remembered,
      bucketing.length > 0 && [
        h("h3", {}, "Remembered"),
        h(
          "ul.kept",
          {},
          bucketing.map(([key, variation]) =>
            entry(`${key}: ${variation}`, () => {
              const { [key]: _, ...rest } = state.bucketing;
              this.change({ state: { ...state, bucketing: rest } }, { isOutside: true });
            }),
          ),
        ),
      ],
      instead.length > 0 && [
        h("h3", {}, "In place of decisions"),
        h(
          "ul.kept",
          {},
          instead.map((each) =>
            entry(`${each.how} ${each.experience ?? each.feature}: ${each.variation ?? (each.feature ? String(each.enabled) : "none")}`, () =>
              this.change({ instead: instead.filter((other) => other !== each) }, { isOutside: true }),
            ),
          ),
        ),
      ],
    );
  }

  /** Take a change, from a field (which shows it already) or from outside the form. */
  change(changes, { isOutside = false } = {}) {
    this.visitor = { ...this.visitor, ...changes };
    rewriteRoute(visitorRoute(this.visitor, this.experience));
    if (isOutside) this.fillForm();
    else this.fillRemembered();
    this.soon();
  }

  async ask() {
    this.id.setAttribute("aria-invalid", String(!this.visitor.visitor_id));
    if (!this.visitor.visitor_id) return;
    try {
      await Promise.all([this.decide(), this.explain()]);
    } catch (error) {
      if (!isAborted(error)) fill(this.explanation, h("p.note.bad", { role: "alert" }, error.message));
    }
  }

  async decide() {
    const { decisions, unknown_facts } = await this.latestDecisions((signal) => ask(this.page.at(["decisions"]), { body: this.visitor, signal }));
    this.list.show(decisions, { anew: true });
    const unknown = Object.entries(unknown_facts ?? {});
    fill(
      this.unknown,
      unknown.map(([name, near]) => h("p.note.warn", {}, h("code", {}, name), " is asked by no rule", near.length > 0 && [": is ", near.map((each) => h("code", {}, each)), " meant?"])),
    );
    if (this.experience === undefined && decisions.length) {
      const first = decisions.find((each) => each.recorded !== null) ?? decisions.find((each) => each.variation_key !== null) ?? decisions[0];
      this.experience = first.key;
      this.mark();
      await this.explain();
    }
    const place = decisions.findIndex((each) => each.key === this.experience);
    if (place >= 0 && !this.list.element.contains(document.activeElement)) this.list.reveal(place);
  }

  row(decision) {
    const gets = decision.variation_key;
    return h(
      "a.item",
      { href: visitorRoute(this.visitor, decision.key), "aria-current": decision.key === this.experience && "true", dataset: { key: decision.key } },
      h("span.item-head", {}, h("b", {}, decision.name || decision.key)),
      h("span.item-foot", {}, gets !== null ? h("span.gets", {}, gets) : h("span.none", {}, words(decision.reason)), gets !== null && h("span.chip", { class: TONES[decision.reason] ?? "" }, words(decision.reason)), decision.recorded !== null && decision.recorded !== gets && h("span.chip.warn", {}, `recorded: ${decision.recorded}`)),
    );
  }

  mark() {
    for (const link of this.list.element.querySelectorAll("a.item")) {
      if (link.dataset.key === this.experience) link.setAttribute("aria-current", "true");
      else link.removeAttribute("aria-current");
    }
  }

  async explain() {
    if (this.experience === undefined) return;
    const body = { ...this.visitor, experience: this.experience };
    const found = await this.latestExplanation((signal) => ask(this.page.at(["explanation"]), { body, signal }));
    const isOther = this.shownKey !== found.decision.key;
    refill(this.explanation, this.answer(found), this.recorded(found), this.what(found.counterfactual), this.hash(found), this.gates(found), this.copies());
    if (isOther) this.explanation.scrollTop = 0;
    if (this.isApplied) this.explanation.querySelector(".gets-what").focus({ preventScroll: true }); // the button is gone: go on from the answer
    this.isApplied = false;
    this.point(found.gates);
    this.shownKey = found.decision.key;
    const { key, variation_key, reason } = found.decision;
    this.page.say(`${this.visitor.visitor_id} gets ${variation_key ?? "no variation"} of ${key}: ${words(reason)}`);
  }

  /** Let the fields of the facts stand out that this experience asks for. */
  point(gates) {
    const keysOf = (name) => new Set(gates.filter((gate) => (gate.name === "location") === (name === "location")).flatMap((gate) => gate.rules.flatMap((trace) => trace.leaves.flat(2).map((leaf) => leaf.key))));
    this.attributes.point(keysOf("attributes"));
    this.location.point(keysOf("location"));
  }

  answer(found) {
    const { decision, variations } = found;
    const index = variations.findIndex((each) => each.id === decision.variation_id);
    const gets = variations[index];
    return h(
      "div.card.answer",
      { style: gets ? { "--colour": colour(index) } : {}, class: gets ? "taken" : "" },
      h("p.dim", {}, h("b", {}, this.visitor.visitor_id), " in ", h("a", { href: writeRoute("project", ["experiences", decision.key]) }, decision.key)),
      h("p.gets-what", { tabindex: -1 }, gets ? [dot(index), gets.name || gets.key] : "gets no variation", h("span.chip", { class: TONES[decision.reason] ?? "bad" }, words(decision.reason))),
      this.instead(found),
    );
  }

  /** What was recorded of the visitor, and why the answer is another now. */
  recorded({ recorded, variations }) {
    if (recorded === null) return null;
    const index = variations.findIndex((each) => each.id === recorded.variation_id);
    const name = recorded.variation_name || recorded.variation_key || `variation ${recorded.variation_id}`;
    const at = recorded.at === null ? "" : `at ${new Date(1000 * recorded.at).toLocaleTimeString("en-GB")}`;
    return h(
      "div.card.recorded",
      {},
      h("div.card-head", {}, h("h2", {}, "What was recorded"), h("span.chip", { class: recorded.same ? "good" : "warn" }, recorded.same ? "the same as here" : "another than here"), h("span.right", {}, h("a", { href: writeRoute("events", [], { visitor: this.visitor.visitor_id }) }, "Events"))),
      h("p.row", {}, h("span.arm", {}, dot(Math.max(0, index)), h("b", {}, name)), at && h("span.dim", {}, at)),
      recorded.reasons.length > 0 && h("ul.words", {}, recorded.reasons.map((reason) => h("li", {}, reason))),
    );
  }

  /** Buttons that put a variation in place of the decision. */
  instead({ decision, variations }) {
    const present = this.visitor.instead.find((each) => each.experience === decision.key);
    this.how ??= "force";
    if (present) this.how = present.how;
    const how = h(
      "select",
      { "aria-label": "In place of the decision", onchange: () => ((this.how = how.value), present && put(present.variation)) },
      Object.entries(HOW).map(([name, title]) => h("option", { value: name, title }, { force: "Force", preview: "Preview", override: "Override" }[name])),
    );
    how.value = this.how;
    const rest = this.visitor.instead.filter((each) => each.experience !== decision.key);
    const put = (variation) => this.change({ instead: variation === undefined ? rest : [...rest, { experience: decision.key, how: this.how, variation }] }, { isOutside: true });
    const button = (variation, label) => {
      const isPressed = present !== undefined && present.variation === variation;
      return h("button.small", { type: "button", "aria-pressed": String(isPressed), onclick: () => put(isPressed ? undefined : variation) }, label);
    };
    const isRemembered = this.visitor.state.bucketing?.[decision.key] === decision.variation_key;
    const remember = () => this.change({ state: { ...this.visitor.state, bucketing: { ...this.visitor.state.bucketing, [decision.key]: decision.variation_key } } }, { isOutside: true });
    return h(
      "div.row.instead",
      {},
      how,
      variations.map((each) => button(each.key, each.key)),
      this.how === "override" && button(null, "none"),
      decision.variation_key !== null && !isRemembered && h("button.small", { type: "button", title: "As after the first decision: the visitor keeps the variation", onclick: remember }, "Remember it"),
    );
  }

  /** The smallest change of facts that lets the visitor take part. */
  what(found) {
    if (!found) return null;
    const traffic = found.traffic;
    const apply = () => {
      const { attributes, location } = found.applied;
      this.isApplied = true;
      this.change({ attributes, ...(location === undefined ? {} : { location }) }, { isOutside: true });
    };
    const lines = [...found.unsolved.map((gate) => `no value was found for the ${gate}`), ...found.closed.map((gate) => `no fact opens this: ${gate}`)];
    return h(
      "div.card",
      {},
      h("div.card-head", {}, h("h2", {}, "What it takes"), found.found && found.changes.length > 0 && h("span.right", {}, h("button.main.small", { type: "button", onclick: apply }, "Apply"))),
      found.found && found.changes.length === 0 && h("p", {}, "The facts are enough."),
      h(
        "ul.takes",
        {},
        found.changes.map((change) =>
          h(
            "li",
            {},
            h("code", {}, `${change.where}.${change.key}`),
            change.removed ? " must not be known" : [" is ", h("code.value", {}, JSON.stringify(change.after))],
            h("span.dim", {}, change.known ? [", now ", h("code", {}, JSON.stringify(change.before))] : ", now not known"),
          ),
        ),
        lines.map((line) => h("li", {}, line)),
      ),
      traffic && h("p.dim", {}, traffic.sticky ? `Then the visitor keeps ${traffic.variation}.` : `Then, at ${traffic.percent} % traffic, bucket value ${traffic.bucket_value} gets ${traffic.variation ?? "no variation, whatever the facts"}.`),
    );
  }

  hash({ hashed, variations, decision }) {
    if (hashed === null) return null;
    const here = hashed.ranges.find((each) => each.here);
    const index = (id) => Math.max(0, variations.findIndex((each) => each.id === id));
    return h(
      "div.card",
      {},
      h("div.card-head", {}, h("h2", {}, "Bucketing"), h("span.dim", {}, decision.variation_key === null ? "what the hash would give" : "")),
      ruler(hashed, index),
      h("p.hash", {}, h("code", {}, JSON.stringify(hashed.input)), " with seed ", h("code", {}, hashed.seed), " hashes to ", h("code", {}, hashed.hash), ", bucket value ", h("b.number", {}, hashed.bucket_value.toLocaleString("en")), here ? [": in the range of ", h("b", {}, here.variation_key)] : ": in no range"),
      h(
        "ul.legend.number",
        {},
        hashed.ranges.map((each) => h("li", {}, dot(index(each.variation_id)), `${each.variation_key} ${each.start.toLocaleString("en")} – ${each.end.toLocaleString("en")}`)),
      ),
    );
  }

  gates({ gates, stored_variation_id, forced_variation_id }) {
    const gate = (each) =>
      h(
        "li",
        { class: each.passed === null ? "gate unasked" : "gate" },
        h("div.gate-head", {}, verdictMark(each.passed), h("b", {}, each.name), h("span.dim", {}, each.passed === null ? "not asked" : each.detail)),
        each.passed !== null &&
          each.rules.map((trace) =>
            h("div.gate-rules", {}, h("p.row", {}, verdictMark(trace.verdict), h("span", {}, trace.kind, " ", h("b", {}, trace.key)), trace.note && h("span.dim", {}, trace.note)), traceTree(trace)),
          ),
      );
    return h(
      "div.card",
      {},
      h("h2", {}, "Gates, in their order"),
      stored_variation_id && h("p.hint", {}, "remembered: variation ", h("code", {}, stored_variation_id)),
      forced_variation_id && h("p.hint", {}, "forced: variation ", h("code", {}, forced_variation_id)),
      h("ol.gates", {}, gates.map(gate)),
    );
  }

  copies() {
    const shown = h("pre.copied", { hidden: true });
    const kinds = { pytest: "pytest test", table_row: "table row", yaml_row: "YAML row", link: "Link", overrides: "Override file", html: "Page to keep" };
    const copy = async (kind) => {
      try {
        const found = await ask(this.page.at(["copies"]), { body: { ...this.visitor, experience: this.experience } });
        if (kind === "html") return save(`${this.experience}.html`, found.html);
        const text = kind === "link" ? `${location.origin}${found.link}` : found[kind];
        shown.textContent = text;
        shown.hidden = false;
        await navigator.clipboard.writeText(text);
        this.page.toast(`Copied: ${kinds[kind]}`);
      } catch (error) {
        this.page.toast(shown.hidden ? error.message : "The browser does not let this page copy: the text stands below the buttons.");
      }
      return undefined;
    };
    return h("div.card", {}, h("h2", {}, "Copy as"), h("div.row", {}, Object.entries(kinds).map(([kind, label]) => h("button.small", { type: "button", onclick: () => copy(kind) }, label))), shown);
  }
}

/** Let the browser save a text as a file. */
function save(name, text) {
  const url = URL.createObjectURL(new Blob([text], { type: "text/html" }));
  h("a", { href: url, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(url), 1000);
}

function words(reason) {
  return REASONS[reason] ?? reason.replaceAll("_", " ");
}

import { ask } from "../parts/api.js";
import { SharesChart } from "../parts/chart.js";
import { counted, fill, freshId, h, percent, refill } from "../parts/dom.js";
import { FactMix } from "../parts/fact_mix.js";
import { rewriteRoute, writeRoute } from "../parts/route.js";
import { colour, dot, intervalBar, ratioVerdict } from "../parts/shares.js";

/** The view of made-up traffic: how many visitors get what, and whether the shares are right. */
export function open(page) {
  return new TrafficView(page);
}

class TrafficView {
  constructor(page) {
    this.page = page;
    this.source = null;
    this.history = new Map(); // by experience: the x values, and the shares of each variation
    this.snapshot = null;
    this.chosen = null;
    this.chart = new SharesChart();
    this.form = h("form.card.simulated", { "aria-label": "The traffic", onsubmit: (event) => (event.preventDefault(), this.start()) });
    this.progress = h("div");
    this.summary = h("div.card", {}, h("p.empty", {}, "Simulate visitors to see who gets what, whether the shares are as allocated, and which experiences meet."));
    this.detail = h("div.card", { hidden: true });
    this.chartCard = h("figure.plot", {}, this.chart.element, h("figcaption.hint", {}, "Shares of the variations while visitors arrive; dashed: what the allocation says."));
    this.overlaps = h("div.card", { hidden: true });
    this.element = h("div.view.wide", {}, h("h1.unseen", {}, "Traffic"), h("div.traffic", {}, this.form, h("section", { "aria-label": "Result" }, this.progress, this.summary, this.detail, this.overlaps)));
  }

  close() {
    this.source?.close();
    this.chart.end();
  }

  async revised() {
    this.facts = null;
    await this.prepare();
  }

  async show({ path, parameters }) {
    this.chosen = path[0] ?? this.chosen;
    await this.prepare(parameters);
    if (this.snapshot) this.draw();
  }

  async prepare(parameters = new URLSearchParams()) {
    if (this.facts) return;
    this.facts = await ask(this.page.at(["facts"]));
    this.makeForm(parameters);
  }

  makeForm(parameters) {
    const number = (label, name, value, more = {}) => {
      const input = h("input", { id: freshId("n"), type: "number", name, value: parameters.get(name) ?? value, required: true, ...more });
      return h("div.field", {}, h("label", { for: input.id }, label), input);
    };
    const experiences = h(
      "select",
      { id: freshId("e"), name: "experience" },
      h("option", { value: "" }, "all of them"),
      this.facts.experiences.map((each) => h("option", { value: each.key }, each.name || each.key)),
    );
    experiences.value = parameters.get("experience") ?? "";
    this.mix = new FactMix(this.facts);
    this.begin = h("button.main", { type: "submit" }, "Simulate");
    this.cancel = h("button", { type: "button", disabled: true, onclick: () => this.stop() }, "Stop");
    fill(
      this.form,
      h("h2", {}, "Made-up visitors"),
      h("div.two", {}, number("Visitors", "visitors", 20000, { min: 1, max: 1000000 }), number("Seed", "seed", 42, { min: 0 })),
      h("div.field", {}, h("label", { for: experiences.id }, "Experiences"), experiences),
      this.mix.element,
      h(
        "fieldset",
        {},
        h("legend", {}, "What they do"),
        h("div.two", {}, number("Converts, %", "rate", 5, { min: 0, max: 100, step: "any" }), number("Others by, %", "lift", 10, { step: "any" }), number("Order value", "value", 49.9, { min: 0, step: "any" }), number("± spread", "spread", 20, { min: 0, step: "any" })),
        h("p.hint", {}, "The first variation converts at this rate, the others that much better."),
      ),
      h("div.row", {}, this.begin, this.cancel),
    );
  }

  async start() {
    const given = (this.given = Object.fromEntries(new FormData(this.form)));
    rewriteRoute(writeRoute("traffic", this.chosen ? [this.chosen] : [], given));
    const body = {
      visitors: Number(given.visitors),
      seed: Number(given.seed),
      mix: this.mix.value(),
      experiences: given.experience ? [given.experience] : null,
      conversion: { rate: given.rate / 100, lift: given.lift / 100, value: Number(given.value), spread: Number(given.spread) },
    };
    try {
      const { id } = await ask(this.page.at(["simulations"]), { body });
      this.follow(id);
    } catch (error) {
      this.page.fail(error);
    }
  }

  follow(id) {
    this.source?.close();
    this.history.clear();
    this.id = id;
    this.cancel.disabled = false;
    const source = (this.source = new EventSource(`/_api/simulations/${id}/stream`));
    source.addEventListener("progress", (event) => this.take(JSON.parse(event.data)));
    source.addEventListener("end", (event) => {
      source.close();
      this.cancel.disabled = true;
      this.take(JSON.parse(event.data));
      this.page.say(`${this.snapshot.state}: ${counted(this.snapshot.done, "visitor")}${this.snapshot.is_off ? ", a sample ratio is off" : ""}`);
    });
    source.addEventListener("error", () => (this.cancel.disabled = true));
  }

  async stop() {
    await ask(`/_api/simulations/${this.id}`, { method: "DELETE", changes: true }).catch((error) => this.page.fail(error));
  }

  take(snapshot) {
    this.snapshot = snapshot;
    for (const each of snapshot.experiences) {
      if (!each.visitors) continue;
      const lines = this.history.get(each.experience) ?? [[], ...each.arms.map(() => [])];
      this.history.set(each.experience, lines);
      if (lines[0].at(-1) === snapshot.done) continue;
      lines[0].push(snapshot.done);
      each.arms.forEach((arm, index) => lines[index + 1].push(arm.share));
    }
    cancelAnimationFrame(this.frame);
    this.frame = requestAnimationFrame(() => this.draw());
  }

  draw() {
    const { snapshot } = this;
    const found = snapshot.experiences.find((each) => each.experience === this.chosen) ?? snapshot.experiences.find((each) => each.visitors) ?? snapshot.experiences[0];
    this.drawProgress();
    refill(this.summary, h("h2", {}, "Who gets what"), h("div.scroll", { tabindex: 0 }, this.table(found)));
    if (found) this.drawDetail(found);
    this.drawOverlaps();
  }

  drawProgress() {
    const { done, visitors, seconds, state, message } = this.snapshot;
    const words = { running: "running", done: "done", cancelled: "stopped", failed: `failed: ${message}` }[state];
    fill(
      this.progress,
      h("div.progress", {}, h("progress", { max: visitors, value: done, "aria-label": "Visitors" }), h("span.number", {}, `${done.toLocaleString("en")} of ${counted(visitors, "visitor")} in ${seconds.toFixed(1)} s, ${words}`)),
    );
    this.progress.querySelector("progress").value = done;
  }

  table(found) {
    const { done, experiences } = this.snapshot;
    const row = (each) =>
      h(
        "tr",
        { class: each === found ? "chosen" : "" },
        h("th", { scope: "row" }, h("a", { href: writeRoute("traffic", [each.experience], this.given), "aria-current": each === found && "true" }, each.experience)),
        h("td.n", {}, each.visitors.toLocaleString("en")),
        h("td.n", {}, percent(done ? each.visitors / done : 0)),
        h("td.wide-cell", {}, shareBar(each.arms)),
        h("td", {}, ratioVerdict(each)),
      );
    return h(
      "table.summary",
      {},
      h("thead", {}, h("tr", {}, h("th", { scope: "col" }, "Experience"), h("th.n", { scope: "col" }, "Take part"), h("th.n", { scope: "col" }, "Of all"), h("th", { scope: "col" }, "Shares"), h("th", { scope: "col" }, "Sample ratio"))),
      h("tbody", {}, experiences.map(row)),
    );
  }

  drawDetail(found) {
    this.detail.hidden = false;
    const table = this.arms(found);
    if (!this.detail.contains(this.chartCard)) {
      this.title = h("div.card-head");
      this.rows = h("div.scroll", { tabindex: 0 });
      fill(this.detail, this.title, this.chartCard, this.rows);
    }
    fill(this.title, h("h2", {}, found.experience), h("span.right", {}, ratioVerdict(found, "sample ratio")));
    refill(this.rows, table);
    const lines = this.history.get(found.experience);
    this.chartCard.hidden = lines === undefined;
    if (lines === undefined) return;
    const label = `Shares after ${counted(this.snapshot.done, "visitor")}: ${found.arms.map((arm) => `${arm.variation} ${percent(arm.share)}, expected ${percent(arm.expected)}`).join("; ")}`;
    this.chart.show(found.arms.map((arm) => arm.variation), found.arms.map((arm) => arm.expected), lines, label);
  }

  arms(found) {
    const uplifts = found.arms.map((arm) => arm.uplift).filter(Boolean);
    const ends = uplifts.flatMap((each) => [...each.rate_interval, ...each.revenue_interval]).map(Math.abs).filter(Number.isFinite);
    const most = Math.min(2, Math.max(0.1, ...ends));
    const uplift = (arm, name) =>
      arm.uplift
        ? h("td", {}, h("div.uplift", {}, h("span.number", {}, signed(arm.uplift[name])), intervalBar(arm.uplift[name], arm.uplift[`${name}_interval`], [-most, most])), h("div.hint.number", {}, arm.uplift[`${name}_interval`].map(signed).join(" to ")))
        : h("td.dim", {}, "–");
    const row = (arm, index) =>
      h(
        "tr",
        {},
        h("th", { scope: "row" }, h("span.arm", {}, dot(index), arm.variation)),
        h("td.n", {}, arm.visitors.toLocaleString("en")),
        h("td.n", {}, percent(arm.share, 2), h("div.hint", {}, `of ${percent(arm.expected, 2)}`)),
        h("td.n", {}, arm.rate === undefined || arm.rate === null ? "–" : [percent(arm.rate, 2), arm.rate_interval && h("div.hint", {}, arm.rate_interval.map((each) => percent(each, 2)).join(" to "))]),
        uplift(arm, "rate"),
        h("td.n", {}, arm.revenue_per_visitor === undefined || arm.revenue_per_visitor === null ? "–" : arm.revenue_per_visitor.toFixed(2)),
        uplift(arm, "revenue"),
      );
    const heads = [["Variation"], ["Visitors", "n"], ["Share", "n"], ["Converts", "n"], ["Uplift"], ["Revenue each", "n"], ["Uplift"]];
    return h("table", {}, h("thead", {}, h("tr", {}, heads.map(([words, name]) => h("th", { scope: "col", class: name }, words)))), h("tbody", {}, found.arms.map(row)));
  }

  drawOverlaps() {
    const { overlaps } = this.snapshot;
    this.overlaps.hidden = !overlaps.length;
    if (!overlaps.length) return;
    const row = (each) => h("tr", {}, h("th", { scope: "row" }, each.first), h("th", { scope: "row" }, each.second), h("td.n", {}, each.visitors.toLocaleString("en")), part(each.of_first), part(each.of_second));
    const part = (share) => h("td.n", {}, h("div.part", {}, percent(share, 0), h("span.bar", {}, h("span", { style: { "--colour": "var(--c7)", "flex-grow": share } }), h("span", { style: { "--colour": "transparent", "flex-grow": 1 - share } }))));
    refill(
      this.overlaps,
      h("h2", {}, "Visitors in two experiences at once"),
      h("div.scroll", { tabindex: 0 }, h("table", {}, h("thead", {}, h("tr", {}, [["First"], ["Second"], ["Visitors", "n"], ["Of the first", "n"], ["Of the second", "n"]].map(([words, name]) => h("th", { scope: "col", class: name }, words)))), h("tbody", {}, overlaps.slice(0, 30).map(row)))),
    );
  }
}

function shareBar(arms) {
  const label = arms.map((arm) => `${arm.variation} ${percent(arm.share)}`).join(", ");
  return h("div.bar", { role: "img", "aria-label": label }, arms.map((arm, index) => arm.share > 0 && h("span", { style: { "--colour": colour(index), "flex-grow": arm.share } })));
}

function signed(share) {
  return `${share > 0 ? "+" : ""}${(100 * share).toFixed(1)} %`;
}

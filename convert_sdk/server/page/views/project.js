import { ask, isAborted, onlyLatest } from "../parts/api.js";
import { counted, debounced, fill, h, percent, refill } from "../parts/dom.js";
import { PagedRows } from "../parts/paged_rows.js";
import { readRoute, rewriteRoute, writeRoute } from "../parts/route.js";
import { ruleTree } from "../parts/rules.js";
import { dot, trafficBar } from "../parts/shares.js";
import { WindowedList } from "../parts/windowed_list.js";

const SECTIONS = ["experiences", "features", "audiences", "locations", "segments", "goals"];
const PLURALS = { experience: "experiences", feature: "features", audience: "audiences", location: "locations", segment: "segments", goal: "goals" };
const TONES = { active: "good", draft: "", paused: "warn", completed: "", scheduled: "accent", archived: "" };
const SEVERITIES = { error: "bad", warning: "warn", note: "" };

/** The view of the project: its entities, its problems, and its revisions. */
export function open(page) {
  return new ProjectView(page);
}

class ProjectView {
  isFixed = true;

  constructor(page) {
    this.page = page;
    this.section = "";
    this.source = null;
    this.list = null;
    this.latest = onlyLatest();
    this.tabs = h("nav.tabs", { "aria-label": "Sections" });
    this.search = h("input", { type: "search", "aria-label": "Search", placeholder: "Search by key, name, id", oninput: debounced(() => this.searched(), 120) });
    this.status = h("select", { "aria-label": "Status", onchange: () => this.searched() });
    this.found = h("p.hint.found", { "aria-live": "polite" });
    this.place = h("div.listed");
    this.detail = h("section.detail", { "aria-label": "Details" });
    this.split = h("div.split", {}, h("div.master", {}, h("div.row.filters", {}, this.search, this.status), this.found, this.place), this.detail);
    this.element = h("div.view.wide", {}, h("h1.unseen", {}, "Project"), h("div.head", {}, this.tabs), this.split);
  }

  close() {
    this.source?.end();
    this.list?.end();
  }

  known() {
    this.fillTabs();
    if (this.key === undefined) this.open(this.section);
  }

  /** Another document is served. */
  revised() {
    this.query = undefined; // fetch the list again, and leave the focus and the scroll where they are
    this.show(readRoute());
  }

  async show({ path, parameters }) {
    const [section = "experiences", key] = path;
    const query = parameters.get("search") ?? "";
    const status = parameters.get("status") ?? "";
    this.split.classList.toggle("chosen", key !== undefined);
    if (section !== this.section || query !== this.query || status !== this.wantedStatus) {
      const isOther = section !== this.section;
      const isRevised = !isOther && this.query === undefined;
      [this.section, this.query, this.wantedStatus] = [section, query, status];
      if (document.activeElement !== this.search) this.search.value = query;
      this.fillTabs();
      this.begin(isOther, isRevised).catch((error) => this.page.fail(error));
    }
    this.key = key;
    this.mark();
    await this.open(section, key);
  }

  fillTabs() {
    const { counts, statuses } = this.page.project ?? { counts: {}, statuses: {} };
    const tab = (name, label, number) =>
      h("a", { href: writeRoute("project", [name]), "aria-current": name === this.section && "page", dataset: { key: name } }, label, number !== undefined && h("span.number", {}, number.toLocaleString("en")));
    refill(
      this.tabs,
      SECTIONS.map((name) => tab(name, name[0].toUpperCase() + name.slice(1), counts[name])),
      tab("problems", "Problems", this.problemCount || undefined),
      tab("revisions", "Revisions"),
    );
    this.tabs.querySelector("[aria-current]")?.scrollIntoView({ block: "nearest", inline: "nearest" }); // in a narrow window they are one row that scrolls
    this.status.hidden = this.section !== "experiences";
    this.search.parentElement.hidden = !SECTIONS.includes(this.section);
    const names = Object.keys(statuses).filter(Boolean);
    fill(this.status, h("option", { value: "" }, "Every status"), names.map((name) => h("option", { value: name }, `${name} (${statuses[name]})`)));
    this.status.value = this.wantedStatus ?? "";
  }

  searched() {
    rewriteRoute(writeRoute("project", [this.section, ...(this.key === undefined ? [] : [this.key])], { search: this.search.value.trim(), status: this.status.value }));
    this.show(readRoute());
  }

  /** Make the list of the section. */
  async begin(isOther, isRevised) {
    this.source?.end();
    if (this.section === "revisions") return; // made with what is chosen in it
    const isProblems = this.section === "problems";
    if (isOther || this.list === null) {
      this.list?.end();
      this.list = new WindowedList({
        label: this.section,
        rowHeight: isProblems ? 64 : this.section === "experiences" ? 74 : 58,
        makeRow: (item, index) => this.row(item, index),
      });
      fill(this.place, this.list.element);
    }
    const { list } = this;
    this.source = new PagedRows(
      (part) => this.page.at([this.section], { ...part, search: this.query, status: this.section === "experiences" ? this.wantedStatus : "" }),
      (rows, answer) => {
        if (list !== this.list) return;
        list.show(rows, { anew: true });
        this.describe(rows.length, answer);
        this.mark();
      },
    );
    if (!isRevised) list.element.scrollTop = 0;
    const { source } = this;
    await source.begin();
    const { counts } = await this.problems();
    this.problemCount = counts.error + counts.warning;
    this.fillTabs();
    if (source === this.source && source.rows.some((row) => row?.problems === null)) source.again();
  }

  /** The figures of the check, which takes a while for a large document. */
  problems() {
    const { revision } = this.page.project ?? {};
    if (this.checked?.revision !== revision || revision === undefined) this.checked = { revision, answer: ask(this.page.at(["problems"], { limit: 1 })) };
    return this.checked.answer;
  }

  describe(number, answer) {
    if (this.section === "problems") {
      const { error, warning, note } = answer.counts;
      fill(this.found, number ? `${counted(error, "error")}, ${counted(warning, "warning")}, ${counted(note, "note")}` : "");
      if (!number) fill(this.place, h("p.empty", {}, "Nothing is wrong in this document."));
      return;
    }
    const isFiltered = this.query || this.wantedStatus;
    fill(this.found, isFiltered ? `${number.toLocaleString("en")} of ${counted(answer.total, this.section.slice(0, -1), this.section)}` : "");
    if (!number) {
      fill(this.place, h("p.empty", {}, isFiltered ? "Nothing has these words." : `The project has no ${this.section}.`));
      this.list.end();
      this.list = null;
    }
  }

  row(item, index) {
    if (item === undefined) {
      this.source.need(index);
      return h("a.item.waiting", { role: "link", "aria-disabled": "true", "aria-label": "loading", tabindex: -1 }); // End and Page Down may lead to it
    }
    if (this.section === "problems") return this.problemRow(item);
    const href = writeRoute("project", [this.section, item.key], { search: this.query, status: this.wantedStatus });
    return h(
      "a.item",
      { href, dataset: { key: item.key } },
      h("span.item-head", {}, h("b", {}, item.name || item.key), badges(item), item.status !== undefined && statusChip(item)),
      h("span.item-foot", {}, h("code", {}, item.key), h("span.number", {}, footnote(item))),
      item.kind === "experience" && trafficBar(item.variations),
    );
  }

  problemRow(finding) {
    const href = writeRoute("project", finding.subject ? finding.subject.split(/\/(.*)/s).slice(0, 2) : ["problems", finding.fingerprint]);
    return h(
      "a.item",
      { href },
      h("span.item-head", {}, h("span.chip", { class: SEVERITIES[finding.severity] }, finding.severity), h("b", {}, finding.message)),
      h("span.item-foot", {}, h("code", {}, finding.path), h("span", {}, finding.code)),
    );
  }

  mark() {
    for (const link of this.place.querySelectorAll("a.item")) {
      if (this.key !== undefined && link.dataset.key === this.key) link.setAttribute("aria-current", "true");
      else link.removeAttribute("aria-current");
    }
  }

  async open(section, key) {
    if (section === "revisions") {
      await this.listRevisions().catch((error) => this.page.fail(error));
      return;
    }
    if (key === undefined || !SECTIONS.includes(section)) {
      refill(this.detail, this.overview());
      return;
    }
    try {
      const entity = await this.latest((signal) => ask(this.page.at([section, key]), { signal }));
      const shown = `${section} ${key}`;
      const hadFocus = this.detail.contains(document.activeElement);
      refill(this.detail, this.back(section), entity.kind === "experience" ? this.experience(entity) : this.entity(entity));
      if (this.shownKey !== shown) this.detail.scrollTop = 0;
      this.shownKey = shown;
      if (hadFocus && !this.detail.contains(document.activeElement)) this.detail.querySelector(".title").focus({ preventScroll: true }); // the link is gone: go on from what it led to
      this.page.say(`${entity.kind} ${entity.name || entity.key}`);
    } catch (error) {
      if (isAborted(error)) return;
      const near = error.answer?.near ?? [];
      fill(
        this.detail,
        this.back(section),
        h("p.note.bad", { role: "alert" }, error.message),
        near.map((name) => h("p", {}, h("a", { href: writeRoute("project", [section, name]) }, name))),
      );
    }
  }

  back(section) {
    return h("a.back", { href: writeRoute("project", [section], { search: this.query, status: this.wantedStatus }) }, `‹ all ${section}`);
  }

  /** The project in figures, where nothing is chosen. */
  overview() {
    const { project } = this.page;
    if (project === null) return null;
    const facts = [
      ["Environments", project.environments.join(", ") || "none"],
      ["File", project.file ? `${project.file}${project.watched ? ", followed" : ""}` : "none"],
      ["Configuration", `${this.page.endpoint}/config/${this.page.place}`],
      ["Tracking", `${this.page.endpoint}/track/${this.page.place}`],
      ["Revision", project.revision],
      ["Of clients", `${project.client_revision}, without drafts`],
      ["ETag", project.etag],
    ];
    return [
      h("div.card", {}, h("h2", {}, "What is served"), h("table", {}, h("tbody", {}, facts.map(([name, value]) => h("tr", {}, h("th", { scope: "row" }, name), h("td", {}, h("code", {}, value))))))),
      h(
        "div.card",
        {},
        h("h2", {}, "Ask it"),
        h("p.dim", {}, "Choose an entity on the left, or ask why a visitor gets what they get:"),
        h("p", {}, h("a.button", { href: writeRoute("visitor") }, "Explain a visitor")),
      ),
    ];
  }

  heading(entity, ...more) {
    return h(
      "div.detail-head",
      {},
      h("div.row", {}, h("h2.title", { tabindex: -1 }, entity.name || entity.key), entity.status !== undefined && statusChip(entity), ...more),
      h("p.dim", {}, h("code", {}, entity.key), ` · id ${entity.id}${entity.type ? ` · ${entity.type}` : ""}`),
      findings(entity.findings),
    );
  }

  experience(entity) {
    const places = entity.rules.filter((each) => each.kind !== "audience");
    const audiences = entity.rules.filter((each) => each.kind === "audience");
    const ask = h("span.right.row", {}, h("a.button", { href: writeRoute("visitor", [entity.key]) }, "Explain"), h("a.button", { href: writeRoute("edit", [entity.key]) }, "Edit"));
    return [
      this.heading(entity, ask),
      h(
        "div.card",
        {},
        h("div.card-head", {}, h("h2", {}, "Traffic"), h("span.dim.number", {}, `${percent(entity.traffic / 100)} of the visitors, ${entity.layout} ranges`)),
        trafficBar(entity.variations, "thick"),
        h("div.scroll", { tabindex: 0 }, this.variations(entity)),
      ),
      h("div.card", {}, h("h2", {}, "Where"), places.length ? ruleSets(places, "or") : h("p.dim", {}, entity.where)),
      h("div.card", {}, h("h2", {}, "Who"), audiences.length ? ruleSets(audiences, entity.match === "all" ? "and" : "or") : h("p.dim", {}, entity.who)),
      linked("Uses", entity.uses.filter((each) => each.kind !== "audience" && each.kind !== "location")),
      raw(entity),
    ];
  }

  variations(entity) {
    const row = (each, index) =>
      h(
        "tr",
        {},
        h("th", { scope: "row" }, h("span.arm", {}, dot(index), h("span", {}, each.name || each.key, h("br"), h("code.dim", {}, each.key)))),
        h("td.n", {}, `${+each.percent.toFixed(2)} %`, each.status && each.status !== "running" && h("div", {}, h("span.chip.warn", {}, each.status))),
        h("td", {}, each.changes.length ? each.changes.map((change) => h("div.sets", {}, this.featureLink(change.feature), variables(change.variables))) : h("span.dim", {}, "sets nothing")),
      );
    return h(
      "table",
      {},
      h("thead", {}, h("tr", {}, h("th", { scope: "col" }, "Variation"), h("th.n", { scope: "col" }, "Visitors"), h("th", { scope: "col" }, "Features and variables"))),
      h("tbody", {}, entity.variations.map(row)),
    );
  }

  featureLink(key) {
    return h("a", { href: writeRoute("project", ["features", key]) }, key);
  }

  entity(entity) {
    return [
      this.heading(entity),
      entity.variables &&
        h(
          "div.card",
          {},
          h("h2", {}, "Variables"),
          entity.variables.length
            ? h("table", {}, h("tbody", {}, entity.variables.map((each) => h("tr", {}, h("th", { scope: "row" }, h("code", {}, each.key)), h("td", {}, each.type)))))
            : h("p.dim", {}, "It has none: on or off is all it says."),
        ),
      entity.rules?.length > 0 && h("div.card", {}, h("h2", {}, { goal: "Counts if", location: "Where" }[entity.kind] ?? "Who"), entity.rules.map(ruleTree)),
      linked("Used by", entity.used_by, "No experience names it."),
      raw(entity),
    ];
  }

  async listRevisions() {
    this.list?.end();
    this.list = null;
    const { revisions } = await ask(this.page.at(["revisions"]));
    const by = { file: "from the file", page: "edited here", start: "at the start", undo: "taken back here", program: "from the program" };
    const first = (one) => revisions.findIndex((each) => each.revision === one.revision);
    const position = Number(readRoute().parameters.get("at") ?? Math.max(0, revisions.findIndex((each) => each.revision === this.key)));
    refill(
      this.place,
      h(
        "ul.revisions",
        {},
        revisions.map((each, index) =>
          h(
            "li",
            {},
            h(
              "a.item",
              { href: writeRoute("project", ["revisions", each.revision], index === first(each) ? {} : { at: index }), dataset: { key: `${each.revision} ${index}` } },
              h("span.item-head", {}, h("b.mono", {}, each.revision.slice(0, 12)), each.current && h("span.chip.good", {}, "served"), h("span.dim.mono", { title: "What clients call it, which get no drafts" }, `clients: ${each.client_revision}`)),
              h("span.item-foot", {}, h("span", {}, `${new Date(each.at * 1000).toLocaleTimeString("en-GB")}, ${by[each.by] ?? each.by}`), h("span", {}, `${(each.size / 1024).toFixed(0)} KB`)),
            ),
          ),
        ),
      ),
    );
    fill(this.found, "");
    for (const link of this.place.querySelectorAll("a.item")) if (link.dataset.key === `${revisions[position]?.revision} ${position}`) link.setAttribute("aria-current", "true");
    if (revisions[position]) await this.showRevision(revisions[position].revision, revisions, position);
  }

  async showRevision(revision, revisions, position) {
    const title = h("h2.title", {}, "Revision ", h("span.mono", {}, revision.slice(0, 12)));
    const file = h("a.button", { href: this.page.at(["revisions", revision, "document"]), download: `${revision.slice(0, 12)}.json` }, "Download");
    const head = h("div.detail-head", {}, h("div.row", {}, title, h("span.right.row", {}, file)));
    if (position === revisions.length - 1) {
      fill(this.detail, this.back("revisions"), head, h("div.card", {}, h("p.dim", {}, "The first one that this server has served: there is nothing to compare it with.")));
      return;
    }
    fill(this.detail, this.back("revisions"), head, h("div.card", {}, h("p.dim", {}, "comparing …")));
    const diff = await ask(this.page.at(["revisions", revision, "diff"], { visitors: 500, from: revisions[position + 1].revision }));
    fill(this.detail, this.back("revisions"), head, difference(diff));
  }
}

function difference(diff) {
  const entities = Map.groupBy(diff.changes, (each) => `${each.kind ?? ""} ${each.key}`);
  return [
    h("div.card", {}, h("h2", {}, "What changed"), h("p.hint", {}, "since ", h("code", {}, diff.from.slice(0, 12))), entities.size ? [...entities.values()].map(changes) : h("p.dim", {}, "Nothing that decides.")),
    h(
      "div.card",
      {},
      h("h2", {}, "Whom it moves"),
      h("p", {}, `Of ${diff.visitors.toLocaleString("en")} made-up visitors `, h("b", {}, diff.entering), " come in, ", h("b", {}, diff.leaving), " drop out, ", h("b", {}, diff.switching), " change their variation."),
      diff.moves.length > 0 && h("ul.words", {}, diff.moves.map((move) => h("li", {}, move.words))),
    ),
  ];
}

/** What is otherwise of one entity, before and after. */
function changes(list) {
  const [{ kind, key }] = list;
  const whole = list.find((each) => each.what === "");
  const name = kind === null ? "the project" : [`${kind} `, whole?.after === null ? key : h("a", { href: writeRoute("project", [PLURALS[kind], key]) }, key)];
  const mark = whole && (whole.before === null ? h("span.chip.good", {}, "new") : h("span.chip.bad", {}, "gone"));
  const row = (each) => h("tr", {}, h("th", { scope: "row" }, each.what || "all of it"), h("td", {}, each.before ? h("del", {}, each.before) : "–"), h("td", {}, each.after ? h("ins", {}, each.after) : "–"));
  return h(
    "div.changed",
    {},
    h("h3.row", {}, h("span", {}, name), mark),
    h("table", {}, h("thead", {}, h("tr", {}, ["", "Before", "After"].map((words) => (words ? h("th", { scope: "col" }, words) : h("td"))))), h("tbody", {}, list.map(row))),
  );
}

function variables(values) {
  return h("dl.variables", {}, Object.entries(values).map(([key, value]) => h("div", {}, h("dt", {}, key), h("dd", {}, JSON.stringify(value)))));
}

function statusChip(entity) {
  const status = entity.archived ? "archived" : entity.status || "no status";
  return h("span.chip", { class: TONES[status] ?? "" }, status);
}

function badges(item) {
  const { error = 0, warning = 0 } = item.problems ?? {};
  return [error > 0 && h("span.chip.bad", {}, counted(error, "error")), warning > 0 && h("span.chip.warn", {}, counted(warning, "warning"))];
}

function footnote(item) {
  if (item.kind === "experience") return `${percent(item.traffic / 100)} of ${item.who === "everybody" ? "all visitors" : "its audience"}`;
  if (item.kind === "feature") return counted(item.variables.length, "variable");
  return item.used_by ? `used by ${counted(item.used_by, "experience")}` : "not used";
}

function findings(list) {
  return list.map((each) =>
    h("div.note.finding", { class: SEVERITIES[each.severity] }, h("b", {}, each.message), h("div", {}, each.advice), h("div.hint", {}, h("code", {}, each.path), ` · line ${each.line} · ${each.code}`)),
  );
}

function ruleSets(sets, joinedBy) {
  return h(
    "div.rule-sets",
    {},
    sets.map((each, index) => [
      index > 0 && h("p.joining", {}, joinedBy),
      h(
        "div",
        {},
        h(
          "p.row",
          {},
          PLURALS[each.kind] ? h("a", { href: writeRoute("project", [PLURALS[each.kind], each.key]) }, each.name || each.key) : h("b", {}, each.kind),
          each.permanent && h("span.chip", {}, "until decided"),
        ),
        each.note && h("p.hint", {}, each.note),
        ruleTree(each),
      ),
    ]),
  );
}

function linked(title, entities, none = "") {
  if (!entities.length && !none) return null;
  const link = (each) => h("li", {}, h("a", { href: writeRoute("project", [PLURALS[each.kind], each.key]) }, each.name || each.key), h("span.dim", {}, ` ${each.kind}`));
  return h("div.card", {}, h("h2", {}, title), entities.length ? h("ul.links", {}, entities.map(link)) : h("p.dim", {}, none));
}

function raw(entity) {
  const content = h("pre");
  const opened = h(
    "details",
    { ontoggle: () => opened.open && !content.textContent && (content.textContent = JSON.stringify(entity.raw, null, 2)) },
    h("summary", {}, "As in the document"),
    h("p.hint", {}, h("code", {}, entity.path)),
    content,
  );
  return h("div.card", {}, opened);
}

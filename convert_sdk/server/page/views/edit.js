import { ask, askText, isAborted, onlyLatest } from "../parts/api.js";
import { counted, debounced, fill, freshId, h, refill } from "../parts/dom.js";
import { readRoute, writeRoute } from "../parts/route.js";
import { colour, dot } from "../parts/shares.js";

const STATUSES = ["active", "completed", "draft", "paused", "scheduled"];
const VARIATION_STATUSES = ["running", "stopped"];
const SEVERITIES = { error: "bad", warning: "warn", note: "" };
const MANY = 12;

/** The view of editing: what is served at once under a new ETag, and how to take it back. */
export function open(page) {
  return new EditView(page);
}

/** The text that was being typed when the view was left. */
let draft = null;

class EditView {
  constructor(page) {
    this.page = page;
    this.latest = onlyLatest();
    this.mode = "";
    this.tabs = h("nav.tabs", { "aria-label": "What to edit" });
    this.undo = h("button", { type: "button", onclick: () => this.takeBack() }, "Undo");
    this.save = h("button", { type: "button", onclick: () => this.write() }, "Save to file");
    this.download = h("a.button", { download: "" }, "Download");
    this.form = h("div.edit-form");
    this.outcome = h("section.card.outcome", { "aria-label": "What it changes", "aria-live": "polite" });
    this.element = h(
      "div.view",
      {},
      h("h1.unseen", {}, "Edit"),
      h("div.head", {}, this.tabs, h("span.right", {}, this.undo, this.save, this.download)),
      h("div.edit", {}, this.form, this.outcome),
    );
  }

  known() {
    const { project } = this.page;
    this.undo.disabled = !project.can_undo;
    this.save.disabled = !project.file;
    this.save.textContent = project.file ? `Save to ${project.file.split("/").at(-1)}` : "No file to save to";
    this.download.href = this.page.at(["document"], { download: 1 });
  }

  /** Another document is served: what is being typed stays, and is compared with it. */
  async revised() {
    if (this.isServing || this.based === this.page.project.revision) return; // it is served from here
    if (this.mode === "document" && this.isTouched()) this.check();
    else if (this.mode === "experience" && Object.keys(this.edited ?? {}).length) this.tryEdits();
    else await this.begin(readRoute());
  }

  close() {
    if (this.isTouched()) draft = { place: this.page.place, text: this.text.value };
  }

  async show(route) {
    if (this.page.project) this.known();
    await this.begin(route);
  }

  async begin({ path }) {
    const mode = path[0] === undefined ? "experience" : path[0] === "document" && path.length === 1 ? "document" : "experience";
    if (mode !== "document") this.close();
    this.mode = mode;
    this.based = this.page.project?.revision;
    fill(
      this.tabs,
      h("a", { href: writeRoute("edit"), "aria-current": mode === "experience" && "page" }, "An experience"),
      h("a", { href: writeRoute("edit", ["document"]), "aria-current": mode === "document" && "page" }, "The whole document"),
    );
    try {
      if (mode === "document") await this.openDocument();
      else await this.openExperience(path[0]);
    } catch (error) {
      if (!isAborted(error)) fill(this.form, h("p.note.bad", { role: "alert" }, error.message));
    }
  }

  // An experience by its fields

  async openExperience(key) {
    const turn = (this.turn = {});
    const facts = await ask(this.page.at(["facts"]));
    const chosen = key ?? facts.experiences[0]?.key;
    if (chosen === undefined) {
      fill(this.form, h("p.empty", {}, "The project has no experience."));
      fill(this.outcome);
      return;
    }
    const [entity, audiences, locations] = await Promise.all([ask(this.page.at(["experiences", chosen])), this.all("audiences"), this.all("locations"), this.know()]);
    if (turn !== this.turn) return; // it is being made anew already
    this.entity = entity;
    this.edited = {};
    const choose = h("select", { id: freshId("e"), onchange: () => (location.hash = writeRoute("edit", [choose.value])) }, facts.experiences.map((each) => h("option", { value: each.key, selected: each.key === chosen }, each.name || each.key)));
    const status = h("select", { id: freshId("s"), onchange: () => this.change({ status: status.value }) }, [...new Set([...STATUSES, entity.status].filter(Boolean))].map((each) => h("option", { value: each }, each)));
    status.value = entity.status ?? "";
    refill(
      this.form,
      h("form.card.stack", { "aria-label": "The experience", onsubmit: (event) => (event.preventDefault(), this.serveEdits()) }, [
        h("div.two", {}, h("div.field", {}, h("label", { for: choose.id }, "Experience"), choose), h("div.field", {}, h("label", { for: status.id }, "Status"), status)),
        this.allocation(entity),
        this.members("Audiences", "audiences", audiences, entity, entity.match),
        this.members("Locations", "locations", locations, entity),
        h("div.row", {}, (this.serve = h("button.main", { type: "submit", disabled: true }, "Serve it")), (this.discard = h("button", { type: "button", disabled: true, onclick: () => this.begin(readRoute()) }, "Discard"))),
      ]),
    );
    this.untouched();
  }

  /** The problems that are there already. */
  async know() {
    const { items } = await ask(this.page.at(["problems"], { limit: 500 }));
    this.present = new Set(items.map((each) => each.fingerprint));
  }

  async all(section) {
    const { items } = await ask(this.page.at([section], { limit: 500 }));
    return items;
  }

  allocation(entity) {
    const shares = new Map(entity.variations.map((each) => [each.id, each.allocation ?? each.percent]));
    const bar = h("div.bar.thick", { "aria-hidden": "true" });
    const sum = h("span.number");
    const paint = () => {
      const whole = [...shares.values()].reduce((total, each) => total + (each || 0), 0); // NaN is an empty field
      sum.textContent = `${+whole.toFixed(2)} % of the visitors take part`;
      sum.className = whole > 100.0001 ? "number bad" : "number dim";
      fill(bar, entity.variations.map((each, index) => h("span", { style: { "--colour": colour(index), "flex-grow": Math.max(0, shares.get(each.id) || 0) } })), h("span", { style: { "--colour": "transparent", "flex-grow": Math.max(0, 100 - whole) } }));
    };
    const controls = [];
    const set = (id, share) => {
      shares.set(id, share);
      for (const control of controls) control();
      paint();
      this.change({ allocation: Object.fromEntries(shares) });
    };
    const row = (each, index) => {
      const range = h("input", { type: "range", min: 0, max: 100, step: 1, "aria-label": `Share of ${each.key}`, oninput: () => set(each.id, Number(range.value)) });
      const number = h("input", { type: "number", min: 0, max: 100, step: "any", required: true, "aria-label": `Share of ${each.key}, per cent`, oninput: () => set(each.id, number.valueAsNumber) });
      const status = h("select", { "aria-label": `Status of ${each.key}`, onchange: () => this.change({ variation_status: { ...this.edited.variation_status, [each.id]: status.value } }) }, [...new Set([...VARIATION_STATUSES, each.status].filter(Boolean))].map((name) => h("option", { value: name }, name)));
      status.value = each.status || "running";
      const control = () => {
        const share = +shares.get(each.id).toFixed(2);
        range.value = share || 0;
        if (document.activeElement !== number) number.value = share;
      };
      controls.push(control);
      control();
      return h("li.share", {}, h("span.row.grow", {}, dot(index), h("b", {}, each.name || each.key)), range, h("span.unit", {}, number, "%"), status);
    };
    const even = () => {
      const share = Math.floor(10000 / shares.size) / 100;
      entity.variations.forEach((each, index) => shares.set(each.id, index ? share : +(100 - share * (shares.size - 1)).toFixed(2)));
      set(entity.variations[0].id, shares.get(entity.variations[0].id));
    };
    const rows = h("ul.shares", {}, entity.variations.map(row));
    paint();
    return h("fieldset", {}, h("legend", {}, "Allocation"), bar, rows, h("div.row", {}, sum, h("span.right", {}, h("button.small", { type: "button", onclick: even }, "Even"))));
  }

  members(title, name, entities, entity, match) {
    const kind = name.slice(0, -1);
    const ids = new Set((entity.rules ?? []).filter((each) => each.kind === kind).map((each) => entities.find((one) => one.key === each.key)?.id).filter(Boolean));
    if (!entities.length) return null;
    const list = h("ul.members");
    const draw = (words = "") => {
      const shown = entities.filter((each) => ids.has(each.id) || `${each.key} ${each.name}`.toLowerCase().includes(words.toLowerCase()));
      const first = [...shown.filter((each) => ids.has(each.id)), ...shown.filter((each) => !ids.has(each.id))].slice(0, Math.max(MANY, ids.size + 4));
      fill(
        list,
        (entities.length > MANY ? first : shown).map((each) => {
          const box = h("input", { type: "checkbox", checked: ids.has(each.id), onchange: () => (box.checked ? ids.add(each.id) : ids.delete(each.id), this.change({ [name]: [...ids] })) });
          return h("li", {}, h("label.check", {}, box, h("span", {}, h("b", {}, each.name || each.key), h("span.dim", {}, ` ${each.words}`))));
        }),
      );
    };
    draw();
    const find = entities.length > MANY && h("input", { type: "search", "aria-label": `Find in ${name}`, placeholder: `Find among ${entities.length} ${name}`, oninput: () => draw(find.value) });
    const how =
      match !== undefined &&
      h("select", { "aria-label": "How audiences combine", onchange: () => this.change({ match: how.value }) }, h("option", { value: "any" }, "any of them is enough"), h("option", { value: "all" }, "all of them must hold"));
    if (how) how.value = match ?? "any";
    return h("fieldset", {}, h("legend", {}, title), how, find, list);
  }

  change(changes) {
    this.edited = { ...this.edited, ...changes };
    this.serve.disabled = this.discard.disabled = false;
    this.soon ??= debounced(() => this.tryEdits(), 120);
    this.soon();
  }

  edits() {
    return { experience: this.entity.key, ...this.edited };
  }

  async tryEdits() {
    try {
      this.tell(
        await this.latest(async (signal) => {
          if (Object.values(this.edited.allocation ?? {}).some((share) => !(share >= 0 && share <= 100))) throw new Error("A share is a number from 0 to 100.");
          return ask(this.page.at(["edits"], { dry: 1 }), { body: this.edits(), changes: true, signal });
        }),
      );
    } catch (error) {
      if (!isAborted(error)) this.refused(error);
    }
  }

  async serveEdits() {
    await this.do(() => ask(this.page.at(["edits"]), { body: { revision: this.page.project.revision, ...this.edits() }, changes: true }));
  }

  // The whole document as text

  async openDocument() {
    const turn = (this.turn = {});
    const [{ text, revision }] = await Promise.all([askText(this.page.at(["document"])), this.know()]);
    if (turn !== this.turn) return;
    this.original = text;
    this.revision = revision;
    this.text = h("textarea.document", { "aria-label": "The document", spellcheck: "false", autocomplete: "off", wrap: "off", oninput: debounced(() => this.check(), 250) });
    this.text.value = text;
    this.serve = h("button.main", { type: "button", disabled: true, onclick: () => this.serveDocument() }, "Serve it");
    this.discard = h("button", { type: "button", disabled: true, onclick: () => ((this.text.value = this.original), this.check()) }, "Discard");
    fill(this.form, h("div.card.stack", {}, this.text, h("div.row", {}, this.serve, this.discard, h("span.hint", {}, "Validated as you type."))));
    this.untouched();
    if (draft?.place !== this.page.place) return;
    this.text.value = draft.text;
    draft = null;
    this.check();
  }

  isTouched() {
    return this.text?.isConnected && this.text.value !== this.original;
  }

  async check() {
    const isTouched = this.isTouched();
    this.discard.disabled = !isTouched;
    if (!isTouched) return this.untouched();
    try {
      const found = await this.latest((signal) => ask(this.page.at(["validate"]), { text: this.text.value, signal }));
      this.serve.disabled = !found.ok;
      this.text.setAttribute("aria-invalid", String(!found.ok));
      if (found.error) this.refused({ message: found.error.message, answer: found.error });
      else this.tell(found);
    } catch (error) {
      if (!isAborted(error) && error.code !== 409) this.refused(error); // 409: a later text is being looked at
    }
    return undefined;
  }

  async serveDocument() {
    await this.do(() => ask(this.page.at(["document"]), { method: "PUT", text: this.text.value, changes: true, headers: { "If-Match": `"${this.page.project.revision}"` } }));
  }

  /** Put the cursor at a place of the text. */
  go(line, column = 1) {
    const before = this.text.value.split("\n").slice(0, line - 1);
    const place = before.reduce((sum, each) => sum + each.length + 1, 0) + column - 1;
    this.text.focus();
    this.text.setSelectionRange(place, place + 1);
    const height = Number.parseFloat(getComputedStyle(this.text).lineHeight) || 18;
    this.text.scrollTop = Math.max(0, (line - 5) * height);
  }

  // What comes of it

  untouched() {
    if (this.serve) this.serve.disabled = true;
    this.nameServe(false);
    if (this.discard) this.discard.disabled = true;
    fill(this.outcome, h("h2", { tabindex: -1 }, "What it changes"), h("p.dim", {}, "Nothing yet. Clients get a change with their next fetch, under a new ETag."));
  }

  tell({ changes = [], counts = {}, findings = [] }) {
    const added = findings.filter((each) => !this.present.has(each.fingerprint));
    this.nameServe(added.some((each) => each.severity === "error"));
    fill(
      this.outcome,
      h("h2", {}, "What it changes"),
      changes.length ? h("ul.words", {}, changes.map((words) => h("li", {}, typeof words === "string" ? words : (words.words ?? []).join("; ")))) : h("p.dim", {}, "Nothing that decides."),
      h("h2.spaced", {}, "Problems"),
      h("p.dim", {}, `${["error", "warning", "note"].map((name) => counted(counts[name] ?? 0, name)).join(", ")} in the document, ${added.length || "none"} of them new`),
      added.slice(0, 30).map((each) => this.finding(each)),
    );
  }

  /** An error is served only by somebody who has read that there is one. */
  nameServe(isWrong) {
    if (this.serve) this.serve.textContent = isWrong ? "Serve it with its error" : "Serve it";
  }

  finding(each) {
    const at = this.mode === "document" && each.line ? h("button.link", { type: "button", onclick: () => this.go(each.line, each.column) }, `line ${each.line}`) : null;
    return h("div.note.finding", { class: SEVERITIES[each.severity] }, h("b", {}, each.message), h("div.hint", {}, h("code", {}, each.path), " ", at));
  }

  refused(error) {
    const { path, line, column, findings = [] } = error.answer ?? {};
    fill(
      this.outcome,
      h("h2", {}, "It cannot be served"),
      h("div.note.bad", { role: "alert" }, h("b", {}, error.message), path && h("div", {}, h("code", {}, path)), line && h("div", {}, this.mode === "document" ? h("button.link", { type: "button", onclick: () => this.go(line, column) }, `line ${line}, column ${column}`) : `line ${line}`)),
      findings.map((each) => this.finding(each)),
    );
    if (this.serve && this.mode === "document") this.serve.disabled = true;
  }

  async do(request) {
    this.isServing = true;
    try {
      const answer = await request();
      await this.page.know();
      this.known();
      await this.begin(readRoute());
      if (document.activeElement === document.body) this.outcome.querySelector("h2").focus({ preventScroll: true }); // the button can do nothing more
      this.page.toast(answer.revision ? `Served as revision ${answer.revision.slice(0, 12)}.` : "Done.");
    } catch (error) {
      if (error.code === 409) this.page.toast("Another document is served by now: look at what it changes, and try again.");
      this.refused(error);
    } finally {
      this.isServing = false;
    }
  }

  async takeBack() {
    await this.do(() => ask(this.page.at(["undo"]), { method: "POST", body: {}, changes: true }));
  }

  async write() {
    try {
      const { file, bytes } = await ask(this.page.at(["save"]), { method: "POST", body: {}, changes: true });
      this.page.toast(`Saved to ${file}: ${counted(bytes, "byte")}.`);
    } catch (error) {
      this.page.fail(error);
    }
  }
}

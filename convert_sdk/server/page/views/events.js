import { ask, isAborted, onlyLatest } from "../parts/api.js";
import { counted, debounced, fill, h, percent, refill } from "../parts/dom.js";
import { EventRows } from "../parts/event_rows.js";
import { readRoute, rewriteRoute, writeRoute } from "../parts/route.js";
import { dot, intervalBar, ratioVerdict, trafficBar } from "../parts/shares.js";
import { visitorRoute } from "../parts/visitor_link.js";
import { WindowedList } from "../parts/windowed_list.js";

const KINDS = { exposure: "accent", conversion: "good", track: "", config: "", refused: "bad" };
const FILTERS = ["visitor", "experience", "goal", "kind"];
const MOST_WAITING = 5000;

/** The view of what arrives: the live stream, its sums, and what connected SDKs say of themselves. */
export function open(page) {
  return new EventsView(page);
}

class EventsView {
  isFixed = true;

  constructor(page) {
    this.page = page;
    this.tab = "";
    this.rows = new EventRows();
    this.waiting = []; // rows that came while nothing moves, or since the last frame
    this.isPaused = false;
    this.frame = 0;
    this.filters = {};
    this.kinds = new Set();
    this.latest = onlyLatest();
    this.onRows = ({ detail }) => this.take(detail.rows);
    this.onTotals = () => this.drawTab();
    this.tabs = h("nav.tabs", { "aria-label": "Events" });
    this.body = h("div.tab-body");
    this.makeStream();
    this.element = h("div.view.wide", {}, h("h1.unseen", {}, "Events"), h("div.head", {}, this.tabs, h("span.right", {}, this.actions)), this.body);
  }

  close() {
    cancelAnimationFrame(this.frame);
    this.list.end();
    const { live } = this.page;
    live?.removeEventListener("rows", this.onRows);
    live?.removeEventListener("totals", this.onTotals);
    live?.want({ kind: "refused" });
  }

  connected() {
    this.page.live.addEventListener("rows", this.onRows);
    this.page.live.addEventListener("totals", this.onTotals);
    if (this.tab === "stream") this.follow();
  }

  makeStream() {
    const input = (name, label) => h("input", { type: "search", name, "aria-label": label, placeholder: label, autocomplete: "off", spellcheck: "false", oninput: debounced(() => this.filtered(), 200) });
    this.inputs = { visitor: input("visitor", "Visitor"), experience: input("experience", "Experience"), goal: input("goal", "Goal") };
    this.kindButtons = Object.keys(KINDS).map((kind) =>
      h("button.small", { type: "button", "aria-pressed": "false", dataset: { key: kind }, onclick: () => (this.kinds.has(kind) ? this.kinds.delete(kind) : this.kinds.add(kind), this.filtered()) }, kind),
    );
    this.pause = h("button", { type: "button", "aria-pressed": "false", onclick: () => this.setPaused(!this.isPaused) }, "Pause");
    this.clear = h("button", { type: "button", onclick: () => this.forget() }, "Clear");
    this.actions = h("span.row", {}, this.pause, this.clear);
    this.held = h("button.main.small.held", { type: "button", hidden: true, onclick: () => this.toTop() });
    this.count = h("p.hint.number", {});
    this.list = new WindowedList({ label: "Events, the newest first", rowHeight: 36, makeRow: (entry) => this.row(entry), keyOf: (entry) => entry.seq, placeOf: (seq) => this.rows.placeOf(seq) });
    this.list.element.addEventListener("scroll", () => this.soon());
    this.listed = h("div.listed.stream", {}, this.list.element);
    this.detail = h("section.detail", { "aria-label": "The event", hidden: true });
    this.stream = h(
      "div.stream-view",
      {},
      h("form.row.filters", { role: "search", "aria-label": "Filters", onsubmit: (event) => event.preventDefault() }, Object.values(this.inputs).map((each) => h("div.grow", {}, each)), h("div.row.kinds", { role: "group", "aria-label": "Kinds" }, this.kindButtons)),
      h("div.row.counted", {}, this.count, this.held),
      h("div.stream-split", {}, this.listed, this.detail),
    );
  }

  async show({ path, parameters }) {
    const tab = { sums: "sums", sdks: "sdks" }[path[0]] ?? "stream";
    if (tab !== this.tab) {
      this.tab = tab;
      const link = (name, label, to) => h("a", { href: writeRoute("events", to), "aria-current": name === tab && "page" }, label);
      fill(this.tabs, link("stream", "Stream", []), link("sums", "Sums", ["sums"]), link("sdks", "SDKs", ["sdks"]));
      this.pause.hidden = tab !== "stream";
      fill(this.body, tab === "stream" ? this.stream : h("div.sums"));
      if (tab !== "stream") {
        this.page.live?.want({ kind: "refused" });
        await this.drawTab();
        return;
      }
      this.filters = null;
    }
    if (tab !== "stream") return;
    const filters = Object.fromEntries(FILTERS.map((name) => [name, parameters.get(name) ?? ""]));
    if (this.filters !== null && FILTERS.every((name) => this.filters[name] === filters[name])) return;
    this.filters = filters;
    this.kinds = new Set(filters.kind ? filters.kind.split(",") : []);
    for (const [name, input] of Object.entries(this.inputs)) if (document.activeElement !== input) input.value = filters[name];
    for (const button of this.kindButtons) button.setAttribute("aria-pressed", String(this.kinds.has(button.dataset.key)));
    await this.follow();
  }

  filtered() {
    const chosen = Object.fromEntries(Object.entries(this.inputs).map(([name, input]) => [name, input.value.trim()]));
    rewriteRoute(writeRoute("events", [], { ...chosen, kind: [...this.kinds].join(",") }));
    this.show(readRoute());
  }

  /** Show what is kept, and then what comes. */
  async follow() {
    if (!this.page.live || !this.filters) return;
    this.rows.clear();
    this.waiting = [];
    this.list.show(this.rows, { anew: true });
    try {
      const { rows, seq } = await this.latest((signal) => ask(this.page.at(["entries"], { ...this.filters, limit: 500 }), { signal }));
      this.rows.add(rows.toReversed());
      this.page.live.want(this.filters, seq);
      this.draw();
    } catch (error) {
      if (!isAborted(error)) this.page.fail(error);
    }
  }

  /** Rows have come: they are shown all together in the next frame. */
  take(rows) {
    if (this.tab !== "stream") return;
    this.waiting.push(...rows);
    if (this.waiting.length > 2 * MOST_WAITING) this.waiting.splice(0, this.waiting.length - MOST_WAITING);
    this.soon();
  }

  soon() {
    if (this.frame) return;
    this.frame = requestAnimationFrame(() => {
      this.frame = 0;
      this.draw();
    });
  }

  draw() {
    const isHeld = this.isPaused || this.list.element.scrollTop > this.list.rowHeight / 2;
    if (!isHeld && this.waiting.length) {
      this.rows.add(this.waiting);
      this.waiting = [];
      this.list.show(this.rows);
    } else if (!this.waiting.length) this.list.show(this.rows);
    const number = this.waiting.length;
    this.held.hidden = !(isHeld && number);
    if (isHeld && number) this.held.textContent = `${counted(number, "newer one")}${number >= MOST_WAITING ? " or more" : ""}: show`;
    const words = this.rows.length ? `${counted(this.rows.length, "row")}, the newest first` : "Nothing has come yet. Send an SDK here: it appears at once.";
    if (this.count.textContent !== words) this.count.textContent = words;
  }

  toTop() {
    this.setPaused(false);
    this.list.element.scrollTop = 0;
    this.draw();
  }

  setPaused(isPaused) {
    this.isPaused = isPaused;
    this.pause.setAttribute("aria-pressed", String(isPaused));
    this.pause.textContent = isPaused ? "Go on" : "Pause";
    if (!isPaused) this.list.element.scrollTop = 0;
    this.draw();
  }

  async forget() {
    try {
      await ask(this.page.at(["clear"]), { method: "POST", body: {}, changes: true });
      this.rows.clear();
      this.waiting = [];
      this.detail.hidden = true;
      this.list.show(this.rows, { anew: true });
      this.draw();
      this.page.toast("Cleared: events, sums and the list of SDKs.");
    } catch (error) {
      this.page.fail(error);
    }
  }

  row(entry) {
    const row = h(
      "button.event",
      { type: "button", "aria-current": entry.seq === this.chosen && "true", dataset: { seq: entry.seq }, onclick: () => this.open(entry) },
      h("time.number", {}, time(entry.at)),
      h("span.chip", { class: KINDS[entry.kind] }, entry.kind),
      h("span.what", {}, ...what(entry)),
      entry.repeated && h("span.chip", {}, "repeated"),
      entry.fault && h("span.chip.warn", {}, entry.fault),
    );
    if (!entry.experience || !entry.variation) return row;
    return h("div.with-why", {}, row, h("a.button.why", { href: why(entry, entry.experience), "aria-label": `Why ${entry.variation} for ${entry.visitor}?` }, "Why?"));
  }

  mark() {
    for (const row of this.listed.querySelectorAll(".event")) {
      if (Number(row.dataset.seq) === this.chosen) row.setAttribute("aria-current", "true");
      else row.removeAttribute("aria-current");
    }
  }

  async open(entry) {
    this.detail.hidden = false;
    this.stream.classList.add("opened");
    this.chosen = entry.seq;
    this.mark();
    const body = h("div", {}, h("p.dim", {}, "fetching …"));
    const close = () => {
      this.detail.hidden = true;
      this.stream.classList.remove("opened");
      this.chosen = null;
      this.mark();
    };
    fill(
      this.detail,
      h("div.card", {}, h("div.card-head", {}, h("span.chip", { class: KINDS[entry.kind] }, entry.kind), h("h2", {}, `at ${time(entry.at)}`), h("span.right", {}, h("button.small", { type: "button", onclick: close }, "Close"))), this.facts(entry)),
      h("div.card", {}, h("h2", {}, `Request ${entry.request}`), body),
    );
    this.page.say(`${entry.kind} at ${time(entry.at)}`);
    try {
      const found = await ask(`/_api/requests/${entry.request}/body`);
      fill(body, h("p", {}, h("code", {}, `${found.method} ${found.target}`)), h("p.hint", {}, `${found.content_type || "no content type"}${found.encoding ? `, ${found.encoding}` : ""}, ${counted(found.bytes, "byte")}${found.truncated ? ", shown in part" : ""}`), wire(found.text, entry.visitor));
      const mark = body.querySelector("mark");
      const text = body.querySelector("pre");
      if (mark) text.scrollTop = mark.offsetTop - 60;
    } catch (error) {
      fill(body, h("p.dim", {}, error.code === 404 ? "It brought no body, or the body is no longer kept." : error.message));
    }
  }

  facts(entry) {
    const known = { ...(entry.bucketing ?? {}) };
    if (entry.experience && entry.variation) known[entry.experience] = entry.variation;
    const lines = [
      entry.visitor && ["Visitor", h("a", { href: writeRoute("events", [], { visitor: entry.visitor }) }, entry.visitor)],
      entry.goal !== undefined && ["Goal", entry.goal ? h("a", { href: writeRoute("project", ["goals", entry.goal]) }, entry.goal) : `${entry.goal_id}, which the document does not have`],
      ...Object.entries(known).map(([experience, variation]) => [experience, [h("b", {}, variation), " ", h("a.button.why", { href: why(entry, experience) }, `Why ${variation}?`)]]),
      entry.experience === null && ["Experience", `${entry.experience_id}, which the document does not have`],
      entry.data && Object.keys(entry.data).length > 0 && ["Data", h("code", {}, JSON.stringify(entry.data))],
      entry.status !== undefined && ["Answer", `${entry.status}`],
      entry.path && ["Refused at", h("code.bad", {}, entry.path)],
      entry.message && ["Because", entry.message],
      entry.agent && ["From", entry.agent],
      entry.client && ["SDK", entry.client],
    ].filter(Boolean);
    return h("table", {}, h("tbody", {}, lines.map(([name, value]) => h("tr", {}, h("th", { scope: "row" }, name), h("td", {}, value)))));
  }

  async drawTab() {
    if (this.tab === "stream") return;
    const place = this.body.firstElementChild;
    const { tab } = this;
    try {
      if (tab === "sums") {
        this.page.totals ??= await ask(this.page.at(["totals"]));
        if (this.tab === tab) refill(place, this.sums(this.page.totals));
      } else {
        const found = await ask(this.page.at(["clients"]));
        if (this.tab === tab) refill(place, this.sdks(found));
      }
    } catch (error) {
      this.page.fail(error);
    }
  }

  sums(totals) {
    const figures = [["Requests", totals.requests], ["Events received", totals.received], ["Recorded", totals.recorded], ["Refused", totals.refused, totals.refused ? "bad" : ""], ["Visitors", totals.visitors], ["Orders", totals.transaction_ids]];
    return [
      figureRow(figures),
      !totals.experiences.length && h("p.empty", {}, "No exposure has come yet."),
      totals.experiences.map((each) => this.sum(each)),
    ];
  }

  sum(experience) {
    const { variations, exposures } = experience;
    const goals = new Map();
    for (const each of variations) for (const goal of each.goals) goals.set(goal.id, goal);
    const title = experience.key ? h("a", { href: writeRoute("project", ["experiences", experience.key]) }, experience.name || experience.key) : `experience ${experience.id}, which the document does not have`;
    const shares = variations.map((each) => ({ ...each, key: each.key ?? each.id, percent: exposures ? (100 * each.exposures) / exposures : 0 }));
    return h(
      "div.card",
      {},
      h("div.card-head", {}, h("h2", {}, title), h("span.dim.number", {}, counted(exposures, "exposure")), h("span.right", {}, ratioVerdict(experience, "sample ratio"))),
      trafficBar(shares),
      h("ul.legend.number.spaced-little", {}, shares.map((each, index) => h("li", {}, dot(index), `${each.name || each.key} `, h("b", {}, each.exposures.toLocaleString("en")), h("span.dim", {}, percent(each.percent / 100))))),
      goals.size ? h("div.scroll", { tabindex: 0 }, this.goals(variations, goals)) : h("p.hint.spaced-little", {}, "No conversion yet."),
    );
  }

  goals(variations, goals) {
    const none = { conversions: 0, revenue: "0", rate: 0, rate_interval: null, uplift: null };
    const row = (each, index, id) => {
      const goal = each.goals.find((one) => one.id === id) ?? none;
      return h(
        "tr",
        {},
        index === 0 && h("th", { scope: "rowgroup", rowspan: variations.length }, goals.get(id).name || goals.get(id).key || id),
        h("td", {}, h("span.arm", {}, dot(index), each.name || each.key || each.id)),
        h("td.n", {}, goal.conversions.toLocaleString("en")),
        h("td.n", {}, goal.rate_interval ? [percent(goal.rate), h("span.dim", {}, ` (${goal.rate_interval.map((one) => percent(one)).join(" to ")})`)] : "–"),
        h("td", {}, goal.uplift ? h("div.uplift", {}, h("span.number", {}, `${goal.uplift.rate > 0 ? "+" : ""}${percent(goal.uplift.rate)}`), intervalBar(goal.uplift.rate, goal.uplift.rate_interval, [-1, 1])) : h("span.dim", {}, "–")),
        h("td.n", {}, Number(goal.revenue) ? Number(goal.revenue).toLocaleString("en", { minimumFractionDigits: 2, maximumFractionDigits: 2 }) : "–"),
      );
    };
    const heads = [["Goal"], ["Variation"], ["Conversions", "n"], ["Of those who saw it", "n"], ["Uplift"], ["Revenue", "n"]];
    return h(
      "table.goals",
      {},
      h("thead", {}, h("tr", {}, heads.map(([words, name]) => h("th", { scope: "col", class: name }, words)))),
      [...goals.keys()].map((id) => h("tbody", {}, variations.map((each, index) => row(each, index, id)))),
    );
  }

  sdks({ clients, totals }) {
    const tone = { equal: "good", in_flight: "accent", different: "bad" };
    if (!clients.length) {
      return h(
        "div.card",
        {},
        h("h2", {}, "No SDK says anything of itself"),
        h("p.dim", {}, "Give a client the address, and what it counts stands here beside what this server counted:"),
        h("pre.wire", {}, `Client(…, status_url="${this.page.endpoint}/_status/${this.page.place}")`),
      );
    }
    const heads = [["SDK"], ["Process"], ["Offered", "n"], ["Sent", "n"], ["Pending", "n"], ["In flight", "n"], ["Dropped", "n"], ["Received here", "n"], ["Difference"]];
    const row = (each) =>
      h(
        "tr",
        {},
        h("th", { scope: "row" }, `${each.language} ${each.version}`, h("div.hint", {}, each.gone ? "gone" : `heard at ${time(each.seen_at)}`)),
        h("td", {}, `${each.pid}`, h("div.hint", {}, each.host)),
        ["offered", "sent", "pending", "in_flight", "dropped"].map((name) => h("td.n", {}, each[name].toLocaleString("en"))),
        h("td.n", {}, each.received.toLocaleString("en")),
        h("td", {}, h("span.chip", { class: tone[each.verdict] }, each.words)),
      );
    return [
      h("div.note", { class: { equal: "good", different: "bad" }[totals.verdict] ?? "", role: "status" }, h("b", {}, totals.words), ` · SDKs sent ${totals.sent.toLocaleString("en")}, this server received ${totals.received.toLocaleString("en")}`),
      h("div.card.spaced", {}, h("div.scroll", { tabindex: 0 }, h("table", {}, h("thead", {}, h("tr", {}, heads.map(([words, name]) => h("th", { scope: "col", class: name }, words)))), h("tbody", {}, clients.map(row))))),
    ];
  }
}

function figureRow(figures) {
  return h("dl.figures", {}, figures.map(([name, value, tone = ""]) => h("div", {}, h("dt", {}, name), h("dd.number", { class: tone }, value.toLocaleString("en")))));
}

/** The address that asks about the visitor of an event, with what the event says of them. */
function why(entry, experience) {
  const segments = (entry.segments?.customSegments ?? []).map(String);
  return visitorRoute({ visitor_id: entry.visitor, attributes: {}, location: {}, state: {}, segments, instead: [] }, experience);
}

/** One entry of the stream in a line. */
function what(entry) {
  const gone = (id) => h("span.dim", {}, `unknown ${id}`);
  switch (entry.kind) {
    case "exposure":
      return [h("b", {}, entry.visitor), h("span.dim", {}, " saw "), entry.variation ?? gone(entry.variation_id), h("span.dim", {}, " of "), entry.experience ?? gone(entry.experience_id)];
    case "conversion": {
      const { amount, transactionId } = entry.data ?? {};
      return [h("b", {}, entry.visitor), h("span.dim", {}, " reached "), entry.goal ?? gone(entry.goal_id), amount !== undefined && h("span.number", {}, ` ${amount}`), transactionId !== undefined && h("span.dim", {}, ` ${transactionId}`)];
    }
    case "track":
      return [`${entry.status}`, h("span.dim", {}, ` ${counted(entry.events, "event")} of ${counted(entry.visitors, "visitor")}, ${counted(entry.bytes, "byte")}`)];
    case "config":
      return [`${entry.status}`, h("span.dim", {}, ` ${entry.environment ?? "every environment"}${entry.bytes ? `, ${counted(entry.bytes, "byte")}` : ", nothing new"}`)];
    default:
      return [`${entry.status} `, h("span.bad", {}, entry.message ?? ""), entry.path && h("code.dim", {}, ` ${entry.path}`)];
  }
}

const clock = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit", second: "2-digit", fractionalSecondDigits: 3 });

function time(at) {
  return clock.format(at * 1000);
}

/** The body of a request, with the visitor marked. */
function wire(text, visitor) {
  const shown = pretty(text);
  const wanted = visitor === undefined ? "" : `"visitorId": ${JSON.stringify(visitor)}`;
  const place = wanted ? shown.indexOf(wanted) : -1;
  if (place < 0) return h("pre.wire", { tabindex: 0 }, shown);
  return h("pre.wire", { tabindex: 0 }, shown.slice(0, place), h("mark", {}, wanted), shown.slice(place + wanted.length));
}

function pretty(text) {
  try {
    return JSON.stringify(JSON.parse(text), null, 2);
  } catch {
    return text;
  }
}

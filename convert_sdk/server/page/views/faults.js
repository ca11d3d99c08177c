import { ask, token } from "../parts/api.js";
import { counted, fill, freshId, h } from "../parts/dom.js";

const SIDES = { config: ["Configuration", "GET /config, /project-settings"], track: ["Tracking", "POST /track"] };
const NAMES = {
  latency: ["Slow", "every answer waits"],
  error: ["Server error", "answers this status"],
  too_many: ["Too many requests", "429 with Retry-After"],
  truncated: ["Truncated", "the JSON ends in the middle"],
  garbage: ["Garbage", "200, and bytes that are no JSON"],
  hang: ["Hangs", "accepts, and never answers"],
  redirect: ["Redirect", "302 to another path"],
  etag: ["Odd ETag", "another one each time"],
  clock_skew: ["Clock skew", "dates of headers are off"],
};

/** The view of faults: what the server does wrong on purpose. */
export function open(page) {
  return new FaultsView(page);
}

class FaultsView {
  constructor(page) {
    this.page = page;
    this.rows = new Map();
    this.onFaults = ({ detail }) => this.update(detail);
    this.sides = h("div.sides");
    const reset = h("button", { type: "button", onclick: () => this.reset() }, "All off, counters to 0");
    this.element = h(
      "div.view",
      {},
      h("div.head", {}, h("h1", {}, "Faults"), h("p", {}, "See what your application does while the API is down, slow or wrong."), h("span.right", {}, reset)),
      this.sides,
      h(
        "div.card.spaced",
        {},
        h("div.card-head", {}, h("h2", {}, "By API"), h("span.right", {}, h("button.small", { type: "button", onclick: () => this.copy() }, "Copy"))),
        h("p.hint", {}, "The token is new with each start of the server: it stands in the page."),
        h("pre.wire", { tabindex: 0 }, `TOKEN=$(curl -s -H 'Accept: text/html' ${page.endpoint}/ | sed -n 's/.*convert-page-token" content="\\([^"]*\\).*/\\1/p')\n${this.command('"Convert-Page-Token: $TOKEN"')}`),
      ),
    );
  }

  /** A command that switches a fault on. */
  command(header) {
    return `curl -X PUT ${this.page.endpoint}/_api/faults -H ${header} -H 'Content-Type: application/json' \\\n  -d '{"track": {"error": {"on": true, "value": 503, "left": 10}}}'`;
  }

  async copy() {
    try {
      await navigator.clipboard.writeText(this.command(`'Convert-Page-Token: ${token}'`));
      this.page.toast("Copied, with the token.");
    } catch {
      this.page.toast("The browser does not let this page copy: take the text below.");
    }
  }

  connected() {
    this.page.live.addEventListener("faults", this.onFaults);
  }

  close() {
    this.page.live?.removeEventListener("faults", this.onFaults);
  }

  async show() {
    this.update(await ask("/_api/faults"));
  }

  update(faults) {
    if (!this.rows.size) this.make(faults);
    for (const [side, list] of Object.entries(faults)) for (const fault of list) this.rows.get(`${side} ${fault.kind}`)?.(fault);
  }

  make(faults) {
    fill(
      this.sides,
      Object.entries(SIDES).map(([side, [name, what]]) => h("section.card", { "aria-label": name }, h("div.card-head", {}, h("h2", {}, name), h("code.dim", {}, what)), h("ul.faults", {}, faults[side].map((fault) => this.row(side, fault))))),
    );
  }

  row(side, fault) {
    const [name, what] = NAMES[fault.kind] ?? [fault.kind, ""];
    const id = freshId("fault");
    const toggle = h("input.switch", { type: "checkbox", role: "switch", id, onchange: () => change({ on: toggle.checked }) });
    const change = (changes) => this.change(side, fault.kind, changes);
    const isText = typeof fault.value === "string";
    const hasValue = fault.value !== null && fault.value !== undefined;
    const value = hasValue && h("input", { type: isText ? "text" : "number", step: "any", "aria-label": `${name}: ${fault.unit || "value"}`, onchange: () => change({ value: isText ? value.value : Number(value.value) }) });
    const share = h("input", { type: "number", min: 0, max: 100, step: "any", "aria-label": `${name}: of the requests, per cent`, onchange: () => change({ share: Number(share.value) / 100 }) });
    const left = h("input", { type: "number", min: 1, step: 1, placeholder: "all", "aria-label": `${name}: for how many requests`, onchange: () => change({ left: left.value === "" ? null : Number(left.value) }) });
    const hits = h("span.chip.number");
    const row = h(
      "li.fault",
      {},
      toggle,
      h("div.fault-name", {}, h("label", { for: id }, name), h("span.hint", {}, what)),
      hits,
      h("div.fault-how", {}, hasValue && h("span.unit", {}, value, fault.unit), h("span.unit", {}, share, "% of requests"), h("span.unit", {}, "next", left)),
    );
    this.rows.set(`${side} ${fault.kind}`, (now) => {
      toggle.checked = now.on;
      row.classList.toggle("on", now.on);
      put(value, now.value);
      put(share, Math.round(1000 * now.share) / 10);
      put(left, now.left ?? "");
      hits.textContent = counted(now.hits, "time");
      hits.hidden = !now.hits && !now.on;
      hits.classList.toggle("bad", now.hits > 0);
    });
    return row;
  }

  async change(side, kind, changes) {
    await this.tell(() => ask("/_api/faults", { method: "PUT", body: { [side]: { [kind]: changes } }, changes: true }));
  }

  async reset() {
    await this.tell(() => ask("/_api/faults/reset", { method: "POST", body: {}, changes: true }));
  }

  async tell(request) {
    try {
      const faults = await request();
      this.update(faults);
      this.page.showFaults(faults);
    } catch (error) {
      this.page.fail(error);
      await this.show();
    }
  }
}

function put(input, value) {
  if (input && document.activeElement !== input) input.value = value;
}

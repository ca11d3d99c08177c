/** The page: its frame, which view is shown, and what all of them know. */

import { address, ask } from "./parts/api.js";
import { fill, h } from "./parts/dom.js";
import { Live } from "./parts/live.js";
import { readRoute, writeRoute } from "./parts/route.js";

const VIEWS = {
  project: () => import("./views/project.js"),
  visitor: () => import("./views/visitor.js"),
  traffic: () => import("./views/traffic.js"),
  events: () => import("./views/events.js"),
  edit: () => import("./views/edit.js"),
  faults: () => import("./views/faults.js"),
};
const main = document.getElementById("main");

/** What every view is given. */
class Page {
  constructor() {
    this.place = "";
    this.projects = [];
    this.endpoint = "";
    this.project = null;
    this.live = null;
    this.totals = null;
    this.faults = null;
    this.shown = null; // { name, view }
  }

  async begin() {
    const { projects, endpoint } = await ask("/_api/projects");
    this.projects = projects;
    this.endpoint = endpoint;
    const wanted = sessionStorage.getItem("place");
    const project = projects.find((each) => each.place === wanted) ?? projects[0];
    if (project === undefined) {
      fill(main, h("p.empty", {}, "No project is served."));
      return;
    }
    this.place = project.place;
    this.offerProjects();
    const known = this.know();
    addEventListener("hashchange", () => this.show().catch((error) => this.fail(error)));
    await this.show();
    await known;
    this.listen();
  }

  /** The address of something of the project. */
  at(parts, parameters) {
    return address(this.place, parts, parameters);
  }

  /** Say something to people who do not see the page. */
  say(words) {
    document.getElementById("said").textContent = words;
  }

  /** Show a short message for a while. */
  toast(words) {
    document.querySelector(".toast")?.remove();
    const toast = h("div.toast", { role: "status" }, words);
    document.body.append(toast);
    setTimeout(() => toast.remove(), 5000);
  }

  /** Say that something failed. */
  fail(error) {
    this.toast(error.message);
  }

  offerProjects() {
    if (this.projects.length < 2) return;
    const choose = h(
      "select",
      {
        "aria-label": "Project",
        onchange: () => {
          sessionStorage.setItem("place", choose.value);
          location.reload();
        },
      },
      this.projects.map((each) => h("option", { value: each.place, selected: each.place === this.place }, `${each.name ?? "unnamed"} (${each.place})`)),
    );
    document.getElementById("projects").append(choose);
  }

  async know() {
    this.project = await ask(this.at([]));
    const { name, revision, size } = this.project;
    document.getElementById("project-name").textContent = name || this.place;
    document.title = `${name || this.place} · local Serving API`;
    document.getElementById("served").textContent = `revision ${revision.slice(0, 12)} · ${(size / 1024).toFixed(0)} KB`;
    this.shown?.view.known?.();
  }

  listen() {
    const live = (this.live = new Live(this.place));
    live.addEventListener("connection", ({ detail }) => {
      const alive = document.getElementById("alive");
      alive.textContent = detail ? "live" : "not connected";
      alive.classList.toggle("on", detail);
    });
    live.addEventListener("revision", async ({ detail }) => {
      if (detail.flaw) this.toast(`The file cannot be served: ${detail.flaw}. The last good document still is.`);
      if (detail.revision === this.project.revision) return;
      await this.know();
      this.shown?.view.revised?.();
      const by = { file: "the file changed", page: "edited here", start: "the server started again", undo: "taken back", program: "the program gave it" }[detail.by] ?? detail.by;
      this.toast(`Another document is served: ${by}.`);
    });
    live.addEventListener("totals", ({ detail }) => {
      this.totals = detail;
      document.getElementById("received").textContent = detail.received ? detail.received.toLocaleString("en") : "";
    });
    live.addEventListener("faults", ({ detail }) => this.showFaults(detail));
    ask(this.at(["totals"])).then((totals) => live.hear("totals", totals)).catch(() => {});
    ask("/_api/faults").then((faults) => live.hear("faults", faults)).catch(() => {});
    this.shown?.view.connected?.();
  }

  showFaults(faults) {
    this.faults = faults;
    const on = [...faults.config, ...faults.track].filter((each) => each.on).length;
    const badge = document.getElementById("faults-on");
    badge.textContent = on ? `${on} on` : "";
    badge.classList.toggle("lit", on > 0);
  }

  async show() {
    const route = readRoute();
    const name = route.view in VIEWS ? route.view : "project";
    for (const link of document.querySelectorAll("[data-view]")) {
      if (link.dataset.view === name) link.setAttribute("aria-current", "page");
      else link.removeAttribute("aria-current");
    }
    if (this.shown?.name !== name) {
      const module = await VIEWS[name]();
      if ((readRoute().view in VIEWS ? readRoute().view : "project") !== name) return; // another was asked for meanwhile
      this.shown?.view.close?.();
      const view = module.open(this);
      this.shown = { name, view };
      main.className = view.isFixed ? "fixed" : "";
      fill(main, view.element);
      main.scrollTop = 0;
      if (this.live) view.connected?.();
    }
    await this.shown.view.show(route);
  }
}

const page = new Page();

document.getElementById("ask").addEventListener("submit", (event) => {
  event.preventDefault();
  const visitor = document.getElementById("ask-visitor").value.trim();
  if (visitor) location.hash = writeRoute("visitor", [], { visitor });
});
document.querySelector(".skip").addEventListener("click", (event) => {
  event.preventDefault();
  main.focus();
});

page.begin().catch((error) => fill(main, h("p.note.bad", { role: "alert" }, error.message)));

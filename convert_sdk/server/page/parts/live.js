/**
 * What the server tells by itself, on one connection: a browser allows six to one server, in all its tabs together.
 * A tab that nobody sees holds none.
 *
 * It dispatches `rows`, `totals`, `revision`, `faults` (their `detail` is what the server sent) and `connection`.
 */
export class Live extends EventTarget {
  constructor(place) {
    super();
    this.place = place;
    this.filters = { kind: "refused" };
    this.seq = null;
    this.source = null;
    this.isConnected = false;
    document.addEventListener("visibilitychange", () => (document.hidden ? this.close() : this.open()));
    if (!document.hidden) this.open();
  }

  /** Ask for other rows, those since `seq` where it is given. */
  want(filters, seq = null) {
    this.filters = filters;
    this.seq = seq;
    this.close();
    if (!document.hidden) this.open();
  }

  open() {
    if (this.source !== null) return;
    const parameters = new URLSearchParams(Object.entries(this.filters).filter(([, value]) => value));
    if (this.seq !== null) parameters.set("since", this.seq);
    const source = (this.source = new EventSource(`/_api/projects/${this.place}/stream?${parameters}`));
    for (const kind of ["rows", "totals", "revision", "faults"]) {
      source.addEventListener(kind, (event) => this.hear(kind, JSON.parse(event.data)));
    }
    source.addEventListener("open", () => this.tell(true));
    source.addEventListener("error", () => this.tell(false));
  }

  hear(kind, detail) {
    if (kind === "rows") this.seq = detail.seq;
    this.dispatchEvent(new CustomEvent(kind, { detail }));
  }

  tell(isConnected) {
    this.isConnected = isConnected;
    this.dispatchEvent(new CustomEvent("connection", { detail: isConnected }));
  }

  close() {
    this.source?.close();
    this.source = null;
    this.tell(false);
  }
}

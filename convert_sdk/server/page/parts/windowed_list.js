import { h, refill } from "./dom.js";

const SPARE = 6; // rows beyond the edges, so that a quick scroll shows no gap

/**
 * A list that only makes the rows that are in sight, however long it is. All rows are equally high.
 *
 * Arrow keys, Page Up, Page Down, Home and End move between what can have the focus in its rows.
 */
export class WindowedList {
  constructor({ label, rowHeight, makeRow, keyOf = (_, index) => index, placeOf = (key) => key }) {
    this.items = [];
    this.rowHeight = rowHeight;
    this.makeRow = makeRow;
    this.keyOf = keyOf;
    this.placeOf = placeOf; // of a key: a row that has the focus is kept out of sight, too
    this.rows = new Map(); // by key
    this.inner = h("ul.windowed-rows", { "aria-label": label });
    this.element = h("div.windowed", { onscroll: () => this.draw(), onkeydown: (event) => this.move(event) }, this.inner);
    this.element.style.setProperty("--row", `${rowHeight}px`);
    this.watcher = new ResizeObserver(() => this.draw());
    this.watcher.observe(this.element);
  }

  /** Show other items (an array, or what has `length` and `at`); what has the same key keeps its row, unless all shall be made anew. */
  show(items, { anew = false } = {}) {
    this.items = items;
    if (anew) this.remake();
    this.inner.style.setProperty("height", `${items.length * this.rowHeight}px`);
    this.draw();
  }

  /** Make anew what the rows hold; who is in one of them stays there. */
  remake() {
    for (const [key, row] of this.rows) {
      const isThere = row.place < this.items.length && this.keyOf(this.items.at(row.place), row.place) === key;
      if (isThere) renew(row, this.makeRow(this.items.at(row.place), row.place));
      else {
        row.remove();
        this.rows.delete(key);
      }
    }
  }

  /** The list is no longer shown. */
  end() {
    this.watcher.disconnect();
  }

  draw() {
    const { scrollTop, clientHeight } = this.element;
    const first = Math.max(0, Math.floor(scrollTop / this.rowHeight) - SPARE);
    const last = Math.min(this.items.length, Math.ceil((scrollTop + clientHeight) / this.rowHeight) + SPARE);
    const wanted = new Map();
    for (let index = first; index < last; index++) wanted.set(this.keyOf(this.items.at(index), index), index);
    for (const [key, row] of this.rows) {
      if (wanted.has(key)) continue;
      if (row.contains(document.activeElement)) {
        this.put(row, this.placeOf(key));
        continue;
      }
      row.remove();
      this.rows.delete(key);
    }
    const added = [];
    for (const [key, index] of wanted) {
      let row = this.rows.get(key);
      if (row === undefined) {
        row = h("li", {}, this.makeRow(this.items.at(index), index));
        this.rows.set(key, row);
        added.push(row);
      }
      this.put(row, index);
      if (row.whole !== this.items.length) {
        row.whole = this.items.length;
        row.setAttribute("aria-setsize", this.items.length);
      }
    }
    for (const row of added) this.inner.insertBefore(row, this.follower(row));
  }

  /** The row that comes after another one: Tab and screen readers go by the order of the elements. */
  follower(row) {
    for (const each of this.inner.children) if (each.place > row.place) return each;
    return null;
  }

  put(row, index) {
    if (row.place === index) return;
    row.place = index;
    row.style.setProperty("transform", `translateY(${index * this.rowHeight}px)`);
    row.setAttribute("aria-posinset", index + 1);
  }

  move(event) {
    const page = Math.max(1, Math.floor(this.element.clientHeight / this.rowHeight) - 1);
    const steps = { ArrowDown: 1, ArrowUp: -1, PageDown: page, PageUp: -page, Home: -Infinity, End: Infinity };
    const row = event.target.closest("li");
    if (!(event.key in steps) || row === null || event.target.matches("input, select, textarea")) return;
    event.preventDefault();
    this.focus(Math.min(this.items.length - 1, Math.max(0, row.place + steps[event.key])));
  }

  /** Bring a row into sight and give it the focus. */
  focus(index) {
    this.reveal(index);
    for (const row of this.rows.values()) {
      if (row.place === index) focusIn(row);
    }
  }

  reveal(index) {
    const top = index * this.rowHeight;
    const { scrollTop, clientHeight } = this.element;
    if (top < scrollTop) this.element.scrollTop = top;
    else if (top + this.rowHeight > scrollTop + clientHeight) this.element.scrollTop = top + this.rowHeight - clientHeight;
    this.draw();
  }
}

/** Put other content into a row. A link stays: it may have the focus, or the button of a mouse may be down on it. */
function renew(row, made) {
  const link = row.firstElementChild;
  if (link.tagName !== "A" || made.tagName !== "A") {
    refill(row, made);
    return;
  }
  for (const name of link.getAttributeNames()) if (!made.hasAttribute(name)) link.removeAttribute(name);
  for (const name of made.getAttributeNames()) link.setAttribute(name, made.getAttribute(name));
  link.replaceChildren(...made.childNodes);
}

function focusIn(row) {
  row.querySelector("a, button")?.focus({ preventScroll: true });
}

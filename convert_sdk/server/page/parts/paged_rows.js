import { ask, isAborted } from "./api.js";

const PAGE = 100;

/**
 * The rows of a section of the project, fetched a page at a time when they come into sight.
 *
 * `rows` has a place for every row that matches; `undefined` where it is not there yet.
 */
export class PagedRows {
  constructor(addressOf, changed) {
    this.addressOf = addressOf;
    this.changed = changed;
    this.rows = [];
    this.asked = new Set();
    this.controller = new AbortController();
  }

  /** Fetch the first page; the number of rows is known then. */
  async begin() {
    await this.fetch(0);
  }

  /** Have this row fetched. */
  need(index) {
    const page = Math.floor(index / PAGE);
    if (!this.asked.has(page)) this.fetch(page);
  }

  /** Fetch again what is here: the server knows more of it by now. */
  again() {
    for (const page of this.asked) this.fetch(page);
  }

  end() {
    this.controller.abort();
  }

  async fetch(page) {
    this.asked.add(page);
    try {
      const { signal } = this.controller;
      const answer = await ask(this.addressOf({ offset: page * PAGE, limit: PAGE }), { signal });
      if (this.rows.length !== answer.matched) this.rows.length = answer.matched;
      answer.items.forEach((item, each) => (this.rows[page * PAGE + each] = item));
      this.changed(this.rows, answer);
    } catch (error) {
      this.asked.delete(page);
      if (!isAborted(error)) throw error;
    }
  }
}

/** The newest rows of a stream, as many as are kept; the newest is the first. */
export class EventRows {
  constructor(most = 5000) {
    this.most = most;
    this.rows = []; // the newest last: rows are put in at the end, and those that are too old are cut off many at once
  }

  get length() {
    return Math.min(this.rows.length, this.most);
  }

  at(index) {
    return this.rows[this.rows.length - 1 - index];
  }

  /** The place of the row with a number; behind the last one where it is gone. */
  placeOf(seq) {
    let [first, last] = [0, this.rows.length]; // in the order of their numbers
    while (first < last) {
      const middle = (first + last) >> 1;
      if (this.rows[middle].seq < seq) first = middle + 1;
      else last = middle;
    }
    return this.rows[first]?.seq === seq ? this.rows.length - 1 - first : this.length;
  }

  /** Take in rows, the oldest first; those that are here already are left out. */
  add(rows) {
    const newest = this.rows.at(-1)?.seq ?? -1;
    for (const row of rows) if (row.seq > newest) this.rows.push(row);
    if (this.rows.length > 2 * this.most) this.rows.splice(0, this.rows.length - this.most);
  }

  clear() {
    this.rows = [];
  }
}

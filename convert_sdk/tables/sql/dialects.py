"""The words of each engine: quoting, text, 32-bit arithmetic, and an expression that fails a query.

Theory of operation. MurmurHash3 is folded over the words of the text by the engine's own list functions, where it has
them, and by a function in a procedural language otherwise. Integers of 64 bits hold every step: a product of two 32-bit
numbers is taken in a wider type and cut; a rotation by r is a product with 2**r modulo 2**32 - 1, which names its
operand once. Spark's and DuckDB's own hash functions are other ones.
"""

from __future__ import annotations

from typing import NamedTuple

_M = 4_294_967_296
_FOLD_FACTORS = "CASE {i} WHEN 1 THEN 2246822507 WHEN 2 THEN 3266489909 ELSE 1 END"
_FOLD_SHIFTS = "CASE {i} WHEN 2 THEN 13 ELSE 16 END"
_JAVASCRIPT = """
  let bytes = [];
  for (const symbol of t) {
    const c = symbol.codePointAt(0);
    if (c < 0x80) bytes.push(c);
    else if (c < 0x800) bytes.push(0xc0 | c >> 6, 0x80 | c & 63);
    else if (c < 0x10000) bytes.push(0xe0 | c >> 12, 0x80 | c >> 6 & 63, 0x80 | c & 63);
    else bytes.push(0xf0 | c >> 18, 0x80 | c >> 12 & 63, 0x80 | c >> 6 & 63, 0x80 | c & 63);
  }
  const mixed = (k) => { k = Math.imul(k, 0xcc9e2d51); return Math.imul(k << 15 | k >>> 17, 0x1b873593); };
  let h = SEED | 0, k = 0;
  for (let i = 0; i < bytes.length; i++) {
    k |= bytes[i] << 8 * (i & 3);
    if ((i & 3) == 3) { h ^= mixed(k); h = Math.imul(h << 13 | h >>> 19, 5) + 0xe6546b64 | 0; k = 0; }
  }
  h ^= mixed(k);
  h ^= bytes.length;
  h = Math.imul(h ^ h >>> 16, 0x85ebca6b);
  h = Math.imul(h ^ h >>> 13, 0xc2b2ae35);
  return (h ^ h >>> 16) >>> 0;
"""


class Dialect(NamedTuple):
    """One engine."""

    name: str
    quote: str
    text: str
    double: str
    whole: str
    backslashes: bool
    """True if a backslash in a literal stands for something else."""
    run: bool
    """True if our tests run it; a script for another one says at its top that they do not."""

    def column(self, name: str) -> str:
        """A name."""
        return self.quote + name.replace(self.quote, self.quote * 2) + self.quote

    def literal(self, text: str) -> str:
        """A text."""
        if self.backslashes:
            return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"
        return "'" + text.replace("'", "''") + "'"

    def number(self, value: float) -> str:
        """A double."""
        return f"CAST('{value!r}' AS {self.double})"

    def as_text(self, expression: str) -> str:
        """The text of a whole number."""
        return f"CAST({expression} AS {self.text})"

    def contains(self, text: str, part: str) -> str:
        """True if a text holds another one."""
        position = {"spark": "instr", "duckdb": "strpos"}.get(self.name, "strpos")
        return f"{position}({text}, {part}) > 0"

    def any_part_in(self, text: str, items: list[str]) -> str:
        """True if any part between upright bars is one of the items."""
        listed = ", ".join(items)
        if self.name == "duckdb":
            return f"list_has_any(string_split({text}, '|'), [{listed}])"
        if self.name == "postgres":
            return f"(string_to_array({text}, '|') && ARRAY[{listed}]::text[])"
        return f"arrays_overlap(split({text}, '[|]'), array({listed}))"

    def functions(self, seed: int) -> str:
        """The definitions that come first."""
        name = self.name
        if name == "duckdb":
            return f"CREATE OR REPLACE MACRO convert_murmur3(t) AS {self._folded('t', seed)};"
        if name == "postgres":
            return _postgres(seed)
        script = _JAVASCRIPT.replace("SEED", str(seed))
        if name == "bigquery":
            return (
                "CREATE OR REPLACE FUNCTION convert.murmur3(t STRING) RETURNS FLOAT64 LANGUAGE js AS "
                f'r"""{script}""";'
            )
        if name == "snowflake":
            return (
                "CREATE OR REPLACE FUNCTION convert_murmur3(T VARCHAR) RETURNS DOUBLE LANGUAGE JAVASCRIPT IMMUTABLE AS "
                f"$$ const t = T;{script}$$;"
            )
        return ""

    def hash(self, text: str, seed: int) -> str:
        """The hash of a text."""
        if self.name == "spark":
            return self._folded(text, seed)
        if self.name == "bigquery":
            return f"CAST(convert.murmur3({text}) AS INT64)"
        if self.name == "snowflake":
            return f"CAST(convert_murmur3({text}) AS NUMBER(20, 0))"
        return f"convert_murmur3({text})"

    def bucket_value(self, hashed: str, traffic: int) -> str:
        """The bucket value of a hash: a product of at most 53 bits, divided by a power of two and cut."""
        if self.name == "bigquery":
            return f"DIV({hashed} * {traffic}, {_M})"
        if self.name == "snowflake":
            return f"CAST(FLOOR({hashed} * {traffic} / {_M}) AS NUMBER(20, 0))"
        if self.name == "spark":
            return f"CAST({hashed} * {traffic} DIV {_M} AS INT)"
        if self.name == "duckdb":
            return f"CAST({hashed} * {traffic} // {_M} AS INTEGER)"
        return f"CAST({hashed} * {traffic} / {_M} AS integer)"

    def failing(self, condition: str) -> str:
        """An expression that fails the query where a condition does not hold."""
        told = self.literal(
            "the self-check failed: this engine does not hash as the SDK does, use none of its results"
        )
        fails = {
            "duckdb": f"error({told})",
            "spark": f"raise_error({told})",
            "postgres": f"convert_fail({told})",
            "bigquery": f"ERROR({told})",
            "snowflake": "CAST(1 / 0 AS VARCHAR)",  # it has no function that fails
        }[self.name]
        return f"CASE WHEN {condition} THEN 'ok' ELSE {fails} END"

    def _folded(self, text: str, seed: int) -> str:
        """The hash as one expression over lists."""
        duckdb = self.name == "duckdb"

        def let(name: str, value: str, body: str) -> str:
            if duckdb:
                return f"list_transform([{value}], lambda {name}: {body})[1]"
            return f"element_at(transform(array({value}), {name} -> {body}), 1)"

        def fold(items: str, first: str, state: str, item: str, body: str) -> str:
            if duckdb:
                return f"list_reduce({items}, lambda {state}, {item}: {body}, {first})"
            return f"aggregate({items}, {first}, ({state}, {item}) -> {body})"

        def times(value: str, factor: str) -> str:
            if duckdb:
                return f"CAST((CAST({value} AS HUGEINT) * ({factor})) % {_M} AS BIGINT)"
            wide = f"CAST({value} AS DECIMAL(10, 0)) * CAST({factor} AS DECIMAL(10, 0))"
            return f"CAST(CAST({wide} AS DECIMAL(21, 0)) % {_M} AS BIGINT)"

        def rotated(value: str, by: int) -> str:
            return f"(({value} * {1 << by} - 1) % {_M - 1} + 1)"

        def xor(one: str, other: str) -> str:
            return f"xor({one}, {other})" if duckdb else f"({one} ^ {other})"

        def word(number: str) -> str:
            digits = [f"substr(hx, 8 * {number} + {place}, 2)" for place in (7, 5, 3, 1)]
            joined = f"concat({', '.join(digits)})"
            return (
                f"CAST(concat('0x', {joined}) AS BIGINT)"
                if duckdb
                else f"CAST(conv({joined}, 16, 10) AS BIGINT)"
            )

        def mixed(value: str) -> str:
            return times(rotated(times(value, "3432918353"), 15), "461845907")

        digits = f"hex(encode({text}))" if duckdb else f"hex(encode({text}, 'UTF-8'))"
        size = "octet_length(encode({0}))" if duckdb else "octet_length({0})"
        count = size.format(text)
        # The words are mixed before they are folded: what a fold captures is misplaced by some versions of DuckDB.
        words = (
            f"list_transform(range(0, w), lambda j: {mixed(word('j'))})"
            if duckdb
            else f"transform(filter(sequence(0, w), j -> j < w), j -> {mixed(word('j'))})"
        )
        step = f"({rotated(xor('h', 'k'), 13)} * 5 + 3864292196) % {_M}"
        state = fold(words, f"CAST({seed} AS BIGINT)", "h", "k", step)
        before = xor(xor(state, mixed(word("w"))), "n")
        last = fold(
            "[1, 2, 3]" if duckdb else "array(1, 2, 3)",
            before,
            "h",
            "i",
            times(xor("h", self._shifted("h", _FOLD_SHIFTS.format(i="i"))), _FOLD_FACTORS.format(i="i")),
        )
        padded = f"rpad({digits}, CAST(8 * w + 8 AS INT), '0')"
        whole = "CAST(n // 4 AS BIGINT)" if duckdb else "CAST(n DIV 4 AS BIGINT)"
        return let("n", f"CAST({count} AS BIGINT)", let("w", whole, let("hx", padded, last)))

    def _shifted(self, value: str, by: str) -> str:
        return f"({value} >> ({by}))" if self.name == "duckdb" else f"shiftright({value}, {by})"


def _postgres(seed: int) -> str:
    return f"""CREATE OR REPLACE FUNCTION convert_murmur3(t text) RETURNS bigint LANGUAGE plpgsql IMMUTABLE STRICT AS $$
DECLARE
  b bytea := convert_to(t, 'UTF8');
  n int := length(b);
  h bigint := {seed};
  k bigint := 0;
  m CONSTANT bigint := 4294967295;
BEGIN
  FOR i IN 0 .. n - 1 LOOP
    k := k | (get_byte(b, i)::bigint << (8 * (i & 3)));
    IF (i & 3) = 3 OR i = n - 1 THEN
      k := (k * 11601 + (((k * 52382) & 65535) << 16)) & m;
      k := ((k << 15) | (k >> 17)) & m;
      k := (k * 13715 + (((k * 7047) & 65535) << 16)) & m;
      h := h # k;
      IF (i & 3) = 3 THEN
        h := ((h << 13) | (h >> 19)) & m;
        h := (h * 5 + 3864292196) & m;
      END IF;
      k := 0;
    END IF;
  END LOOP;
  h := h # n;
  h := h # (h >> 16);
  h := (h * 51819 + (((h * 34283) & 65535) << 16)) & m;
  h := h # (h >> 13);
  h := (h * 44597 + (((h * 49842) & 65535) << 16)) & m;
  RETURN h # (h >> 16);
END $$;

CREATE OR REPLACE FUNCTION convert_fail(told text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN RAISE EXCEPTION '%', told; END $$;"""


DIALECTS = {
    each.name: each
    for each in (
        Dialect("duckdb", '"', "VARCHAR", "DOUBLE", "BIGINT", backslashes=False, run=True),
        Dialect("spark", "`", "STRING", "DOUBLE", "BIGINT", backslashes=True, run=True),
        Dialect("postgres", '"', "text", "double precision", "bigint", backslashes=False, run=True),
        Dialect("bigquery", "`", "STRING", "FLOAT64", "INT64", backslashes=True, run=False),
        Dialect("snowflake", '"', "VARCHAR", "DOUBLE", "NUMBER(20, 0)", backslashes=True, run=False),
    )
}
"""The engines by name."""

"""What `assign` takes and gives: every kind of table, and what is wrong with one."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator

import numpy as np
import pyarrow as pa
import pytest
from mmh3 import mmh3_32_uintdigest

from convert_sdk import ANYWHERE, Client
from convert_sdk._core.bucketing import Bucketing
from convert_sdk._core.decide import decide
from convert_sdk._core.facts import Facts
from convert_sdk._core.state import VisitorState
from convert_sdk.project import Project
from convert_sdk.tables import Constant, RowFault, TableError, assign, hashing, questions
from convert_sdk.tables.columns import encoded, ids
from convert_sdk.tables.texts import Hashes, Texts
from tests.documents import (
    Json,
    bucketed_into,
    change,
    entity,
    every,
    experience,
    feature,
    leaf,
    project,
    variation,
)

GERMAN = entity("51", "germans", every(leaf("country", "DE")))
SHOP = project(
    experience("100", "checkout"), experience("200", "banner", audiences=["51"]), audiences=[GERMAN]
)
VISITORS = pa.table({"id": [f"v-{n}" for n in range(300)], "country": ["DE", "FR", None] * 100})


def expected(shop: Project, table: pa.Table, key: str) -> list[str | None]:
    """The variations that `peek` gives."""
    client = Client.offline(shop)
    return [client.visitor(row.pop("id"), row).peek(key).variation_key for row in table.to_pylist()]


def column(result: pa.Table, name: str) -> list[object]:
    """A column of a result, as Python's own values."""
    found: list[object] = result[name].to_pylist()
    return found


def test_a_table_gives_a_table_with_the_decisions_of_peek() -> None:
    result = assign(SHOP, VISITORS)
    assert result.column_names[:2] == ["id", "country"]
    for key in ("checkout", "banner"):
        assert column(result, f"{key}_variation_key") == expected(SHOP, VISITORS, key)
    assert {*column(result, "banner_reason")} == {"bucketed", "audience"}
    assert column(result, "banner_bucket_value").count(None) == 200


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_batches_keep_their_order_with_any_number_of_threads(threads: int) -> None:
    rows = pa.table({"id": pa.array(range(100_000))})
    result = assign(SHOP, rows, threads=threads, experiences=["checkout"])
    assert result["id"] == rows["id"]
    assert result.equals(assign(SHOP, rows, threads=1, experiences=["checkout"]))


def test_a_reader_is_read_no_further_than_it_is_asked() -> None:
    read: list[int] = []

    def batches() -> object:
        for number in range(100):
            read.append(number)
            yield pa.RecordBatch.from_pydict({"id": [f"v-{number}"]})

    reader = assign(
        SHOP, pa.RecordBatchReader.from_batches(pa.schema([("id", pa.string())]), batches()), threads=2
    )
    assert isinstance(reader, pa.RecordBatchReader)
    assert read == []
    assert len(reader.read_next_batch()) == 1
    assert len(read) < 10
    reader.close()


def test_a_record_batch_and_an_empty_table() -> None:
    batch = VISITORS.to_batches()[0]
    assert assign(SHOP, batch).equals(assign(SHOP, VISITORS).combine_chunks().to_batches()[0])
    empty = assign(SHOP, VISITORS.slice(0, 0))
    assert (empty.num_rows, empty.schema) == (0, assign(SHOP, VISITORS).schema)
    nobody = assign(SHOP, batch.slice(0, 0))
    assert isinstance(nobody, pa.RecordBatch)
    assert (nobody.num_rows, nobody.schema) == (0, empty.schema)


def test_a_polars_frame_and_a_lazy_one() -> None:
    pl = pytest.importorskip("polars", reason="polars is not installed (extra polars)")
    frame = pl.from_arrow(VISITORS)
    result = assign(SHOP, frame)
    assert result["banner_variation_key"].to_list() == expected(SHOP, VISITORS, "banner")
    assert result.select("id", "country").equals(frame)
    lazy = assign(SHOP, frame.lazy(), keep=["id"])
    assert isinstance(lazy, pl.LazyFrame)
    assert lazy.collect().equals(result.drop("country"))


def test_a_pandas_frame_keeps_its_index_and_types() -> None:
    pd = pytest.importorskip("pandas", reason="pandas is not installed (group tables)")
    frame = pd.DataFrame({"id": VISITORS["id"].to_pylist(), "country": VISITORS["country"].to_pylist()})
    frame.index = frame.index + 1000
    result = assign(SHOP, frame)
    assert [x if isinstance(x, str) else None for x in result["banner_variation_key"]] == expected(
        SHOP, VISITORS, "banner"
    )
    assert result.index.equals(frame.index)
    assert result[["id", "country"]].equals(frame)
    assert str(result["banner_bucket_value"].dtype) == "Int32"


def test_a_pandas_frame_that_arrow_cannot_hold() -> None:
    pd = pytest.importorskip("pandas", reason="pandas is not installed (group tables)")
    with pytest.raises(TableError, match="column 'country' has values that Arrow cannot hold together"):
        assign(SHOP, pd.DataFrame({"id": ["a", "b"], "country": ["DE", 5]}))
    with pytest.raises(TableError, match="column 'id' has values that Arrow cannot hold together"):
        assign(SHOP, pd.DataFrame({"id": ["a", 5], "country": ["DE", "DE"]}))
    with pytest.raises(TableError, match="two columns of one name"):
        assign(SHOP, pd.DataFrame([["a", "b"]], columns=["id", "id"]))


@pytest.mark.parametrize("odd", [["DE", 5], [1j, 2], [2**70, 1], [object(), None], [[1], 2], ["\ud800", "a"]])
def test_a_column_that_nobody_asks_for_stops_no_pandas_frame(odd: list[object]) -> None:
    pd = pytest.importorskip("pandas", reason="pandas is not installed (group tables)")
    frame = pd.DataFrame({"id": ["a", "b"], "country": ["DE", "FR"], "odd": pd.Series(odd, dtype=object)})
    wanted = assign(SHOP, frame[["id", "country"]])
    assert assign(SHOP, frame, keep=["id", "country"]).equals(wanted)
    kept = assign(SHOP, frame)
    assert kept.drop(columns="odd").equals(wanted)
    assert kept["odd"].equals(frame["odd"])


def test_a_label_of_a_pandas_frame_that_is_no_text() -> None:
    pd = pytest.importorskip("pandas", reason="pandas is not installed (group tables)")
    frame = pd.DataFrame({"id": ["a", "b"], "country": ["DE", "FR"], 0: [1, 2]})
    with pytest.raises(TableError, match="the label of column 0 is no text"):
        assign(SHOP, frame)
    assert assign(SHOP, frame, keep=["id"]).equals(assign(SHOP, frame[["id", "country"]], keep=["id"]))


def test_a_frame_of_narwhals() -> None:
    pl = pytest.importorskip("polars", reason="polars is not installed (extra polars)")
    nw = pytest.importorskip("narwhals", reason="narwhals is not installed (group tables)")
    result = assign(SHOP, nw.from_native(pl.from_arrow(VISITORS)))
    assert isinstance(result, nw.DataFrame)
    assert result["banner_variation_key"].to_list() == expected(SHOP, VISITORS, "banner")


def test_a_relation_of_duckdb_can_be_asked_again_and_again() -> None:
    duckdb = pytest.importorskip("duckdb", reason="duckdb is not installed (extra duckdb)")
    connection = duckdb.connect()
    connection.register("arrived", VISITORS)
    connection.sql("CREATE TABLE visitors AS SELECT * FROM arrived")
    result = assign(SHOP, connection.sql("SELECT * FROM visitors ORDER BY id"), connection=connection)
    assert isinstance(result, duckdb.DuckDBPyRelation)
    ordered = VISITORS.sort_by("id")
    wanted = expected(SHOP, ordered, "banner")
    for _ in range(2):
        assert [row[0] for row in result.select('"banner_variation_key"').fetchall()] == wanted
    assert result.aggregate("count(*)").fetchall() == [(300,)]


def test_a_relation_whose_result_only_capitals_tell_apart() -> None:
    duckdb = pytest.importorskip("duckdb")
    relation = duckdb.connect().from_arrow(pa.table({"id": ["a"], "Checkout_Reason": ["x"]}))
    with pytest.raises(TableError, match="'Checkout_Reason' and 'checkout_reason', which only capitals"):
        assign(SHOP, relation)


def test_whatever_streams_by_the_c_interface() -> None:
    class Source:
        def __arrow_c_stream__(self, requested_schema: object = None) -> object:
            return VISITORS.__arrow_c_stream__(requested_schema)

    result: object = assign(SHOP, Source())
    assert isinstance(result, pa.RecordBatchReader)
    assert pa.table(result).equals(assign(SHOP, VISITORS))


def test_what_is_no_table() -> None:
    with pytest.raises(TypeError, match="a table is one of pyarrow, polars, pandas, DuckDB or narwhals"):
        assign(SHOP, [{"id": "v-1"}])


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"visitor": "user"}, "visitor: the table has no column 'user'; it has id, country"),
        ({"attributes": ["plan"]}, "attributes: the table has no column 'plan'"),
        ({"attributes": {"country": "land"}}, "attributes: the table has no column 'land'"),
        ({"location": {"url": "page"}}, "location: the table has no column 'page'"),
        ({"state": "memory"}, "state: the table has no column 'memory'"),
        ({"bucketing_id": "company"}, "bucketing_id: the table has no column 'company'"),
        ({"keep": ["name"]}, "keep: the table has no column 'name'"),
        ({"experiences": ["chekout"]}, "experiences: the project has no 'chekout'; it has checkout, banner"),
        ({"features": ["pricing"]}, "features: the project has no 'pricing'; it has no columns"),
        ({"nulls": "ignore"}, 'nulls must be "none" or "missing"'),
    ],
)
def test_what_names_nothing_is_said_before_a_row_is_read(more: Json, message: str) -> None:
    with pytest.raises(TableError) as caught:
        assign(SHOP, VISITORS, **more)  # type: ignore[arg-type]  # as a caller may be mistaken
    assert message.replace("it has no columns", "it has") in str(caught.value)


@pytest.mark.parametrize(
    "more",
    [
        {"attributes": "country"},
        {"attributes": {"country": 5}},
        {"experiences": "checkout"},
        {"attributes": {5: "a"}},
    ],
)
def test_arguments_of_the_wrong_type(more: Json) -> None:
    with pytest.raises(TypeError):
        assign(SHOP, VISITORS, **more)  # type: ignore[arg-type]  # as a caller may be mistaken


@pytest.mark.parametrize("kind", [pa.float64(), pa.bool_(), pa.binary(), pa.list_(pa.string()), pa.date32()])
def test_a_visitor_column_of_the_wrong_type(kind: pa.DataType) -> None:
    with pytest.raises(TableError, match=r"column 'id' is .*: a visitor's id is text or a whole number"):
        assign(SHOP, pa.table({"id": pa.array([None], kind)}))


def test_a_state_column_of_the_wrong_type() -> None:
    lists = pa.array([[("100", ["1"])]], pa.map_(pa.string(), pa.list_(pa.string())))
    with pytest.raises(TableError, match="state: column 'kept' is map<string, list<item: string>"):
        assign(SHOP, pa.table({"id": ["a"], "kept": lists}), state="kept")
    with pytest.raises(TableError, match="state: column 'country' is int64; it must be JSON text"):
        assign(SHOP, pa.table({"id": ["a"], "country": [5]}), state="country")


def test_two_columns_of_one_name() -> None:
    twice = pa.table([pa.array(["a"]), pa.array(["b"])], names=["id", "id"])
    with pytest.raises(TableError, match="2 columns named 'id'"):
        assign(SHOP, twice)
    with pytest.raises(TableError, match="two columns 'checkout_reason'"):
        assign(SHOP, pa.table({"id": ["a"], "checkout_reason": ["b"]}))


def test_an_odd_row_says_what_is_wrong_and_costs_no_other() -> None:
    damaged = pa.Array.from_buffers(
        pa.string(), 4, [None, pa.py_buffer(np.array([0, 2, 3, 3, 5], np.int32)), pa.py_buffer(b"ab\xffcd")]
    )
    table = pa.table({"id": damaged, "state": ["{}", None, "", "no JSON"]})
    assert column(assign(SHOP, table, state="state"), "checkout_reason") == [
        "bucketed",
        RowFault.UNREADABLE_ID,
        RowFault.EMPTY_ID,
        RowFault.UNREADABLE_STATE,
    ]
    facts = pa.table({"id": ["a", "b", "c", None], "country": damaged})
    assert column(assign(SHOP, facts), "banner_reason") == [
        "audience",
        RowFault.UNREADABLE_ATTRIBUTE,
        "audience",
        RowFault.NO_ID,
    ]
    missing = assign(SHOP, facts, features=[], experiences=["banner"])
    assert column(missing, "banner_variation_id") == column(missing, "banner_bucket_value") == [None] * 4


def test_a_fact_that_no_column_gives_is_said_once(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "convert_sdk"):
        assign(SHOP, VISITORS.select(["id"]))
    assert [each.message for each in caplog.records] == [
        "rules ask for country, which the table does not give"
    ]


def test_constants_and_renamed_columns() -> None:
    table = pa.table({"id": ["a", "b"], "land": ["DE", "FR"]})
    reasons = column(assign(SHOP, table, attributes={"country": "land"}), "banner_reason")
    assert reasons == ["bucketed", "audience"]
    assert (
        column(assign(SHOP, table, attributes={"country": Constant("DE")}), "banner_reason")
        == ["bucketed"] * 2
    )


def test_locations_of_all_rows_and_of_each() -> None:
    here = entity("61", "cart", every(leaf("url", "/cart")))
    shop = project(experience(locations=["61"]), locations=[here])
    table = pa.table({"id": ["a", "b"], "page": ["/cart", "/"]})

    def reasons(location: object) -> list[object]:
        return column(assign(shop, table, location=location), "checkout_reason")  # type: ignore[arg-type]  # any of them

    assert reasons({"url": "page"}) == ["bucketed", "location"]
    assert reasons(ANYWHERE) == ["bucketed"] * 2
    assert reasons(None) == reasons({}) == ["location"] * 2
    assert reasons({"url": Constant("/cart")}) == ["bucketed"] * 2


def test_states_as_a_map_and_as_json() -> None:
    shop = project(
        experience("100", "one"),
        experience("200", "two", audiences=["52"]),
        audiences=[entity("52", "in one", every(bucketed_into("one")))],
    )
    kept = [{"100": "2"}, {"100": "9"}, {}]
    for states in (
        pa.array([list(each.items()) for each in kept], pa.map_(pa.string(), pa.string())),
        pa.array(
            [[(int(key), int(each)) for key, each in one.items()] for one in kept],
            pa.map_(pa.int64(), pa.int64()),
        ),
        pa.array([VisitorState(each).to_json() for each in kept]),
        pa.array([VisitorState(each).to_json() for each in kept]).dictionary_encode(),
    ):
        result = assign(shop, pa.table({"id": ["a", "b", "c"], "state": states}), state="state")
        assert column(result, "one_reason") == ["sticky", "bucketed", "bucketed"]
        assert column(result, "one_variation_id")[0] == "2"
        assert column(result, "two_reason") == ["bucketed", "bucketed", "audience"]


def test_another_id_is_hashed_where_there_is_one() -> None:
    table = pa.table({"id": ["a", "b", "c"], "company": ["x", None, ""]})
    result = assign(SHOP, table, bucketing_id="company")
    client = Client.offline(SHOP)
    wanted = [client.visitor(each).peek("checkout").bucket_value for each in ("x", "b", "c")]
    assert column(result, "checkout_bucket_value") == wanted


def test_features_by_the_first_experience_that_sets_them() -> None:
    arms = [variation("1", 50, changes=[change("81", price="1")]), variation("2", 50)]
    shop = project(
        experience("100", "one", variations=arms),
        experience("200", "two", variations=[variation("3", 100, changes=[change("81", price="7")])]),
        features=[feature("81", "pricing", price="integer")],
    )
    table = pa.table({"id": [f"v-{n}" for n in range(50)] + [None]})
    result = assign(shop, table, experiences=[], features=["pricing"])
    assert result.column_names == ["id", "pricing_enabled", "pricing_variables"]
    client = Client.offline(shop)
    prices = [client.visitor(f"v-{n}").peek_feature("pricing").get("price", 0) for n in range(50)]
    assert {*prices} == {1, 7}
    assert column(result, "pricing_variables") == [*(f'{{"price":{price}}}' for price in prices), None]
    assert column(result, "pricing_enabled") == [True] * 50 + [None]


@pytest.mark.parametrize(
    "bucketing",
    [
        Bucketing(max_traffic=1000),
        Bucketing(max_traffic=333.5),
        Bucketing(seed=2**32 - 1),
        Bucketing(seed=0, exclude_experience_id=True),
        Bucketing(max_traffic=1e12),
        Bucketing(max_traffic=2**21 + 1),
    ],
)
def test_other_parameters_of_the_hash(bucketing: Bucketing) -> None:
    shop = SHOP.with_bucketing(bucketing)
    result = assign(shop, VISITORS)
    decisions = [decide(shop, Facts(each), "checkout") for each in VISITORS["id"].to_pylist()]
    assert column(result, "checkout_bucket_value") == [each.bucket_value for each in decisions]
    assert column(result, "checkout_variation_id") == [each.variation_id for each in decisions]


def test_each_of_many_rows_has_its_own_bucket_value() -> None:
    """Of more rows than are hashed, or multiplied, at once."""
    names = [f"v-{n}" for n in range(20_000)]
    result = assign(SHOP, pa.table({"id": names}), experiences=["checkout"], keep=[])
    assert column(result, "checkout_bucket_value") == [
        decide(SHOP, Facts(each), "checkout").bucket_value for each in names
    ]


def test_bucket_values_beyond_a_table_s_numbers() -> None:
    with pytest.raises(TableError, match="beyond the 64 bits"):
        assign(SHOP.with_bucketing(Bucketing(max_traffic=1e30)), VISITORS)


def test_variations_of_one_key_and_many_ranges() -> None:
    arms = [{**variation(str(n), 5), "key": f"arm-{n % 3}"} for n in range(20)]
    shop = project(experience(variations=arms))
    result = assign(shop, VISITORS)
    assert column(result, "checkout_variation_key") == expected(shop, VISITORS, "checkout")


def test_more_kinds_of_visitors_than_a_table_of_them_holds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(questions, "_LARGEST_TABLE", 4)
    monkeypatch.setattr(questions, "_MOST_KNOWN", 2)
    rules = every(leaf("country", "DE"), leaf("age", 18, "less", negated=True), leaf("age", 65, "lessEqual"))
    shop = project(experience(audiences=["51"]), audiences=[entity("51", "a", rules)])
    table = VISITORS.append_column("age", pa.array([n % 90 for n in range(300)]))
    assert column(assign(shop, table), "checkout_variation_key") == expected(shop, table, "checkout")


def test_more_kinds_of_visitors_than_a_whole_number_counts() -> None:
    facts = [f"fact {n}" for n in range(40)]
    ways = [every(*(leaf(fact, value) for fact in facts)) for value in "abc"]
    audiences = [entity(f"5{n}", f"a{n}", rules) for n, rules in enumerate(ways)]
    shop = project(experience(audiences=["50", "51", "52"]), audiences=audiences)
    columns = {
        fact: ["d" if row % 50 == n else "abc"[row % 3] for row in range(300)] for n, fact in enumerate(facts)
    }
    table = pa.table({"id": [f"v-{n}" for n in range(300)], **columns})
    decided = column(assign(shop, table), "checkout_variation_key")
    assert decided == expected(shop, table, "checkout")
    assert {*decided} > {None}


def test_a_chunk_without_rows_among_many_kinds_of_visitors(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(questions, "_LARGEST_TABLE", 1)
    nobody = pa.RecordBatch.from_pylist([], VISITORS.schema)
    reader = pa.RecordBatchReader.from_batches(VISITORS.schema, [*VISITORS.to_batches(), nobody])
    assert assign(SHOP, reader, threads=1).read_all().equals(assign(SHOP, VISITORS))


def without_polars() -> None:
    """Stands in for `polars_way` where polars-hash is not installed."""


@pytest.mark.parametrize("installed", [True, False])
@pytest.mark.parametrize(
    "make", [lambda n: f"user-{n:08}", lambda n: "é" * (n % 70), lambda n: "😀x" * (n % 3)]
)
def test_the_hash_of_many_is_the_hash_of_each(
    make: Callable[[int], str], *, installed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not installed:
        monkeypatch.setattr(hashing, "polars_way", without_polars)
    monkeypatch.setattr(hashing, "BLOCK", 300)
    samples = [make(n).encode() for n in range(1000)]
    samples[500] = samples[500] * 40
    data, ends = np.frombuffer(b"".join(samples), np.uint8), np.cumsum([0, *map(len, samples)])
    prefixes = [b"", b"1", b"12", b"123", *(b"1002182%d" % n for n in range(40, 52))]
    for offsets in (ends.astype(np.int64), ends.astype(np.int32)):
        texts = Texts(data, offsets)
        together = hashing.hashes(texts, prefixes, 9999)
        for prefix, found in zip(prefixes, together, strict=True):
            wanted = [mmh3_32_uintdigest(prefix + each, 9999) for each in samples]
            assert found.tolist() == wanted
            assert hashing.hashes(texts, [prefix], 9999)[0].tolist() == wanted
            assert hashing.hashes(texts.rows(10, 900), [prefix], 9999)[0].tolist() == wanted[10:900]


def test_polars_hash_is_asked_where_it_is_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("polars_hash", reason="polars-hash is not installed")
    wanted = assign(SHOP, VISITORS, experiences=["checkout"])
    monkeypatch.setattr(hashing, "_HashBlock", None)  # the way of numpy is not taken
    assert assign(SHOP, VISITORS, experiences=["checkout"]).equals(wanted)


def test_texts_that_a_small_offset_cannot_hold_are_hashed_by_numpy(monkeypatch: pytest.MonkeyPatch) -> None:
    wanted = assign(SHOP, VISITORS)
    monkeypatch.setattr(hashing, "LARGEST", 100)
    monkeypatch.setattr(hashing, "polars_way", lambda: no_way)
    assert assign(SHOP, VISITORS).equals(wanted)


def no_way(texts: Texts, prefix: bytes, seed: int) -> Hashes:
    """Stands in for a way that must not be taken, or fails."""
    raise OSError


def test_where_numpy_hashes_otherwise_each_row_is_hashed_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    wanted = assign(SHOP, VISITORS)
    monkeypatch.setattr(hashing, "polars_way", without_polars)
    monkeypatch.setattr(hashing, "is_equal_here", lambda: False)
    monkeypatch.setattr(hashing, "_mixed", lambda word: word)  # the fast way is not taken
    assert assign(SHOP, VISITORS).equals(wanted)


def test_a_hash_that_differs_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    assert hashing.is_equal_here()
    monkeypatch.setattr(hashing, "_mixed", lambda word: word)
    assert not hashing.is_equal_here.__wrapped__()


@pytest.mark.parametrize(
    "way", [no_way, lambda texts, prefix, seed: np.zeros(len(texts), np.uint32)], ids=["fails", "differs"]
)
def test_a_polars_hash_that_fails_or_differs_is_not_used(
    way: hashing.Way, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hashing, "polars_hash", lambda: way)
    assert hashing.polars_way.__wrapped__() is None


def test_of_a_long_dictionary_the_values_of_its_rows_are_read() -> None:
    words = pa.array([f"word {n}" for n in range(50)] + [None])
    column = pa.DictionaryArray.from_arrays(pa.array([7, None, 50, 7, 9]), words)
    found = encoded(column.slice(1))
    assert len(found.values) <= 4
    assert [found.values[code] for code in found.codes] == [None, None, "word 7", "word 9"]


def test_views_of_text_that_this_arrow_cannot_cast_are_read_row_by_row() -> None:
    rows = ["v-1", "", None, "日本 and more than twelve bytes"]
    wanted = ids(pa.array(rows, pa.large_string()))

    class NoCast:
        """A column of an Arrow that has no such cast."""

        type = pa.string_view()

        def cast(self, _: pa.DataType) -> pa.Array:
            raise pa.ArrowNotImplementedError("Unsupported cast")

        def __iter__(self) -> Iterator[pa.Scalar]:
            return iter(pa.array(rows, pa.string_view()))

    found = ids(NoCast())
    assert [found.texts.text(row) for row in range(4)] == [wanted.texts.text(row) for row in range(4)]
    assert found.absent is not None
    assert found.absent.tolist() == [False, False, True, False]

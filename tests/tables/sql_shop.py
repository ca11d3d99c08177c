"""A shop whose rules SQL can say, and visitors of it: for every engine that is compared."""

from __future__ import annotations

import pyarrow as pa

from tests.documents import entity, every, experience, leaf, project, some, variation

ARMS = [variation(str(number), percent) for number, percent in ((900, 33.33), (12, 20), (7, 30))]
RULES = {
    "51": every(leaf("country", "DE|FR|x'y", "isIn"), leaf("age", 18, "less", negated=True)),
    "52": some(leaf("plan", "pro"), leaf("plan", "i", "contains"), leaf("member", "true")),
    "53": every(
        leaf("plan", "free", "startsWith", negated=True),
        leaf("plan", "o", "endsWith", negated=True),
        leaf("country", "", "exists"),
        leaf("age", 65, "lessEqual"),
    ),
}
SHOP = project(
    experience("100218245", "packed", variations=ARMS, audiences=["51"]),
    experience("100218246", "anchored", variations=ARMS, version=12, audiences=["52", "53"]),
    experience(
        "100218247", "both", audiences=["51", "52"], settings={"matching_options": {"audiences": "all"}}
    ),
    audiences=[entity(key, f"a{key}", rules) for key, rules in RULES.items()],
)
COLUMNS = {"country": "text", "age": "number", "plan": "text", "member": "boolean"}


def visitors(count: int) -> pa.Table:
    """As many visitors, with every kind of value among them."""
    return pa.table(
        {
            "id": [("v-{}", "{}", "é{}", "日本{}😀", "a'b\\{}")[n % 5].format(n) for n in range(count)],
            "country": [("DE", "de", "FR", None, "", "x'y", "a|DE")[n % 7] for n in range(count)],
            "age": pa.array(
                [None if n % 11 == 0 else (n * 7) % 90 + 0.5 * (n % 2) for n in range(count)], pa.float64()
            ),
            "plan": [("pro", "Free", "İ", "K", None, "gold|PRO")[n % 6] for n in range(count)],
            "member": pa.array([(True, False, None)[n % 3] for n in range(count)], pa.bool_()),
        }
    )


VISITORS = visitors(500)

"""What a web middleware adds to one request (W9): without a decision, and with one."""

from __future__ import annotations

from benchmarks import documents
from benchmarks.harness import Bench, Row, Task, column, main


def measure(bench: Bench) -> list[Row]:
    """In Django beside PostHog's middleware; in ASGI, WSGI and Flask ours alone."""
    document = bench.document("web", documents.small(1, "plan"))
    count = bench.pick(5_000, 20_000)
    options = {"document": document, "n": count}
    nothing, decided = (
        bench.measure(Task(name, work, options) for name in ("ours", "hog"))
        for work in ("django_nothing", "django_decided")
    )
    rows = [
        Row(
            "W9 Django",
            "what the middleware adds to a request that asks nothing",
            "µs",
            column(nothing, "ns", 1e-3),
            "The time of a request through the middleware and a view, less that of the view alone, both measured in "
            "one process in turns. PostHog's middleware opens a context and tags it at each request.",
        ),
        Row(
            "W9 Django decided",
            "the same with a new visitor and one decision, cookie and headers included",
            "µs",
            column(decided, "ns", 1e-3),
            "Remembered and reported to a sink that discards. PostHog decides by a flag that it has in memory "
            "(`only_evaluate_locally`) for the id of the request, and sends nothing.",
        ),
    ]
    for name in ("asgi", "wsgi", "flask"):
        for work, about in (
            ("nothing", "that asks nothing"),
            ("decided", "with a new visitor and one decision"),
        ):
            found = bench.measure([Task("ours", f"{name}_{work}", options)])
            key = f"W9 {name} {work}".removesuffix(" nothing")
            rows.append(
                Row(key, f"the middleware for {name}, a request {about}", "µs", column(found, "ns", 1e-3))
            )
    return rows


if __name__ == "__main__":
    main({"web": measure}, __doc__, peers="ours,hog")

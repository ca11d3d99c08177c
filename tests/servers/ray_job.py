"""A job of Ray Data, in a process of its own: prints whether its rows are those of `assign`."""

from __future__ import annotations

import sys

from convert_sdk.tables import assign
from convert_sdk.tables.spark import Assigner
from tests.tables.sql_shop import SHOP, VISITORS

if __name__ == "__main__":
    import ray  # pyright: ignore[reportMissingImports]  # only here: who looks for examples imports every module

    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False)
    frame = ray.data.from_arrow([VISITORS.slice(0, 250), VISITORS.slice(250)])
    found = frame.map_batches(Assigner(SHOP), batch_format="pyarrow").take_all()
    wanted = assign(SHOP, VISITORS).to_pylist()
    same = sorted(found, key=lambda row: str(row["id"])) == sorted(wanted, key=lambda row: str(row["id"]))
    sys.stdout.write("equal\n" if same else "different\n")

"""What importing one module adds to a bare interpreter; imports nothing that the interpreter has not."""

import os
import sys
import time


def _resident() -> int:
    if not os.path.exists("/proc/self/statm"):  # noqa: PTH110 - pathlib would be part of what is measured
        return 0
    with open("/proc/self/statm") as statm:  # noqa: PTH123 - as above
        return int(statm.read().split()[1]) * 4096


before = _resident()
modules = len(sys.modules)
began = time.perf_counter_ns()
__import__(sys.argv[1])
spent = time.perf_counter_ns() - began
grown = _resident() - before
heavy = [
    name
    for name in ("asyncio", "dataclasses", "httpx", "logging", "pydantic", "regex")
    if name in sys.modules
]
listed = ",".join(f'"{name}"' for name in heavy)
print(f'{{"ms":{spent / 1e6},"bytes":{grown},"modules":{len(sys.modules) - modules},"heavy":[{listed}]}}')

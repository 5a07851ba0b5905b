"""The builder's own process: ``python -m engines.tensorrt.worker REQUEST ANSWER``.

A builder that runs out of memory, or that the system kills, takes this process with it and no other; and what it
needed at most can be measured.
"""

from __future__ import annotations

import ctypes
import signal
import sys
import time
from pathlib import Path

from engines.tensorrt.api import Words
from engines.tensorrt.library import load
from engines.tensorrt.network import Refused, configure, parse
from engines.tensorrt.request import Answer, Request
from engines.tensorrt.timing import keep_timings, timing_digest, use_timings

_DIE_WITH_PARENT = 1
"""``PR_SET_PDEATHSIG``"""
_PEAK = "VmHWM:"


def serve(request: Request) -> Answer:
    """Build the plan that ``request`` asks for; whatever the builder refuses is in the answer."""
    api = load(request.runtime)
    words = Words(api)
    began = time.perf_counter()
    builder = api.Builder(words.logger)
    try:
        # The parser owns the weights until the plan is there.
        network, parser = parse(api, builder, request.graph, words)
        config = configure(api, builder, network, request, words)
    except Refused as refused:
        return Answer(version=api.__version__, refusals=refused.nodes, fault=refused.why)
    before = use_timings(config, request.options.timing_cache)
    plan = builder.build_serialized_network(network, config)
    seconds = time.perf_counter() - began
    del parser
    request.words.write_text("\n".join(words.said), "utf-8")
    if plan is None:
        return Answer(version=api.__version__, fault=words.reason)
    request.plan.write_bytes(memoryview(plan))
    keep_timings(config, request.options.timing_cache)
    return Answer(
        version=api.__version__,
        seconds=seconds,
        peak_bytes=_peak(),
        timing_cache_before=before,
        timing_cache_after=timing_digest(config) if request.options.timing_cache else None,
    )


def _peak() -> int:
    """Bytes of this process at its largest; ``getrusage`` would count the process that it was forked from."""
    status = Path("/proc/self/status").read_text()
    kibibytes = next(line for line in status.splitlines() if line.startswith(_PEAK)).split()[1]
    return 1024 * int(kibibytes)


def main(request: str, answer: str) -> None:
    """Serve the request in the file ``request``."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent is interrupted as well, and ends this process
    ctypes.CDLL(None).prctl(_DIE_WITH_PARENT, signal.SIGKILL)
    try:
        result = serve(Request.model_validate_json(Path(request).read_bytes()))
    except OSError as error:
        result = Answer(disk_fault=error.errno)
    Path(answer).write_text(result.model_dump_json(), "utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])

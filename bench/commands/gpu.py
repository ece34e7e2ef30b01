"""`serbench run gpu`: all that is measured on a GPU, some minutes at a time."""

from __future__ import annotations

import os

from bench.errors import SuiteError


def run_gpu(arguments: list[str]) -> int:
    """Measure the slices that are left, or list them; 1 where one was refused."""
    from bench.flags import GpuFlags, parse

    flags = parse(GpuFlags, "serbench run gpu", arguments)
    if flags.kernel_cache is not None:  # before torch is there, and for every child
        os.environ["TRITON_CACHE_DIR"] = str(flags.kernel_cache.resolve())
        os.environ["TORCHINDUCTOR_CACHE_DIR"] = str(flags.kernel_cache.resolve() / "inductor")
    from bench.console import show
    from bench.gpu.parts import Places, hardware
    from bench.gpu.run import chosen, forecast, run
    from bench.gpu.slices import slices
    from bench.listing import slices_table

    parts = chosen(slices(), flags.slices)
    places = Places(flags.places.folders(), hardware(), flags.again)
    if flags.dry_run:
        show(slices_table(forecast(parts, places), places.hardware))
        return 0
    if not places.hardware:
        raise SuiteError("run gpu: torch finds no CUDA device here; --dry-run lists what there is to measure")
    outcome = run(parts, places, flags.minutes)
    print("\n".join([*outcome.lines, *outcome.refused]))
    if outcome.left:
        print(f"left for the next time: {', '.join(outcome.left)}")
    return 1 if outcome.refused else 0

"""A process that keeps what it frees does not fetch the same pages twice."""

import subprocess
import sys
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).resolve().parents[2]
FAULTS = """
import resource, sys, torch
from bench.measuring.allocator import keep_freed_memory
if sys.argv[1] == "keep" and not keep_freed_memory():
    sys.exit("unsupported")
def use():
    return sum(float(torch.ones(12_000_000).sum()) for _ in range(4))
for _ in range(5): use()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
use()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="glibc alone has the setting")
def test_memory_that_was_freed_is_used_again_without_page_faults():
    def faults(mode: str) -> int:
        done = subprocess.run(
            [sys.executable, "-c", FAULTS, mode], cwd=CHECKOUT, capture_output=True, text=True, check=True
        )
        return int(done.stdout)

    assert faults("keep") < 100 < 10_000 < faults("as it is")

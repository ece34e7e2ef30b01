"""Work to watch in tests: some that leaks all that can leak, some that holds nothing. Imports little."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import threading
import time
from multiprocessing.shared_memory import SharedMemory

ROUND_S = 0.25
HELD: list[object] = []  # what the leaking work never lets go


def leaks(number: int) -> None:
    """Every round keeps a megabyte, a file, a handle, a thread, a child and shared memory."""
    HELD.append(b"\1" * (1 << 20))
    HELD.append(tempfile.NamedTemporaryFile())  # noqa: SIM115
    HELD.append(SharedMemory(create=True, size=1))
    HELD.append(subprocess.Popen([sys.executable, "-S", "-c", "import time; time.sleep(300)"]))
    threading.Thread(target=time.sleep, args=(300,), daemon=True).start()
    time.sleep(ROUND_S)


def holds_nothing(number: int) -> None:
    """The same in every round, all of it given back."""
    with tempfile.TemporaryFile() as file:
        file.write(b"\1" * (1 << 20))
    time.sleep(ROUND_S)


def fails(number: int) -> None:
    """Ends its process."""
    raise ValueError("as a cell may")

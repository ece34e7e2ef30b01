"""Nothing phones home: the demo runs, and reports, with the network cut off and every look-up watched."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

GUARD = '''"""Writes down, and refuses, every connection and look-up that leaves the machine."""
import os, socket, sys

def watch(event, arguments):
    if event == "socket.connect":
        place = arguments[1]
        if isinstance(place, tuple) and not str(place[0]).startswith(("127.", "::1", "localhost")):
            refuse(f"connect {place}")
    elif event in ("socket.getaddrinfo", "socket.gethostbyname") and arguments[0] not in (
        None, "localhost", b"localhost", "127.0.0.1", socket.gethostname()
    ):
        refuse(f"{event} {arguments[0]}")

def refuse(what):
    with open(os.environ["WATCHED"], "a") as file:
        file.write(what + "\\n")
    raise OSError("the network is cut off")

sys.addaudithook(watch)
'''
SMALL = [
    *("run", "demo", "--seeds", "0", "--workers", "1", "--layouts", "softmax", "--no-profile"),
    *("--corpus-options.turns", "100", "--recipe.epochs", "1"),
    *("--encoder.d-model", "16", "--encoder.num-layers", "1"),
]


def without_network() -> list[str]:
    """A command that cuts the network off, where the system lets us; the guard watches in any case."""
    cut = ["unshare", "--net", "--map-root-user"]
    try:
        permitted = subprocess.run([*cut, "true"], capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        permitted = False
    return cut if permitted else []


def run(code: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
    (folder / "guard").mkdir(exist_ok=True)
    (folder / "guard" / "sitecustomize.py").write_text(GUARD)  # of every process, workers too
    path = os.pathsep.join([str(folder / "guard"), *filter(None, [os.environ.get("PYTHONPATH", "")])])
    environment = os.environ | {"PYTHONPATH": path, "WATCHED": str(folder / "watched")}
    command = [*without_network(), sys.executable, *code]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


def test_the_guard_sees_who_leaves(tmp_path):
    code = "import socket; socket.create_connection(('example.org', 80), timeout=5)"
    assert run(["-c", code], tmp_path).returncode == 1
    assert "example.org" in (tmp_path / "watched").read_text()


def test_onnx_runtime_keeps_no_identifier_and_sends_nothing(tmp_path):
    pytest.importorskip("onnxruntime")
    hosted = {"CI", "GITHUB_ACTIONS", "ORT_DISABLE_TELEMETRY"}  # where it keeps quiet in any case
    kept = {name: value for name, value in os.environ.items() if name not in hosted}
    places = dict.fromkeys(("HOME", "TMPDIR", "XDG_CACHE_HOME"), str(tmp_path))
    code = "import bench, onnxruntime; onnxruntime.get_all_providers()"
    subprocess.run([sys.executable, "-c", code], env=kept | places, check=True)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_a_run_asks_for_nothing_beyond_this_machine(tmp_path):
    places = ["--results", str(tmp_path / "results"), "--cache", str(tmp_path / "cache")]
    done = run(["-m", "bench.cli", *SMALL, *places], tmp_path)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "results" / "index.html").is_file()
    assert not (tmp_path / "watched").exists()

"""A mixer in an installed package is found by its entry point, with no edit here."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "plugin_package"
ROOT = PACKAGE.parents[1]
USE = """
import torch, mixers
mixer = mixers.build("leaky_average", 16)
print(mixers.info("leaky_average").label, *mixer(torch.ones(1, 3, 16)).shape)
"""


@pytest.mark.skipif(find_spec("pip") is None, reason="pip is not installed here")
def test_a_mixer_of_an_installed_package_is_found_in_a_fresh_interpreter(tmp_path):
    source, target = tmp_path / "source", tmp_path / "target"
    shutil.copytree(PACKAGE, source)
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-index"]
    pip += ["--no-deps", "--no-build-isolation", "--target", str(target), str(source)]
    installed = subprocess.run(pip, capture_output=True, text=True)
    assert installed.returncode == 0, installed.stderr
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(target), str(ROOT)])}
    done = subprocess.run([sys.executable, "-c", USE], capture_output=True, text=True, env=environment)
    assert done.stdout.split("\n")[0] == "Leaky average 1 3 16", done.stderr

"""Several processes on one cohort do what one does: every utterance once, the same gradients, one record."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from training_fixtures import toy_split

from bench.training.split import Batches, buckets

HERE = Path(__file__).parent


@given(st.integers(1, 40), st.integers(1, 12), st.integers(1, 5), st.integers(0, 100))
def test_every_utterance_is_read_once_an_epoch_whatever_the_number_of_processes(n, size, processes, seed):
    split = toy_split(n)
    groups = buckets(split.lengths, size, np.random.default_rng(seed))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("WORLD_SIZE", str(processes))
        read = []
        for rank in range(processes):
            patch.setenv("RANK", str(rank))
            read += [int(position) for batch in Batches(split, groups) for position in batch.positions]
    assert sorted(read) == list(range(n))


def test_a_process_reads_the_same_crops_as_one_that_reads_the_whole_batch(monkeypatch):
    split = toy_split(12)
    groups = buckets(split.lengths, 6, np.random.default_rng(0))
    whole = Batches(split, groups, crop_frames=15, seed=3)[1]
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("RANK", "1")
    part = Batches(split, groups, crop_frames=15, seed=3)[1]
    torch.testing.assert_close(part.frames, whole.frames[1::2])


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    """`alone(recipe)` → what one process leaves, and where; each recipe is trained once."""
    left: dict[str, tuple[dict, Path]] = {}

    def get(recipe: dict) -> tuple[dict, Path]:
        name = json.dumps(recipe)
        if name not in left:
            folder = tmp_path_factory.mktemp("alone") / "1"
            left[name] = run(folder, 1, recipe), folder
        return left[name]

    return get


@pytest.mark.slow
@pytest.mark.parametrize(
    ("processes", "recipe"), [(2, {}), (3, {}), (2, {"sampler": "diverse", "guide": "retnet"})]
)
def test_processes_that_share_a_batch_end_with_the_weights_of_one_on_the_whole(
    processes, recipe, alone, tmp_path
):
    (whole, folder), together = alone(recipe), run(tmp_path / "many", processes, recipe)
    for one, many in zip(whole["weights"], together["weights"], strict=True):
        for name, weight in one.items():
            if name == "pooling.score.2.bias":  # softmax takes it out again: its gradient is rounding alone
                continue
            torch.testing.assert_close(many[name], weight, rtol=1e-3, atol=1e-5, msg=name)
    for one, many in zip(whole["curves"], together["curves"], strict=True):
        assert pd.DataFrame(one)["train_loss"].to_list() == pytest.approx(
            pd.DataFrame(many)["train_loss"].to_list(), rel=1e-4
        )
        assert [epoch["dev_uar"] for epoch in one] == [epoch["dev_uar"] for epoch in many]
    pd.testing.assert_frame_equal(table(folder), table(tmp_path / "many"), rtol=1e-3, atol=1e-4)


def run(folder: Path, processes: int, recipe: dict) -> dict:
    folder.mkdir()
    program = [str(HERE / "ranks_program.py"), str(folder), json.dumps(recipe)]
    launcher = ["-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={processes}"]
    done = subprocess.run(
        [sys.executable, *(launcher if processes > 1 else []), *program],
        env=os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": f"{HERE}:{HERE.parents[1]}"},
        check=False,
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert done.returncode == 0, done.stderr
    return torch.load(folder / "students.pt", weights_only=True)


def table(folder: Path) -> pd.DataFrame:
    return pd.read_parquet(folder / "predictions.parquet").reset_index(drop=True)

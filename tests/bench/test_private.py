"""What is passed on names no host, no user and no path outside the corpus, and nothing that was said."""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet
import pytest
import report_fixtures as fixtures
import soundfile

from bench import private
from bench.cli import run_command
from bench.corpora.manifest import COLUMNS
from bench.evidence import scrubbing
from bench.evidence.scrubbing import scrub
from bench.evidence.store import KINDS, Store
from bench.evidence.verification import faults

COMMITTED = Path(__file__).parents[2] / "results"
PATH = re.compile(rb"(?<![\w.:/])/(?:home|Users|root|tmp|mnt|media|data|srv|opt|var|work|scratch)/[\w.-]")


@pytest.mark.parametrize(
    ("said", "left"),
    [
        ("cannot open /home/anna/corpora/a.wav", "cannot open …/a.wav"),
        ("OSError: no '/home/anna b/my corpus/a.wav'", "OSError: no '…/a.wav'"),
        (r"C:\Users\anna\a.wav is missing", "…/a.wav is missing"),
        (r"\\server\share\a.wav", "…/a.wav"),
        ("see file:///home/anna/a.txt", "see …/a.txt"),
        ("~anna/corpora/a.wav", "…/a.wav"),
        ("(/tmp/x/y)", "(…/y)"),
        ("on node17.lab.example, node17", "on …, …"),
        ("https://zenodo.org/records/1 and wav/a.wav and 3 GB/s and/or 1/2", None),
        ("Actor_05/03-01.wav", None),
    ],
)  # fmt: skip
def test_paths_and_names_are_taken_out_and_nothing_else(said, left):
    assert private.text(said, ("node17.lab.example", "node17", "root")) == (said if left is None else left)


def test_what_is_private_once_stays_as_it_is():
    once = private.text("cannot open '/home/a b/c.wav' or /srv/x/d.wav")
    assert private.text(once) == once


def test_utterances_outside_a_corpus_keep_apart_and_keep_their_name():
    paths = ["/home/a/x/clip", "/home/a/y/clip", "/home/a/x/other", "C:\\a\\clip", "sub/clip"]
    names = [private.utterance(path) for path in paths]
    assert len(set(names)) == len(paths)
    assert names == [private.utterance(path) for path in paths]
    assert names[-1] == "sub/clip"
    assert all(re.fullmatch(r"[0-9a-f]{8}/\w+", name) for name in names[:-1])


def test_nothing_committed_names_a_path_of_a_machine_or_this_host():
    host = socket.gethostname().encode()
    for file in (path for path in COMMITTED.rglob("*") if path.suffix not in (".png", ".pdf", ".parquet")):
        if file.is_file():
            content = file.read_bytes()
            assert not PATH.search(content), file
            assert len(host) < 4 or host == b"localhost" or host not in content, file


def test_the_committed_records_have_nothing_to_scrub():
    assert scrub(Store(COMMITTED), write=False) == scrubbing.Scrubbed((), ())


def test_committed_predictions_hold_names_labels_and_numbers_alone():
    allowed = {"split", "utterance", "speaker", "gender", "label"}
    for file in (COMMITTED / "predictions").glob("*.parquet"):
        schema = pyarrow.parquet.read_schema(file)
        text = {field.name for field in schema if not pyarrow.types.is_floating(field.type)}
        assert text <= allowed
        longest = pd.read_parquet(file, columns=["utterance"])["utterance"].str.len().max()
        assert longest < 64  # a name, not a sentence


def test_no_field_of_a_record_could_hold_what_was_said():
    assert not {"transcript", "path"} & set(scrubbing.COLUMNS)
    assert {"transcript", "path"} <= set(COLUMNS)  # of manifests, which are never written to results


@pytest.fixture
def dirty(tmp_path, monkeypatch) -> Store:
    """A run, a failed one and a profile, made on a machine that told everything."""
    monkeypatch.setattr(scrubbing, "_names_here", lambda: ("node17.lab.example", "anna"))
    store = Store(tmp_path)
    people = fixtures.fold_part(fixtures.manifest(per_speaker=15), 0)
    people["utterance"] = "/home/anna/corpora/mine/" + people["utterance"]
    record = fixtures.write_run(
        store, fixtures.ravdess_cell(), people, skipped_files=("/home/anna/corpora/mine/bad.wav",)
    )
    told = store.predictions(record.id).assign(transcript="I never said that", path="/home/anna/a.wav")
    store.write_predictions(record.id, told)
    reason = "OSError: '/home/anna/corpora/mine/a.wav' vanished on node17.lab.example for anna"
    failed = fixtures.run_record(fixtures.ravdess_cell("retnet"), status="failed", reason=reason)
    store.write(failed)
    machine = fixtures.CPU.model_copy(update={"operating_system": "Linux 6.1 node17.lab.example"})
    store.write(fixtures.profile_record(environment=machine))
    return store


def test_scrubbing_leaves_nothing_private_and_every_id(dirty):
    before = {path.relative_to(dirty.root) for path in dirty.root.rglob("*.*")}
    scrubbed = scrub(dirty)
    assert len(scrubbed.changed) == 4
    assert scrubbed.faults == ()
    assert {path.relative_to(dirty.root) for path in dirty.root.rglob("*.*")} == before
    for file in (path for path in dirty.root.rglob("*") if path.is_file()):
        content = file.read_bytes()
        assert not [word for word in (b"anna", b"node17", b"/home", b"never said") if word in content], file
    assert all(record.id == record.config.id for record in dirty.runs())
    assert scrub(dirty).changed == ()


def test_scrubbing_changes_no_score(dirty):
    (run,) = [run for run in dirty.runs() if run.status == "ok"]
    before = dirty.predictions(run.id)
    scrub(dirty)
    after = dirty.predictions(run.id)
    logits = [name for name in before if name.startswith("logit_")]
    pd.testing.assert_frame_equal(before[["speaker", "label", *logits]], after[["speaker", "label", *logits]])
    assert after["utterance"].nunique() == before["utterance"].nunique()


def test_the_command_only_looks_when_asked_and_says_what_it_did(dirty, capsys):
    results = ["--results", str(dirty.root)]
    assert run_command(["results", "scrub", "--check", *results]) == 2
    assert "4 files" in capsys.readouterr().err
    assert run_command(["results", "scrub", *results]) == 0
    assert "4 files written anew" in capsys.readouterr().out
    assert run_command(["results", "scrub", "--check", *results]) == 0


def test_a_path_that_is_part_of_an_id_is_told_and_left(tmp_path):
    store = Store(tmp_path)
    cell = fixtures.ravdess_cell()
    cell = cell.model_copy(update={"task": cell.task.model_copy(update={"corpus": "table:/home/anna/mine"})})
    store.write(fixtures.run_record(cell, status="failed", reason="no", corpus_title="Mine"))
    scrubbed = scrub(store)
    assert scrubbed.changed == ()
    assert [problem.reason for problem in scrubbed.faults] == [
        "config.task.corpus is 'table:/home/anna/mine', part of its id"
    ]


@pytest.mark.slow
def test_a_fresh_run_on_recordings_outside_the_data_folder_names_no_folder(tmp_path):
    """A table that names its recordings by absolute paths, trained on for an epoch."""
    outside = tmp_path / "someone" / "private folder"
    outside.mkdir(parents=True)
    lines = ["path,label,speaker,transcript"]
    for n in range(12):
        rng = np.random.default_rng(n)
        soundfile.write(outside / f"clip{n}.wav", 0.1 * rng.standard_normal(8000), 16_000)
        lines.append(f"{outside}/clip{n}.wav,{'ab'[n // 3 % 2]},s{n % 3},so it was said")
    (tmp_path / "mine.csv").write_text("\n".join(lines))
    results = tmp_path / "results"
    arguments = (
        f"train --layout softmax --task table:mine/speakers --fold 0 --recipe.epochs 1 --encoder.d-model 16 "
        f"--encoder.num-layers 1 --results {results} --data-root {tmp_path} --cache {tmp_path / 'cache'}"
    )
    assert run_command(arguments.split()) == 0
    shutil.rmtree(results / "work", ignore_errors=True)
    files = [path for path in results.rglob("*") if path.is_file()]
    assert {path.suffix for path in files} >= {".json", ".parquet", ".pt"}
    for file in files:
        content = file.read_bytes()
        told = (b"someone", b"private folder", b"said", socket.gethostname().encode(), os.fsencode(tmp_path))
        assert not [word for word in told if word in content], file
    assert faults(Store(results)) == []
    assert scrub(Store(results), write=False).changed == ()
    assert set(KINDS) >= {path.parent.name for path in files} - {"predictions", "checkpoints"}
    (run,) = Store(results).runs()
    assert json.loads(run.model_dump_json())["id"] == run.config.id

"""The feature cache: right numbers, once; whole or not there; every bad file named at once."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import librosa
import numpy as np
import pytest
import soundfile

from bench.config import Features
from bench.corpora import emodb
from bench.errors import SuiteError, UnusableFiles
from bench.features import cache as cache_module
from bench.features.cache import prepare
from bench.folders import cache_folder, whole_folder

NAMES = ["03a01Wa.wav", "wav/08a01Na.flac", "16b10Ta.wav"]
FEATURES = Features(num_mels=16, window_ms=25.0, hop_ms=10.0)


@pytest.fixture
def corpus(make_corpus):
    return make_corpus("emodb", NAMES, 0.25)


@pytest.fixture
def cache(tmp_path):
    return tmp_path / "cache"


def no_reading(*_):
    raise AssertionError("a recording was read again")


def folders(cache):
    return sorted((cache / "features").iterdir())


def test_every_utterance_has_the_frames_of_its_own_recording(corpus, cache):
    store = prepare(emodb.load(corpus), FEATURES, cache)
    assert store.utterances == ("03a01Wa", "08a01Na", "16b10Ta")
    for name, path in zip(store.utterances, NAMES, strict=True):
        samples, _ = soundfile.read(corpus / path)
        power = librosa.feature.melspectrogram(
            y=samples, sr=16_000, n_fft=512, win_length=400, hop_length=160, n_mels=16, fmin=20, fmax=8000
        )
        np.testing.assert_allclose(store[name], np.log(power).T, atol=1e-4)
        assert store.frames[name] == len(store[name]) == 26
        assert store.durations_s[name] == 0.25
    assert store.skipped == ()


def test_frames_are_read_only(corpus, cache):
    store = prepare(emodb.load(corpus), FEATURES, cache)
    with pytest.raises(ValueError, match="read-only"):
        store["03a01Wa"][0, 0] = 0


def test_an_utterance_that_is_not_there_is_a_key_error(corpus, cache):
    store = prepare(emodb.load(corpus), FEATURES, cache)
    assert "03a01Wb" not in store
    with pytest.raises(KeyError):
        store["03a01Wb"]


def test_a_second_call_reads_no_recording(corpus, cache, monkeypatch):
    first = prepare(emodb.load(corpus), FEATURES, cache)
    monkeypatch.setattr(cache_module, "read", no_reading)
    second = prepare(emodb.load(corpus), FEATURES, cache)
    for name in first:
        assert np.array_equal(first[name], second[name])


def test_other_settings_have_a_cache_of_their_own(corpus, cache):
    manifest = emodb.load(corpus)
    assert prepare(manifest, FEATURES, cache)["03a01Wa"].shape == (26, 16)
    assert prepare(manifest, Features(num_mels=8), cache)["03a01Wa"].shape == (13, 8)
    assert len(folders(cache)) == 2


def test_a_changed_recording_is_read_again(corpus, cache):
    manifest = emodb.load(corpus)
    before = prepare(manifest, FEATURES, cache)["03a01Wa"].copy()
    path = corpus / "03a01Wa.wav"
    old = path.stat()
    samples, rate = soundfile.read(path)
    soundfile.write(path, -samples[::-1], rate)
    assert path.stat().st_size == old.st_size
    os.utime(path, ns=(old.st_atime_ns, old.st_mtime_ns + 1))
    assert not np.array_equal(before, prepare(manifest, FEATURES, cache)["03a01Wa"])


def spoil(corpus):
    (corpus / "03a01Wa.wav").write_bytes(b"")
    soundfile.write(corpus / "16b10Ta.wav", np.full(100, np.nan), 16_000, subtype="FLOAT")
    soundfile.write(corpus / "16b10Xa.wav", np.zeros(100), 16_000)


def test_all_bad_files_are_listed_at_once(corpus, cache):
    spoil(corpus)
    with pytest.raises(UnusableFiles) as caught:
        prepare(emodb.load(corpus), FEATURES, cache)
    assert str(caught.value).splitlines() == [
        "emodb: 3 of 4 files cannot be used",
        "  03a01Wa.wav  empty file",
        "  16b10Ta.wav  100 NaN or infinite samples",
        "  16b10Xa.wav  emotion code X is none of W, L, E, A, F, T, N",
        "Mend or remove them, or pass --skip-bad to train on the rest (recorded in every result).",
    ]


def test_bad_files_are_skipped_only_where_asked_and_then_recorded(corpus, cache):
    spoil(corpus)
    manifest = emodb.load(corpus)
    store = prepare(manifest, FEATURES, cache, skip_bad=True)
    assert store.utterances == ("08a01Na",)
    assert sorted(str(problem.path) for problem in store.skipped) == [
        "03a01Wa.wav",
        "16b10Ta.wav",
        "16b10Xa.wav",
    ]
    samples, _ = soundfile.read(corpus / NAMES[1])
    assert store["08a01Na"].shape == (1 + len(samples) // 160, 16)
    with pytest.raises(UnusableFiles):  # from the same cache
        prepare(manifest, FEATURES, cache)


def test_a_mended_file_is_used(corpus, cache):
    good = (corpus / "03a01Wa.wav").read_bytes()
    (corpus / "03a01Wa.wav").write_bytes(b"")
    manifest = emodb.load(corpus)
    with pytest.raises(UnusableFiles):
        prepare(manifest, FEATURES, cache)
    (corpus / "03a01Wa.wav").write_bytes(good)
    assert len(prepare(manifest, FEATURES, cache)) == 3


def test_no_usable_file_is_an_error_even_where_bad_files_are_skipped(corpus, cache):
    manifest = emodb.load(corpus)
    for name in NAMES:
        (corpus / name).unlink()
    with pytest.raises(UnusableFiles, match="3 of 3 files cannot be used"):
        prepare(manifest, FEATURES, cache, skip_bad=True)


def cut(path):
    path.write_bytes(path.read_bytes()[:-5])


def overwrite(path):
    path.write_bytes(b"\0" * path.stat().st_size)


@pytest.mark.parametrize("damage", [cut, overwrite, os.unlink])
@pytest.mark.parametrize("name", ["frames.npy", "index.parquet"])
def test_a_damaged_cache_is_made_again(corpus, cache, name, damage):
    manifest = emodb.load(corpus)
    before = {name: np.array(frames) for name, frames in prepare(manifest, FEATURES, cache).items()}
    damage(folders(cache)[0] / name)
    after = prepare(manifest, FEATURES, cache)
    assert list(after) == list(before)
    for each in before:
        assert np.array_equal(before[each], after[each])


def test_a_full_disk_leaves_nothing_half_written(corpus, cache, monkeypatch):
    real, calls = cache_module._write_header, []

    def write_header(file, frames, num_mels):
        calls.append(frames)
        if len(calls) == 2:
            raise OSError(errno.ENOSPC, "No space left on device")
        real(file, frames, num_mels)

    monkeypatch.setattr(cache_module, "_write_header", write_header)
    manifest = emodb.load(corpus)
    with pytest.raises(SuiteError, match=r"cannot write .*features.*: No space left on device; free space"):
        prepare(manifest, FEATURES, cache)
    assert folders(cache) == []
    monkeypatch.undo()
    assert len(prepare(manifest, FEATURES, cache)) == 3


def test_frames_that_the_system_refuses_to_write_leave_nothing(make_corpus, cache, largest_file):
    manifest = emodb.load(make_corpus("emodb", ["03a01Wa.wav"], 10.0))
    with largest_file(100_000), pytest.raises(SuiteError, match=f"cannot write {cache}.*: File too large"):
        prepare(manifest, Features(), cache)  # 501 frames of 64 floats: 128,256 bytes
    assert folders(cache) == []


def test_an_interrupted_build_leaves_nothing(corpus, cache, monkeypatch):
    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(cache_module, "read", interrupt)
    with pytest.raises(KeyboardInterrupt):
        prepare(emodb.load(corpus), FEATURES, cache)
    assert folders(cache) == []


WRITE_AND_HANG = """
import sys, time
from pathlib import Path
from bench.folders import whole_folder
with whole_folder(Path(sys.argv[1])) as folder:
    (folder / "frames.npy").touch()
    print("writing", flush=True)
    time.sleep(60)
"""


@pytest.mark.parametrize("set_back_s", [0, 400 * 24 * 3600], ids=["", "clock set back"])
def test_what_a_killed_process_left_is_swept_and_what_a_living_one_writes_is_not(
    corpus, cache, monkeypatch, set_back_s
):
    """Whatever the clock says: only the locks of the processes are asked."""
    manifest = emodb.load(corpus)
    prepare(manifest, FEATURES, cache)
    folder = folders(cache)[0]
    command = [sys.executable, "-c", WRITE_AND_HANG, str(folder)]
    dead, alive = (subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2))
    try:
        assert dead.stdout.readline() == alive.stdout.readline() == "writing\n"
        assert len([path for path in folders(cache) if path.is_dir()]) == 3
        dead.kill()
        dead.wait()
        now = time.time()
        monkeypatch.setattr(time, "time", lambda: now - set_back_s)
        (folder / "frames.npy").unlink()
        prepare(manifest, FEATURES, cache)
        unfinished = [path for path in folders(cache) if path.name.endswith(".unfinished")]
        assert len(unfinished) == 1
    finally:
        for process in (dead, alive):
            process.kill()
            process.communicate()
    (folder / "frames.npy").unlink()
    prepare(manifest, FEATURES, cache)
    assert folders(cache) == [folder]


def test_a_folder_made_meanwhile_by_another_process_stands(tmp_path):
    with whole_folder(tmp_path / "made") as later:
        (later / "which").write_text("later")
        with whole_folder(tmp_path / "made") as first:
            (first / "which").write_text("first")
    assert [path.name for path in tmp_path.iterdir()] == ["made"]
    assert (tmp_path / "made" / "which").read_text() == "first"


def test_processes_that_want_the_same_features_compute_them_once(corpus, cache, monkeypatch):
    """The second waits for the first, and takes nothing of it away."""
    manifest, real, built = emodb.load(corpus), cache_module._build, []
    begun = threading.Event()

    def build(*arguments):
        built.append(arguments)
        begun.set()
        time.sleep(0.3)
        real(*arguments)

    monkeypatch.setattr(cache_module, "_build", build)
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(prepare, manifest, FEATURES, cache)
        begun.wait()
        second = pool.submit(prepare, manifest, FEATURES, cache)
        assert len(first.result()) == len(second.result()) == 3
    assert len(built) == 1


@pytest.mark.parametrize("name", ["frames.npy", "index.parquet", "sums.json"])
def test_one_flipped_bit_is_found_and_the_features_made_again(corpus, cache, name):
    manifest = emodb.load(corpus)
    before = {name: np.array(frames) for name, frames in prepare(manifest, FEATURES, cache).items()}
    path = folders(cache)[0] / name
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    after = prepare(manifest, FEATURES, cache, verify=True)
    for each in before:
        assert np.array_equal(before[each], after[each])


def test_the_environment_names_the_cache(monkeypatch, tmp_path):
    monkeypatch.setenv("SER_CACHE", str(tmp_path))
    assert cache_folder() == tmp_path
    monkeypatch.delenv("SER_CACHE")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert cache_folder() == tmp_path / ".cache" / "serbench"

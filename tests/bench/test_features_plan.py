"""How hidden states reach training: the same numbers both ways, and a cache that survives what can happen."""

from __future__ import annotations

import json
import shutil
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import soundfile
import torch
from pretrained_fixtures import plain

from bench import corpora
from bench.config import Extractor, Pretrained
from bench.corpora.manifest import Manifest
from bench.errors import SuiteError, UnusableFiles
from bench.features import headers, hidden, shards
from bench.features import plan as feature_plan
from bench.features.audio import read
from bench.features.hidden import Cached, recordings
from bench.features.plan import build, decide, open_source
from bench.features.pretrained import resolve_features
from bench.features.speech import frames_of
from bench.folders import Folders

CPU = torch.device("cpu")
TURNS = 100


@pytest.fixture(scope="module")
def features(models) -> Pretrained:
    """WavLM's layers and BERT's states, of random models."""
    named = Pretrained(speech=Extractor(name="wavlm"), text=Extractor(name="bert"))
    return resolve_features(named, models)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A cache that holds a made corpus, and the corpus."""
    cache = tmp_path_factory.mktemp("made")
    return corpora.load("msp_made", None, {"turns": TURNS}, cache)


@pytest.fixture
def few(made) -> Manifest:
    """The corpus's first dozen turns, of which one is at 44.1 kHz."""
    return Manifest(**(vars(made) | {"table": made.table.head(12), "problems": ()}))


@pytest.fixture
def folders(tmp_path, models) -> Folders:
    return Folders(tmp_path / "results", tmp_path / "cache", models=models)


def using(folders: Folders, plan: str, **more) -> Folders:
    return Folders(**(vars(folders) | {"feature_plan": plan} | more))


def no_encoders(*_):
    raise AssertionError("the encoders were loaded again")


def small_shards(monkeypatch):
    """Three utterances or so a shard."""
    monkeypatch.setattr(shards, "SHARD_BYTES", 25_000)


@pytest.mark.parametrize("layers", ["free", "last", 1])
def test_both_plans_give_the_states_that_transformers_gives(few, features, folders, models, layers):
    chosen = features.model_copy(update={"layers": layers, "text": None})
    fly = open_source(few, chosen, using(folders, "fly"), CPU)
    cached = open_source(few, chosen, using(folders, "cache"), CPU)
    assert cached.encoders is None
    assert cached.store.utterances == fly.store.utterances == tuple(few.table["utterance"])
    paths = dict(zip(few.table["utterance"], few.table["path"], strict=True))
    for name in list(cached.store)[:5]:
        clip = torch.from_numpy(read(few.root / paths[name], 16_000))
        outputs = plain(models / "wavlm", clip)
        wanted = {"free": outputs, "last": outputs[-1:], 1: outputs[:1]}[layers]
        expected = torch.stack(wanted, dim=1)
        samples = torch.from_numpy(fly.store[name])[None]
        heard = fly.encoders(samples, torch.ones_like(samples, dtype=torch.bool), [""])
        torch.testing.assert_close(heard.frames[0], expected, rtol=1e-4, atol=1e-4)
        stored = torch.from_numpy(np.array(cached.store[name]))
        assert stored.dtype == torch.float16
        torch.testing.assert_close(stored.float(), expected, rtol=2**-10, atol=2e-4)
        assert cached.store.frames[name] == fly.store.frames[name] == len(expected) == frames_of(len(clip))
        assert cached.store.durations_s[name] == pytest.approx(len(clip) / 16_000, abs=1e-4)


def test_cached_texts_are_what_the_encoder_gives_on_the_fly(few, features, folders):
    cached = open_source(few, features, using(folders, "cache"), CPU)
    encoders = open_source(few, features, using(folders, "fly"), CPU).encoders
    for name, text in zip(few.table["utterance"], few.table["transcript"], strict=True):
        states, mask = encoders.text([text])
        stored = torch.from_numpy(np.array(cached.texts[name]))
        assert len(stored) == mask.sum()
        torch.testing.assert_close(stored.float(), states[0], rtol=2**-10, atol=2e-4)


def test_both_kinds_of_weighted_sum_read_one_cache(few, features, folders, monkeypatch):
    build(few, features, folders, CPU)
    monkeypatch.setattr(feature_plan.Encoders, "load", no_encoders)
    softmax = features.model_copy(update={"layers": "softmax"})
    assert open_source(few, softmax, folders, CPU).plan == "cache"


def test_small_corpora_are_cached_and_large_ones_are_not(few, features, folders, monkeypatch):
    assert decide(few, features, folders, 20, CPU).choice == "cache"
    monkeypatch.setattr(feature_plan, "CACHED_BYTES", 1000)
    decision = decide(few, features, folders, 20, CPU)
    assert decision.choice == "fly"
    assert "wavlm and bert on the fly, once a batch" in decision.sentence
    assert decide(few, features, using(folders, "cache"), 20, CPU).choice == "cache"
    assert open_source(few, features, folders, CPU).plan == "fly"


def test_the_stated_size_is_that_of_the_files(few, features, folders):
    speech = features.model_copy(update={"text": None})
    store = recordings(few, folders.cache)
    build(few, speech, folders, CPU)
    stated = hidden.speech_bytes(speech, store.frames.values())
    written = sum(path.stat().st_size for path in folders.cache.rglob("rows.npy"))
    assert written == pytest.approx(stated, rel=0.01)


def test_wavlm_large_on_the_whole_corpus_would_take_terabytes():
    large = Pretrained(speech=Extractor(name="large", width=1024, num_layers=24))
    clips = [frames_of(16_000 * 5)] * (409 * 3600 // 5)
    assert hidden.speech_bytes(large, clips) == pytest.approx(3.6e12, rel=0.02)
    last = large.model_copy(update={"layers": "last"})
    assert hidden.speech_bytes(last, clips) == pytest.approx(0.15e12, rel=0.02)


def test_a_cache_that_does_not_fit_is_refused_before_anything_is_computed(
    few, features, folders, monkeypatch
):
    monkeypatch.setattr(feature_plan, "_free", lambda folder: 100_000)
    with pytest.raises(
        SuiteError, match=r"would take .* more in .*, where 100 kB are free; .*--feature-plan fly"
    ):
        decide(few, features, using(folders, "cache"), 20, CPU)
    assert decide(few, features, folders, 20, CPU).choice == "fly"
    assert not (folders.cache / "hidden").exists()


def test_a_killed_cache_goes_on_where_it_was(few, features, folders, monkeypatch):
    small_shards(monkeypatch)
    real, calls = hidden._encoded_speech, []

    def killed_in_the_third(*arguments):
        calls.append(arguments)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return real(*arguments)

    monkeypatch.setattr(hidden, "_encoded_speech", killed_in_the_third)
    with pytest.raises(KeyboardInterrupt):
        build(few, features, folders, CPU)
    planned = Cached.of(few, features, folders.cache)
    total = len(planned.speech.groups)
    assert planned.speech.missing() == list(range(2, total))
    assert not planned.complete()
    build(few, features, folders, CPU)
    assert len(calls) == 3 + total - 2
    assert planned.complete()


def test_a_flipped_byte_is_found_and_that_shard_alone_made_again(few, features, folders, monkeypatch):
    small_shards(monkeypatch)
    build(few, features, folders, CPU)
    before = {name: np.array(rows) for name, rows in open_source(few, features, folders, CPU).store.items()}
    planned = Cached.of(few, features, folders.cache)
    file = planned.speech.folder / "00001" / "rows.npy"
    content = bytearray(file.read_bytes())
    content[-100] ^= 1
    file.write_bytes(content)
    assert planned.speech.missing() == []
    assert planned.speech.missing(verify=True) == [1]
    times = {path: path.stat().st_mtime_ns for path in planned.speech.folder.rglob("rows.npy")}
    build(few, features, folders, CPU)
    changed = [path for path, when in times.items() if path.stat().st_mtime_ns != when]
    assert changed == [file]
    after = open_source(few, features, folders, CPU).store
    assert all(np.array_equal(before[name], after[name]) for name in before)


@pytest.mark.parametrize("name", ["rows.npy", "index.json"])
@pytest.mark.parametrize(
    "damage", [lambda path: path.write_bytes(path.read_bytes()[:-9]), lambda path: path.unlink()]
)
def test_a_cut_or_lost_file_makes_its_shard_missing(few, features, folders, name, damage):
    build(few, features, folders, CPU)
    planned = Cached.of(few, features, folders.cache)
    damage(planned.speech.folder / "00000" / name)
    assert planned.speech.missing() == [0]


def test_a_full_disk_keeps_the_shards_that_are_done(few, features, folders, monkeypatch, largest_file):
    """Utterances grow: the first shard fits under the limit, a later one does not."""
    monkeypatch.setattr(shards, "SHARD_BYTES", 10_000)
    planned = Cached.of(few, features, folders.cache)
    sizes = [
        hidden.speech_bytes(features, [recordings(few, folders.cache).frames[name] for name in group])
        for group in planned.speech.groups
    ]
    limit = sizes[0] + 200
    assert max(sizes) > limit
    with (
        largest_file(limit),
        pytest.raises(SuiteError, match=f"cannot write {folders.cache}.*: File too large"),
    ):
        build(few, features, folders, CPU)
    first_too_large = next(number for number, size in enumerate(sizes) if size + 128 > limit)
    assert planned.speech.missing()[0] == first_too_large
    assert not list(planned.speech.folder.glob(".*"))


def test_processes_that_share_a_build_make_each_shard_once(few, features, folders, monkeypatch):
    small_shards(monkeypatch)
    planned = Cached.of(few, features, folders.cache)
    total = len(planned.speech.groups)
    build(few, features, folders, CPU, own=1, count=2)
    assert planned.speech.missing() == list(range(0, total, 2))


def test_builds_that_know_nothing_of_each_other_share_the_shards(few, features, folders, monkeypatch):
    """Neither makes a shard twice, and none takes away what the other has finished."""
    small_shards(monkeypatch)
    planned = Cached.of(few, features, folders.cache)
    real, made = hidden._encoded_speech, []
    both = threading.Barrier(2)

    def encode(paths, encoders):
        made.append(tuple(paths))
        if len(made) <= 2:
            both.wait(60)  # each has a shard of its own
        return real(paths, encoders)

    monkeypatch.setattr(hidden, "_encoded_speech", encode)
    with ThreadPoolExecutor(2) as pool:
        for building in [pool.submit(build, few, features, folders, CPU) for _ in range(2)]:
            building.result()
    assert sorted(made) == sorted(planned.speech.groups)
    assert planned.complete()
    assert not list(planned.speech.folder.glob("*.lock"))


def test_states_beyond_float16_are_clipped_not_infinite():
    states, mask = torch.tensor([[[[1e6, -1e6, 1.0]]]]), torch.ones(1, 1, dtype=torch.bool)
    row = hidden._rows(["a"], states, mask)["a"]
    assert row[0, 0].tolist() == [65504, -65504, 1]


def test_other_weights_or_another_recording_have_a_cache_of_their_own(
    few, features, folders, models, tmp_path
):
    first = Cached.of(few, features, folders.cache).speech.folder
    other = features.model_copy(
        update={"speech": resolve_features(Pretrained(speech=Extractor(name="hubert")), models).speech}
    )
    assert Cached.of(few, other, folders.cache).speech.folder != first
    copy = tmp_path / "copy"
    shutil.copytree(few.root, copy)
    recording = copy / few.table["path"].iat[0]
    samples, rate = soundfile.read(recording)
    soundfile.write(recording, -samples, rate)
    edited = Manifest(**(vars(few) | {"root": copy}))
    assert Cached.of(edited, features, folders.cache).speech.folder != first


class TestHeaders:
    """Lengths without decoding."""

    def test_lengths_are_those_of_the_decoded_recordings(self, made, tmp_path):
        found = headers.scan(made, tmp_path)
        assert list(found["utterance"]) == list(made.table["utterance"])
        for path, samples, seconds in zip(found["path"], found["samples"], found["duration_s"], strict=True):
            decoded = soundfile.info(made.root / path)
            assert seconds == pytest.approx(decoded.frames / decoded.samplerate)
            assert abs(samples - len(read(made.root / path, 16_000))) <= 1

    def test_a_second_scan_opens_no_file_but_the_changed_one(self, few, tmp_path, monkeypatch):
        root = tmp_path / "corpus"
        shutil.copytree(few.root, root)
        manifest = Manifest(**(vars(few) | {"root": root}))
        headers.scan(manifest, tmp_path)
        opened = []
        real = headers.length
        monkeypatch.setattr(headers, "length", lambda path: opened.append(path) or real(path))
        headers.scan(manifest, tmp_path)
        assert opened == []
        changed = root / few.table["path"].iat[4]
        soundfile.write(changed, np.zeros(8000), 16_000)
        found = headers.scan(manifest, tmp_path)
        assert opened == [changed]
        assert found["samples"].iat[4] == 8000

    def test_a_scan_that_was_killed_goes_on(self, few, tmp_path, monkeypatch):
        monkeypatch.setattr(headers, "SAVED_EVERY", 5)
        real, opened = headers.length, []

        def killed_at_the_eighth(path):
            opened.append(path)
            if len(opened) == 8:
                raise KeyboardInterrupt
            return real(path)

        monkeypatch.setattr(headers, "length", killed_at_the_eighth)
        with pytest.raises(KeyboardInterrupt):
            headers.scan(few, tmp_path)
        opened.clear()
        monkeypatch.setattr(headers, "length", lambda path: opened.append(path) or real(path))
        assert (headers.scan(few, tmp_path)["samples"] > 0).all()
        assert len(opened) == 7

    def test_bad_files_are_listed_or_skipped_as_in_any_cache(self, few, tmp_path):
        root = tmp_path / "corpus"
        shutil.copytree(few.root, root)
        manifest = Manifest(**(vars(few) | {"root": root}))
        first, second = (root / path for path in few.table["path"].head(2))
        first.write_bytes(b"")
        second.write_bytes(second.read_bytes()[:-2000])
        with pytest.raises(UnusableFiles, match=r"2 of 12 files cannot be used") as caught:
            recordings(manifest, tmp_path)
        assert {problem.reason.split()[0] for problem in caught.value.problems} == {"empty", "header"}
        store = recordings(manifest, tmp_path, skip_bad=True)
        assert len(store) == 10
        assert len(store.skipped) == 2

    def test_damage_that_a_header_hides_is_told_with_the_file_when_it_is_read(self, few, tmp_path):
        root = tmp_path / "corpus"
        shutil.copytree(few.root, root)
        path = root / few.table["path"].iat[0]
        soundfile.write(path, np.full(16_000, np.nan), 16_000, subtype="FLOAT")
        store = recordings(Manifest(**(vars(few) | {"root": root})), tmp_path)
        with pytest.raises(
            SuiteError, match=f"{path.name}: 16000 NaN or infinite samples; mend or remove it"
        ):
            store[few.table["utterance"].iat[0]]

    def test_to_skip_bad_files_all_are_decoded_once(self, few, tmp_path, monkeypatch):
        root = tmp_path / "corpus"
        shutil.copytree(few.root, root)
        soundfile.write(root / few.table["path"].iat[0], np.full(16_000, np.nan), 16_000, subtype="FLOAT")
        manifest = Manifest(**(vars(few) | {"root": root}))
        assert len(recordings(manifest, tmp_path)) == 12
        opened, real = [], headers.decode
        monkeypatch.setattr(headers, "decode", lambda path: opened.append(path) or real(path))
        for _ in range(2):
            store = recordings(manifest, tmp_path, skip_bad=True)
            assert [problem.reason for problem in store.skipped] == ["16000 NaN or infinite samples"]
            assert len(store) == 11
        assert len(opened) == 13  # the bad one again: it may have been mended


def test_a_recording_found_bad_while_caching_is_listed_or_skipped(few, features, folders, tmp_path):
    root = tmp_path / "corpus"
    shutil.copytree(few.root, root)
    bad = few.table["path"].iat[0]
    soundfile.write(root / bad, np.full(16_000, np.nan), 16_000, subtype="FLOAT")
    manifest = Manifest(**(vars(few) | {"root": root}))
    with pytest.raises(UnusableFiles, match="NaN or infinite samples"):
        open_source(manifest, features, using(folders, "cache"), CPU)
    source = open_source(manifest, features, using(folders, "cache", skip_bad=True), CPU)
    assert len(source.store) == 11
    assert [str(problem.path) for problem in source.store.skipped] == [bad]


def test_corpora_that_are_joined_are_cached_part_by_part_and_read_as_one(
    folders, features, models, tmp_path_factory
):
    cache = tmp_path_factory.mktemp("joined")
    options = {"turns": TURNS, "speakers": 3, "per_speaker": 5}
    both = corpora.load("synthetic-to-msp_made", None, options, cache)
    speech = features.model_copy(update={"text": None})
    chosen = using(folders, "cache", cache=cache)
    cached = open_source(both, speech, chosen, CPU)
    fly = open_source(both, speech, using(folders, "fly", cache=cache), CPU)
    assert set(both.table["utterance"]) <= set(cached.store)
    name = both.table["utterance"].iat[0]
    heard = fly.encoders(
        torch.from_numpy(fly.store[name])[None], torch.ones(1, len(fly.store[name])).bool(), [""]
    )
    stored = torch.from_numpy(np.array(cached.store[name])).float()
    torch.testing.assert_close(stored, heard.frames[0], rtol=2**-10, atol=2e-4)
    names = {json.loads(path.read_bytes())["sha256"] for path in cache.rglob("index.json")}
    assert len(names) >= 2

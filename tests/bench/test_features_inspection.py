"""`corpora check`: counts, folds, every bad file and every duplicate, by name."""

from __future__ import annotations

import shutil

import numpy as np
import pytest
import soundfile

from bench import corpora
from bench.corpora import emodb
from bench.features.inspection import inspect, report_lines


def check(manifest: corpora.Manifest) -> str:
    return "\n".join(report_lines(manifest, inspect(manifest)))


def test_rates_channels_and_hours_are_those_of_the_files(make_corpus):
    root = make_corpus("emodb", ["03a01Wa.wav", "08a01Na.wav"], 1.0)
    soundfile.write(root / "16b10Ta.wav", np.random.default_rng(9).normal(0, 0.1, (88_200, 2)), 44_100)
    inspection = inspect(emodb.load(root))
    assert inspection.sample_rates == {16_000: 2, 44_100: 1}
    assert inspection.channels == {1: 2, 2: 1}
    assert inspection.durations_s == {"03a01Wa": 1.0, "08a01Na": 1.0, "16b10Ta": 2.0}
    assert inspection.hours == pytest.approx(4 / 3600)


def test_the_same_samples_in_another_format_are_a_duplicate(make_corpus):
    root = make_corpus("emodb", ["03a01Wa.wav", "08a01Na.wav"], 0.1)
    samples, rate = soundfile.read(root / "03a01Wa.wav")
    soundfile.write(root / "03a01Wb.flac", samples, rate)
    manifest = emodb.load(root)
    assert inspect(manifest).duplicates == (("03a01Wa", "03a01Wb"),)
    assert "duplicates 1 pair with the same samples\n    03a01Wa.wav = 03a01Wb.flac" in check(manifest)


def test_three_copies_are_three_pairs(make_corpus):
    root = make_corpus("emodb", ["03a01Wa.wav"], 0.1)
    for version in "bc":
        shutil.copy(root / "03a01Wa.wav", root / f"03a01W{version}.wav")
    assert "duplicates 3 pairs" in check(emodb.load(root))


def test_bad_names_and_bad_audio_are_listed_together(make_corpus):
    root = make_corpus("emodb", ["03a01Wa.wav", "08a01Na.wav", "wav/08a01Xa.wav"], 0.1)
    (root / "08a01Na.wav").write_bytes(b"")
    text = check(emodb.load(root))
    assert "2 of 3 cannot be used" in text
    assert "    08a01Na.wav      empty file" in text
    assert "    wav/08a01Xa.wav  emotion code X is none of" in text


def test_a_sound_corpus_says_so(make_corpus):
    text = check(emodb.load(make_corpus("emodb", ["03a01Wa.wav", "08a01Na.wav"], 0.1)))
    assert "files      all 2 can be used" in text
    assert "duplicates none" in text
    assert "speakers   2 (1 female, 1 male)" in text
    assert "emotions   anger 1, neutral 1" in text


def test_folds_that_share_a_speaker_are_reported(make_corpus):
    manifest = emodb.load(make_corpus("emodb", ["03a01Wa.wav", "08a01Na.wav"], 0.01))
    leaky = (corpora.Fold(dev=("03",), test=("03", "08")), corpora.Fold(dev=(), test=("08",)))
    spoilt = corpora.Manifest("emodb", "", manifest.root, manifest.emotions, manifest.table, {"leaky": leaky})
    text = check(spoilt)
    assert "fold 0 has speaker 03 in dev and test" in text
    assert "speaker 08 is tested 2 times" in text


@pytest.mark.corpus
def test_check_of_the_real_ravdess_counts_it_and_names_the_duplicate(data_root):
    text = check(corpora.load("ravdess", data_root))
    assert "1,440 utterances" in text
    assert "no speaker in two splits, every speaker tested once" in text
    assert "03-01-03-01-02-01-07" in text
    assert "03-01-03-01-02-02-07" in text
    assert "duplicates 1 pair" in text


@pytest.mark.corpus
def test_check_of_the_real_emodb_counts_it(data_root):
    text = check(corpora.load("emodb", data_root))
    assert "339 utterances" in text
    assert "all 339 can be used" in text

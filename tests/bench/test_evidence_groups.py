"""Utterances are grouped by length, gender and corpus, and each group's counts are scikit-learn's."""

import numpy as np
import pandas as pd
from sklearn.metrics import confusion_matrix

from bench.evidence import groups
from bench.evidence.confusion import coded

EMOTIONS = ("calm", "sad", "angry")


def predictions(rows=400, seed=0):
    rng = np.random.default_rng(seed)
    table = pd.DataFrame(rng.normal(size=(rows, 3)), columns=[f"logit_{name}" for name in EMOTIONS])
    return table.assign(
        utterance=[
            f"{corpus}/{i}" for i, corpus in enumerate(rng.choice(["emodb", "ravdess", "other"], rows))
        ],
        speaker=rng.choice(["a", "b"], rows),
        label=rng.choice(EMOTIONS, rows),
        gender=rng.choice(["female", "male", ""], rows),
        duration_s=rng.uniform(0.5, 30, rows),
    )


def test_lengths_fall_in_bins_with_the_lower_end_as_in_pandas_cut():
    seconds = pd.Series([0.1, 1.999, 2.0, 3.9, 4.0, 6.0, 8.0, 11.9, 12.0, 20.0, 3600.0])
    found = groups.of(pd.DataFrame({"utterance": "x", "duration_s": seconds}), ("c",))["length"]
    edges = [0, *groups.EDGES_S, np.inf]
    assert found.codes.tolist() == pd.cut(seconds, edges, right=False, labels=False).tolist()
    assert found.names[2] == "4 to 6 s"


def test_every_group_has_the_confusion_matrix_of_its_rows():
    table = predictions()
    codes = coded(table, EMOTIONS, ("a", "b"))
    guess = table[[f"logit_{name}" for name in EMOTIONS]].idxmax(axis=1).str.removeprefix("logit_")
    found = groups.of(table, ("ravdess", "emodb"))
    columns = {"gender": table["gender"], "corpus": table["utterance"].str.split("/").str[0]}
    for kind, column in columns.items():
        names = found[kind].names
        counts = codes.counts(found[kind].codes, len(names)).sum(axis=1)
        for name, matrix in zip(names, counts, strict=True):
            rows = column == name
            expected = confusion_matrix(table["label"][rows], guess[rows], labels=EMOTIONS)
            np.testing.assert_array_equal(matrix, expected)


def test_what_is_unknown_is_in_no_group():
    table = predictions().assign(duration_s=np.nan, gender="")
    found = groups.of(table, ("ravdess", "emodb"))
    assert (found["length"].codes == -1).all()
    assert (found["gender"].codes == -1).all()
    assert coded(table, EMOTIONS, ("a", "b")).counts(found["gender"].codes, 2).sum() == 0
    assert ((found["corpus"].codes == -1) == table["utterance"].str.startswith("other")).all()


def test_predictions_of_one_corpus_are_all_of_it_whatever_their_names():
    found = groups.of(predictions(), ("table:mine",))["corpus"]
    assert found.names == ("table:mine",)
    assert (found.codes == 0).all()


def test_a_table_without_gender_or_duration_has_no_such_groups():
    table = predictions().drop(columns=["gender", "duration_s"])
    assert set(groups.of(table, ("c",))) == {"corpus"}

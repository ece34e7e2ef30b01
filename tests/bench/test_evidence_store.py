"""The results folder: whole files or none, and a bad record is named."""

import errno
import json

import pytest

from bench.config import Cell, System, Task
from bench.errors import SuiteError
from bench.evidence.records import Environment, Label, RunRecord
from bench.evidence.store import Store, atomic

CELL = Cell(task=Task(corpus="ravdess", protocol="luna"), seed=0, system=System(layout="softmax"))
HERE = Environment(
    device="CPU X",
    device_kind="cpu",
    cores=2,
    threads=1,
    memory_bytes=1,
    operating_system="Linux",
    python="3.11",
    packages={},
)


def record(cell: Cell = CELL) -> RunRecord:
    return RunRecord(
        id=cell.id,
        preset="open",
        config=cell,
        label=Label(text="Softmax", mixers=("softmax",)),
        synthetic=False,
        corpus_title="RAVDESS",
        emotions=("calm", "sad"),
        status="ok",
        environment=HERE,
    )


def test_a_record_survives_the_disk(tmp_path):
    store = Store(tmp_path)
    store.write(record())
    assert store.runs() == [record()]


def test_the_id_depends_on_every_resolved_setting_and_not_on_how_it_was_spelled():
    same = Cell.model_validate_json(CELL.model_dump_json())
    assert same.id == CELL.id
    other = CELL.model_copy(update={"recipe": CELL.recipe.model_copy(update={"peak_lr": 2e-3})})
    assert other.id != CELL.id


def test_a_record_cut_in_half_stops_with_its_path(tmp_path):
    store = Store(tmp_path)
    path = store.write(record())
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(SuiteError, match=path.name):
        store.runs()


def test_a_bad_field_is_named(tmp_path):
    store = Store(tmp_path)
    path = store.write(record())
    content = json.loads(path.read_text())
    content["environment"]["cores"] = "many"
    path.write_text(json.dumps(content))
    with pytest.raises(SuiteError, match=r"environment\.cores"):
        store.runs()


@pytest.mark.parametrize("version", [0, 2])
def test_a_record_of_another_schema_is_refused_by_name(tmp_path, version):
    store = Store(tmp_path)
    path = store.write(record())
    content = json.loads(path.read_text())
    path.write_text(json.dumps(content | {"schema_version": version, "flavour": "of another time"}))
    with pytest.raises(
        SuiteError, match=f"{path.name}: a record of schema {version}, unknown to this version"
    ):
        store.runs()


def test_a_record_without_a_schema_is_refused(tmp_path):
    store = Store(tmp_path)
    path = store.write(record())
    content = json.loads(path.read_text())
    del content["schema_version"]
    path.write_text(json.dumps(content))
    with pytest.raises(SuiteError, match="schema_version"):
        store.runs()


def test_a_record_under_another_name_is_refused(tmp_path):
    store = Store(tmp_path)
    path = store.write(record())
    path.rename(path.with_name("0123456789abcdef.json"))
    with pytest.raises(SuiteError, match="0123456789abcdef"):
        store.runs()


def test_a_full_disk_leaves_the_old_file_and_no_half_one(tmp_path):
    target = tmp_path / "file.json"
    target.write_text("old")

    def fill_the_disk():
        with atomic(target) as temporary:
            temporary.write_text("half")
            raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(SuiteError, match=r"file\.json.*space"):
        fill_the_disk()
    assert target.read_text() == "old"
    assert list(tmp_path.iterdir()) == [target]


def test_missing_predictions_say_which(tmp_path):
    with pytest.raises(SuiteError, match=r"abc\.parquet"):
        Store(tmp_path).predictions("abc")

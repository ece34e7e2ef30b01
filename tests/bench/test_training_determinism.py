"""The same configuration gives the same bytes of prediction on a processor, with `--deterministic` or not."""

import pytest
import torch

from bench import presets
from bench.config import Cell, Encoder, Recipe, System, Task
from bench.evidence.store import Store
from bench.flags import RunFlags, TrainFlags, parse
from bench.folders import Folders
from bench.training.determinism import demanded
from bench.training.job import Job
from bench.training.run import run_cohort

LAYOUTS = ("softmax", "kda", "mamba2")


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    """One cache for the module: the corpus is generated once."""
    return tmp_path_factory.mktemp("cache")


def trained(folders: Folders) -> tuple[list, list[bytes]]:
    """Records of a small cohort, and the bytes of its predictions and weights."""
    cells = tuple(
        Cell(
            task=Task(corpus="msp_made", protocol="official", corpus_options={"turns": 100}),
            seed=0,
            system=System(layout=layout),
            encoder=Encoder(d_model=16, num_layers=1, num_heads=2),
            recipe=Recipe(epochs=2, batch_size=32),
        )
        for layout in LAYOUTS
    )
    records, store = run_cohort(Job("demo", cells), folders), Store(folders.results)
    files = [place(cell.id) for place in (store.predictions_path, store.checkpoint_path) for cell in cells]
    return records, [path.read_bytes() for path in files]


def test_the_same_configuration_gives_the_same_bytes_and_deterministic_algorithms_give_them_too(
    cache, tmp_path
):
    first, bytes_of_first = trained(Folders(tmp_path / "first", cache))
    again, bytes_again = trained(Folders(tmp_path / "again", cache))
    asked, bytes_asked = trained(Folders(tmp_path / "asked", cache, deterministic=True))
    assert bytes_of_first == bytes_again == bytes_asked
    assert [record.id for record in first] == [record.id for record in asked]
    assert {record.cost.deterministic for record in (*first, *again)} == {False}
    assert {(record.cost.deterministic, record.cost.nondeterministic) for record in asked} == {(True, ())}


def test_an_operation_without_a_deterministic_form_is_named_and_runs_all_the_same():
    with demanded(True) as lacking:
        assert torch.are_deterministic_algorithms_enabled()
        found = torch.zeros(3).put_(torch.tensor([1]), torch.tensor([2.0]))
    assert found.tolist() == [0, 2, 0]
    assert lacking == {"put_"}
    assert not torch.are_deterministic_algorithms_enabled()


@pytest.mark.parametrize(
    "default", [RunFlags(plan=presets.build("demo")), TrainFlags()], ids=["run", "train"]
)
@pytest.mark.parametrize("words", [[], ["--deterministic"]])
def test_the_flag_reaches_the_folders_that_a_run_is_handed(default, words):
    assert parse(type(default), "serbench", words, default).folders().deterministic == bool(words)


def test_nothing_is_asked_of_torch_unless_it_is_wanted():
    with demanded(False):
        assert not torch.are_deterministic_algorithms_enabled()

"""Every notebook runs from top to bottom, and is kept with outputs that are small and ours to give away.

python tests/test_notebooks.py        # run all of them and keep their outputs
"""

import os
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

FOLDER = Path(__file__).parents[1] / "notebooks"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))
LARGEST_BYTES = 300_000

every_notebook = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)


def executed(path: Path) -> nbformat.NotebookNode:
    """The notebook with fresh outputs, run where no recordings are at hand."""
    notebook = nbformat.read(path, as_version=4)
    options = {"timeout": 300, "record_timing": False, "coalesce_streams": True}
    client = NotebookClient(notebook, resources={"metadata": {"path": str(FOLDER)}}, **options)
    client.execute(env={**os.environ, "SER_DATA_ROOT": ""})
    notebook.metadata.language_info = {"name": "python"}  # not which version of it
    return notebook


def outputs(path: Path) -> list[nbformat.NotebookNode]:
    """Everything that is kept of what the cells gave."""
    notebook = nbformat.read(path, as_version=4)
    return [output for cell in notebook.cells for output in cell.get("outputs", [])]


@pytest.mark.slow
@every_notebook
def test_a_notebook_runs_from_top_to_bottom(path):
    executed(path)


@every_notebook
def test_a_notebook_is_kept_as_it_ran_and_small(path):
    code = [cell for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in code] == list(range(1, len(code) + 1))
    kinds = {output.get("name", output.output_type) for output in outputs(path)}
    assert kinds <= {"stdout", "execute_result", "display_data"}  # no error, no warning
    assert any("image/png" in output.get("data", {}) for output in outputs(path))
    assert path.stat().st_size < LARGEST_BYTES


def test_the_recording_that_is_kept_is_of_no_licensed_corpus():
    said = "".join(output.get("text", "") for output in outputs(FOLDER / "listen.ipynb"))
    assert "generated speech" in said
    assert "RAVDESS" not in said


if __name__ == "__main__":
    for each in NOTEBOOKS:
        nbformat.write(executed(each), each)

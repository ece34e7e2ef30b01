"""`serbench mixers`: one row a mixer, in a terminal and in a pipe; sizes that cannot be are told."""

import subprocess
import sys

import pytest

import mixers
from bench.cli import run_command
from bench.errors import SuiteError
from bench.listing import mixers_table


def test_every_mixer_has_a_row_with_its_size_complexity_state_and_paper(capsys):
    assert run_command(["mixers"]) == 0
    rows = {line.split()[0]: line for line in capsys.readouterr().out.splitlines() if line.strip()}
    for name in mixers.available():
        entry = mixers.info(name)
        parameters = sum(p.numel() for p in mixers.build(name, 512, 4).parameters())
        for shown in (entry.label, f"{parameters:,}", entry.complexity, entry.paper, "bidirectional"):
            assert shown in rows[name]


def test_the_state_is_what_a_causal_stream_keeps_after_a_minute(capsys):
    run_command(["mixers"])
    softmax = next(line for line in capsys.readouterr().out.splitlines() if line.split()[:1] == ["softmax"])
    assert "12 MB" in softmax  # keys and values, 512 float32 numbers each, of 3,000 frames


def test_a_pipe_gets_whole_rows_without_colour_codes():
    code = "from bench.cli import run_command; run_command(['mixers'])"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "\x1b" not in run.stdout
    assert any("retnet" in line and "2307.08621" in line for line in run.stdout.splitlines())


def test_a_width_that_the_heads_do_not_divide_is_told_not_raised():
    with pytest.raises(SuiteError, match="mixer softmax: d_model=510 is no multiple of num_heads=4"):
        mixers_table(510, 4)

"""Good files for the fuzzers to start from, a few a target: `write_seeds("audio", folder)`."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

RESULTS = Path(__file__).parents[2] / "results"
CSV = "path,label,speaker,gender,arousal,split,fold\n" + "".join(
    f"{n}.wav,{'ab'[n % 2]},s{n},f,{n}.5,{('train', 'dev', 'test')[n % 3]},{n % 3}\n" for n in range(6)
)
HEAD = "FileName,EmoClass,EmoAct,EmoVal,EmoDom,SpkrID,Gender,Split_Set\n"
TURN = "MSP-PODCAST_0001_0001.wav,N,4.0,4.2,3.8,12,Female,Train\n"
JSON_TURN = (
    '{"MSP-PODCAST_0001_0001.wav": {"EmoClass": "A", "EmoAct": 5.1, "EmoVal": 2.0, "EmoDom": 4.0, '
    '"SpkrID": 7, "Gender": "Male", "Split_Set": "Test1"}}'
)
FILES = "----\nMSP-PODCAST_0001_0001.wav; Speaker_12\n----\nTrain; MSP-PODCAST_0001_0001.wav\n"
NUMBERS = (
    "system,corpus,release,protocol,split,metric,value,spread,source,caveat\n"
    'FoX,ravdess,,luna,test,uar,0.62,0.01,arXiv 1,"one, seed"\n'
)
NAMES = (
    "03-01-05-02-01-01-12",
    "03a01Wa",
    "1001_DFA_ANG_XX",
    "[6.2901 - 8.2357]\tSes01F_impro01_F000\tneu\t[2.5000, 2.5000, 2.5000]",
)


def write_seeds(target: str, folder: Path) -> Path:
    """Write the seeds of a target into `folder` and return it."""
    folder.mkdir(parents=True)
    for number, content in enumerate(seeds(target)):
        (folder / f"{number}.bin").write_bytes(content)
    return folder


def seeds(target: str) -> Iterator[bytes]:
    """Contents of good files."""
    texts = {
        "msp_podcast": (HEAD + TURN + FILES, JSON_TURN + FILES),
        "names": NAMES,
        "numbers": (NUMBERS,),
        "table": (CSV, CSV.replace(",", ";"), "\ufeff" + CSV.upper()),
    }
    yield from (text.encode() for text in texts.get(target, ()))
    if target == "record":
        for kind in ("runs", "profiles", "ops", "sweeps"):
            yield from (_short(path) for path in sorted((RESULTS / kind).glob("*.json"))[:1])
    if target == "audio":
        yield from _recordings()
    if target == "archive":
        yield _archive()


def _short(path: Path) -> bytes:
    """A committed record with one item left of every list: small files are fuzzed faster."""
    return json.dumps(_first(json.loads(path.read_bytes()))).encode()


def _first(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _first(one) for key, one in value.items()}
    return [_first(one) for one in value[:1]] if isinstance(value, list) else value


def _recordings() -> Iterator[bytes]:
    noise = 0.1 * np.random.default_rng(0).standard_normal((200, 2))
    for form, subtype in (("WAV", "PCM_16"), ("WAV", "FLOAT"), ("WAVEX", "PCM_24"), ("FLAC", "PCM_16")):
        for channels, rate_hz in ((1, 16_000), (2, 44_100)):
            buffer = io.BytesIO()
            soundfile.write(buffer, noise[:, :channels], rate_hz, format=form, subtype=subtype)
            yield buffer.getvalue()


def _archive() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("Actor_01/a.wav", b"\0" * 100)
        archive.writestr("readme.txt", "text")
    return buffer.getvalue()

"""Where a pretrained model's files are: the models folder, the Hugging Face cache, or the hub.

    folder = find("wavlm-tiny", Path("models"))          # models/wavlm-tiny
    folder = find("microsoft/wavlm-large", None)         # its snapshot, downloaded where it is not cached

A cached model needs no network. What is downloaded is what is read: configuration, tokenizer, and one
set of weights, safetensors where there are any. Else `pytorch_model.bin`, as of most speech models on
the hub, which is read by torch's weights-only unpickler: it builds tensors and runs no code.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path, PurePath

from bench.errors import SuiteError
from bench.folders import models_folder

CONFIG = "config.json"
INPUTS = ("preprocessor_config.json", "processor_config.json")  # of speech; the newer name comes second
VOCABULARIES = (("tokenizer.json",), ("vocab.txt",), ("vocab.json", "merges.txt"))  # the first that is whole
TOKENIZER = ("tokenizer_config.json", "special_tokens_map.json", "added_tokens.json")
STEMS = {".safetensors": "model", ".bin": "pytorch_model"}  # weights, in order of preference
TIMEOUT_S = 5  # until the hub has answered
MEND = "connect, or put the model's folder into the models folder (--models or SER_MODELS)"


def find(name: str, models: Path | None) -> Path:
    """The folder of model `name`: in `models` (else SER_MODELS), else cached, else downloaded.

    SuiteError where there is none, or the hub does not answer within seconds.
    """
    path = PurePath(name)
    if not name or path.is_absolute() or ".." in path.parts:
        raise SuiteError(
            f"model {name!r}: give the name of a folder in the models folder (--models or SER_MODELS) or of "
            "a model on the Hugging Face hub, not a path"
        )
    models = models or models_folder()
    if models is not None and (models / name).is_dir():
        return models / name
    return _cached(name) or _downloaded(name, models)


def weight_files(names: Collection[str]) -> list[str]:
    """Those of `names` that hold a model's weights, with the index of shards: safetensors before pickles."""
    for suffix, stem in STEMS.items():
        if stem + suffix in names:
            return [stem + suffix]
        index = f"{stem}{suffix}.index.json"
        if index in names:
            shard = re.compile(rf"{stem}-\d+-of-\d+{re.escape(suffix)}")
            return [index, *sorted(name for name in names if shard.fullmatch(name))]
    return []


def vocabulary(names: Collection[str]) -> tuple[str, ...]:
    """Those of `names` that hold a tokenizer's vocabulary."""
    return next((files for files in VOCABULARIES if all(file in names for file in files)), ())


def _cached(name: str) -> Path | None:
    """The snapshot in the cache; None where there is none, or one that some other program left in part."""
    import huggingface_hub
    from huggingface_hub.errors import HFValidationError, LocalEntryNotFoundError

    try:
        folder = Path(huggingface_hub.snapshot_download(name, local_files_only=True, allow_patterns=[CONFIG]))
    except (LocalEntryNotFoundError, HFValidationError):
        return None
    names = {path.name for path in folder.iterdir()}
    inputs = vocabulary(names) or names.intersection(INPUTS)
    return folder if CONFIG in names and inputs and weight_files(names) else None


def _downloaded(name: str, models: Path | None) -> Path:
    """The snapshot, fetched from the hub; one call with a short time limit says first whether it is there."""
    import huggingface_hub

    with _explained(name, models):
        listing = huggingface_hub.HfApi().model_info(name, timeout=TIMEOUT_S).siblings or []
        names = {file.rfilename for file in listing}
        wanted = [CONFIG, *INPUTS, *TOKENIZER, *vocabulary(names), *weight_files(names)]
        return Path(huggingface_hub.snapshot_download(name, allow_patterns=wanted))


@contextmanager
def _explained(name: str, models: Path | None) -> Iterator[None]:
    """What went wrong, as a SuiteError."""
    from huggingface_hub import errors

    where = "no models folder is given" if models is None else f"it is no folder in {models}"
    try:
        yield
    except errors.HFValidationError as error:
        raise SuiteError(f"model {name!r}: {where}, and the hub has no such names; {MEND}") from error
    except errors.GatedRepoError as error:
        raise SuiteError(
            f"model {name}: {where}, and on the hub it is gated; ask for access on its page, then log in "
            "with `hf auth login`"
        ) from error
    except errors.RepositoryNotFoundError as error:
        raise SuiteError(
            f"model {name}: {where}, and there is none on the hub that you may read; check the name"
        ) from error
    except errors.OfflineModeIsEnabled as error:
        raise SuiteError(
            f"model {name}: {where}, it is not in the Hugging Face cache, and HF_HUB_OFFLINE is set; {MEND}"
        ) from error
    except Exception as error:  # of httpx, of requests, or the system's: as the client's version has it
        raise SuiteError(
            f"model {name}: {where}, it is not in the Hugging Face cache, and it could not be fetched from "
            f"the hub ({type(error).__name__}: {first_line(error)}); {MEND}"
        ) from error


def first_line(error: BaseException) -> str:
    """The first line of an error's message, without the full stop."""
    return next(iter(str(error).strip().splitlines()), "no reason given").rstrip(". ")

"""What stands behind an extractor's name: digest and sizes, and plain words where its files are bad."""

import json
import shutil
import sys

import pytest
import torch
from pretrained_fixtures import SPEECH, TEXT, speech
from safetensors.torch import load_file, save_file
from transformers import AutoModel

from bench.config import Extractor, Pretrained
from bench.errors import SuiteError
from bench.features.pretrained import resolve, resolve_features
from bench.features.speech import SpeechEncoder
from bench.features.text import TextEncoder


@pytest.fixture
def copy(models, tmp_path):
    """copy("wavlm") → the folder of a copy that may be damaged; its models folder is tmp_path."""
    return lambda kind: shutil.copytree(models / kind, tmp_path / kind)


@pytest.mark.parametrize("kind", [*SPEECH, *TEXT])
def test_width_and_layers_are_read_off_the_files(models, kind):
    found = resolve(Extractor(name=kind), models)
    assert (found.name, found.width, found.num_layers) == (kind, 32, 2)
    assert len(found.digest) == 16


def test_without_a_folder_given_the_models_folder_is_that_of_the_environment(models, monkeypatch):
    monkeypatch.setenv("SER_MODELS", str(models))
    assert resolve(Extractor(name="wavlm"), None) == resolve(Extractor(name="wavlm"), models)


def test_the_digest_is_of_the_contents_and_not_of_where_they_lie(models, copy, tmp_path):
    copy("wavlm")
    assert resolve(Extractor(name="wavlm"), tmp_path) == resolve(Extractor(name="wavlm"), models)


def test_one_changed_weight_changes_the_digest(models, copy, tmp_path):
    path = copy("wavlm") / "model.safetensors"
    weights = load_file(path)
    next(iter(weights.values())).view(-1)[0] += 1e-3
    save_file(weights, path, {"format": "pt"})
    assert (
        resolve(Extractor(name="wavlm"), tmp_path).digest != resolve(Extractor(name="wavlm"), models).digest
    )


@pytest.mark.parametrize(
    ("kind", "file", "key", "value"),
    [
        ("wavlm", "config.json", "layer_norm_eps", 1e-3),
        ("wavlm", "preprocessor_config.json", "do_normalize", False),
        ("bert", "tokenizer.json", "normalizer", None),
    ],
)
def test_a_changed_setting_of_model_or_input_changes_the_digest(
    models, copy, tmp_path, kind, file, key, value
):
    path = copy(kind) / file
    path.write_text(json.dumps(json.loads(path.read_text()) | {key: value}))
    assert resolve(Extractor(name=kind), tmp_path).digest != resolve(Extractor(name=kind), models).digest


def test_layout_and_bookkeeping_of_a_configuration_do_not_change_the_digest(models, copy, tmp_path):
    path = copy("wavlm") / "config.json"
    settings = json.loads(path.read_text()) | {"transformers_version": "5.6.0", "_name_or_path": "elsewhere"}
    path.write_text(json.dumps(dict(reversed(settings.items()))))
    assert resolve(Extractor(name="wavlm"), tmp_path) == resolve(Extractor(name="wavlm"), models)


def test_a_record_made_with_the_same_files_is_accepted(models):
    found = resolve(Extractor(name="wavlm"), models)
    assert resolve(found, models) == found
    assert resolve(Extractor(name="wavlm", width=32), models) == found


@pytest.mark.parametrize("told", [{"digest": "0" * 16}, {"width": 64}, {"num_layers": 3}])
def test_a_record_made_with_other_files_is_refused(models, told):
    recorded = resolve(Extractor(name="wavlm"), models).model_copy(update=told)
    with pytest.raises(SuiteError, match="not those of the record"):
        SpeechEncoder.load(recorded, "free", models)


def test_speech_and_text_of_a_run_are_resolved_together(models):
    features = Pretrained(speech=Extractor(name="hubert"), text=Extractor(name="bert"))
    found = resolve_features(features, models)
    assert found.speech == resolve(features.speech, models)
    assert found.text == resolve(features.text, models)
    assert found.width == 32


@pytest.mark.parametrize(("speech", "text"), [("bert", None), ("wavlm", "hubert")])
def test_a_model_of_the_other_kind_is_refused(models, speech, text):
    features = Pretrained(speech=Extractor(name=speech), text=text and Extractor(name=text))
    with pytest.raises(SuiteError, match="is asked for; name one of"):
        resolve_features(features, models)


def test_a_layer_beyond_the_last_is_refused_before_anything_is_loaded(models):
    with pytest.raises(SuiteError, match="layer 7 is asked for, and it has 2"):
        resolve_features(Pretrained(speech=Extractor(name="wavlm"), layers=7), models)


@pytest.mark.parametrize("name", ["/models/wavlm", "../wavlm", ""])
def test_a_path_is_no_name(models, name):
    with pytest.raises(SuiteError, match="not a path"):
        resolve(Extractor(name=name), models)


def without_config(folder):
    (folder / "config.json").unlink()


def broken_config(folder):
    (folder / "config.json").write_text("{")


def other_architecture(folder):
    (folder / "config.json").write_text('{"model_type": "gpt2"}')


def impossible_config(folder):
    (folder / "config.json").write_text('{"model_type": "wavlm", "conv_dim": [32]}')


def without_weights(folder):
    (folder / "model.safetensors").unlink()


def cut_short(folder):
    content = (folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").write_bytes(content[: len(content) // 2])


def lacking_a_shard(folder):
    (folder / "model.safetensors").rename(folder / "model-00001-of-00002.safetensors")
    shards = {"a": "model-00001-of-00002.safetensors", "b": "model-00002-of-00002.safetensors"}
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": shards}))


@pytest.mark.parametrize(
    ("damage", "sentence"),
    [
        (without_config, "has no config.json"),
        (broken_config, "not readable as JSON"),
        (other_architecture, "architecture 'gpt2', and supported are wavlm, wav2vec2, hubert, whisper"),
        (impossible_config, "configuration cannot be read"),
        (without_weights, "holds no weights"),
        (cut_short, "weights cannot be loaded"),
        (lacking_a_shard, "lacks model-00002-of-00002.safetensors"),
    ],
)
def test_damaged_files_are_refused_when_a_run_is_planned(copy, tmp_path, damage, sentence):
    damage(copy("wavlm"))
    with pytest.raises(SuiteError, match=sentence):
        resolve(Extractor(name="wavlm"), tmp_path)


def test_a_text_model_without_its_tokenizer_is_refused(copy, tmp_path):
    (copy("bert") / "tokenizer.json").unlink()
    with pytest.raises(SuiteError, match="has no tokenizer"):
        resolve(Extractor(name="bert"), tmp_path)


def test_another_models_tokenizer_is_refused(models, copy, tmp_path):
    path = copy("bert") / "config.json"
    small = json.loads(path.read_text()) | {"vocab_size": 50}
    AutoModel.from_config(AutoModel.from_pretrained(models / "bert").config.from_dict(small)).save_pretrained(
        path.parent
    )
    with pytest.raises(SuiteError, match="another model's tokenizer"):
        TextEncoder.load(Extractor(name="bert"), tmp_path)


def test_weights_that_leave_part_of_the_model_random_are_refused(copy, tmp_path):
    path = copy("wavlm") / "model.safetensors"
    weights = {
        name: tensor for name, tensor in load_file(path).items() if "layers.1.feed_forward" not in name
    }
    save_file(weights, path, {"format": "pt"})
    with pytest.raises(SuiteError, match="lacks the weights of 4 tensors of a wavlm model"):
        SpeechEncoder.load(Extractor(name="wavlm"), "free", tmp_path)


@pytest.mark.parametrize(
    ("setting", "sentence"),
    [
        ({"sampling_rate": 8_000}, "wants 8000 Hz"),
        ({"chunk_length": 10, "n_samples": 160_000}, "30 s at once"),
    ],
)
def test_an_encoder_of_another_rate_or_length_is_refused(copy, tmp_path, setting, sentence):
    path = copy("whisper") / "preprocessor_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | setting))
    with pytest.raises(SuiteError, match=sentence):
        SpeechEncoder.load(Extractor(name="whisper"), "free", tmp_path)


def as_pickle(folder):
    """The weights as older models on the hub have them."""
    torch.save(load_file(folder / "model.safetensors"), folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()


def test_weights_of_an_older_model_are_read_too(models, copy, tmp_path):
    as_pickle(copy("wavlm"))
    clip = speech(0.5)
    states, _ = SpeechEncoder.load(Extractor(name="wavlm"), "free", tmp_path)([clip])
    expected, _ = SpeechEncoder.load(Extractor(name="wavlm"), "free", models)([clip])
    torch.testing.assert_close(states, expected)


class Intruder:
    """Writes a file when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (str(self.path), "w")


def test_a_pickle_that_runs_code_is_refused_and_does_not_run(copy, tmp_path):
    folder = copy("wavlm")
    as_pickle(folder)
    torch.save({"weight": Intruder(tmp_path / "intruded")}, folder / "pytorch_model.bin")
    with pytest.raises(SuiteError, match="weights cannot be loaded"):
        SpeechEncoder.load(Extractor(name="wavlm"), "free", tmp_path)
    assert not (tmp_path / "intruded").exists()


@pytest.mark.parametrize("kind", ["wavlm", "whisper"])
def test_without_settings_of_its_input_a_familys_own_are_taken(models, copy, tmp_path, kind):
    (copy(kind) / "preprocessor_config.json").unlink()
    clip = speech(0.5)
    states, _ = SpeechEncoder.load(Extractor(name=kind), "last", tmp_path)([clip])
    expected, _ = SpeechEncoder.load(Extractor(name=kind), "last", models)([clip])
    torch.testing.assert_close(states, expected)


def test_without_transformers_it_is_said_what_to_install(models, monkeypatch):
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(SuiteError, match=r"pip install serbench\[pretrained\]"):
        resolve(Extractor(name="wavlm"), models)

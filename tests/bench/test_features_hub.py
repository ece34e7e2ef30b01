"""Models by hub name: cached ones with no network, others fetched, one sentence where they cannot be."""

import json
import shutil
import socket
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import huggingface_hub
import pytest

from bench.config import Extractor
from bench.errors import SuiteError
from bench.features import hub
from bench.features.pretrained import resolve

COMMIT = "0123456789" * 4
NAME = "lab/wavlm"


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    """An empty Hugging Face cache."""
    folder = tmp_path / "hub"
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(folder))
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_DISABLE_XET", True)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)
    monkeypatch.delenv("SER_MODELS", raising=False)
    return folder


def use_endpoint(monkeypatch, port: int) -> None:
    endpoint = f"http://127.0.0.1:{port}"
    monkeypatch.setattr(huggingface_hub.constants, "ENDPOINT", endpoint)
    template = endpoint + "/{repo_id}/resolve/{revision}/{filename}"
    monkeypatch.setattr(huggingface_hub.constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)


@pytest.fixture
def no_network(monkeypatch):
    """An address at which nothing listens."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        use_endpoint(monkeypatch, free.getsockname()[1])


class FakeHub(BaseHTTPRequestHandler):
    """The four requests of a download: what there is, the tree, and each file's head and content."""

    folder, asked, refusal = None, None, None

    def do_GET(self):
        self.asked.append(self.path)
        path = self.path.split("?")[0]
        files = sorted(path.name for path in self.folder.iterdir())
        if self.refusal is not None:
            status, code = self.refusal
            self.answer({}, status, **{"X-Error-Code": code})
        elif "/tree/" in path:
            sizes = {name: (self.folder / name).stat().st_size for name in files}
            self.answer([{"type": "file", "path": n, "size": s, "oid": f"{n}-{s}"} for n, s in sizes.items()])
        elif path.startswith("/api/models/"):
            self.answer({"id": NAME, "sha": COMMIT, "siblings": [{"rfilename": name} for name in files]})
        else:
            content = (self.folder / path.rsplit("/", 1)[1]).read_bytes()
            self.answer(content, ETag=f'"{path.rsplit("/", 1)[1]}-{len(content)}"')

    do_HEAD = do_GET

    def answer(self, content, status=200, **headers):
        content = content if isinstance(content, bytes) else json.dumps(content).encode()
        self.send_response(status)
        for key, value in {"Content-Length": len(content), "X-Repo-Commit": COMMIT, **headers}.items():
            self.send_header(key, str(value))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(content)

    def log_message(self, *arguments):
        pass


@pytest.fixture
def fake_hub(models, tmp_path, monkeypatch):
    """A hub on this machine that has one model, with files that nobody needs beside it."""
    folder = shutil.copytree(models / "wavlm", tmp_path / "published")
    (folder / "pytorch_model.bin").write_bytes(b"the same weights in an older format")
    (folder / "tf_model.h5").write_bytes(b"and in another")
    handler = type("Handler", (FakeHub,), {"folder": folder, "asked": []})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    use_endpoint(monkeypatch, server.server_address[1])
    yield handler
    server.shutdown()
    server.server_close()


def cached(source, cache, leave_out=()):
    """Put a model into the cache as the hub's client lays it out."""
    root = cache / "models--lab--wavlm"
    shutil.copytree(source, root / "snapshots" / COMMIT, ignore=shutil.ignore_patterns(*leave_out))
    (root / "refs").mkdir()
    (root / "refs" / "main").write_text(COMMIT)


def test_a_cached_model_needs_no_network(models, cache, no_network):
    cached(models / "wavlm", cache)
    expected = resolve(Extractor(name="wavlm"), models)
    assert resolve(Extractor(name=NAME), None) == expected.model_copy(update={"name": NAME})


def test_a_folder_of_the_models_folder_comes_before_the_hub(models, tmp_path, fake_hub):
    shutil.copytree(models / "hubert", tmp_path / "mine" / NAME)
    expected = resolve(Extractor(name="hubert"), models)
    assert resolve(Extractor(name=NAME), tmp_path / "mine").digest == expected.digest
    assert not fake_hub.asked


def test_what_is_read_is_fetched_and_nothing_else(models, fake_hub):
    expected = resolve(Extractor(name="wavlm"), models)
    assert resolve(Extractor(name=NAME), None) == expected.model_copy(update={"name": NAME})
    names = {path.name for path in hub.find(NAME, None).iterdir()}
    assert names == {"config.json", "preprocessor_config.json", "model.safetensors"}


def test_what_was_fetched_is_asked_for_no_more(fake_hub):
    found = resolve(Extractor(name=NAME), None)
    fake_hub.asked.clear()
    assert resolve(Extractor(name=NAME), None) == found
    assert not fake_hub.asked


@pytest.mark.parametrize("missing", ["model.safetensors", "preprocessor_config.json"])
def test_a_model_that_is_cached_in_part_is_completed(models, cache, fake_hub, missing):
    cached(models / "wavlm", cache, leave_out=[missing])
    assert resolve(Extractor(name=NAME), None).digest == resolve(Extractor(name="wavlm"), models).digest


def test_without_weights_in_safetensors_the_older_file_is_fetched(fake_hub):
    (fake_hub.folder / "model.safetensors").unlink()
    names = {path.name for path in hub.find(NAME, None).iterdir()}
    assert names == {"config.json", "preprocessor_config.json", "pytorch_model.bin"}


def test_no_network_is_one_sentence_that_says_what_to_do(tmp_path, no_network):
    with pytest.raises(
        SuiteError, match=r"lab/wavlm: it is no folder in .* could not be fetched .* connect, or put"
    ):
        resolve(Extractor(name=NAME), tmp_path)


def test_a_hub_that_does_not_answer_is_asked_once(monkeypatch):
    monkeypatch.setattr(hub, "TIMEOUT_S", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        use_endpoint(monkeypatch, silent.getsockname()[1])
        with pytest.raises(SuiteError, match="could not be fetched"):
            resolve(Extractor(name=NAME), None)
        silent.settimeout(0)
        silent.accept()[0].close()
        with pytest.raises(BlockingIOError):
            silent.accept()


def test_offline_by_choice_is_said_so(monkeypatch, fake_hub):
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(SuiteError, match="HF_HUB_OFFLINE is set"):
        resolve(Extractor(name=NAME), None)
    assert not fake_hub.asked


@pytest.mark.parametrize(
    ("refusal", "sentence"),
    [
        ((404, "RepoNotFound"), "check the name"),
        ((403, "GatedRepo"), "ask for access"),
        ((500, "Broken"), "could not be fetched"),
    ],
)
def test_what_the_hub_refuses_is_said_in_a_sentence(fake_hub, refusal, sentence):
    fake_hub.refusal = refusal
    with pytest.raises(SuiteError, match=sentence):
        resolve(Extractor(name=NAME), None)


def test_a_name_that_the_hub_cannot_have_is_refused(tmp_path, fake_hub):
    with pytest.raises(SuiteError, match="the hub has no such names"):
        resolve(Extractor(name="a/b/c"), tmp_path)


def test_shards_are_fetched_with_their_index_and_safetensors_first():
    old = ["pytorch_model.bin.index.json", "pytorch_model-00001-of-00001.bin"]
    new = [
        "model.safetensors.index.json",
        "model-00001-of-00002.safetensors",
        "model-00002-of-00002.safetensors",
    ]
    assert hub.weight_files([*old, *reversed(new), "model.fp32-00001-of-00001.safetensors"]) == new
    assert hub.weight_files(old) == old
    assert hub.weight_files(["tf_model.h5"]) == []

"""textenv push uploads a model and its card, to a double of the Hub's API on this machine."""

from __future__ import annotations

import base64
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import huggingface_hub
import pytest

from agents.training.push import find_upload, upload
from textenv.errors import ConfigError


class Hub:
    """Notes what is created and committed; `status` refuses every request."""

    def __init__(self):
        self.created, self.files, self.tokens, self.status = [], {}, set(), 200
        hub = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                body = self.rfile.read(int(self.headers.get("content-length") or 0))
                if self.headers.get("transfer-encoding") == "chunked":
                    body = b"".join(iter(self.chunk, b""))
                hub.tokens.add(self.headers.get("authorization"))
                status, answer = (
                    (hub.status, {"error": "no"})
                    if hub.status != 200
                    else (200, hub.answer(self.path.partition("?")[0], body))
                )
                self.reply(status, answer)

            def do_GET(self):
                hub.tokens.add(self.headers.get("authorization"))
                self.reply(404 if hub.status == 200 else hub.status, {"error": "no"})

            def chunk(self):
                data = self.rfile.read(int(self.rfile.readline(), 16))
                self.rfile.readline()
                return data

            def reply(self, status, answer):
                text = json.dumps(answer).encode()
                self.send_response(status)
                self.send_header("content-type", "application/json")
                self.send_header("content-length", str(len(text)))
                self.end_headers()
                self.wfile.write(text)

            def log_message(self, *arguments):
                """Says nothing."""

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.http.server_port}"

    def answer(self, path, body):
        if path == "/api/repos/create":
            self.created.append(json.loads(body))
            return {"url": f"{self.url}/me/model", "id": "me/model"}
        if path == "/api/validate-yaml":
            return {"errors": [], "warnings": []}
        if path.endswith("/preupload/main"):
            files = json.loads(body)["files"]
            return {
                "files": [
                    {"path": f["path"], "uploadMode": "regular", "shouldIgnore": False}
                    for f in files
                ]
            }
        assert path.endswith("/commit/main"), path
        for line in map(json.loads, body.splitlines()):
            if line["key"] == "file":
                value = line["value"]
                self.files[value["path"]] = base64.b64decode(value["content"])
        return {"commitUrl": f"{self.url}/me/model/commit/1", "commitOid": "1", "success": True}


@pytest.fixture
def hub(monkeypatch):
    hub = Hub()
    threading.Thread(target=hub.http.serve_forever, args=(0.01,), daemon=True).start()
    monkeypatch.setattr(huggingface_hub.constants, "ENDPOINT", hub.url)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setenv("HF_TOKEN", "hf_test")
    yield hub
    hub.http.shutdown()
    hub.http.server_close()


@pytest.fixture
def trained(tmp_path):
    """A run with a last and a best model, an optimizer, and a file that is hidden."""
    out = tmp_path / "run"
    for name, text in {
        "model/config.json": "{}",
        "model/model.safetensors": "last",
        "model/README.md": "---\nlicense: mit\n---\n# Card\n",
        "best/model/config.json": "{}",
        "best/model/model.safetensors": "best",
        "agent.safetensors": "optimizer",
        "config.yaml": "id: TextQA-v0\n",
        ".lock": "",
    }.items():
        path = out / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return out


def is_private(request):
    """Tells what a request asks for, as newer and older versions of the package say it."""
    return request.get("visibility") == "private" or request.get("private") is True


def test_the_model_and_its_card_are_uploaded_and_nothing_else(run, hub, trained):
    done = run("push", trained, "me/model", "--private", "--yes")
    assert done.exit_code == 0, done.output
    assert hub.files == {
        "config.json": b"{}",
        "model.safetensors": b"last",
        "README.md": b"---\nlicense: mit\n---\n# Card\n",
    }
    assert hub.created[0]["name"] == "model"
    assert is_private(hub.created[0])
    assert "Bearer hf_test" in hub.tokens
    for said in ("model.safetensors  4 B", "3 files", "a private repository", "Uploaded: "):
        assert said in done.output


def test_the_best_agent_and_the_run_go_along_if_asked(run, hub, trained):
    done = run("push", trained, "me/model", "--best", "--with-run", "--yes")
    assert done.exit_code == 0, done.output
    assert hub.files["model.safetensors"] == b"best"
    assert set(hub.files) == {
        "config.json", "model.safetensors", "run/agent.safetensors", "run/config.yaml",
    }  # fmt: skip
    assert "There is no README.md" in done.output
    assert not is_private(hub.created[0])


def test_it_asks_first_and_a_no_sends_nothing(run, hub, trained):
    done = run("push", trained, "me/model")  # nobody answers
    assert done.exit_code == 2
    assert "Upload them?" in done.output
    assert "Nothing was uploaded" in done.output
    assert (hub.created, hub.files, hub.tokens) == ([], {}, set())


@pytest.mark.parametrize("with_run", [False, True])
def test_what_was_not_listed_is_not_uploaded(hub, trained, with_run):
    for hidden in ("model/.env", "model/.cache/key", ".netrc"):
        (trained / hidden).parent.mkdir(exist_ok=True)
        (trained / hidden).write_text("secret")
    found = find_upload(trained, with_run=with_run)
    upload(found, "me/model")
    assert set(hub.files) == {name for name, _ in found.files}
    assert b"secret" not in hub.files.values()


@pytest.mark.parametrize("place", ["model/notes.txt", "notes.txt"])
def test_a_link_out_of_the_folder_is_refused(trained, tmp_path, place):
    (tmp_path / "private_key").write_text("secret")
    (trained / place).symlink_to(tmp_path / "private_key")
    with pytest.raises(ConfigError, match=r"leads out of the folder, to .*private_key"):
        find_upload(trained, with_run=True)


def test_who_is_not_logged_in_is_told_what_to_do(run, hub, trained, monkeypatch):
    monkeypatch.delenv("HF_TOKEN")
    monkeypatch.setattr(huggingface_hub.constants, "HF_TOKEN_PATH", str(trained / "no-token"))
    done = run("push", trained, "me/model", "--yes")
    assert done.exit_code == 2
    assert "You are not logged in to the Hugging Face Hub. Run 'hf auth login'" in " ".join(
        done.output.split()
    )
    assert hub.tokens == set()


@pytest.mark.parametrize(
    ("status", "words"), [(401, "does not let you write"), (403, "does not let you write"),
                          (400, "refused the upload .* \\(status 400\\)")],
)  # fmt: skip
def test_a_refusal_is_said_in_plain_words(hub, trained, status, words):
    hub.status = status
    with pytest.raises(ConfigError, match=words):
        upload(find_upload(trained), "me/model")


def test_a_hub_that_does_not_answer_is_said(hub, trained, monkeypatch):
    monkeypatch.setattr(huggingface_hub.constants, "ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(ConfigError, match="could not be reached"):
        upload(find_upload(trained), "me/model")


def test_a_name_that_is_none_is_refused(hub, trained):
    with pytest.raises(ConfigError, match="no name of a repository"):
        upload(find_upload(trained), "a/b/c//d")


def test_a_folder_without_the_model_is_refused(tmp_path, trained):
    with pytest.raises(ConfigError, match="holds no model"):
        find_upload(tmp_path)
    for path in (trained / "best/model").iterdir():
        path.unlink()
    with pytest.raises(ConfigError, match="kept no best agent"):
        find_upload(trained, best=True)

"""A chat endpoint on this machine that answers as a language model through plain transformers.

    python -m benchmarks.chat_server model.gguf --port 8000
    textenv evaluate TextQA-v0 --agent chat --model any --base-url http://127.0.0.1:8000/v1

It is for checks: float32, greedy, one request at a time. What it answers is what `textenv evaluate
--model model.gguf` plays, token for token, in float32, as long as both tell the prompt in the same
tokens. For anything else use a server that is made for it, such as vLLM or llama.cpp's.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Annotated, Any

import torch
import typer
from transformers import AutoModelForCausalLM, AutoTokenizer

from textenv.tokenization import EMBEDDED, EMBEDDED_PATH

_PATH = "/v1/chat/completions"


class GreedyModel:
    """A language model that writes its most likely tokens, in float32.

    Args:
        name: "embedded", a folder, a Hugging Face id or a .gguf file.
    """

    def __init__(self, name: str) -> None:
        path = EMBEDDED_PATH if name == EMBEDDED else Path(name)
        is_gguf = path.suffix == ".gguf"
        place = str(path.parent) if is_gguf else str(path)
        file = {"gguf_file": path.name} if is_gguf else {}
        self._tokenizer: Any = AutoTokenizer.from_pretrained(place, **file)
        model: Any = AutoModelForCausalLM.from_pretrained(place, dtype=torch.float32, **file)
        self._model = model.eval()
        self._lock = threading.Lock()

    def complete(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """Answers a request of OpenAI's protocol; its temperature counts as 0."""
        prompt = self._tokenizer.apply_chat_template(
            body["messages"], add_generation_prompt=True, return_dict=True, return_tensors="pt"
        )
        n_prompt = prompt["input_ids"].shape[1]
        end = self._tokenizer.eos_token_id
        with self._lock, torch.inference_mode():
            ids = self._model.generate(
                **prompt,
                max_new_tokens=body["max_tokens"],
                do_sample=False,
                eos_token_id=end,
                pad_token_id=end,
            )[0, n_prompt:].tolist()
        text = self._tokenizer.decode(ids, skip_special_tokens=True)
        ended = ids[-1] == end
        return {
            "object": "chat.completion",
            "choices": [
                {
                    "index": 0,
                    "message": {"role": "assistant", "content": text},
                    "finish_reason": "stop" if ended else "length",
                }
            ],
            "usage": {"prompt_tokens": n_prompt, "completion_tokens": len(ids)},
        }


class ChatServer(ThreadingHTTPServer):
    """Serves a model on 127.0.0.1.

    Attributes:
        n_answers: Answers that were given so far.
    """

    def __init__(self, model: GreedyModel, port: int = 0) -> None:
        super().__init__(("127.0.0.1", port), _Handler)
        self.model = model
        self.n_answers = 0

    @property
    def url(self) -> str:
        """What is given as --base-url."""
        return f"http://127.0.0.1:{self.server_port}/v1"


class _Handler(BaseHTTPRequestHandler):
    server: ChatServer

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        if self.path != _PATH:
            self.send_error(404)
            return
        answer = json.dumps(self.server.model.complete(body)).encode()
        self.server.n_answers += 1
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, format: str, *arguments: Any) -> None:
        """Says nothing."""


def main(
    model: Annotated[str, typer.Argument(help="'embedded', a folder or a .gguf file.")],
    port: Annotated[int, typer.Option(help="Port on 127.0.0.1; 0 for any.")] = 0,
) -> None:
    """Serve a model at a chat endpoint, in float32, greedy."""
    server = ChatServer(GreedyModel(model), port)
    print(server.url, flush=True)  # noqa: T201 - who starts it reads the address
    try:
        server.serve_forever()
    except KeyboardInterrupt:
        server.server_close()


if __name__ == "__main__":
    typer.run(main)

"""How each kind of server is asked for ids, and how it says them: what they share is HTTP and server-sent events."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from engine.config import RemoteKind
from engine.types import Sampling

Json = dict[str, Any]

FAVOUR = 100.0  # added to a logit: more than any two of them are apart


@dataclass(frozen=True, slots=True)
class CompletionRequest:
    """Ids that a server is asked for in one request.

    They are drawn by the rules of `sampling`, from `allowed` alone; `forbidden` are the other rows of the audio
    head. There are at most `most`, and one of `ends` ends them. `strict` is set where an id that is not allowed came
    before. `seed` has 31 bits, which every kind of server takes.
    """

    prompt: tuple[int, ...]
    allowed: tuple[int, ...]
    forbidden: tuple[int, ...]
    ends: tuple[int, ...]
    most: int
    sampling: Sampling
    seed: int | None
    strict: bool = False


@dataclass(frozen=True, slots=True)
class TokenChunk:
    """What one event says: new ids, and whether the server says that an end token stopped it."""

    ids: list[int]
    stopped: bool


class Dialect(Protocol):
    """The language of one kind of server; one object a request, for it may have to remember."""

    path: str

    def body(self, request: CompletionRequest) -> Json:
        """The request, without what only the settings know."""
        ...

    def read(self, event: Json) -> TokenChunk:
        """One event of the answer; raises LookupError or TypeError if it is none of this dialect."""
        ...


class VLLM:
    """vLLM's `/v1/completions`, with the fields that it adds to OpenAI's."""

    path = "/v1/completions"

    def body(self, request: CompletionRequest) -> Json:
        """See Dialect.body. What the checkpoint's generation_config.json would set is set here."""
        sampling = request.sampling
        return {
            "prompt": request.prompt,
            "max_tokens": request.most,
            "stream": True,
            "return_token_ids": True,
            "skip_special_tokens": False,
            "allowed_token_ids": request.allowed,
            "stop_token_ids": request.ends,
            "ignore_eos": True,  # the ends are ours
            "temperature": sampling.temperature,
            "top_k": sampling.top_k,
            "top_p": sampling.top_p,
            "min_p": 0,
            "repetition_penalty": sampling.repetition_penalty,
            "presence_penalty": 0,
            "frequency_penalty": 0,
            "seed": request.seed,
        }

    def read(self, event: Json) -> TokenChunk:
        """See Dialect.read."""
        ids: list[int] = []
        stopped = False
        for choice in event["choices"]:
            ids += choice.get("token_ids") or []
            stopped |= choice.get("finish_reason") == "stop"
        return TokenChunk(ids, stopped)


class SGLang:
    """SGLang's native `/generate`.

    It has no list of allowed ids, and its `logit_bias` costs a GPU one operation for each id that is named. So it
    draws from all ids, as the reference implementation does, and is only held to some where it went astray.
    """

    path = "/generate"

    def __init__(self) -> None:
        self._seen = 0

    def body(self, request: CompletionRequest) -> Json:
        """See Dialect.body."""
        sampling = request.sampling
        rules: Json = {
            "max_new_tokens": request.most,
            "stop_token_ids": request.ends,
            "ignore_eos": True,
            "skip_special_tokens": False,
            "temperature": sampling.temperature,
            "top_k": sampling.top_k or -1,
            "top_p": sampling.top_p,
            "min_p": 0,
            "repetition_penalty": sampling.repetition_penalty,
            "presence_penalty": 0,
            "frequency_penalty": 0,
        }
        if request.seed is not None:
            rules["sampling_seed"] = request.seed
        if request.strict:
            rules["logit_bias"] = {str(token): FAVOUR for token in request.allowed}
        return {"input_ids": request.prompt, "stream": True, "sampling_params": rules}

    def read(self, event: Json) -> TokenChunk:
        """See Dialect.read. `output_ids` are all so far or, with --incremental-streaming-output, the new ones."""
        ids, meta = event["output_ids"], event["meta_info"]
        new = ids[self._seen :] if len(ids) >= meta["completion_tokens"] else ids
        self._seen += len(new)
        return TokenChunk(new, (meta["finish_reason"] or {}).get("type") == "stop")


class LlamaServer:
    """llama.cpp's `/completion`. Its file (`gguf_file.server_file`) keeps it to the audio head as a whole."""

    path = "/completion"

    def body(self, request: CompletionRequest) -> Json:
        """See Dialect.body. The samplers are named because their usual order has the temperature last."""
        sampling = request.sampling
        return {
            "prompt": request.prompt,
            "n_predict": request.most,
            "stream": True,
            "return_tokens": True,
            "response_fields": ["tokens", "stop", "stop_type"],  # of the last event: not the request once more
            "samplers": ["penalties", "top_k", "temperature", "top_p"],
            "temperature": sampling.temperature,
            "top_k": sampling.top_k,
            "top_p": sampling.top_p,
            "repeat_penalty": sampling.repetition_penalty,
            "repeat_last_n": len(request.prompt) + request.most,
            "seed": -1 if request.seed is None else request.seed,
            "logit_bias": [(token, False) for token in request.forbidden],
        }

    def read(self, event: Json) -> TokenChunk:
        """See Dialect.read. The last event of a stream repeats none of its ids."""
        return TokenChunk(event["tokens"], event["stop"] and event["stop_type"] == "eos")


DIALECTS: dict[RemoteKind, Callable[[], Dialect]] = {
    "vllm": VLLM,
    "sglang": SGLang,
    "llama-server": LlamaServer,
}

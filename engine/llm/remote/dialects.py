"""The request and the events of each kind of server. They have HTTP and server-sent events in common."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from engine.config import RemoteKind
from engine.types import Sampling

Json = dict[str, Any]

FAVOUR = 100.0  # added to a logit: more than the difference of any two logits


@dataclass(frozen=True, slots=True)
class CompletionRequest:
    """One request to a server: sample up to `max_tokens` ids from `allowed`, until one of `ends`.

    `forbidden` are the other rows of the audio head. `strict` is set if the request before this one gave an id that is
    not allowed. `seed` has 31 bits, which every kind of server accepts.
    """

    prompt: tuple[int, ...]
    allowed: tuple[int, ...]
    forbidden: tuple[int, ...]
    ends: tuple[int, ...]
    max_tokens: int
    sampling: Sampling
    seed: int | None
    strict: bool = False


@dataclass(frozen=True, slots=True)
class TokenChunk:
    """The content of one event: new ids, and whether the server reports that an end token stopped it."""

    ids: list[int]
    stopped: bool


class Dialect(Protocol):
    """The protocol of one kind of server. Each request has its own object, which may keep state."""

    path: str

    def body(self, request: CompletionRequest) -> Json:
        """The request's JSON, without the fields that come from the settings."""
        ...

    def read(self, event: Json) -> TokenChunk:
        """Parse one event of the answer; raises LookupError or TypeError if it does not follow this dialect."""
        ...


class VLLM:
    """vLLM's `/v1/completions`, with the fields that it adds to OpenAI's."""

    path = "/v1/completions"

    def body(self, request: CompletionRequest) -> Json:
        """See Dialect.body. All that the checkpoint's generation_config.json could set is set here."""
        sampling = request.sampling
        return {
            "prompt": request.prompt,
            "max_tokens": request.max_tokens,
            "stream": True,
            "return_token_ids": True,
            "skip_special_tokens": False,
            "allowed_token_ids": request.allowed,
            "stop_token_ids": request.ends,
            "ignore_eos": True,  # `stop_token_ids` end the answer
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

    It has no list of allowed ids, and its `logit_bias` costs the GPU one operation for each id. So it samples from all
    ids, as the reference implementation does. Only after an id that is not allowed, the next request is restricted.
    """

    path = "/generate"

    def __init__(self) -> None:
        self._seen = 0

    def body(self, request: CompletionRequest) -> Json:
        """See Dialect.body."""
        sampling = request.sampling
        rules: Json = {
            "max_new_tokens": request.max_tokens,
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
        """See Dialect.read. `output_ids` are all ids so far or, with --incremental-streaming-output, the new ids."""
        ids, meta = event["output_ids"], event["meta_info"]
        new = ids[self._seen :] if len(ids) >= meta["completion_tokens"] else ids
        self._seen += len(new)
        return TokenChunk(new, (meta["finish_reason"] or {}).get("type") == "stop")


class LlamaServer:
    """llama.cpp's `/completion`. The bias in its model file (`gguf_file`) restricts it to the audio head."""

    path = "/completion"

    def body(self, request: CompletionRequest) -> Json:
        """See Dialect.body. `samplers` sets their order: by default the temperature comes last."""
        sampling = request.sampling
        return {
            "prompt": request.prompt,
            "n_predict": request.max_tokens,
            "stream": True,
            "return_tokens": True,
            "response_fields": ["tokens", "stop", "stop_type"],  # or the last event repeats the request
            "samplers": ["penalties", "top_k", "temperature", "top_p"],
            "temperature": sampling.temperature,
            "top_k": sampling.top_k,
            "top_p": sampling.top_p,
            "repeat_penalty": sampling.repetition_penalty,
            "repeat_last_n": len(request.prompt) + request.max_tokens,
            "seed": -1 if request.seed is None else request.seed,
            "logit_bias": [(token, False) for token in request.forbidden],
        }

    def read(self, event: Json) -> TokenChunk:
        """See Dialect.read. The last event of a stream does not repeat its ids."""
        return TokenChunk(event["tokens"], event["stop"] and event["stop_type"] == "eos")


DIALECTS: dict[RemoteKind, Callable[[], Dialect]] = {
    "vllm": VLLM,
    "sglang": SGLang,
    "llama-server": LlamaServer,
}

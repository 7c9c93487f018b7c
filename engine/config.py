"""Everything about the engine that can be chosen, with its defaults; unknown keys and wrong values are refused."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, SecretStr

from engine.text.lexicon_files import read_lexicons
from engine.text.options import TextOptions

SPARK_TTS = "SparkAudio/Spark-TTS-0.5B"
"""The published model's name, on both hubs."""

Model = Annotated[str, BeforeValidator(lambda value: os.fspath(value) if isinstance(value, os.PathLike) else value)]
Device = Annotated[str, Field(pattern=r"^(auto|cpu|cuda(:\d+)?)$")]
Backend = Literal["torch", "llama-cpp", "vllm", "remote"]
PromptForm = Literal["published", "self-voiced", "speaker-prefix"]
"""How a language model was trained to be asked, see docs/models.md."""
RemoteKind = Literal["vllm", "sglang", "llama-server"]
"""Whose server it is that runs the language model."""
Precision = Literal["float32", "bfloat16"]
Quantization = Literal["float32", "bfloat16", "float16", "q8_0", "q5_0", "q4_0"]
"""How llama.cpp holds the weights of the language model."""
Hub = Literal["huggingface", "modelscope"]
Size = Literal["small", "full"]
"""Of a synthetic checkpoint."""


def _address(url: str) -> str:
    """A server's address without a slash at its end; raises ValueError if it is none."""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
        raise ValueError("a server's address is like http://10.0.0.5:8000")
    return url.rstrip("/").removesuffix("/v1")


class RemoteConfig(BaseModel):
    """Settings of `backend: remote`: servers of language models, which all hold the same one."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    urls: tuple[Annotated[str, AfterValidator(_address)], ...] = Field(min_length=1)
    """Addresses of the servers; a sentence goes to the one that runs the fewest of this server's."""
    kind: RemoteKind
    """Whose servers they are: `vllm serve`, `sglang.launch_server` or llama.cpp's `llama-server`."""
    model: str | None = None
    """The model's name on those servers; needed where a vLLM server has several."""
    api_key: SecretStr | None = None
    """Sent as `Authorization: Bearer KEY`."""
    connect_seconds: float = Field(5, gt=0)
    """Seconds that a connection may take."""
    token_seconds: float = Field(30, gt=0)
    """Seconds that a server may stay silent, before the first token and between two."""
    retry_seconds: float = Field(5, gt=0)
    """Seconds between health checks of a server that failed."""


def _readable(files: tuple[Path, ...]) -> tuple[Path, ...]:
    """The files of a lexicon; raises ValueError if one of them cannot be used."""
    read_lexicons(files)
    return files


class PauseConfig(BaseModel):
    """Settings of the pauses in a text, from the last sound of a sentence to the first of the next."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    sentence_seconds: float | None = Field(0.35, ge=0.15, le=10)
    """Seconds between two sentences, and half as many where a long sentence is cut. null: the silence stays as the
    model makes it, also before and after a text."""
    paragraph_seconds: float = Field(0.7, ge=0.15, le=10)
    """Seconds between two paragraphs."""


class ListenerConfig(BaseModel):
    """A server that transcribes speech, for requests with `verify`, and for the times of words."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    url: Annotated[str, AfterValidator(_address)]
    """Address of a server with `POST /v1/audio/transcriptions`: speaches, whisper.cpp's server, LocalAI."""
    model: str = "whisper-1"
    """The model's name on that server."""
    api_key: SecretStr | None = None
    """Sent as `Authorization: Bearer KEY`."""
    seconds: float = Field(10, gt=0)
    """Seconds that it may take for a sentence; then the answer goes on without it, and says so."""
    max_error_rate: float = Field(0.25, gt=0, le=1)
    """A sentence with a higher word error rate is drawn again; in Chinese it is the character error rate."""


class EngineConfig(BaseModel):
    """Settings of the engine; configs/ has them with comments."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    model: Model = "demo"
    """`demo`, a directory, or a name on a hub such as SparkAudio/Spark-TTS-0.5B, downloaded at first use."""
    language_model: Model | None = None
    """A language model that replaces the one in `model`: a directory, a GGUF file, or a name on a hub. The directory
    has a whole model or a LoRA."""
    hub: Hub = "huggingface"
    """Where a model that is named is downloaded from."""
    prompt: Literal["auto", PromptForm] = "auto"
    """How the language model was trained to be asked: `published`; `self-voiced`, it writes its own voice;
    `speaker-prefix`, so too, and texts begin with the speaker's name. `auto`: self-voiced if Unsloth saved
    `language_model`, else published."""
    backend: Literal["auto", Backend] = "auto"
    """What runs the language model. `auto`: torch for the demo model; on a GPU vLLM, or torch without vLLM; on a CPU
    what was fastest when this host was measured, or else llama.cpp."""
    remote: RemoteConfig | None = None
    """The servers of `backend: remote`; by default none."""
    llm_device: Device = "auto"
    """Where the language model computes: `cpu`, `cuda`, `cuda:1`; `auto` is CUDA's first device, or else the CPU."""
    gpu_memory_utilization: float = Field(0.4, gt=0, le=1)
    """Share of its GPU's memory that vLLM may take, weights included; leave room for a codec on the same GPU."""
    llm_precision: Literal["auto", Quantization, "int8", "int4"] = "auto"
    """How the language model's weights are held. vLLM and torch take float32 and bfloat16, torch on a CPU also int8 and
    int4 (for up to four sentences at once); llama.cpp takes all but these two. `auto`: bfloat16 on CUDA; on a CPU the
    fastest of those that are as good as exact, or without measurements q8_0 in llama.cpp and float32 in torch."""
    codec_device: Device = "auto"
    """Where the codec computes; it may be another device than the language model's."""
    codec_precision: Literal["auto", Precision] = "auto"
    """How the codec's decoder computes; `auto` is bfloat16 on CUDA and on CPUs where it was measured to be faster, else
    float32. The encoder always computes in float32."""
    threads: int | None = Field(None, ge=1)
    """Cores that the language model and the codec compute on, in turns. By default all cores that this process may use,
    but one fewer if the process has no priority over others (`nice`)."""
    code_blocks: Literal["read", "skip"] = "read"
    """Whether fenced blocks of code in a text are read."""
    lexicons: Annotated[tuple[Path, ...], AfterValidator(_readable)] = ()
    """Files of respellings for words that the model reads wrongly: YAML, or PLS 1.0. A later file goes over an earlier
    one, and the `lexicon` of a request over all."""
    turn_pause_seconds: float = Field(0.3, ge=0, le=30)
    """The pause where the speaker of a dialogue changes."""
    unload_after_seconds: float | None = Field(None, gt=0)
    """Seconds without work after which the models are unloaded; the next request loads them again. By default never."""
    max_running: int = Field(8, ge=1, le=1024)
    """Sentences that the language model generates at once; each holds a slot of the KV cache."""
    max_context: int = Field(4096, ge=256, le=32_768)
    """Tokens that a prompt and its answer may have together."""
    sentences_ahead: int = Field(4, ge=1, le=1024)
    """Sentences of one text that are generated side by side."""
    retakes: int = Field(2, ge=0, le=10)
    """How often a sentence is drawn again that loops, falls silent, ends too early or does not end; 0 turns the checks
    off. A request can ask for another number. A greedy request is checked, but never drawn again."""
    listener: ListenerConfig | None = None
    """The server that verifies sentences, and knows when each word is heard; by default none."""
    pauses: PauseConfig = PauseConfig()
    """The pauses between sentences."""
    codec_batch_seconds: float = Field(12.0, gt=0)
    """Seconds of audio, padding included, in one batch of a codec on a GPU; the next batch waits until it is done. On a
    CPU a batch is one window."""
    window_context: int = Field(24, ge=1, le=200)
    """Tokens on both sides of a window that are decoded with it, and thrown away."""
    window_first: int = Field(16, ge=1)
    """Tokens of the first window: fewer bring the first audio sooner. A token is 20 ms."""
    window_first_lookahead: int = Field(12, ge=1, le=200)
    """Tokens that must be known behind the first window; each further window needs 4 more, up to `window_context`."""
    window_growth: float = Field(1.75, ge=1)
    """How many times as long as the one before each window is."""
    window_largest: int = Field(250, ge=1)
    """Most tokens of a window."""
    min_sample_seconds: float = Field(1.0, ge=0.1)
    """Shortest voice sample."""
    max_sample_seconds: float = Field(30.0, le=300)
    """Longest part of a voice sample that is used; a longer sample is cut at a pause."""
    require_consent: bool = False
    """Whether a consent recording is required to make a cloned voice and to use one."""
    voices: str | None = None
    """Database URL of the voice store; by default a SQLite file in `data_directory`."""
    data_directory: Path | None = None
    """Where voices are kept; by default the user's data directory."""

    def reading(self, asked: TextOptions) -> TextOptions:
        """The options of a request, with those that only the settings decide."""
        lexicon = asked.lexicon.over(read_lexicons(self.lexicons))
        return replace(asked, code_blocks=self.code_blocks, lexicon=lexicon)

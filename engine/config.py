"""Everything about the engine that can be chosen, with its defaults; unknown keys and wrong values are refused."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, SecretStr

SPARK_TTS = "SparkAudio/Spark-TTS-0.5B"
"""The published model's name, on both hubs."""

Model = Annotated[str, BeforeValidator(lambda value: os.fspath(value) if isinstance(value, os.PathLike) else value)]
Device = Annotated[str, Field(pattern=r"^(auto|cpu|cuda(:\d+)?)$")]
Backend = Literal["torch", "llama-cpp", "vllm", "remote"]
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

    model_config = ConfigDict(frozen=True, extra="forbid")

    urls: tuple[Annotated[str, AfterValidator(_address)], ...] = Field(min_length=1)
    """Where they are; a request goes to the one that runs the fewest of this server's."""
    kind: RemoteKind
    model: str | None = None
    """The model's name there, where a server of vLLM has several."""
    api_key: SecretStr | None = None
    """Sent as `Authorization: Bearer KEY`."""
    connect_seconds: float = Field(5, gt=0)
    """How long a connection may take."""
    token_seconds: float = Field(30, gt=0)
    """How long a server may say nothing, before its first token as well as between two."""
    retry_seconds: float = Field(5, gt=0)
    """How often a server that failed is asked whether it is well again."""


class EngineConfig(BaseModel):
    """Settings of the engine; configs/ has them with comments."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    model: Model = "demo"
    """`demo`, a directory, or a name on a hub such as SparkAudio/Spark-TTS-0.5B, downloaded at first use."""
    hub: Hub = "huggingface"
    """Where a model that is named is downloaded from."""
    backend: Literal["auto", Backend] = "auto"
    """What runs the language model; `engine.llm.selection` has the rule for `auto`."""
    remote: RemoteConfig | None = None
    """The servers of `backend: remote`."""
    llm_device: Device = "auto"
    gpu_memory_utilization: float = Field(0.4, gt=0, le=1)
    """How much of its GPU's memory vLLM may take, weights included; the codec may need the same GPU's."""
    llm_precision: Literal["auto", Quantization, "int8"] = "auto"
    """How the language model's weights are held; int8 is torch's alone, on a CPU, the other quantized forms and
    float16 are llama.cpp's."""
    codec_device: Device = "auto"
    codec_precision: Literal["auto", Precision] = "auto"
    """`auto` is CUDA's first device and bfloat16 if there is one, else the CPU and float32; but bfloat16 for the
    codec if the CPU has AMX, see `engine.runtime.devices.codec_precision_on`."""
    threads: int | None = Field(None, ge=1)
    """Cores that the language model and the codec compute on, in turns; by default all that this process may use."""
    max_running: int = Field(8, ge=1, le=1024)
    """Sentences that the language model generates at once; each holds a place in its key-value cache."""
    max_context: int = Field(4096, ge=256, le=32_768)
    """Tokens that a prompt and its answer may have together."""
    sentences_ahead: int = Field(4, ge=1, le=1024)
    """Sentences of one text that are generated side by side."""
    codec_batch_seconds: float = Field(12.0, gt=0)
    """Seconds of audio, padding included, that the codec works on at once: who comes next waits so long."""
    window_context: int = Field(24, ge=1, le=200)
    window_first: int = Field(16, ge=1)
    window_first_lookahead: int = Field(12, ge=1, le=200)
    window_growth: float = Field(1.75, ge=1)
    window_largest: int = Field(250, ge=1)
    """Which tokens are decoded together, see `engine.codec.windows.WindowPlan`."""
    min_sample_seconds: float = Field(1.0, ge=0.1)
    max_sample_seconds: float = Field(30.0, le=300)
    """How long a voice sample has to be, and how much of a longer one is used."""
    require_consent: bool = False
    """Whether a sampled voice needs a consent recording, to be made and to be used."""
    voices: str | None = None
    """Database URL of the voice store; by default a SQLite file in `data_directory`."""
    data_directory: Path | None = None
    """Where voices are kept; by default the user's data directory."""

"""llama.cpp's own server, for real, on a file that `fast-spark models convert --server` makes."""

import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import gguf
import numpy as np
import pytest

from engine.llm.registry import convert
from engine.tokens.grammar import Grammar
from engine.tokens.vocabulary import Vocabulary
from tests.engine.llm.remote.contract import CONTEXT, SLOTS, RealServer, RemoteServerContract, started

pytestmark = pytest.mark.slow

PATH = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])


@pytest.fixture(scope="module")
def checkpoint(small_checkpoint: Path) -> Path:
    return small_checkpoint


@pytest.fixture(scope="module")
def server(checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealServer]:
    if not (binary := shutil.which("llama-server", path=PATH)):
        pytest.skip("llama-server is not built: `make llama-server` does so")
    model = convert(checkpoint, "float32", server=True)
    log = tmp_path_factory.mktemp("llama-server") / "log"
    command = [binary, "--model", str(model), "--parallel", str(SLOTS), "--ctx-size", str(SLOTS * CONTEXT)]
    command += ["--metrics", "--threads", "1", "--flash-attn", "off", "--cache-type-k", "f32", "--cache-type-v", "f32"]
    with started("llama-server", command, log, "llamacpp:n_decode_total", {}) as real:
        yield real


class TestLlamaServer(RemoteServerContract):
    pass


def test_a_file_for_the_server_has_every_id_and_a_bias_against_those_that_are_no_audio(
    small_checkpoint: Path, vocabulary: Vocabulary
) -> None:
    reader = gguf.GGUFReader(convert(small_checkpoint, "q8_0", server=True))
    tensors = {tensor.name: tensor for tensor in reader.tensors}
    assert tensors["token_embd.weight"].shape.tolist() == [64, 6112]
    assert np.flatnonzero(tensors["output.bias"].data == 0).tolist() == Grammar(vocabulary).ids.tolist()
    assert tensors["output.bias"].data.max() == 0
    assert tensors["output.bias"].data.min() < -1e9
    names = reader.fields["tokenizer.ggml.tokens"].contents()
    assert names[vocabulary.semantic.first + 7] == "<|bicodec_semantic_7|>"
    ends = [reader.fields[f"tokenizer.ggml.{end}_token_id"].contents() for end in ("eot", "eos")]
    assert ends == list(vocabulary.ends)

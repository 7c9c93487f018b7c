"""The grammar of answers: a finite automaton over kinds of tokens, and the ids of each kind.

    VOICE_AND_SPEECH     = [start] value+ [end]  start_global global{32} end_global start_semantic  SPEECH
    OWN_VOICE_AND_SPEECH = global{32} AFTER_VOICE
    AFTER_VOICE          = [end_global start_semantic] SPEECH
    SPEECH               = semantic+ end

A value is a fine pitch, pitch variance, loudness or speed, each at most once and in any order. Language models
compute logits for `Grammar.ids` only, the rows of the head that an answer can use: 13,500 of 166,000.
"""

from __future__ import annotations

from itertools import combinations

import numpy as np
import numpy.typing as npt

from engine.tokens.vocabulary import ACOUSTIC_VALUES, Vocabulary
from engine.types import GLOBAL_TOKENS, OutputGrammar

ACCEPTED = 0  # the state after the end token
FORBIDDEN = -1


class Grammar:
    """The automaton of one vocabulary. States are small integers; `ACCEPTED` is the final one.

    `ids` has shape (rows,): the id of each row of the audio head, ascending. `transitions` has shape (states, rows):
    the state after a row, or FORBIDDEN. `allowed` has the same shape: whether the row is allowed in the state. `ends`
    are the ids that end an answer.
    """

    def __init__(self, vocabulary: Vocabulary) -> None:
        single = (
            "start_acoustic_token",
            "end_acoustic_token",
            "start_global_token",
            "end_global_token",
            "start_semantic_token",
        )
        kinds: dict[str, list[int]] = {name: [vocabulary.id(f"<|{name}|>")] for name in single}
        kinds |= {name: list(values.ids) for name, values in vocabulary.acoustic.items()}
        kinds |= {"global": list(vocabulary.globals.ids), "semantic": list(vocabulary.semantic.ids)}
        kinds["end"] = list(vocabulary.ends)

        kind_of_id = {token: kind for kind, members in enumerate(kinds.values()) for token in members}
        self.ids: npt.NDArray[np.int64] = np.array(sorted(kind_of_id), np.int64)
        kind = np.array([kind_of_id[token] for token in self.ids.tolist()])
        self._row = {token: row for row, token in enumerate(self.ids.tolist())}
        table, self._start = _automaton(list(kinds))
        self.ends = vocabulary.ends
        self.transitions: npt.NDArray[np.int16] = table[:, kind]
        self.allowed: npt.NDArray[np.bool_] = self.transitions != FORBIDDEN

    def start(self, answer: OutputGrammar) -> int:
        """The state before an answer's first token."""
        return self._start[answer]

    def advance(self, state: int, row: int) -> int:
        """The state after `row` in `state`; raises ValueError if the row is not allowed there."""
        successor = int(self.transitions[state, row])
        if successor == FORBIDDEN:
            raise ValueError(f"token {self.ids[row]} is not allowed in state {state}")
        return successor

    def row(self, token: int) -> int:
        """The row of the audio head that has this id; raises KeyError if there is none."""
        return self._row[token]


def _automaton(kinds: list[str]) -> tuple[npt.NDArray[np.int16], dict[OutputGrammar, int]]:
    """The table of transitions, shape (states, kinds), and the state that each answer starts in."""
    edges: list[tuple[str, str, str]] = [  # state, kind, successor
        ("first semantic", "semantic", "semantic"),
        ("semantic", "semantic", "semantic"),
        ("semantic", "end", "accepted"),
        ("voice", "start_acoustic_token", acoustic(())),
        ("acoustic end", "start_global_token", "global 0"),
        (f"global {GLOBAL_TOKENS}", "end_global_token", "semantic start"),
        ("semantic start", "start_semantic_token", "first semantic"),
    ]
    edges += [
        (f"{own}global {n}", "global", f"{own}global {n + 1}") for own in ("", "own ") for n in range(GLOBAL_TOKENS)
    ]
    edges += [
        (f"own global {GLOBAL_TOKENS}", "end_global_token", "semantic start"),
        (f"own global {GLOBAL_TOKENS}", "semantic", "semantic"),
    ]
    edges += [("voice", value, acoustic((value,))) for value in ACOUSTIC_VALUES]
    for used in (used for n in range(len(ACOUSTIC_VALUES) + 1) for used in combinations(ACOUSTIC_VALUES, n)):
        edges += [(acoustic(used), v, acoustic((*used, v))) for v in ACOUSTIC_VALUES if v not in used]
        if used:  # the block's delimiters are optional, its values are not
            edges += [
                (acoustic(used), "end_acoustic_token", "acoustic end"),
                (acoustic(used), "start_global_token", "global 0"),
            ]

    names = ["accepted", *dict.fromkeys(state for state, _, _ in edges)]
    table = np.full((len(names), len(kinds)), FORBIDDEN, np.int16)
    for state, kind, successor in edges:
        table[names.index(state), kinds.index(kind)] = names.index(successor)
    starts = {
        OutputGrammar.SPEECH: "first semantic",
        OutputGrammar.VOICE_AND_SPEECH: "voice",
        OutputGrammar.OWN_VOICE_AND_SPEECH: "own global 0",
        OutputGrammar.AFTER_VOICE: f"own global {GLOBAL_TOKENS}",
    }
    return table, {answer: names.index(state) for answer, state in starts.items()}


def acoustic(used: tuple[str, ...]) -> str:
    """The name of the state inside the acoustic block after these values, in any order."""
    return "acoustic " + " ".join(sorted(used))

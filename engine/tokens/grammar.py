"""What may follow what in an answer: a finite automaton over kinds of tokens, and the ids that each kind has.

    VOICE_AND_SPEECH = [start] value+ [end]  start_global global{32} end_global start_semantic  SPEECH
    SPEECH           = semantic+ end

A value is a fine pitch, pitch variance, loudness or speed, each at most once and in any order. Language models
compute logits for `Grammar.ids` alone, the rows of the head that an answer can ever use: 13,500 of 166,000.
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
    """The automaton of one vocabulary. States are small integers; `ACCEPTED` is the last.

    `ids` has shape (rows,): the id of each row of the audio head, ascending. `transitions` and `allowed` have shape
    (states, rows): the state after a row, or FORBIDDEN, and whether the row may come at all. `ends` are ids.
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
        """The state after `row` was generated in `state`; raises ValueError if it may not follow."""
        following = int(self.transitions[state, row])
        if following == FORBIDDEN:
            raise ValueError(f"token {self.ids[row]} may not follow in state {state}")
        return following

    def row(self, token: int) -> int:
        """The row of the audio head that has this id."""
        return self._row[token]


def _automaton(kinds: list[str]) -> tuple[npt.NDArray[np.int16], dict[OutputGrammar, int]]:
    """The table of following states, shape (states, kinds), and the state that each answer starts in."""
    edges: list[tuple[str, str, str]] = [  # state, kind, following state
        ("first semantic", "semantic", "semantic"),
        ("semantic", "semantic", "semantic"),
        ("semantic", "end", "done"),
        ("voice", "start_acoustic_token", acoustic(())),
        ("acoustic end", "start_global_token", "global 0"),
        (f"global {GLOBAL_TOKENS}", "end_global_token", "semantic start"),
        ("semantic start", "start_semantic_token", "first semantic"),
    ]
    edges += [(f"global {n}", "global", f"global {n + 1}") for n in range(GLOBAL_TOKENS)]
    edges += [("voice", value, acoustic((value,))) for value in ACOUSTIC_VALUES]
    for used in (used for n in range(len(ACOUSTIC_VALUES) + 1) for used in combinations(ACOUSTIC_VALUES, n)):
        edges += [(acoustic(used), v, acoustic((*used, v))) for v in ACOUSTIC_VALUES if v not in used]
        if used:  # the delimiters of the block may be missing, its values may not
            edges += [
                (acoustic(used), "end_acoustic_token", "acoustic end"),
                (acoustic(used), "start_global_token", "global 0"),
            ]

    names = ["done", *dict.fromkeys(state for state, _, _ in edges)]
    table = np.full((len(names), len(kinds)), FORBIDDEN, np.int16)
    for state, kind, following in edges:
        table[names.index(state), kinds.index(kind)] = names.index(following)
    starts = {OutputGrammar.SPEECH: "first semantic", OutputGrammar.VOICE_AND_SPEECH: "voice"}
    return table, {answer: names.index(state) for answer, state in starts.items()}


def acoustic(used: tuple[str, ...]) -> str:
    """Name of the state inside the acoustic block after these values, in whatever order they came."""
    return "acoustic " + " ".join(sorted(used))

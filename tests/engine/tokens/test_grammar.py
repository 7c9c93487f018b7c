"""Which tokens may follow which."""

import pytest

from engine.tokens.grammar import ACCEPTED, Grammar
from engine.tokens.vocabulary import Vocabulary
from engine.types import OutputGrammar

VOICE = ["start_global_token", *["bicodec_global_9"] * 32, "end_global_token", "start_semantic_token"]
SPEECH = ["bicodec_semantic_0", "bicodec_semantic_511", "end_semantic_token"]


@pytest.fixture(scope="module")
def grammar(vocabulary: Vocabulary) -> Grammar:
    return Grammar(vocabulary)


def follow(grammar: Grammar, vocabulary: Vocabulary, answer: OutputGrammar, names: list[str]) -> int:
    """The state after these tokens; ValueError where one may not follow."""
    state = grammar.start(answer)
    for name in names:
        state = grammar.advance(state, grammar.row(vocabulary.id(f"<|{name}|>")))
    return state


@pytest.mark.parametrize(
    ("answer", "names"),
    [
        (OutputGrammar.SPEECH, SPEECH),
        (OutputGrammar.SPEECH, ["bicodec_semantic_3", "im_end"]),
        (OutputGrammar.VOICE_AND_SPEECH, ["pitch_value_7", *VOICE, *SPEECH]),
        (OutputGrammar.VOICE_AND_SPEECH, ["pitch_value_7", "loudness_value_1", "speed_value_2", *VOICE, *SPEECH]),
        (
            OutputGrammar.VOICE_AND_SPEECH,
            ["start_acoustic_token", "speed_value_2", "pitch_value_1000", "end_acoustic_token", *VOICE, *SPEECH],
        ),
        (OutputGrammar.OWN_VOICE_AND_SPEECH, [*VOICE[1:], *SPEECH]),
        (OutputGrammar.OWN_VOICE_AND_SPEECH, [*VOICE[1:33], *SPEECH]),  # some were trained without the delimiters
        (OutputGrammar.AFTER_VOICE, [*VOICE[33:], *SPEECH]),
        (OutputGrammar.AFTER_VOICE, SPEECH),
    ],
)
def test_whole_answers_end(grammar: Grammar, vocabulary: Vocabulary, answer: OutputGrammar, names: list[str]) -> None:
    assert follow(grammar, vocabulary, answer, names) == ACCEPTED


@pytest.mark.parametrize(
    ("answer", "names", "forbidden"),
    [
        (OutputGrammar.SPEECH, [], "end_semantic_token"),  # a sentence has at least one token
        (OutputGrammar.SPEECH, [], "bicodec_global_0"),
        (OutputGrammar.SPEECH, SPEECH[:1], "start_semantic_token"),
        (OutputGrammar.VOICE_AND_SPEECH, [], "bicodec_semantic_0"),
        (OutputGrammar.VOICE_AND_SPEECH, [], "start_global_token"),  # without a value there is no acoustic block
        (OutputGrammar.VOICE_AND_SPEECH, ["start_acoustic_token"], "end_acoustic_token"),
        (OutputGrammar.VOICE_AND_SPEECH, ["pitch_value_7"], "pitch_value_8"),  # each value once
        (OutputGrammar.VOICE_AND_SPEECH, ["pitch_value_7", *VOICE[:32]], "end_global_token"),  # 31 globals
        (OutputGrammar.VOICE_AND_SPEECH, ["pitch_value_7", *VOICE[:33]], "bicodec_global_0"),  # 32 globals
        (OutputGrammar.VOICE_AND_SPEECH, ["pitch_value_7", *VOICE], "im_end"),
        (OutputGrammar.VOICE_AND_SPEECH, ["pitch_value_7", *VOICE[:33]], "bicodec_semantic_0"),
        (OutputGrammar.OWN_VOICE_AND_SPEECH, [], "pitch_value_7"),
        (OutputGrammar.OWN_VOICE_AND_SPEECH, VOICE[1:32], "bicodec_semantic_0"),  # 31 globals
        (OutputGrammar.AFTER_VOICE, VOICE[33:34], "bicodec_semantic_0"),
        (OutputGrammar.AFTER_VOICE, [], "im_end"),
    ],
)
def test_what_may_not_follow(
    grammar: Grammar, vocabulary: Vocabulary, answer: OutputGrammar, names: list[str], forbidden: str
) -> None:
    state = follow(grammar, vocabulary, answer, names)
    row = grammar.row(vocabulary.id(f"<|{forbidden}|>"))
    assert not grammar.allowed[state, row]
    with pytest.raises(ValueError, match="not allowed in state"):
        grammar.advance(state, row)


def test_every_state_but_the_last_lets_something_follow(grammar: Grammar) -> None:
    assert not grammar.allowed[ACCEPTED].any()
    assert grammar.allowed[ACCEPTED + 1 :].any(axis=1).all()


def test_the_rows_are_the_ids_that_an_answer_can_hold(grammar: Grammar, vocabulary: Vocabulary) -> None:
    values = sum(family.count for family in vocabulary.acoustic.values())
    delimiters_and_ends = 5 + 2
    assert len(grammar.ids) == 4096 + 512 + values + delimiters_and_ends
    assert [grammar.row(token) for token in grammar.ids.tolist()] == list(range(len(grammar.ids)))

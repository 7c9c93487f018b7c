r"""Text normalization and sentence splitting; pure functions.

>>> split_sentences(normalise("It costs $3.50.\n今天是5月6日。"))
['It costs three dollars and fifty cents.', '今天是五月六日。']
>>> [sentence] = spoken_sentences("It costs $3.50.")
>>> sentence.text
'It costs three dollars and fifty cents.'
>>> sentence.changes
(Change(rule='money', written='$3.50', spoken='three dollars and fifty cents'),)
"""

from engine.text.draft import Change
from engine.text.fitting import NoRoom, fit
from engine.text.foreign import Foreign, foreign, language_name
from engine.text.language import Language
from engine.text.languages import spoken_language
from engine.text.length import is_speakable, max_semantic_tokens, speech_weight
from engine.text.lexicon import Lexicon
from engine.text.lexicon_files import read_lexicons
from engine.text.normalise import normalise
from engine.text.options import Split, TextOptions
from engine.text.sentences import split_sentences
from engine.text.spoken import SpokenSentence, spoken_sentences
from engine.text.traced import Span, Traced

__all__ = [
    "Change",
    "Foreign",
    "Language",
    "Lexicon",
    "NoRoom",
    "Span",
    "Split",
    "SpokenSentence",
    "TextOptions",
    "Traced",
    "fit",
    "foreign",
    "is_speakable",
    "language_name",
    "max_semantic_tokens",
    "normalise",
    "read_lexicons",
    "speech_weight",
    "split_sentences",
    "spoken_language",
    "spoken_sentences",
]

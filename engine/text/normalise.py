"""Text normalization: one line, with numbers and signs in words."""

from __future__ import annotations

from engine.text.addresses import speak_addresses
from engine.text.characters import fold, mend, shorten_silence
from engine.text.draft import Draft
from engine.text.emojis import name_emoji
from engine.text.grammar import RULES
from engine.text.languages import RULES_FOR, speak_numbers
from engine.text.lines import join_lines, tidy
from engine.text.markup import strip_documents, strip_emphasis
from engine.text.options import DEFAULT, TextOptions
from engine.text.traced import Traced


def normalise(text: str, options: TextOptions = DEFAULT) -> str:
    r"""Return `text` as one line that a voice can read; never raises.

    A line without final punctuation, such as a heading or a list item, gets a full stop, so that the sentence splitter
    finds its end. A single newline before a lower-case letter is wrapped prose and becomes a space.

    >>> normalise("Prices\n\n- Tea: $3.50 ☕\n- 茶：３５元")
    'Prices. Tea: three dollars and fifty cents. 茶：三十五元'
    """
    return rewrite(Traced.plain(text), options).text


def rewrite(written: Traced, options: TextOptions) -> Draft:
    """Return the normalized text with its changes."""
    draft = Draft(written)
    mend(draft)
    options.lexicon.apply(draft, options.language)
    if options.normalize:
        strip_documents(draft, options.code_blocks)
        if options.emoji == "name":
            name_emoji(draft, options.language)
        fold(draft)
        other = options.language if options.language not in (None, *RULES_FOR) else None
        if other is None:
            speak_addresses(draft, options.language)
        strip_emphasis(draft)
        join_lines(draft)
        tidy(draft)
        if other:
            speak_numbers(draft, other)
        else:
            draft.apply(RULES.edits(draft.text, options.language))
    mend(draft)  # what the lexicon and the rules have put in
    shorten_silence(draft)
    tidy(draft)
    return draft

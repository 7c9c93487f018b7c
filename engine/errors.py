"""The errors of the engine. Each class is one kind of failure; the message is written for the user."""


class EngineError(Exception):
    """Base of all errors that the engine raises on purpose. The message is one line, written for the user."""


class InvalidRequest(EngineError):
    """The request is not valid; `param` names the wrong field."""

    def __init__(self, message: str, param: str | None = None) -> None:
        super().__init__(message)
        self.param = param


class NothingToSay(InvalidRequest):
    """The text has no words."""

    def __init__(self) -> None:
        super().__init__("There is nothing to say in this text: it has neither letters nor digits.", "input")


class UnknownVoice(EngineError):
    """No voice has this name or id."""

    def __init__(self, voice: str) -> None:
        super().__init__(f"There is no voice {voice!r}.")
        self.voice = voice


class UnknownConsent(EngineError):
    """No consent recording has this id."""

    def __init__(self, consent: str) -> None:
        super().__init__(f"There is no consent {consent!r}.")


class ConsentRequired(EngineError):
    """A cloned voice has no consent, and `require_consent` is on."""

    def __init__(self, voice: str) -> None:
        super().__init__(
            f"The voice {voice!r} has no consent, and consent is required here. Upload a consent recording, then make "
            "the voice again with the id of that consent."
        )


class NotOwner(EngineError):
    """The voice is shared. Every key may use it, but only the key that made it may change or delete it."""

    def __init__(self, name: str) -> None:
        super().__init__(f"The voice {name!r} is shared with you. Only the key that made it may do this.")


class StoreFailed(EngineError):
    """The voice store's database failed or does not answer, or what it holds is damaged."""


class CheckpointError(EngineError):
    """A checkpoint is missing, incomplete or has wrong shapes. The message names the file and says what to do."""


class BackendFailed(EngineError):
    """The language model or the codec raised while working on this request."""


class EngineClosed(EngineError):
    """The engine is shutting down and accepts no more work."""

    def __init__(self) -> None:
        super().__init__("The engine has been closed.")


class VoiceExists(EngineError):
    """Another voice has this name."""

    def __init__(self, name: str) -> None:
        super().__init__(f"A voice {name!r} already exists. Choose another name, or delete that voice first.")

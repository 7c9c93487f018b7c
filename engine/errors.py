"""What can go wrong in the engine, as few named classes; the server's table turns each into a status."""


class EngineError(Exception):
    """Base of all errors that the engine raises on purpose; the message is meant for the user."""


class InvalidRequest(EngineError):
    """The request cannot be served as it is; `param` names the field at fault."""

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
        super().__init__(f"There is no voice {voice!r}; GET /v1/audio/voices lists those there are.")
        self.voice = voice


class UnknownConsent(EngineError):
    """No consent recording has this id."""

    def __init__(self, consent: str) -> None:
        super().__init__(f"There is no consent {consent!r}; GET /v1/audio/voice_consents lists those there are.")


class ConsentRequired(EngineError):
    """A sampled voice has no consent, and the server is set to require one."""

    def __init__(self, voice: str) -> None:
        super().__init__(
            f"The voice {voice!r} has no consent, and this server requires one: upload a recording to "
            "POST /v1/audio/voice_consents and make the voice with its id as `consent`."
        )


class NotOwner(EngineError):
    """The voice is shared: others may use it, but only the key that made it may change or remove it."""

    def __init__(self, name: str) -> None:
        super().__init__(f"The voice {name!r} is shared with you; only the key that made it may do this.")


class StoreFailed(EngineError):
    """The voice store's database does not answer, or not as it should."""


class CheckpointError(EngineError):
    """A checkpoint is missing, incomplete or misshapen; the message names the file and the mend."""


class BackendFailed(EngineError):
    """The language model or the codec raised while working on this request."""


class EngineClosed(EngineError):
    """The engine is shutting down and takes no more work."""

    def __init__(self) -> None:
        super().__init__("The engine has been closed.")


class VoiceExists(EngineError):
    """A voice of this name is there already."""

    def __init__(self, name: str) -> None:
        super().__init__(f"There is a voice {name!r} already; choose another name, or delete that one first.")

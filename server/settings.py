"""All settings in one strict tree. Flags override environment variables, which override the YAML file."""

from __future__ import annotations

import hashlib
import logging
import os
import re
import stat
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, TypeAdapter, ValidationError
from pydantic_settings import (
    BaseSettings,
    InitSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    YamlConfigSettingsSource,
)
from pydantic_settings.exceptions import SettingsError as UnreadableVariable

from engine import EngineConfig, EngineError, ListenerConfig, PauseConfig, RemoteConfig
from server.client_fields import UnknownFields

ENV_PREFIX = "FAST_SPARK_"
SHORTEST_KEY = 16  # characters

logger = logging.getLogger(__name__)


class SettingsError(EngineError):
    """A setting is unknown or invalid; the message names it."""


def _hashed(key: str) -> str:
    """Return the SHA-256 of a key, in hex. The key itself is not stored."""
    if hashed := re.fullmatch(r"sha256:([0-9a-fA-F]{64})", key):
        return hashed[1].lower()
    if len(key) < SHORTEST_KEY or key.startswith("sha256:") or not key.isascii() or not key.isprintable() or " " in key:
        raise ValueError(f"a key has at least {SHORTEST_KEY} letters, digits and signs, or it is sha256: and its hash")
    return hashlib.sha256(key.encode()).hexdigest()


KeyName = Annotated[str, Field(pattern=r"^[\w.-]{1,64}$")]
KeyHash = Annotated[str, AfterValidator(_hashed)]
KEYS: TypeAdapter[dict[str, str]] = TypeAdapter(dict[KeyName, KeyHash])


class WebSocketSettings(BaseModel):
    """Settings of /v1/audio/speech/stream."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    config_seconds: float = Field(10, gt=0)
    """Time limit for the first message of a session, in seconds."""
    idle_seconds: float = Field(60, gt=0)
    """Time after which a session without messages and audio is closed, in seconds."""
    turn_characters: int = Field(65_536, ge=4096)
    """Longest text of one turn, in characters."""


class Settings(BaseSettings):
    """Settings of the server and, under `engine`, of the engine. See configs/ for examples."""

    model_config = SettingsConfigDict(
        extra="forbid",
        frozen=True,
        env_prefix=ENV_PREFIX,
        env_nested_delimiter="__",
        use_attribute_docstrings=True,
    )

    host: str = "127.0.0.1"
    """Address to listen on; 0.0.0.0 means all addresses of the machine."""
    port: int = Field(8000, ge=0, le=65_535)
    """Port to listen on; 0 selects a free one."""
    served_name: str | None = None
    """The model's name in the API. The default is the last part of the engine's `language_model`, or of its `model`."""
    max_upload_bytes: int = Field(10 * 2**20, ge=1)
    """Largest voice sample, in bytes. OpenAI's limit is 10 MiB."""
    max_json_bytes: int = Field(128 * 2**10, ge=2**10, le=2**20)
    """Largest body of any other request, in bytes. The longest text with instructions, all escaped, takes 100 KB."""
    max_connections: int = Field(512, ge=1)
    """Maximum number of open connections, including idle ones. Further connections get 503."""
    header_seconds: float = Field(15, gt=0)
    """Time limit for the headers of a request, in seconds."""
    stall_seconds: float = Field(60, gt=0)
    """Longest pause of a client within a request's body, or in reading a response, in seconds."""
    keep_alive_seconds: int = Field(75, ge=1)
    """Time for which a connection stays open between two requests, in seconds."""
    max_requests: int = Field(16, ge=1)
    """Maximum number of requests that run at once."""
    max_waiting: int = Field(64, ge=0)
    """Maximum number of requests in the queue. Further requests get 429."""
    deadline_seconds: float = Field(120, gt=0)
    """Time limit of a request in seconds, including its time in the queue. `deadline_factor` extends it."""
    deadline_factor: float = Field(2, ge=0)
    """Seconds added to the time limit for each second of speech that the text is expected to take."""
    drain_seconds: float = Field(30, ge=0)
    """Time limit for running requests after the signal to stop, in seconds."""
    nice: int = Field(-10, ge=-20, le=19)
    """Niceness of the process. A negative value keeps speech fluent on a busy host; it needs root or CAP_SYS_NICE. A
    process that was started with a niceness other than 0 keeps it."""
    tune: bool = True
    """Whether the first start of a model on a host measures for a minute which form of it is fastest there."""
    watchdog_seconds: float = Field(60, ge=0)
    """The process ends with status 70 if its event loop is blocked for this many seconds; 0 disables the check."""
    api_keys: dict[KeyName, KeyHash] = {}
    """API keys by name: each a key, or its SHA-256 as `sha256:HEX`. Without keys, everybody can use the server."""
    api_keys_file: Path | None = None
    """A YAML file with further keys, in the same form."""
    open_docs: bool = False
    """Whether /docs and /openapi.json are available without a key."""
    open_metrics: bool = False
    """Whether /metrics is available without a key."""
    requests_per_key: int | None = Field(None, ge=1)
    """Maximum number of requests of one key at once. Further requests get 429."""
    characters_per_minute: int | None = Field(None, ge=4096)
    """Maximum number of characters per minute and key. Further requests get 429."""
    limits_storage: str | None = Field(None, pattern=r"^rediss?://[^\s]+$")
    """The Redis that counts the two limits for several servers, such as redis://10.0.0.5:6379. By default, each server
    counts for itself; it also does so while Redis does not answer."""
    cors_origins: list[str] = []
    """Origins of web pages that can use the server from a browser, such as https://example.com; `*` means all."""
    unknown_fields: UnknownFields = "error"
    """Unknown fields of a speech request: an error 400, or ignored and named in the header `X-Ignored-Fields`."""
    speak_nothing: Literal["silence", "error"] = "silence"
    """The response to a text without words: 0.2 s of silence, or an error 400."""
    studio: bool = True
    """Whether /studio is served, if its libraries are installed (the extra `[studio]`)."""
    flashtts: bool = False
    """Whether the endpoints of FlashTTS are enabled: /speak, /clone_voice and others."""
    websocket: WebSocketSettings = WebSocketSettings()
    """Sessions at /v1/audio/speech/stream."""
    engine: EngineConfig = EngineConfig()
    """The models, voices and texts."""

    @property
    def model_name(self) -> str:
        """The name that /v1/models lists."""
        return self.served_name or Path(self.engine.language_model or self.engine.model).name.removesuffix(".gguf")

    def keys(self) -> dict[str, str]:
        """Return all keys, as `name: SHA-256 in hex`; raises SettingsError if their file cannot be used."""
        if self.api_keys_file is None:
            return self.api_keys
        try:
            content = yaml.safe_load(self.api_keys_file.read_text(encoding="utf-8"))
            keys = self.api_keys | KEYS.validate_python(content)
            if not all(value.startswith("sha256:") for value in content.values()):
                _warn_if_others_can_read(self.api_keys_file)
            return keys
        except OSError as error:
            raise SettingsError(f"The file of API keys cannot be read: {error}.") from error
        except (ValidationError, yaml.YAMLError, UnicodeDecodeError) as error:  # their messages can contain a key
            reason = error.errors()[0]["msg"] if isinstance(error, ValidationError) else "it is not YAML"
            raise SettingsError(
                f"{self.api_keys_file} must have lines `name: key`, one for each key: {reason}."
            ) from None


@lru_cache  # one warning for each file
def _warn_if_others_can_read(file: Path) -> None:
    if stat.S_IMODE(file.stat().st_mode) & (stat.S_IRWXG | stat.S_IRWXO):
        logger.warning("Other users can read the API keys. Run: chmod 600 %s (or put their SHA-256 in it)", file)


def load_settings(file: Path | None = None, flags: Mapping[str, Any] | None = None) -> Settings:
    """Read the settings; raises SettingsError with one line that names the invalid setting."""

    class Sources(Settings):
        @classmethod
        def settings_customise_sources(
            cls,
            settings_cls: type[BaseSettings],
            init_settings: PydanticBaseSettingsSource,
            env_settings: PydanticBaseSettingsSource,
            dotenv_settings: PydanticBaseSettingsSource,
            file_secret_settings: PydanticBaseSettingsSource,
        ) -> tuple[PydanticBaseSettingsSource, ...]:
            sources = (InitSettingsSource(settings_cls, dict(flags or {})), env_settings)
            return (*sources, YamlConfigSettingsSource(settings_cls, yaml_file=file)) if file else sources

    _refuse_unknown_variables()
    if file and not file.is_file():
        raise SettingsError(f"There is no settings file {file}.")
    try:
        return Sources()
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        reason = "there is no such setting" if first["type"] == "extra_forbidden" else first["msg"]
        if where.startswith(("api_keys", "engine.remote", "engine.listener", "limits_storage")):
            raise SettingsError(f"Setting {where}: {reason}.") from None  # a key must not be logged
        raise SettingsError(f"Setting {where}: {reason} (got {first['input']!r}).") from error
    except yaml.YAMLError as error:
        raise SettingsError(f"{file} is not YAML: {' '.join(str(error).split())}") from error
    except UnreadableVariable as error:  # the value of this setting is JSON
        raise SettingsError(f"{error}: the value must be JSON.") from None
    except ValueError as error:
        raise SettingsError(
            f"{file} has no settings. Write `name: value` lines, as in configs/reference.yaml."
        ) from error


def _refuse_unknown_variables() -> None:
    """Raise SettingsError for an environment variable with the prefix that names no setting."""

    def names(model: type[BaseModel], prefix: str) -> set[str]:
        known = {prefix + name.upper() for name in model.model_fields}
        nested = (
            ("engine", EngineConfig),
            ("remote", RemoteConfig),
            ("listener", ListenerConfig),
            ("pauses", PauseConfig),
            ("websocket", WebSocketSettings),
        )
        for name, inner in nested:
            if name in model.model_fields:
                known |= names(inner, f"{prefix}{name.upper()}__")
        return known

    known = names(Settings, ENV_PREFIX)
    for variable in os.environ:
        if variable.upper().startswith(ENV_PREFIX) and variable.upper() not in known:
            raise SettingsError(f"There is no setting {variable}. The settings are {', '.join(sorted(known))}.")

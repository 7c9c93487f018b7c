"""All settings in one strict tree: a YAML file, then the environment, then flags, the later over the earlier."""

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
from pydantic import AfterValidator, BaseModel, Field, TypeAdapter, ValidationError
from pydantic_settings import (
    BaseSettings,
    InitSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    YamlConfigSettingsSource,
)
from pydantic_settings.exceptions import SettingsError as UnreadableVariable

from engine import EngineConfig, EngineError, RemoteConfig
from server.client_fields import UnknownFields

ENV_PREFIX = "FAST_SPARK_"
SHORTEST_KEY = 16  # characters

logger = logging.getLogger(__name__)


class SettingsError(EngineError):
    """A setting is unknown or wrong; the message says which, and where it was set."""


def _hashed(key: str) -> str:
    """The SHA-256 of a key, in hex: what is kept of it."""
    if hashed := re.fullmatch(r"sha256:([0-9a-fA-F]{64})", key):
        return hashed[1].lower()
    if len(key) < SHORTEST_KEY or key.startswith("sha256:") or not key.isascii() or not key.isprintable() or " " in key:
        raise ValueError(f"a key has at least {SHORTEST_KEY} letters, digits and signs, or it is sha256: and its hash")
    return hashlib.sha256(key.encode()).hexdigest()


KeyName = Annotated[str, Field(pattern=r"^[\w.-]{1,64}$")]
KeyHash = Annotated[str, AfterValidator(_hashed)]
KEYS: TypeAdapter[dict[str, str]] = TypeAdapter(dict[KeyName, KeyHash])


class Settings(BaseSettings):
    """Settings of the server and, under `engine`, of the engine; configs/ has them with comments."""

    model_config = SettingsConfigDict(
        extra="forbid",
        frozen=True,
        env_prefix=ENV_PREFIX,
        env_nested_delimiter="__",
        use_attribute_docstrings=True,
    )

    host: str = "127.0.0.1"
    """Address to listen on; 0.0.0.0 is all of this machine's."""
    port: int = Field(8000, ge=0, le=65_535)
    """Port to listen on; 0 takes any free one."""
    served_name: str | None = None
    """The model's name in the API; by default the last part of the engine's `model`."""
    max_upload_bytes: int = Field(10 * 2**20, ge=1)
    """Largest voice sample, in bytes; OpenAI's API says 10 MiB."""
    max_json_bytes: int = Field(128 * 2**10, ge=2**10, le=2**20)
    """Largest body of any other request. The longest text, each character escaped, and instructions are 100 KB."""
    max_connections: int = Field(512, ge=1)
    """Clients that are connected at once, those that ask for nothing included; one more gets 503."""
    header_seconds: float = Field(15, gt=0)
    """How long a client may take to send a request's headers."""
    stall_seconds: float = Field(60, gt=0)
    """How long a client may send nothing of a body that it has begun, or read nothing of an answer."""
    keep_alive_seconds: int = Field(75, ge=1)
    """How long a connection stays open between two requests."""
    max_requests: int = Field(16, ge=1)
    """Requests that are answered at once."""
    max_waiting: int = Field(64, ge=0)
    """Requests that may wait in the queue; one more gets 429."""
    deadline_seconds: float = Field(120, gt=0)
    """Seconds that a request may take, waiting included, beside what `deadline_factor` adds."""
    deadline_factor: float = Field(2, ge=0)
    """Seconds that a request may take more for each second of speech that its text is expected to be."""
    drain_seconds: float = Field(30, ge=0)
    """Seconds that running requests may go on after the signal to stop."""
    nice: int = Field(-10, ge=-20, le=19)
    """Niceness of the process. A negative one, which needs root or CAP_SYS_NICE, keeps speech fluent on a busy host. A
    process that was started with another niceness keeps it."""
    watchdog_seconds: float = Field(60, ge=0)
    """Seconds that the event loop may be blocked before the process ends with status 70; 0 is no limit."""
    api_keys: dict[KeyName, KeyHash] = {}
    """API keys by name: each a key, or its SHA-256 as `sha256:HEX`. Without keys, everybody may use the server."""
    api_keys_file: Path | None = None
    """A YAML file of more keys, in the same form."""
    open_docs: bool = False
    """Whether the documentation can be read without a key."""
    open_metrics: bool = False
    """Whether /metrics can be read without a key."""
    requests_per_key: int | None = Field(None, ge=1)
    """Requests of one key that are answered at once; one more gets 429."""
    characters_per_minute: int | None = Field(None, ge=4096)
    """Characters that one key may have spoken in a minute; beyond that it gets 429."""
    cors_origins: list[str] = []
    """Origins of web pages that may use the server from a browser, such as https://example.com; `*` is all."""
    unknown_fields: UnknownFields = "error"
    """What an unknown field of a speech request is: an error, or ignored and named in the header `X-Ignored-Fields`."""
    speak_nothing: Literal["silence", "error"] = "silence"
    """What a text without words gets: 0.2 s of silence, or an error 400."""
    flashtts: bool = False
    """Whether FlashTTS's own endpoints are served too: /speak, /clone_voice and others."""
    engine: EngineConfig = EngineConfig()

    @property
    def model_name(self) -> str:
        """The name that /v1/models lists."""
        return self.served_name or Path(self.engine.model).name

    def keys(self) -> dict[str, str]:
        """All keys, as `name: SHA-256 in hex`; raises SettingsError if their file cannot be used."""
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
    """Read the settings; raises SettingsError, one line that names the wrong setting."""

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
        if where.startswith(("api_keys", "engine.remote")):
            raise SettingsError(f"Setting {where}: {reason}.") from None  # a key must not be logged
        raise SettingsError(f"Setting {where}: {reason} (got {first['input']!r}).") from error
    except yaml.YAMLError as error:
        raise SettingsError(f"{file} is not YAML: {' '.join(str(error).split())}") from error
    except UnreadableVariable as error:  # of a setting whose value is JSON
        raise SettingsError(f"{error}: the value must be JSON.") from None
    except ValueError as error:
        raise SettingsError(
            f"{file} has no settings. Write `name: value` lines, as in configs/reference.yaml."
        ) from error


def _refuse_unknown_variables() -> None:
    """Raise SettingsError for an environment variable that names no setting, such as a misspelt one."""

    def names(model: type[BaseModel], prefix: str) -> set[str]:
        known = {prefix + name.upper() for name in model.model_fields}
        for name, inner in (("engine", EngineConfig), ("remote", RemoteConfig)):
            if name in model.model_fields:
                known |= names(inner, f"{prefix}{name.upper()}__")
        return known

    known = names(Settings, ENV_PREFIX)
    for variable in os.environ:
        if variable.upper().startswith(ENV_PREFIX) and variable.upper() not in known:
            raise SettingsError(f"There is no setting {variable}. The settings are {', '.join(sorted(known))}.")

"""All settings in one strict tree: a YAML file, then the environment, then flags, the later over the earlier."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, Field, ValidationError
from pydantic_settings import (
    BaseSettings,
    InitSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    YamlConfigSettingsSource,
)

from engine import EngineConfig, EngineError

ENV_PREFIX = "FAST_SPARK_"


class SettingsError(EngineError):
    """A setting is unknown or wrong; the message says which, and where it was set."""


class Settings(BaseSettings):
    """Settings of the server and, under `engine`, of the engine; configs/ has them with comments."""

    model_config = SettingsConfigDict(extra="forbid", frozen=True, env_prefix=ENV_PREFIX, env_nested_delimiter="__")

    host: str = "127.0.0.1"
    port: int = Field(8000, ge=0, le=65_535)
    """0 takes any free port."""
    served_name: str | None = None
    """The model's name in the API; by default the last part of the engine's `model`."""
    max_upload_bytes: int = Field(10 * 2**20, ge=1)
    """Largest voice sample; the specification says 10 MiB."""
    max_requests: int = Field(16, ge=1)
    """Requests that are answered at once."""
    max_waiting: int = Field(64, ge=0)
    """Requests that may wait for a place; one more gets 429."""
    deadline_seconds: float = Field(600, gt=0)
    """How long a request may take, waiting included."""
    drain_seconds: float = Field(30, ge=0)
    """How long requests may go on after the signal to stop."""
    engine: EngineConfig = EngineConfig()

    @property
    def model_name(self) -> str:
        """The name that /v1/models lists."""
        return self.served_name or Path(self.engine.model).name


def load_settings(file: Path | None = None, flags: Mapping[str, Any] | None = None) -> Settings:
    """Read the settings; raises SettingsError, one line that names the setting at fault."""

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
        raise SettingsError(f"Setting {where}: {reason} (got {first['input']!r}).") from error
    except yaml.YAMLError as error:
        raise SettingsError(f"{file} is not YAML: {' '.join(str(error).split())}") from error
    except ValueError as error:
        raise SettingsError(f"{file} holds no settings: write `name: value` lines, as in configs/demo.yaml.") from error


def _refuse_unknown_variables() -> None:
    """A misspelt variable would otherwise be ignored without a word."""

    def names(model: type[BaseModel], prefix: str) -> set[str]:
        known = {prefix + name.upper() for name in model.model_fields}
        return known | names(EngineConfig, f"{prefix}ENGINE__") if model is Settings else known

    known = names(Settings, ENV_PREFIX)
    for variable in os.environ:
        if variable.upper().startswith(ENV_PREFIX) and variable.upper() not in known:
            raise SettingsError(f"{variable} is no setting; there are {', '.join(sorted(known))}.")

"""Uploaded files, with a limit on their size."""

from __future__ import annotations

from fastapi import UploadFile

from engine import InvalidRequest


async def read_upload(file: UploadFile | None, param: str, max_bytes: int) -> bytes:
    """Return the file's content; raises InvalidRequest for `param` if the file is missing or too large."""
    if file is None:
        raise InvalidRequest(f"Missing required parameter: {param!r}.", param)
    content = await file.read(max_bytes + 1)
    if len(content) > max_bytes:
        raise InvalidRequest(f"The file is larger than {max_bytes} bytes.", param)
    return content

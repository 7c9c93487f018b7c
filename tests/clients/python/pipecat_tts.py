"""Pipecat's OpenAI service in a pipeline: sentences of a language model one by one, an emoji among them."""

import asyncio
import sys

from pipecat.frames.frames import EndFrame, ErrorFrame, Frame, TTSAudioRawFrame, TTSSpeakFrame
from pipecat.pipeline.pipeline import Pipeline
from pipecat.pipeline.runner import PipelineRunner
from pipecat.pipeline.task import PipelineParams, PipelineTask
from pipecat.processors.frame_processor import FrameDirection, FrameProcessor
from pipecat.services.openai.tts import OpenAITTSService


class Heard(FrameProcessor):
    """Counts what comes out."""

    def __init__(self) -> None:
        super().__init__()
        self.bytes = 0
        self.errors: list[str] = []

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        await super().process_frame(frame, direction)
        if isinstance(frame, TTSAudioRawFrame):
            assert frame.sample_rate == 24_000
            self.bytes += len(frame.audio)
        if isinstance(frame, ErrorFrame):
            self.errors.append(frame.error)
        await self.push_frame(frame, direction)


async def main(url: str) -> None:
    heard = Heard()
    service = OpenAITTSService(api_key="none", base_url=f"{url}/v1", voice="alloy", model="tts-1")
    task = PipelineTask(Pipeline([service, heard]), params=PipelineParams(audio_out_sample_rate=24_000))
    await task.queue_frames([TTSSpeakFrame("Hello there."), TTSSpeakFrame("😊"), TTSSpeakFrame("Goodbye."), EndFrame()])
    await asyncio.wait_for(PipelineRunner(handle_sigint=False).run(task), 120)
    assert not heard.errors, heard.errors
    assert heard.bytes > 24_000, heard.bytes


asyncio.run(main(sys.argv[1]))

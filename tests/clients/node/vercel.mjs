// Vercel's AI SDK.
import assert from "node:assert";
import { createOpenAI } from "@ai-sdk/openai";
import * as ai from "ai";

const openai = createOpenAI({ baseURL: `${process.argv[2]}/v1`, apiKey: "none" });
const generate = ai.generateSpeech ?? ai.experimental_generateSpeech;
const { audio } = await generate({ model: openai.speech("tts-1"), text: "Hello there.", voice: "alloy", maxRetries: 0 });
assert(audio.uint8Array.byteLength > 2000);

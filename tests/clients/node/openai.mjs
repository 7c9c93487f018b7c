// OpenAI's SDK for JavaScript: a whole answer, and one that is left in the middle.
import assert from "node:assert";
import OpenAI from "openai";

const client = new OpenAI({ baseURL: `${process.argv[2]}/v1`, apiKey: "none", maxRetries: 0 });
const request = { model: "gpt-4o-mini-tts", voice: "alloy", input: "Hello there." };
const whole = await client.audio.speech.create(request);
assert((await whole.arrayBuffer()).byteLength > 2000);

const left = await client.audio.speech.create({ ...request, input: "A long sentence. ".repeat(20) });
const reader = left.body.getReader();
await reader.read();
await reader.cancel();

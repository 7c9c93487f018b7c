// Calls of the server's HTTP API, with the key that the user has given.

import { t } from "./words.js";

/** The server's address. The page is in a folder of it. */
export const server = new URL("..", document.baseURI);

const STORED = "fast-spark-key";

export const key = {
  get: () => sessionStorage.getItem(STORED) ?? "",
  set: (value) => sessionStorage.setItem(STORED, value),
};

/** An error of the API: `param` is the field at fault, or null. */
export class ApiError extends Error {
  constructor(status, { message, param = null, code = null }) {
    super(message);
    Object.assign(this, { status, param, code });
  }
}

/** Call a path such as v1/models; throws ApiError. */
export async function call(path, { headers = {}, ...options } = {}) {
  const authorization = key.get() ? { Authorization: `Bearer ${key.get()}` } : {};
  let response;
  try {
    response = await fetch(new URL(path, server), { ...options, headers: { ...authorization, ...headers } });
  } catch (error) {
    throw error.name === "AbortError" ? error : new ApiError(0, { message: t("unreachable") });
  }
  if (!response.ok) throw await errorOf(response);
  return response;
}

async function errorOf(response) {
  try {
    return new ApiError(response.status, (await response.json()).error);
  } catch {
    return new ApiError(response.status, { message: `${response.status} ${response.statusText}` });  // of a proxy
  }
}

export const get = async (path) => (await call(path)).json();

export const post = (path, body, options = {}) =>
  call(path, {
    method: "POST",
    ...(body instanceof FormData
      ? { body }
      : { body: JSON.stringify(body), headers: { "Content-Type": "application/json" } }),
    ...options,
  });

/** All voices that the key sees. */
export async function allVoices() {
  const voices = [];
  for (let after = ""; ; ) {
    const page = await get(`v1/audio/voices?limit=100${after}`);
    voices.push(...page.data);
    if (!page.has_more) return voices;
    after = `&after=${encodeURIComponent(page.last_id)}`;
  }
}

/** The JSON objects of a stream of server-sent events. An event `error` is thrown. */
export async function* events(response) {
  let rest = "";
  for await (const text of chunks(response.body.pipeThrough(new TextDecoderStream()))) {
    const whole = (rest + text).split("\n\n");
    rest = whole.pop();
    for (const event of whole) {
      const lines = event.split("\n");
      const data = JSON.parse(lines.find((line) => line.startsWith("data:")).slice(5));
      if (lines.some((line) => line.startsWith("event:") && line.slice(6).trim() === "error")) {
        throw new ApiError(response.status, data.error);
      }
      yield data;
    }
  }
}

async function* chunks(stream) {  // Safari cannot iterate over a stream
  const reader = stream.getReader();
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    yield value;
  }
}

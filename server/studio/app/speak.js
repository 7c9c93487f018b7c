// The tab that speaks a text.

import { post } from "./api.js";
import { curl, python } from "./code.js";
import { inForm } from "./errors.js";
import { save } from "./sound.js";
import { t } from "./words.js";

const DEFAULTS = { speed: 1, temperature: 0.8, top_k: 50, top_p: 0.95, repetition_penalty: 1 };

let lastSeed = null;

const player = () => document.getElementById("speak-player");

/** A number that was typed; what is none is left for the server to refuse, and nothing is null. */
const typed = (text) => (!text?.trim() ? null : Number.isNaN(Number(text)) ? text : Number(text));

export const newSeed = () => Math.floor(Math.random() * 2 ** 31);

/** The body of a request, without what is left to the server. */
function bodyOf(fields, seed = typed(fields.seed)) {
  const given = Object.entries({ model: "tts-1", ...fields, seed, max_tokens: typed(fields.max_tokens) });
  return Object.fromEntries(given.filter(([name, value]) => value !== null && value !== undefined && value !== DEFAULTS[name]));
}

const asCode = (body) => [curl(body), python(body)];

/** Speak; returns the request as code. */
export function speak(fields) {
  lastSeed = typed(fields.seed) ?? newSeed();
  const body = bodyOf(fields, lastSeed);
  inForm("speak", () => player().speak(body));
  return asCode(body);
}

/** Save the speech in the chosen format: it is made again with the seed of what was heard. */
export async function download(fields) {
  lastSeed = typed(fields.seed) ?? lastSeed ?? newSeed();
  const body = bodyOf(fields, lastSeed);
  await inForm("speak", async () => {
    const response = await post("v1/audio/speech", { ...body, stream: false });
    save(await response.blob(), `speech.${body.response_format}`);
  });
  return asCode(body);
}

export const code = (fields) => asCode(bodyOf(fields));

export const stop = () => player().stop();

/** <fs-counter>: the number of characters in a field. Unicode's, as the server counts. */
class Counter extends HTMLElement {
  connectedCallback() {
    const most = Number(this.getAttribute("most"));
    const show = () => {
      const text = document.querySelector(`#${this.getAttribute("for")} textarea`)?.value ?? "";
      const count = [...text].length;
      this.textContent = t("counter", { count, most });
      this.classList.toggle("too-many", count > most);
    };
    document.addEventListener("input", show);
    this.addEventListener("changed", show);
    show();
  }
}

customElements.define("fs-counter", Counter);

/** An example's text, for the field of the text. */
export function example(text) {
  setTimeout(() => document.querySelector("fs-counter").dispatchEvent(new Event("changed")), 100);
  return [text];
}

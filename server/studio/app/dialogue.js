// The tab for a dialogue: lines, each with a voice.

import { inForm } from "./errors.js";
import { newSeed } from "./speak.js";
import { onVoices } from "./voices.js";
import { escaped, t } from "./words.js";

const at = (id) => document.getElementById(id);

/** <fs-dialogue>: the lines. */
class Dialogue extends HTMLElement {
  connectedCallback() {
    if (this.list) return;
    this.innerHTML = `<ol></ol><button type="button" data-do="add">${t("add_line")}</button>`;
    this.list = this.querySelector("ol");
    this.addEventListener("click", ({ target }) => {
      if (target.dataset.do === "add") this.add();
      if (target.dataset.do === "remove") this.remove(target.closest("li"));
    });
    onVoices((voices) => this.showVoices(voices));
    this.add();
    this.add();
  }

  add() {
    const item = document.createElement("li");
    item.innerHTML = `<select></select><textarea rows="2"></textarea><button type="button" data-do="remove">✕</button>`;
    this.list.append(item);
    this.showVoices(this.voices ?? []);
    item.querySelector("select").selectedIndex = (this.list.children.length - 1) % 2;
    this.number();
  }

  remove(item) {
    item.remove();
    this.number();
  }

  number() {
    [...this.list.children].forEach((item, n) => {
      const [voice, text, button] = item.children;
      voice.ariaLabel = t("line_voice", { n: n + 1 });
      text.ariaLabel = t("line", { n: n + 1 });
      button.ariaLabel = t("remove_line", { n: n + 1 });
    });
  }

  showVoices(voices) {
    this.voices = voices;
    for (const select of this.list.querySelectorAll("select")) {
      const chosen = select.value;
      select.innerHTML = voices.map(({ id, name }) => `<option value="${id}">${escaped(name)}</option>`).join("");
      if (voices.some(({ id }) => id === chosen)) select.value = chosen;
    }
  }

  /** The body of the request: each voice is a speaker. */
  get body() {
    const lines = [...this.list.children].map(({ children: [voice, text] }) => [voice.value, text.value]);
    const speakers = [...new Set(lines.map(([voice]) => voice))];
    const name = (voice) => `Speaker ${speakers.indexOf(voice) + 1}`;
    return {
      model: "tts-1",
      voice: speakers[0],
      input: lines.map(([voice, text]) => `${name(voice)}: ${text.replace(/\s+/g, " ")}`).join("\n"),
      input_format: "dialogue",
      voices: Object.fromEntries(speakers.map((voice) => [name(voice), voice])),
      seed: newSeed(),
    };
  }
}

customElements.define("fs-dialogue", Dialogue);

export const speakDialogue = () => inForm("dialogue", () => at("dialogue-player").speak(at("dialogue-input").body));

export const stopDialogue = () => at("dialogue-player").stop();

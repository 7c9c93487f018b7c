// The tab that makes voices, and keeps them.

import { ApiError, allVoices, call, key, post } from "./api.js";
import { inForm } from "./errors.js";
import { PHRASES } from "./phrases.js";
import { fileOf } from "./recorder.js";
import { save } from "./sound.js";
import { newSeed } from "./speak.js";
import { escaped, t } from "./words.js";

const LEVELS = ["very_low", "low", "moderate", "high", "very_high"];

const at = (id) => document.getElementById(id);
const path = (voice) => `v1/audio/voices/${voice.id}`;

/** Load the lists of voices again. */
const refresh = () => at("refresh").click();

export const hear = (voice, seed = newSeed()) => {
  const input = at("hear-input").querySelector("textarea, input").value || t("sentence_value");
  return inForm("hear", () => at("hear-player").speak({ model: "tts-1", voice: voice.id, input, seed }));
};

let known = [];  // the voices that the key sees, without drafts

/** Load the voices, and show them. */
export async function loadVoices() {
  known = (await allVoices()).filter(({ id }) => id !== draft?.id);
  for (const show of shown) show(known);
  return known;
}

const shown = [];  // functions that show the voices

/** Call a function with the voices, now and whenever they have changed. */
export function onVoices(show) {
  shown.push(show);
  show(known);
}

/** <fs-voices>: the user's voices, each with what can be done with it. */
class Voices extends HTMLElement {
  connectedCallback() {
    if (this.list) return;
    this.innerHTML = `<ul class="voices"></ul><p class="state" role="status" id="voices-form"></p>`;
    [this.list, this.state] = this.children;
    this.dataset.empty = t("no_voices");
    onVoices((voices) => this.show(voices));
    this.list.addEventListener("click", ({ target }) => {
      const button = target.closest("button[data-do]");
      if (button) this[button.dataset.do](this.voices.find(({ id }) => id === button.closest("li").dataset.id));
    });
  }

  show(voices) {
    const own = voices.filter(({ type }) => type !== "built_in");
    if (JSON.stringify(own) === JSON.stringify(this.voices)) return;  // what the user is doing there goes on
    this.voices = own;
    this.restore();
  }

  restore() {
    this.list.replaceChildren(...this.voices.map((voice) => this.row(voice)));
    this.classList.toggle("empty", !this.voices.length);
  }

  row(voice) {
    const item = document.createElement("li");
    item.dataset.id = voice.id;
    const button = (action) =>
      `<button type="button" data-do="${action}" aria-label="${escaped(t(`${action}_voice`, voice))}">${t(action)}</button>`;
    item.innerHTML = `
      <span class="name">${escaped(voice.name)}</span>
      <small>${t(voice.type)}, ${t(voice.scope)}</small>
      <span class="actions">${["hear", "rename", "export", "delete"].map(button).join("")}</span>`;
    return item;
  }

  item(voice) {
    return this.list.querySelector(`[data-id="${voice.id}"]`);
  }

  hear(voice) {
    hear(voice);
  }

  rename(voice) {
    const form = document.createElement("form");
    form.innerHTML = `<input value="${escaped(voice.name)}" aria-label="${t("name")}" required>
      <button>${t("save")}</button><button type="button" data-do="restore">${t("cancel")}</button>`;
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      const name = form.querySelector("input").value;
      this.change(async () => {
        await post(path(voice), { name });
        this.state.textContent = t("renamed", { name });
      });
    });
    this.item(voice).replaceChildren(form);
    form.querySelector("input").select();
  }

  delete(voice) {
    const item = this.item(voice);
    item.innerHTML = `<span>${escaped(t("really_delete", voice))}</span> <span class="actions">
      <button type="button" data-do="remove" class="danger">${t("delete")}</button>
      <button type="button" data-do="restore">${t("cancel")}</button></span>`;
    item.querySelector("button").focus();
  }

  remove(voice) {
    this.change(async () => {
      await call(path(voice), { method: "DELETE" });
      this.state.textContent = t("deleted", voice);
    });
  }

  export(voice) {
    return inForm("voices", async () => {
      const response = await call(`v1/audio/voice_files/${voice.id}`);
      save(await response.blob(), `${voice.name}.voice`);
    });
  }

  change(work) {
    this.state.textContent = "";
    return inForm("voices", work).then(refresh);
  }
}

customElements.define("fs-voices", Voices);

/** Tell in the list of voices what has happened, and load it again. */
function tell(message) {
  at("voices").state.textContent = message;
  refresh();
}

const scopeOf = (isPrivate) => (isPrivate ? "private" : "shared");

/** A form's data, without what is empty. */
function formOf(fields) {
  const form = new FormData();
  for (const [name, value] of Object.entries(fields)) if (value !== null && value !== "") form.append(name, value);
  return form;
}

/** Make a voice from the recording, with a consent if there is a recording of one. */
export function clone({ name, transcript, private: isPrivate, language }) {
  const warnings = at("clone-warnings");
  warnings.replaceChildren();
  return inForm("clone", async () => {
    const [sample, consent] = [fileOf("clone-audio_sample"), fileOf("consent-recording")];
    if (!sample) throw new ApiError(400, { message: t("missing_file"), param: "audio_sample" });
    const id = consent ? await addConsent(name, language, consent) : null;
    const form = formOf({ name, audio_sample: sample, transcript, consent: id, scope: scopeOf(isPrivate) });
    const voice = await (await post("v1/audio/voices", form)).json();
    if (voice.warnings) {
      warnings.innerHTML = `<p>${t("warnings")}</p><ul>${voice.warnings.map((text) => `<li>${escaped(text)}</li>`).join("")}</ul>`;
    }
    tell(t("made", voice));
    hear(voice);
  });
}

async function addConsent(name, language, recording) {
  return inConsent(async () => (await (await post("v1/audio/voice_consents", formOf({ name, language, recording }))).json()).id);
}

/** An error of a consent belongs to its fold. */
async function inConsent(work) {
  try {
    return await work();
  } catch (error) {
    if (error instanceof ApiError && error.param !== "name") error.param = "consent";
    throw error;
  }
}

/** The language of the consent that is chosen at first. */
export const ownLanguage = document.documentElement.lang === "zh-CN" ? "zh-CN" : "en-US";

/** <fs-phrase>: what a speaker reads aloud as consent. */
class Phrase extends HTMLElement {
  connectedCallback() {
    this.show(ownLanguage);
  }

  show(language) {
    this.textContent = PHRASES[language][1];
    this.lang = language;
  }
}

customElements.define("fs-phrase", Phrase);

export const showPhrase = (language) => at("phrase")?.show(language);

export const languages = () => Object.entries(PHRASES).map(([tag, [name]]) => [name, tag]);

let draft = null;  // a voice of the server that the user may keep

/** Create a voice with a new seed, and speak with it. The one before is deleted. */
export function draw({ gender, pitch, speed }) {
  return inForm("create", async () => {
    const seed = newSeed();
    const attributes = { gender, pitch: LEVELS[pitch - 1], speed: LEVELS[speed - 1], seed };
    const name = `Draft ${crypto.getRandomValues(new Uint32Array(1))[0].toString(36)}`;
    const form = formOf({ name, ...attributes, scope: scopeOf(key.get()) });
    const voice = await (await post("v1/audio/voices", form)).json();
    discard();
    draft = voice;
    at("draft").textContent = t("drawn", { seed });
    hear(voice);
  });
}

/** Give the drawn voice its name; returns the field's new value. */
export async function keep(name) {
  const kept = await inForm("create", async () => {
    if (!draft) throw new ApiError(400, { message: t("nothing_drawn") });
    const voice = await (await post(path(draft), { name })).json();
    draft = null;
    at("draft").textContent = "";
    tell(t("made", voice));
    return true;
  });
  return [kept ? "" : name];
}

/** Delete the drawn voice, also when the page is closed. */
function discard() {
  if (draft) call(path(draft), { method: "DELETE", keepalive: true }).catch(() => {});
  draft = null;
}

window.addEventListener("pagehide", discard);

export function importVoice({ name }) {
  return inForm("import", async () => {
    const file = fileOf("import-file");
    if (!file) throw new ApiError(400, { message: t("missing_file"), param: "file" });
    const voice = await (await post("v1/audio/voice_files", formOf({ file, name }))).json();
    at("import-file").clear();
    tell(t("imported", voice));
  });
}

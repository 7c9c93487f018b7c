// The studio: what the events of the page call.

import { get, key } from "./api.js";
import * as dialogue from "./dialogue.js";
import "./player.js";
import "./recorder.js";
import "./server.js";
import * as speaking from "./speak.js";
import * as voices from "./voices.js";
import { t } from "./words.js";

const update = (values) => ({ __type__: "update", ...values });

class Header extends HTMLElement {
  connectedCallback() {
    this.innerHTML = `<h1>${t("title")}</h1><p class="state" role="status"></p><a href="../docs">${t("documentation")}</a>`;
  }

  set state(text) {
    this.querySelector(".state").textContent = text;
  }
}

customElements.define("fs-header", Header);

let chosen = false;  // whether a voice has been chosen once

/** The state of the key's field, and the voices of the picker. */
async function refresh() {
  const header = document.querySelector("fs-header");
  try {
    const [{ data }, known] = await Promise.all([get("v1/models"), voices.loadVoices()]);
    header.state = t("status_ready", { model: data[0].id });
    const choices = known.map((voice) => [`${voice.name} · ${t(voice.type)}`, voice.id]);
    const first = chosen ? {} : { value: (known.find(({ id }) => id === "alloy") ?? known[0])?.id };
    chosen = true;
    return [update({ visible: Boolean(key.get()) }), update({ choices, ...first })];
  } catch (error) {
    if (error.status === 401) {
      header.state = key.get() ? error.message : t("key_info");
      return [update({ visible: true }), update({})];
    }
    header.state = error.message;
    return [update({}), update({})];
  }
}

async function start() {
  const genders = ["female", "male"].map((name) => [t(name), name]);
  return [
    ...(await refresh()),
    update({ choices: genders, value: "female" }),
    update({ choices: voices.languages(), value: voices.ownLanguage }),
  ];
}

async function useKey(value) {
  key.set(value.trim());
  chosen = false;
  return refresh();
}

window.studio = { ...speaking, ...dialogue, ...voices, start, refresh, useKey };

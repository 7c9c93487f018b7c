// <fs-file>: a file to choose or to drop. <fs-recorder>: one for recordings, with the microphone and pictures.

import { decode, drawSpectrogram, drawWaveform } from "./sound.js";
import { seconds, t } from "./words.js";

const files = new Map();  // by the field's id: a fold that is closed removes its fields from the page

/** The file of the field with this id, if one has been chosen. */
export const fileOf = (id) => files.get(id);

/** A field for a file. It fires `chosen`. */
class FileField extends HTMLElement {
  connectedCallback() {
    if (this.input) return;
    this.classList.add("file-field");
    this.innerHTML = `
      <p class="label" id="${this.id}-label">${t(this.getAttribute("label"))}</p>
      <p class="info">${t(this.getAttribute("info"))}</p>
      <div class="sources">
        <label class="choose">${t("choose_file")}<input type="file" accept="${this.accept}" aria-label="${t(this.getAttribute("label"))}"></label>
        <span class="drop">${t("or_drop")}</span>
      </div>
      <p class="state" role="status"></p>`;
    this.input = this.querySelector("input");
    this.state = this.querySelector(".state");
    this.state.textContent = fileOf(this.id)?.name ?? "";
    this.input.addEventListener("change", () => this.input.files[0] && this.choose(this.input.files[0]));
    this.addEventListener("dragover", (event) => event.preventDefault());
    this.addEventListener("drop", (event) => {
      event.preventDefault();
      if (event.dataTransfer.files[0]) this.choose(event.dataTransfer.files[0]);
    });
  }

  get accept() {
    return this.getAttribute("accept");
  }

  async choose(file) {
    files.set(this.id, file);
    this.state.textContent = file.name;
    this.dispatchEvent(new Event("chosen", { bubbles: true }));
  }

  clear() {
    files.delete(this.id);
    this.input.value = "";
    this.state.textContent = "";
  }
}

/** A field for a recording, from the microphone or from a file. */
class Recorder extends FileField {
  connectedCallback() {
    if (this.input) return;
    super.connectedCallback();
    this.querySelector(".sources").insertAdjacentHTML(
      "afterbegin",
      `<button type="button" class="record">${t("record")}</button>`,
    );
    this.insertAdjacentHTML(
      "beforeend",
      `<div class="pictures" hidden>
        <audio controls aria-label="${t(this.getAttribute("label"))}"></audio>
        <canvas class="wave" role="img"></canvas>
        <canvas class="spectrogram" role="img" aria-label="${t("spectrogram")}"></canvas>
        <small>${t("spectrogram")}</small>
      </div>`,
    );
    this.button = this.querySelector(".record");
    this.pictures = this.querySelector(".pictures");
    this.button.addEventListener("click", () => (this.recording ? this.recording.stop() : this.record()));
  }

  get accept() {
    return "audio/*,.amr,.3gp,.webm,.mp4";
  }

  async record() {
    if (!navigator.mediaDevices) {
      this.state.textContent = t("no_microphone");
      return;
    }
    const plain = { echoCancellation: false, noiseSuppression: false, autoGainControl: false, channelCount: 1 };
    let stream;
    try {
      stream = await navigator.mediaDevices.getUserMedia({ audio: plain });
    } catch (error) {
      this.state.textContent = t("microphone_refused", { reason: error.message });
      return;
    }
    const pieces = [];
    const begun = performance.now();
    this.recording = new MediaRecorder(stream);
    this.recording.ondataavailable = ({ data }) => pieces.push(data);
    const clock = setInterval(() => {
      this.state.textContent = t("recording", { seconds: Math.floor((performance.now() - begun) / 1000) });
    }, 250);
    this.recording.onstop = () => {
      clearInterval(clock);
      stream.getTracks().forEach((track) => track.stop());
      const type = this.recording.mimeType;
      this.recording = null;
      this.button.textContent = t("record");
      this.choose(new File(pieces, `recording.${type.includes("mp4") ? "mp4" : "webm"}`, { type }));
    };
    this.recording.start();
    this.button.textContent = t("stop_recording");
  }

  async choose(file) {
    super.choose(file);
    const audio = this.pictures.querySelector("audio");
    if (audio.src) URL.revokeObjectURL(audio.src);
    audio.src = URL.createObjectURL(file);
    this.pictures.hidden = false;
    const [wave, spectrogram] = this.pictures.querySelectorAll("canvas");
    try {
      const samples = await decode(file);
      const length = samples.length / 16_000;
      this.state.textContent = t("chosen", { name: file.name, seconds: length.toFixed(1) });
      wave.setAttribute("aria-label", t("waveform", { seconds: length.toFixed(1) }));
      drawWaveform(wave, samples);
      drawSpectrogram(spectrogram, samples);
    } catch {
      this.state.textContent = t("chosen_unread", { name: file.name });
    }
  }

  clear() {
    super.clear();
    this.pictures.hidden = true;
  }
}

customElements.define("fs-file", FileField);
customElements.define("fs-recorder", Recorder);

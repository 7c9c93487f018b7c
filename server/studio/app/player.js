// <fs-player>: plays speech while it arrives, with its waveform, its sentences and its timing.

import { events, post } from "./api.js";
import { RATE, drawWaveform, fromBase64, peaks, wav } from "./sound.js";
import { escaped, seconds, t } from "./words.js";

const LEAD = 0.1;  // seconds of audio before the playback starts
const PEAK = 240;  // samples of which the waveform shows the largest

let context;

// Browsers let a page play only after the user has done something in it.
document.addEventListener("click", unlock, { capture: true });
document.addEventListener("keydown", unlock, { capture: true });

function unlock() {
  context ??= new AudioContext({ sampleRate: RATE });
}

class Player extends HTMLElement {
  connectedCallback() {
    if (this.audio) return;
    this.innerHTML = `
      <canvas class="wave" role="img" aria-label="${t("no_audio")}"></canvas>
      <audio controls aria-label="${t("player")}"></audio>
      <p class="state" role="status">${t("no_audio")}</p>
      <dl class="numbers"></dl>
      <ol class="sentences" aria-label="${t("sentences")}"></ol>
      <ul class="warnings" aria-live="polite"></ul>`;
    [this.canvas, this.audio, this.state, this.numbers, this.list, this.warnings] = this.children;
    this.audio.addEventListener("pause", () => this.live && context.suspend());
    this.audio.addEventListener("play", () => {
      if (this.live) context.resume();
      this.draw();
    });
    this.audio.addEventListener("seeked", () => this.draw());
    this.canvas.addEventListener("click", (event) => this.seek((event.offsetX / this.canvas.clientWidth) * this.length));
    this.list.addEventListener("click", ({ target }) => {
      if (target.dataset.start) this.seek(Number(target.dataset.start));
    });
    new ResizeObserver(() => this.draw()).observe(this.canvas);
    this.clear();
  }

  clear() {
    this.live = null;
    this.pieces = [];
    this.count = 0;  // of samples
    this.peaks = [];
    this.spoken = [];
    this.numbers.replaceChildren();
    this.list.replaceChildren();
    this.warnings.replaceChildren();
  }

  /** Seconds of speech that have arrived. */
  get length() {
    return this.count / RATE;
  }

  /** Speak a request's body. Errors before the first audio are thrown; a later one too, after what came is kept. */
  async speak(body) {
    this.stop();
    this.clear();
    this.controller = new AbortController();
    const { signal } = this.controller;
    const numbers = { begun: performance.now(), seed: body.seed };
    this.state.textContent = t("speaking");
    this.classList.add("busy");
    try {
      const asked = { response_format: "pcm", sample_rate: RATE, stream_format: "sse", timestamps: true };
      const response = await post("v1/audio/speech", { ...body, ...asked }, { signal });
      for await (const event of events(response)) {
        if (signal.aborted) return;
        if (event.type === "speech.audio.delta") this.push(fromBase64(event.audio), numbers);
        else if (event.type === "speech.audio.timestamps") this.addSentence(event);
        else if (event.type === "speech.audio.warning") this.warn(event);
      }
      numbers.total = (performance.now() - numbers.begun) / 1000;
      this.show(numbers);
      this.end("done");
    } catch (error) {
      if (signal.aborted) return;
      this.end("stopped");
      throw error;
    }
  }

  /** Stop the request and the playback; what has arrived can be played again. */
  stop() {
    if (!this.controller || this.controller.signal.aborted) return;
    this.controller.abort();
    if (this.live && !this.live.complete) this.end("stopped");
    if (this.live) this.settle();
  }

  push(samples, numbers) {
    if (!samples.length) return;
    if (!this.live) this.begin(numbers);
    const buffer = context.createBuffer(1, samples.length, RATE);
    buffer.copyToChannel(samples, 0);
    const source = new AudioBufferSourceNode(context, { buffer });
    source.connect(this.live.output);
    const at = Math.max(this.live.next, context.currentTime + (this.live.next ? 0.01 : LEAD));
    source.start(at);
    source.onended = () => {
      if (this.live?.complete && source === this.live.last) this.settle();
    };
    this.live.scheduled.push({ at, from: this.length, seconds: buffer.duration, source });
    this.live.last = source;
    this.live.next = at + buffer.duration;
    this.pieces.push(samples);
    this.count += samples.length;
    this.peaks.push(...peaks(samples, Math.ceil(samples.length / PEAK)));
    this.show(numbers);
  }

  begin(numbers) {
    numbers.first = (performance.now() - numbers.begun) / 1000;
    const output = context.createMediaStreamDestination();
    this.live = { output, next: 0, scheduled: [], complete: false };
    this.state.textContent = t("playing");
    context.resume();
    this.audio.srcObject = output.stream;
    this.audio.play();
  }

  /** No more audio comes. */
  end(state) {
    this.classList.remove("busy");
    this.state.textContent = t(state);
    if (!this.live) return;
    this.live.complete = true;
    if (context.currentTime >= this.live.next) this.settle();
  }

  /** Replace the stream, which has been played, by a file, which can be sought. */
  settle() {
    for (const { source } of this.live.scheduled) source.disconnect();
    this.live = null;
    this.audio.srcObject = null;
    if (this.audio.src) URL.revokeObjectURL(this.audio.src);
    this.audio.src = URL.createObjectURL(wav(this.pieces, RATE));
    for (const button of this.list.querySelectorAll("button")) button.disabled = false;
    this.draw();
  }

  /** The time that is heard now, in seconds of the speech. */
  get position() {
    if (!this.live) return this.audio.currentTime;
    const now = context.currentTime;
    const piece = this.live.scheduled.findLast(({ at }) => at <= now);
    return piece ? piece.from + Math.min(now - piece.at, piece.seconds) : 0;
  }

  seek(time) {
    if (this.live || !this.length) return;
    this.audio.currentTime = time;
    this.audio.play();
  }

  addSentence({ text, start, end }) {
    this.spoken.push({ start, end });
    const times = `${start.toFixed(2)}–${end.toFixed(2)}`;
    const disabled = this.live ? "disabled" : "";
    this.list.insertAdjacentHTML(
      "beforeend",
      `<li><button type="button" ${disabled} data-start="${start}">${escaped(text)}</button> <small>${times}</small></li>`,
    );
  }

  /** Show a warning of the server: a message, or a fault that it heard in a sentence. */
  warn({ message, text, fault }) {
    const item = document.createElement("li");
    item.textContent = message ?? t("warning", { text, fault });
    this.warnings.append(item);
  }

  show({ first, total, seed }) {
    const rows = [[t("first_audio"), seconds(first)], [t("length"), seconds(this.length)]];
    if (total) rows.push([t("real_time_factor"), (total / this.length).toFixed(2)]);
    rows.push([t("seed_used"), seed]);
    this.numbers.innerHTML = rows.map(([name, value]) => `<div><dt>${name}</dt><dd>${value}</dd></div>`).join("");
  }

  /** Draw the position, again and again while it moves. */
  draw() {
    cancelAnimationFrame(this.frame);
    const { position } = this;
    drawWaveform(this.canvas, this.peaks, this.length ? position / this.length : 0);
    const label = this.length ? t("waveform", { seconds: this.length.toFixed(1) }) : t("no_audio");
    this.canvas.setAttribute("aria-label", label);
    this.spoken.forEach(({ start, end }, n) => {
      const heard = !this.audio.paused && position >= start && position < end;
      this.list.children[n].toggleAttribute("aria-current", heard);
    });
    if (!this.audio.paused) this.frame = requestAnimationFrame(() => this.draw());
  }
}

customElements.define("fs-player", Player);

// Samples: conversions, and drawings of them.

export const RATE = 24_000;  // Hz, of the speech that is played
const SPECTROGRAM_RATE = 16_000;  // Hz, the rate at which the server hears a sample
const FRAME = 512;  // samples of a spectrogram's column

/** Float samples of 16-bit little-endian ones in base64. */
export function fromBase64(text) {
  const bytes = Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
  return Float32Array.from(new Int16Array(bytes.buffer, 0, bytes.length >> 1), (value) => value / 32768);
}

/** A WAV file, 16 bits, of pieces of samples. */
export function wav(pieces, rate) {
  const length = pieces.reduce((sum, piece) => sum + piece.length, 0);
  const header = new DataView(new ArrayBuffer(44));
  const text = (at, value) => [...value].forEach((letter, n) => header.setUint8(at + n, letter.charCodeAt(0)));
  text(0, "RIFF");
  header.setUint32(4, 36 + 2 * length, true);
  text(8, "WAVEfmt ");
  [[16, 16], [24, rate], [28, 2 * rate], [40, 2 * length]].forEach(([at, value]) => header.setUint32(at, value, true));
  [[20, 1], [22, 1], [32, 2], [34, 16]].forEach(([at, value]) => header.setUint16(at, value, true));
  text(36, "data");
  const samples = pieces.map((piece) => Int16Array.from(piece, (x) => Math.max(-1, Math.min(1, x)) * 32767));
  return new Blob([header, ...samples], { type: "audio/wav" });
}

/** The samples of a file, one channel at 16 kHz; throws if the browser cannot decode it. */
export async function decode(file) {
  const context = new OfflineAudioContext(1, 1, SPECTROGRAM_RATE);
  const buffer = await context.decodeAudioData(await file.arrayBuffer());
  return buffer.getChannelData(0);
}

/** A canvas's context, in the pixels of the screen and without a drawing. */
function blank(canvas) {
  const scale = window.devicePixelRatio || 1;
  canvas.width = Math.max(1, canvas.clientWidth * scale);
  canvas.height = Math.max(1, canvas.clientHeight * scale);
  return canvas.getContext("2d");
}

/** The largest magnitude in each of `count` equal parts of values. */
export function peaks(values, count) {
  const result = new Float32Array(count);
  for (let n = 0; n < values.length; n++) {
    const part = Math.floor((n * count) / values.length);
    result[part] = Math.max(result[part], Math.abs(values[n]));
  }
  return result;
}

/** Draw a waveform from samples, or from their peaks; the part before `played`, a fraction, has another colour. */
export function drawWaveform(canvas, samples, played = 0) {
  const context = blank(canvas);
  const style = getComputedStyle(canvas);
  const step = 3 * (window.devicePixelRatio || 1);
  const heights = peaks(samples, Math.floor(canvas.width / step));
  heights.forEach((height, n) => {
    context.fillStyle = style.getPropertyValue(n < played * heights.length ? "--played" : "--unplayed");
    const size = Math.max(1, height * canvas.height);
    context.fillRect(n * step, (canvas.height - size) / 2, step * 0.7, size);
  });
}

/** Draw a spectrogram of samples at 16 kHz: time from left to right, frequency from 0 at the bottom to 8 kHz. */
export function drawSpectrogram(canvas, samples) {
  const context = blank(canvas);
  const columns = Math.min(canvas.width, 800);
  const rows = FRAME / 2;
  const image = context.createImageData(columns, rows);
  for (let x = 0; x < columns; x++) {
    const start = Math.floor((x * Math.max(0, samples.length - FRAME)) / columns);
    const powers = spectrum(samples.subarray(start, start + FRAME));
    for (let y = 0; y < rows; y++) {
      const decibels = 10 * Math.log10(powers[rows - 1 - y] + 1e-9);
      const level = Math.max(0, Math.min(1, (decibels + 50) / 80));
      image.data.set([255 * level ** 0.8, 200 * level ** 1.6, 120 * (1 - level) * level * 2 + 30, 255], 4 * (y * columns + x));
    }
  }
  const drawing = new OffscreenCanvas(columns, rows);
  drawing.getContext("2d").putImageData(image, 0, 0);
  context.drawImage(drawing, 0, 0, canvas.width, canvas.height);
}

/** The power at each of FRAME / 2 frequencies: a fast Fourier transform (Cooley-Tukey) of a Hann window. */
function spectrum(samples) {
  const real = new Float32Array(FRAME);
  const imaginary = new Float32Array(FRAME);
  const bits = Math.log2(FRAME);
  for (let n = 0; n < samples.length; n++) {
    let reversed = 0;
    for (let bit = 0; bit < bits; bit++) reversed |= ((n >> bit) & 1) << (bits - 1 - bit);
    real[reversed] = samples[n] * (0.5 - 0.5 * Math.cos((2 * Math.PI * n) / FRAME));
  }
  for (let size = 2; size <= FRAME; size *= 2) {
    for (let start = 0; start < FRAME; start += size) {
      for (let n = 0; n < size / 2; n++) {
        const angle = (-2 * Math.PI * n) / size;
        const [a, b] = [start + n, start + n + size / 2];
        const re = real[b] * Math.cos(angle) - imaginary[b] * Math.sin(angle);
        const im = real[b] * Math.sin(angle) + imaginary[b] * Math.cos(angle);
        [real[b], imaginary[b]] = [real[a] - re, imaginary[a] - im];
        [real[a], imaginary[a]] = [real[a] + re, imaginary[a] + im];
      }
    }
  }
  return real.subarray(0, FRAME / 2).map((re, n) => re ** 2 + imaginary[n] ** 2);
}

/** Save a blob as a file. */
export function save(blob, name) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}

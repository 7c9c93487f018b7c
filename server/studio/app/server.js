// The tab that shows what the server does, from its metrics.

import { ApiError, call, get } from "./api.js";
import { inForm } from "./errors.js";
import "./plot.js";
import { fileOf } from "./recorder.js";
import { escaped, seconds, t } from "./words.js";

const PLOTS = {
  tokens_per_second: "tokens",
  first_audio_plot: "first_audio",
  real_time_factor_plot: "real_time_factor",
  memory_plot: "memory",
};
const KEPT = 300;  // seconds of the plots
const PREFIX = "fast_spark_";

const at = (id) => document.getElementById(id);
const history = [];  // of measurements, oldest first

/** The value of each sample of Prometheus' text format, by its name with its labels. */
function parse(text) {
  const found = text.matchAll(/^([\w:]+(?:\{.*\})?) (\S+)/gm);
  return Object.fromEntries([...found].map(([, name, value]) => [name, Number(value)]));
}

const sum = (values, prefix) =>
  Object.entries(values).filter(([name]) => name.startsWith(prefix)).reduce((total, [, value]) => total + value, 0);

/** What the plots show: gauges as they are, counters by their growth since the last measurement. */
function measured(values, before, elapsed) {
  const grown = (name) => (values[PREFIX + name] ?? 0) - (before?.[PREFIX + name] ?? values[PREFIX + name] ?? 0);
  const mean = (name) => (grown(`${name}_count`) > 0 ? grown(`${name}_sum`) / grown(`${name}_count`) : null);
  return {
    running: values[`${PREFIX}requests_running`],
    waiting: values[`${PREFIX}requests_waiting`],
    tokens: before ? grown("semantic_tokens_total") / elapsed : null,
    first_audio: mean("first_audio_seconds"),
    real_time_factor: mean("real_time_factor"),
    memory: values.process_resident_memory_bytes / 1e9,
  };
}

let busy = false;

/** Measure once, if the tab is open. */
async function watch(facts) {
  if (busy || document.hidden || !facts.checkVisibility()) return;
  busy = true;
  await inForm("facts", () => measure(facts));
  busy = false;
}

async function measure(facts) {
  const values = parse(await (await call("metrics")).text());
  const now = Date.now();
  const last = history.at(-1);
  history.push({ now, shown: measured(values, last?.values, (now - (last?.now ?? now)) / 1000), values });
  while (history[0].now < now - KEPT * 1000) history.shift();
  facts.show(values, await modelNames());
  const line = (name, label = "") => ({ label, points: history.map(({ now, shown }) => [now, shown[name]]) });
  at("now-running").show([line("running", t("running_series")), line("waiting", t("waiting_series"))]);
  for (const [id, name] of Object.entries(PLOTS)) at(`now-${id}`).show([line(name)]);
}

let models;

async function modelNames() {
  models ??= (await get("v1/models")).data.map(({ id }) => id).join(", ");
  return models;
}

/** <fs-facts>: numbers of the server, measured again and again. */
class Facts extends HTMLElement {
  connectedCallback() {
    if (this.list) return;
    this.innerHTML = `<dl class="numbers"></dl><div id="facts-form"></div>`;
    [this.list] = this.children;
    setInterval(() => watch(this), 2000);
  }

  show(values, models) {
    const ok = values[`${PREFIX}requests_total{outcome="ok"}`] ?? 0;
    const info = Object.keys(values).find((name) => name.startsWith(`${PREFIX}language_model_info`));
    const facts = {
      model: models,
      backend: info?.match(/backend="([^"]*)"/)?.[1],
      memory: `${(values.process_resident_memory_bytes / 1e9).toFixed(2)} GB`,
      answered: ok,
      failed: sum(values, `${PREFIX}requests_total{`) - ok,
      audio_made: seconds(values[`${PREFIX}audio_seconds_total`], 0),
      underruns: values[`${PREFIX}underruns_total`],
    };
    this.list.innerHTML = Object.entries(facts)
      .filter(([, value]) => value !== undefined)
      .map(([name, value]) => `<div><dt>${t(name)}</dt><dd>${escaped(String(value))}</dd></div>`)
      .join("");
  }
}

customElements.define("fs-facts", Facts);

/** Plot the chosen result of a benchmark. */
function plotBenchmark() {
  return inForm("benchmark", async () => {
    const { levels } = await readBenchmark(fileOf("benchmark-file"));
    const line = (label, value) => ({ label, points: levels.map((level) => [level.clients, value(level)]) });
    const percentiles = (name) => ["p50", "p95"].map((p) => line(p, (level) => level[name]?.[p]));
    const x = t("clients");
    at("benchmark-first_audio_plot").show(percentiles("first_audio"), x);
    at("benchmark-real_time_factor_plot").show(percentiles("real_time_factor"), x);
    at("benchmark-throughput").show([line("", (level) => level.audio_per_second)], x);
  });
}

document.addEventListener("chosen", ({ target }) => target.id === "benchmark-file" && plotBenchmark());

async function readBenchmark(file) {
  try {
    const result = JSON.parse(await file.text());
    if (result.levels.every(({ clients }) => Number.isInteger(clients))) return result;
  } catch {
    // it is refused below
  }
  throw new ApiError(400, { message: t("benchmark_bad"), param: "file" });
}

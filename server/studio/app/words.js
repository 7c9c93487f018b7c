// The words of the page, in the browser's language.

const language = /^zh/i.test(navigator.language) ? "zh" : "en";
document.documentElement.lang = language === "zh" ? "zh-CN" : "en";

/** The text of a key of words.yaml, with `{name}` replaced by `values.name`. */
export function t(key, values = {}) {
  const text = window.gradio_config.i18n_translations[language][key];
  return text.replace(/\{(\w+)\}/g, (_, name) => values[name]);
}

/** A number of seconds with its unit. */
export const seconds = (value, digits = 2) => t("seconds", { value: value.toFixed(digits) });

/** Escape a text for HTML. */
export function escaped(text) {
  const element = document.createElement("span");
  element.textContent = text;
  return element.innerHTML.replaceAll('"', "&quot;");
}

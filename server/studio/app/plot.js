// <fs-plot>: lines over time or over numbers, as SVG.

import { escaped, t } from "./words.js";

const [WIDTH, HEIGHT] = [320, 170];
const [LEFT, RIGHT, TOP, BOTTOM] = [40, 8, 8, 24];  // margins, for the numbers

/** The next of 1, 2 and 5 times a power of ten. */
function ceiling(value) {
  if (!Number.isFinite(value)) return 1;
  const power = 10 ** Math.floor(Math.log10(value));
  return power * [1, 2, 5, 10].find((step) => step * power >= value);
}

const short = (value) => String(Number(value.toPrecision(3)));

/** Lines, each with a label and points `[x, y]`. A missing y is a gap; x is a time in milliseconds, or a number. */
class Plot extends HTMLElement {
  connectedCallback() {
    this.innerHTML = `<figure><figcaption>${t(this.getAttribute("label"))}</figcaption><div></div></figure>`;
    this.drawing = this.querySelector("div");
    this.show([]);
  }

  show(lines, xLabel = null) {
    const known = lines.map(({ label, points }) => ({ label, points: points.filter(([, y]) => Number.isFinite(y)) }));
    const points = known.flatMap((line) => line.points);
    const xs = lines.flatMap((line) => line.points.map(([x]) => x));
    const [first, last] = [Math.min(...xs), Math.max(...xs)];
    const top = ceiling(Math.max(...points.map(([, y]) => y)) || 1);
    const x = (value) => LEFT + (last > first ? (value - first) / (last - first) : 1) * (WIDTH - LEFT - RIGHT);
    const y = (value) => HEIGHT - BOTTOM - (value / top) * (HEIGHT - TOP - BOTTOM);
    const grid = (points.length ? [0, top / 2, top] : [])
      .map((value) => `<path class="grid" d="M${LEFT} ${y(value)}H${WIDTH - RIGHT}"/><text x="${LEFT - 4}" y="${y(value) + 3}" text-anchor="end">${short(value)}</text>`);
    const drawn = known.map(({ points: all }, n) => {
      const path = all.map(([a, b], i) => `${i ? "L" : "M"}${x(a).toFixed(1)} ${y(b).toFixed(1)}`).join("");
      const dots = xLabel || all.length === 1 ? all.map(([a, b]) => `<circle class="line-${n}" cx="${x(a)}" cy="${y(b)}" r="3"/>`) : [];
      return `<path class="line line-${n}" d="${path}"/>${dots.join("")}`;
    });
    const ends = !points.length ? [] : xLabel
      ? [...new Set(xs)].map((value) => `<text x="${x(value)}" y="${HEIGHT - 10}" text-anchor="middle">${value}</text>`)
      : [[first, "start"], [last, "end"]].map(([value, anchor]) => `<text x="${x(value)}" y="${HEIGHT - 10}" text-anchor="${anchor}">${new Date(value).toLocaleTimeString()}</text>`);
    const latest = known.filter((line) => line.points.length).map((line) => `${line.label} ${short(line.points.at(-1)[1])}`.trim());
    const legend = known.filter(({ label }) => label).map(({ label }, n) => `<span class="line-${n}">${escaped(label)}</span>`);
    this.drawing.innerHTML = `
      <svg viewBox="0 0 ${WIDTH} ${HEIGHT}" role="img" aria-label="${escaped(`${t(this.getAttribute("label"))}: ${latest.join(", ") || "–"}`)}">
        ${grid.join("")}${drawn.join("")}${ends.join("")}
      </svg>
      <p class="legend">${legend.join(" ")} ${xLabel ? escaped(xLabel) : ""}</p>`;
  }
}

customElements.define("fs-plot", Plot);

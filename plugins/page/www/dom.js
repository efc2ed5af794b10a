// SPDX-License-Identifier: Apache-2.0
// Elements, icons and formats. Texts of plugins reach the document through here alone: as text, never as markup.

const SVG = "http://www.w3.org/2000/svg";
const HIDDEN = /[\u0000-\u001f\u007f-\u009f\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb]|[\u{e0000}-\u{e007f}]/gu;

/** Makes visible what would break a line or change the order of its surroundings. */
export function clean(text) {
  return String(text ?? "").replace(HIDDEN, c => `\\u{${c.codePointAt(0).toString(16)}}`);
}

function fill(element, properties, children) {
  for (const [name, value] of Object.entries(properties || {})) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name === "style") for (const [key, x] of Object.entries(value)) element.style.setProperty(key, x);
    else element.setAttribute(name, value === true ? "" : clean(value));
  }
  for (const child of children.flat(2)) {
    if (child === undefined || child === null || child === false) continue;
    element.append(child instanceof Node ? child : clean(child));
  }
  return element;
}

export const h = (tag, properties, ...children) => fill(document.createElement(tag), properties, children);
export const s = (tag, properties, ...children) => fill(document.createElementNS(SVG, tag), properties, children);

/** Changes the text of a node only where it differs: no layout otherwise. */
export function put(element, text) {
  const cleaned = clean(text);
  if (element.textContent !== cleaned) element.textContent = cleaned;
}

// Each kind has a shape of its own, so that nobody needs colours to tell them apart.
const SHAPES = {
  ok: "M3 8.5l3.2 3.2L13 4.8",
  degraded: "M8 2.5L14.5 13.5H1.5ZM8 6.5v3.2M8 11.4v.6",
  bad: "M4 4l8 8M12 4l-8 8",
  blocked: "M8 2a6 6 0 1 0 .01 0ZM3.9 4l8.2 8",
  busy: "M8 2.5a5.5 5.5 0 1 1-5.2 3.8",
  off: "M3.5 8h9",
  gone: "M5 4v8M11 4v8",
};

export function icon(kind) {
  return s("svg", {class: `icon ${kind}`, viewBox: "0 0 16 16", "aria-hidden": "true"}, s("path", {d: SHAPES[kind] || SHAPES.off}));
}

export const KIND_NAMES = {
  bad: "failed", blocked: "blocked", degraded: "degraded", busy: "starting", ok: "ready", off: "skipped", gone: "stopped",
};

export function duration(ns) {
  if (!ns) return "0";
  const units = [[1e3, "ns", 1], [1e6, "µs", 1e3], [1e9, "ms", 1e6], [60e9, "s", 1e9]];
  for (const [limit, unit, divisor] of units)
    if (ns < limit) {
      const value = ns / divisor;
      return `${value >= 100 || divisor === 1 ? Math.round(value) : value.toFixed(value >= 10 ? 1 : 2)} ${unit}`;
    }
  return age(ns);
}

export function age(ns) {
  const t = Math.floor(ns / 1e9);
  const two = n => String(n).padStart(2, "0");
  if (t < 60) return `${t}s`;
  if (t < 3600) return `${Math.floor(t / 60)}m ${two(t % 60)}s`;
  if (t < 86400) return `${Math.floor(t / 3600)}h ${two(Math.floor(t / 60) % 60)}m`;
  return `${Math.floor(t / 86400)}d ${two(Math.floor(t / 3600) % 24)}h`;
}

export function size(bytes) {
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let unit = 0;
  while (bytes >= 1024 && unit < units.length - 1) {
    bytes /= 1024;
    unit++;
  }
  return `${unit === 0 || bytes >= 100 ? Math.round(bytes) : bytes.toFixed(bytes < 10 ? 2 : 1)} ${units[unit]}`;
}

export function count(n) {
  return Math.round(n).toLocaleString("en").replace(/,/g, "\u202f");
}

export function percent(n) {
  if (n <= 0) return "0 %";
  return n < 0.01 ? "<0.01 %" : `${n.toFixed(n < 1 ? 2 : n < 10 ? 1 : 0)} %`;
}

export function rate(n) {
  if (n <= 0) return "0";
  return n < 10 ? n.toFixed(1) : count(n);
}

export const link = p => `#/plugin/${encodeURIComponent(p.key)}`;

/** "containerd.grpc.v1": the type without what nearly all have. */
export const shortType = p => p.uri ? p.type.replace(/^io\./, "") : "rejected file";

/** A line for series in a box of 100 by 24, from the oldest sample to the newest. */
export function curve(values, at, top, isArea) {
  const n = values.length;
  let d = "";
  let begin = 0;
  for (let i = 0; i < n; i++) {
    const value = values[(at + 1 + i) % n];
    if (Number.isNaN(value)) continue;
    const x = (100 * i / (n - 1)).toFixed(1);
    if (!d) begin = x;
    d += `${d ? "L" : "M"}${x} ${(23 - 21 * Math.min(1, value / (top || 1))).toFixed(1)}`;
  }
  return isArea && d ? `${d}L100 24L${begin} 24Z` : d;
}

/** The largest value of a series, at least some. */
export const topOf = (values, least) => values.reduce((top, value) => value > top ? value : top, least);

/** A small plot of a series; update with draw(). */
export class Spark {
  constructor(title, className = "") {
    this.area = s("path", {class: "area"});
    this.line = s("path", {class: "stroke"});
    this.element = s("svg", {class: `spark ${className}`, viewBox: "0 0 100 24", preserveAspectRatio: "none", role: "img", "aria-label": title}, this.area, this.line);
    this.drawn = "";
  }

  draw(values, at, top) {
    const d = values ? curve(values, at, top, false) : "";
    if (d === this.drawn) return;
    this.drawn = d;
    this.line.setAttribute("d", d);
    this.area.setAttribute("d", d && curve(values, at, top, true));
  }
}

/** A plot with its name, its newest value and its scale. */
export class Plot {
  constructor(name, format, className) {
    this.format = format;
    this.value = h("strong");
    this.scale = h("span", {class: "scale"});
    this.spark = new Spark(name, className);
    this.element = h("figure", {class: "plot"}, h("figcaption", null, h("span", null, name), this.value), this.spark.element, h("div", {class: "axis"}, h("span", null, "2 min ago"), this.scale));
  }

  draw(values, at, least = 0) {
    const top = topOf(values, least) || 1;
    put(this.value, Number.isNaN(values[at]) ? "–" : this.format(values[at]));
    put(this.scale, `max ${this.format(top)}`);
    this.spark.draw(values, at, top * 1.05);
  }
}

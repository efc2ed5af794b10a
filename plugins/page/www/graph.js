// SPDX-License-Identifier: Apache-2.0
// The plugins as a graph: a column for each level, lines from those who provide to those who need them.

import {feed, isProblem, reasonOf, stateOf} from "./feed.js";
import {h, icon, KIND_NAMES, link, put, s, shortType} from "./dom.js";

const COMPACT_FROM = 150;
const LINES_MAX = 700;

function measure(total, width) {
  const isNarrow = width < 700;
  if (isNarrow) {
    const columns = Math.max(1, Math.floor((width + 8) / 160));
    return {isNarrow, width: Math.floor((width - 8 * (columns - 1)) / columns), height: total > COMPACT_FROM ? 32 : 46, gap: 8, columns, isCompact: total > COMPACT_FROM};
  }
  return total > COMPACT_FROM ? {width: 148, height: 26, gap: 5, between: 44, inside: 8, isCompact: true}
    : {width: 186, height: 48, gap: 12, between: 60, inside: 14};
}

// Those outside of the order stand in a column of their own, at the end.
function levels() {
  const columns = new Map();
  for (const p of feed.plugins.values()) {
    const level = p.level >= 0 ? p.level : Infinity;
    if (!columns.has(level)) columns.set(level, []);
    columns.get(level).push(p);
  }
  return [...columns.entries()].sort((a, b) => a[0] - b[0]);
}

// Few crossings: each beside the mean of those it is connected to, in sweeps over the columns.
function untangle(columns) {
  const place = new Map();
  const number = list => list.forEach((p, i) => place.set(p, i / Math.max(1, list.length - 1)));
  const mean = others => {
    const known = others.filter(other => other && place.has(other));
    return known.length ? known.reduce((sum, other) => sum + place.get(other), 0) / known.length : undefined;
  };
  columns.forEach(([, list]) => number(list));
  for (let sweep = 0; sweep < 6; sweep++) {
    const forward = sweep % 2 === 0;
    for (const [, list] of forward ? columns : [...columns].reverse()) {
      const weight = new Map(list.map(p => [p, mean(forward ? p.edges.map(edge => feed.plugins.get(edge.provider)) : p.needed.map(n => n.plugin)) ?? place.get(p)]));
      list.sort((a, b) => weight.get(a) - weight.get(b));
      number(list);
    }
  }
}

export function graph(root) {
  const legend = h("ul", {class: "legend", "aria-label": "States"});
  const problems = h("section", {class: "problems", "aria-label": "Problems"});
  const paths = ["wants", "requires", "trouble", "above", "below"].map(name => s("path", {class: name}));
  const lines = s("svg", {class: "lines", "aria-hidden": "true"}, paths);
  const nodes = h("div", {class: "nodes", role: "group", "aria-label": "Plugins by level. Arrow keys move, Enter opens."});
  const area = h("div", {class: "area", tabindex: "-1"}, h("div", {class: "canvas"}, lines, nodes));
  const canvas = area.firstChild;
  const hint = h("p", {class: "hint"});
  const places = new Map();
  let epoch = -1, laidOutFor = 0, active = null, isFocused = false;

  root.append(h("h1", {class: "unseen"}, "Plugin graph"), problems, h("div", {class: "card graph"}, legend, area, hint));

  function place(p, x, y, m, order) {
    const name = h("span", {class: "name"});
    const element = h("a", {class: "node", href: link(p), tabindex: "-1"}, h("span", {class: "glyph"}), h("span", {class: "words"}, name, m.isCompact ? null : h("span", {class: "type"}, shortType(p))));
    element.style.setProperty("left", `${x}px`);
    element.style.setProperty("top", `${y}px`);
    element.style.setProperty("width", `${m.width}px`);
    element.style.setProperty("height", `${m.height}px`);
    name.textContent = "";
    put(name, p.name);
    element.addEventListener("mouseenter", () => focusOn(p.key, false));
    element.addEventListener("mouseleave", () => focusOn(isFocused ? active : null, isFocused));
    element.addEventListener("focus", () => { active = p.key; isFocused = true; rove(); focusOn(p.key, true); });
    element.addEventListener("blur", () => { isFocused = false; focusOn(null, false); });
    nodes.append(element);
    places.set(p.key, {element, x, y, m, order, kind: "", line: p});
  }

  function head(text, total, x, y, width) {
    const element = h("div", {class: "level"}, h("span", null, text), h("span", {class: "total"}, String(total)));
    element.style.setProperty("left", `${x}px`);
    element.style.setProperty("top", `${y}px`);
    element.style.setProperty("width", `${width}px`);
    nodes.append(element);
  }

  const title = level => level === Infinity ? "Not in the plan" : `Level ${level}`;

  // Columns from left to right; a column that is too long goes on beside itself.
  function layColumns(columns, m) {
    const rows = Math.max(10, Math.floor((window.innerHeight - 200) / (m.height + m.gap)));
    let x = 8, bottom = 0;
    columns.forEach(([level, list]) => {
      const across = Math.ceil(list.length / rows), down = Math.ceil(list.length / across);
      head(title(level), list.length, x, 4, across * (m.width + m.inside) - m.inside);
      list.forEach((p, i) => {
        const column = Math.floor(i / down), row = i % down;
        const y = 36 + row * (m.height + m.gap);
        place(p, x + column * (m.width + m.inside), y, m, [level, column, row]);
        bottom = Math.max(bottom, y + m.height);
      });
      x += across * (m.width + m.inside) - m.inside + m.between;
    });
    return [x - m.between + 8, bottom + 12];
  }

  // On a narrow screen the levels follow each other downwards.
  function layRows(columns, m) {
    let y = 4;
    columns.forEach(([level, list]) => {
      head(title(level), list.length, 0, y, m.columns * (m.width + m.gap) - m.gap);
      y += 28;
      list.forEach((p, i) => place(p, (i % m.columns) * (m.width + m.gap), y + Math.floor(i / m.columns) * (m.height + m.gap), m, [level, Math.floor(i / m.columns), i % m.columns]));
      y += Math.ceil(list.length / m.columns) * (m.height + m.gap) + 22;
    });
    return [m.columns * (m.width + m.gap) - m.gap, y];
  }

  function layOut() {
    const columns = levels();
    const style = getComputedStyle(area);
    const m = measure(feed.plugins.size, (area.clientWidth || root.clientWidth) - parseFloat(style.paddingLeft) - parseFloat(style.paddingRight));
    const hadFocus = isFocused;
    if (feed.plugins.size <= 400) untangle(columns);
    else columns.forEach(([, list]) => list.sort((a, b) => isProblem(b) - isProblem(a) || a.key.localeCompare(b.key)));
    nodes.replaceChildren();
    places.clear();
    const [width, height] = columns.length ? (m.isNarrow ? layRows : layColumns)(columns, m) : [0, 0];
    canvas.style.setProperty("width", `${width}px`);
    canvas.style.setProperty("height", `${height}px`);
    lines.setAttribute("width", width);
    lines.setAttribute("height", height);
    nodes.classList.toggle("compact", !!m.isCompact);
    if (!active || !places.has(active)) active = places.keys().next().value ?? null;
    epoch = feed.epoch;
    laidOutFor = window.innerWidth;
    rove();
    if (hadFocus) places.get(active)?.element.focus();
  }

  function line(from, to) {
    const a = places.get(from), b = places.get(to);
    if (!a || !b) return "";
    if (a.m.isNarrow) {
      const x1 = a.x + a.m.width / 2, y1 = a.y + a.m.height, x2 = b.x + b.m.width / 2, y2 = b.y;
      const bend = Math.max(14, Math.abs(y2 - y1) / 2);
      return `M${x1} ${y1}C${x1} ${y1 + bend} ${x2} ${y2 - bend} ${x2} ${y2}`;
    }
    const x1 = a.x + a.m.width, y1 = a.y + a.m.height / 2, x2 = b.x, y2 = b.y + b.m.height / 2;
    const bend = Math.max(28, Math.abs(x2 - x1) / 2);
    return `M${x1} ${y1}C${x1 + bend} ${y1} ${x2 - bend} ${y2} ${x2} ${y2}`;
  }

  function drawLines() {
    let wants = "", requires = "", trouble = "", total = 0;
    for (const p of feed.plugins.values()) total += p.edges.length;
    for (const p of feed.plugins.values()) {
      for (const edge of p.edges) {
        const provider = feed.plugins.get(edge.provider);
        if (total > LINES_MAX) continue;
        if (edge.binding && provider && isProblem(provider)) trouble += line(edge.provider, p.key);
        else if (edge.binding) requires += line(edge.provider, p.key);
        else wants += line(edge.provider, p.key);
      }
      if (total <= LINES_MAX && p.cause && !p.edges.some(edge => edge.provider === p.cause)) trouble += line(p.cause, p.key);
    }
    [wants, requires, trouble].forEach((d, i) => paths[i].setAttribute("d", d));
  }

  function sentence(p) {
    const reason = reasonOf(p);
    const above = p.edges.length, below = p.needed.length;
    const parts = [above ? `requires or wants ${above}` : "", below ? `required or wanted by ${below}` : ""].filter(Boolean);
    return `${p.key}: ${stateOf(p)}${reason ? `: ${reason}` : ""}${parts.length ? ` (${parts.join(", ")})` : ""}`;
  }

  function focusOn(key, scrolls) {
    const p = key && feed.plugins.get(key);
    for (const other of nodes.querySelectorAll(".related")) other.classList.remove("related");
    nodes.classList.toggle("focusing", !!p);
    lines.classList.toggle("focusing", !!p);
    if (!p) {
      paths[3].setAttribute("d", "");
      paths[4].setAttribute("d", "");
      put(hint, feed.plugins.size ? "Point at a plugin, or use the arrow keys, to see what it depends on and what depends on it." : "");
      return;
    }
    const related = new Set([key, p.cause]);
    let above = "", below = "";
    for (const edge of p.edges) {
      related.add(edge.provider);
      above += line(edge.provider, key);
    }
    for (const {plugin} of p.needed) {
      related.add(plugin.key);
      below += line(key, plugin.key);
    }
    for (const other of related) places.get(other)?.element.classList.add("related");
    paths[3].setAttribute("d", above);
    paths[4].setAttribute("d", below);
    put(hint, sentence(p));
    if (scrolls) places.get(key)?.element.scrollIntoView({block: "nearest", inline: "nearest"});
  }

  function rove() {
    for (const element of nodes.querySelectorAll('[tabindex="0"]')) element.setAttribute("tabindex", "-1");
    places.get(active)?.element.setAttribute("tabindex", "0");
  }

  // The nearest in the direction, those straight ahead first.
  function neighbour(from, dx, dy) {
    let best = null, least = Infinity;
    for (const [key, to] of places) {
      const x = to.x - from.x, y = to.y - from.y;
      const ahead = dx ? x * dx : y * dy, aside = Math.abs(dx ? y : x);
      if (ahead <= 0) continue;
      const distance = ahead + aside * 2.5;
      if (distance < least) [best, least] = [key, distance];
    }
    return best;
  }

  nodes.addEventListener("keydown", event => {
    const moves = {ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1]};
    const keys = [...places.keys()];
    const from = places.get(active);
    let to = null;
    if (event.ctrlKey || event.altKey || event.metaKey || !from) return;
    if (moves[event.key]) to = neighbour(from, ...moves[event.key]);
    else if (event.key === "Home") to = keys[0];
    else if (event.key === "End") to = keys[keys.length - 1];
    else return;
    event.preventDefault();
    if (to) places.get(to).element.focus();
  });

  function dress() {
    for (const [key, at] of places) {
      const p = feed.plugins.get(key);
      if (!p) continue;
      const look = `${p.kind}${p.suffers.length && p.kind === "ok" ? " suffers" : ""}`;
      const label = `${p.name}, ${p.type || "file"}, ${stateOf(p)}${reasonOf(p) ? `: ${reasonOf(p)}` : ""}`;
      if (at.kind !== look) {
        at.kind = look;
        at.element.setAttribute("class", `node ${look}${at.element.classList.contains("related") ? " related" : ""}`);
        at.element.firstChild.replaceChildren(icon(p.kind));
      }
      if (at.label !== label) {
        at.label = label;
        at.element.setAttribute("aria-label", label.slice(0, 400));
        at.element.setAttribute("title", sentence(p).slice(0, 600));
      }
    }
  }

  function drawLegend() {
    const totals = {};
    for (const p of feed.plugins.values()) totals[p.kind] = (totals[p.kind] || 0) + 1;
    const suffering = [...feed.plugins.values()].filter(p => p.kind === "ok" && p.suffers.length).length;
    legend.replaceChildren(...Object.keys(KIND_NAMES).filter(kind => totals[kind]).map(kind =>
      h("li", null, icon(kind), `${totals[kind]} ${kind === "bad" ? "failed" : kind === "off" ? "skipped or disabled" : KIND_NAMES[kind]}`)),
    suffering ? h("li", {class: "suffers"}, h("span", {class: "swatch"}), `${suffering} affected`) : "",
    h("li", {class: "key"}, s("svg", {viewBox: "0 0 26 8", "aria-hidden": "true"}, s("path", {class: "requires", d: "M0 4H26"})), "requires"),
    h("li", {class: "key"}, s("svg", {viewBox: "0 0 26 8", "aria-hidden": "true"}, s("path", {class: "wants", d: "M0 4H26"})), "wants"));
  }

  function drawProblems() {
    const wrong = [...feed.plugins.values()].filter(isProblem).sort((a, b) => b.blames.length + b.afflicts.length - a.blames.length - a.afflicts.length || a.key.localeCompare(b.key));
    const roots = wrong.filter(p => !p.cause || !feed.plugins.has(p.cause) || p.cause === p.key);
    const shown = roots.slice(0, 6);
    problems.hidden = !roots.length;
    problems.replaceChildren(...shown.map(p => {
      const victims = [...new Set([...p.blames, ...p.afflicts])];
      return h("article", {class: `problem ${p.kind}`},
        h("h2", null, icon(p.kind), h("a", {href: link(p)}, p.name), h("span", {class: "type"}, shortType(p)), h("span", {class: "what"}, stateOf(p))),
        h("p", {class: "reason"}, reasonOf(p) || "no reason given"),
        victims.length ? h("p", {class: "victims"}, p.kind === "degraded" ? "Affects " : "Blocks ", victims.slice(0, 5).map((v, i) => [i ? ", " : "", h("a", {href: link(v)}, v.name)]), victims.length > 5 ? ` and ${victims.length - 5} more` : "") : null);
    }), roots.length > shown.length ? h("p", {class: "more"}, h("a", {href: "#/plugins/problems"}, `${roots.length - shown.length} more problems`)) : "");
  }

  function update(what) {
    if (what !== "plugins" && what !== "resize" && what !== "mount") return;
    drawProblems();
    if (epoch !== feed.epoch || (what === "resize" && laidOutFor !== window.innerWidth)) layOut();
    dress();
    drawLegend();
    drawLines();
    focusOn(isFocused ? active : null, false);
  }

  update("mount");
  return {update};
}

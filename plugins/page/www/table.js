// SPDX-License-Identifier: Apache-2.0
// A table of any length, of which only what is on the screen exists; and with it the list of all plugins.

import {feed, isProblem, now, remarkOf, stateOf} from "./feed.js";
import {duration, h, icon, link, percent, put, rate, shortType, Spark, topOf} from "./dom.js";

const OVERSCAN = 8;

/**
 * columns: [{name, title, sort(p), isNumber, isWide}], row(p) -> {cells, update(p)}, where the first link of a
 * row is what the keyboard moves between. Rows have one height, so that a position is a product.
 */
export class Table {
  constructor({label, columns, row, sortBy, isDescending = false, className = ""}) {
    Object.assign(this, {columns, row, sortBy, isDescending});
    this.rows = new Map();
    this.items = [];
    this.active = null;
    this.heads = columns.map(column => h("th", {scope: "col", class: column.name}, column.sort
      ? h("button", {type: "button", onclick: () => this.sort(column.name)}, column.title, h("span", {class: "arrow", "aria-hidden": "true"}))
      : column.title));
    this.above = h("tr", {class: "space", "aria-hidden": "true"}, h("td"));
    this.below = this.above.cloneNode(true);
    this.body = h("tbody", null, this.above, this.below);
    this.table = h("table", {class: `listing ${className}`, "aria-label": label, tabindex: "-1", onkeydown: event => this.onKey(event)}, h("thead", null, h("tr", null, this.heads)), this.body);
    this.element = this.table;
    this.onScroll = () => this.render();
    window.addEventListener("scroll", this.onScroll, {passive: true});
    this.body.addEventListener("focusin", event => {
      const row = event.target.closest("tr");
      if (row && row.key) this.setActive(row.key);
    });
    this.showSort();
  }

  destroy() {
    window.removeEventListener("scroll", this.onScroll);
  }

  get height() {
    return parseFloat(getComputedStyle(this.table).getPropertyValue("--row")) || 40;
  }

  sort(name) {
    const column = this.columns.find(c => c.name === name);
    this.isDescending = this.sortBy === name ? !this.isDescending : !!column.isNumber;
    this.sortBy = name;
    this.showSort();
    this.setItems(this.items);
  }

  showSort() {
    this.columns.forEach((column, i) => {
      if (column.sort) this.heads[i].setAttribute("aria-sort", column.name !== this.sortBy ? "none" : this.isDescending ? "descending" : "ascending");
    });
  }

  setItems(items) {
    const column = this.columns.find(c => c.name === this.sortBy);
    const sign = this.isDescending ? -1 : 1;
    const keyed = items.map((p, i) => [column ? column.sort(p) : i, i, p]);
    keyed.sort((a, b) => (a[0] < b[0] ? -sign : a[0] > b[0] ? sign : a[1] - b[1]));
    this.items = keyed.map(entry => entry[2]);
    this.table.setAttribute("aria-rowcount", this.items.length + 1);
    this.render();
  }

  indexOf(key) {
    return this.items.findIndex(p => p.key === key);
  }

  // Rows that stay are moved only where their order has changed.
  render() {
    const height = this.height;
    const top = this.body.getBoundingClientRect().top;
    const total = this.items.length;
    const first = Math.max(0, Math.min(total, Math.floor(-top / height) - OVERSCAN));
    const last = Math.max(first, Math.min(total, Math.ceil((window.innerHeight - top) / height) + OVERSCAN));
    const shown = new Set();
    if (!this.active || !this.items.some(p => p.key === this.active)) this.active = this.items[0]?.key ?? null;
    this.above.firstChild.style.setProperty("height", `${first * height}px`);
    this.below.firstChild.style.setProperty("height", `${(total - last) * height}px`);
    this.above.hidden = first === 0;
    this.below.hidden = last === total;
    let at = this.above.nextSibling;
    for (let i = first; i < last; i++) {
      const p = this.items[i];
      let entry = this.rows.get(p.key);
      if (!entry) {
        entry = this.row(p);
        entry.element = h("tr", null, entry.cells);
        entry.element.key = p.key;
        entry.link = entry.element.querySelector("a");
        this.rows.set(p.key, entry);
      }
      entry.update(p);
      entry.element.setAttribute("aria-rowindex", i + 2);
      entry.link.setAttribute("tabindex", p.key === this.active ? "0" : "-1");
      shown.add(p.key);
      if (entry.element === at) at = at.nextSibling;
      else this.body.insertBefore(entry.element, at);
    }
    for (const [key, entry] of this.rows) {
      if (shown.has(key)) continue;
      if (entry.element.contains(document.activeElement)) this.table.focus({preventScroll: true});
      entry.element.remove();
      this.rows.delete(key);
    }
  }

  setActive(key) {
    this.rows.get(this.active)?.link.setAttribute("tabindex", "-1");
    this.active = key;
    this.rows.get(key)?.link.setAttribute("tabindex", "0");
  }

  onKey(event) {
    const page = Math.max(1, Math.floor(window.innerHeight / this.height) - 3);
    const steps = {ArrowDown: 1, ArrowUp: -1, PageDown: page, PageUp: -page, Home: -Infinity, End: Infinity};
    if (!(event.key in steps) || event.ctrlKey || event.altKey || event.metaKey || event.target.closest("thead")) return;
    const to = Math.max(0, Math.min(this.items.length - 1, this.indexOf(this.active) + steps[event.key]));
    if (!this.items[to]) return;
    event.preventDefault();
    this.reveal(to);
    this.setActive(this.items[to].key);
    this.rows.get(this.active)?.link.focus({preventScroll: true});
  }

  reveal(index) {
    const height = this.height;
    const top = this.body.getBoundingClientRect().top + index * height;
    const head = document.querySelector("header.top").getBoundingClientRect().bottom + this.heads[0].offsetHeight;
    if (top < head) window.scrollBy(0, top - head);
    else if (top + height > window.innerHeight) window.scrollBy(0, top + height - window.innerHeight + 8);
    this.render();
  }
}

const RANK = {bad: 0, blocked: 1, degraded: 2, busy: 3, ok: 4, gone: 5, off: 6};

function pluginRow() {
  const state = h("td", {class: "state"}), glyph = h("span"), word = h("span");
  const name = h("a", {class: "name"}), type = h("span", {class: "type"}), reason = h("td", {class: "reason"});
  const loop = new Spark("loop time", "loop"), calls = new Spark("calls", "calls");
  const loopText = h("span"), callsText = h("span"), start = h("td", {class: "start number"});
  state.append(glyph, word);
  const old = {};
  return {
    cells: [state, h("td", {class: "plugin"}, name, type), reason,
      h("td", {class: "loop number"}, h("div", {class: "cell"}, loop.element, loopText)), h("td", {class: "calls number"}, h("div", {class: "cell"}, calls.element, callsText)), start],
    update(p) {
      const history = feed.history.get(p.uri);
      if (old.p !== p) {
        old.p = p;
        if (old.kind !== p.kind) glyph.replaceChildren(icon(p.kind));
        old.kind = p.kind;
        state.setAttribute("class", `state ${p.kind}`);
        put(word, stateOf(p));
        name.setAttribute("href", link(p));
        put(name, p.name);
        put(type, shortType(p));
        put(start, p.work ? duration(p.work) : "–");
      }
      put(reason, remarkOf(p));
      reason.setAttribute("title", reason.textContent);
      loop.draw(history?.loop, feed.at, history && topOf(history.loop, 1));
      calls.draw(history?.calls, feed.at, history && topOf(history.calls, 1));
      put(loopText, history ? percent(now.loop(p.uri)) : "–");
      put(callsText, history ? rate(now.calls(p.uri)) : "–");
    },
  };
}

const CHIPS = [["all", "All", () => true], ["problems", "Problems", isProblem], ["ready", "Ready", p => p.kind === "ok" || p.kind === "degraded"],
  ["starting", "Starting", p => p.kind === "busy"], ["off", "Skipped or disabled", p => p.kind === "off"]];

export function plugins(root, chosen) {
  let chip = CHIPS.find(c => c[0] === chosen) || CHIPS[0];
  const input = h("input", {type: "search", id: "filter", placeholder: "Filter by name, type, module, state or reason", autocomplete: "off", spellcheck: "false", oninput: () => show()});
  const total = h("p", {class: "quiet", role: "status"});
  const buttons = CHIPS.map(c => h("button", {type: "button", class: "chip", onclick: () => { chip = c; show(); }}, h("span", null, c[1]), h("span", {class: "total"})));
  const table = new Table({
    label: "Plugins", row: pluginRow, sortBy: "state", className: "plugins",
    columns: [
      {name: "state", title: "State", sort: p => RANK[p.kind]},
      {name: "plugin", title: "Plugin", sort: p => p.key},
      {name: "reason", title: "Reason", sort: p => remarkOf(p) || "\uffff"},
      {name: "loop", title: "Loop time", sort: p => now.loop(p.uri), isNumber: true},
      {name: "calls", title: "Calls/s", sort: p => now.calls(p.uri), isNumber: true},
      {name: "start", title: "Start", sort: p => p.work, isNumber: true},
    ],
  });
  const empty = h("p", {class: "quiet none", hidden: true}, "No plugin matches.");

  root.append(h("h1", null, "Plugins"), h("div", {class: "tools"}, h("label", {class: "unseen", for: "filter"}, "Filter"), input, h("div", {class: "chips", role: "group", "aria-label": "States"}, buttons)), total,
    h("div", {class: "card flush"}, table.element, empty));

  function matches(p, words) {
    p.text ??= [p.key, p.description, p.module, p.path, ...p.services].join(" ").toLowerCase();
    const more = `${stateOf(p)} ${remarkOf(p)}`.toLowerCase();
    return words.every(word => p.text.includes(word) || more.includes(word));
  }

  function show() {
    const words = input.value.toLowerCase().split(/\s+/).filter(Boolean);
    const all = [...feed.plugins.values()];
    const items = all.filter(p => chip[2](p) && matches(p, words));
    buttons.forEach((button, i) => {
      button.setAttribute("aria-pressed", CHIPS[i] === chip);
      put(button.lastChild, all.filter(CHIPS[i][2]).length);
      button.hidden = CHIPS[i][0] !== "all" && CHIPS[i] !== chip && !all.some(CHIPS[i][2]);
    });
    put(total, items.length === all.length ? `${all.length} plugins` : `${items.length} of ${all.length} plugins`);
    empty.hidden = items.length > 0;
    table.setItems(items);
  }

  document.addEventListener("keydown", onSlash);
  function onSlash(event) {
    if (event.key !== "/" || event.target.closest("input, textarea") || event.ctrlKey || event.metaKey) return;
    event.preventDefault();
    input.focus();
  }

  show();
  return {
    update(what) {
      if (what === "plugins") show();
      else if (what === "costs") ["loop", "calls"].includes(table.sortBy) ? table.setItems(table.items) : table.render();
      else if (what === "resize") table.render();
    },
    destroy() {
      document.removeEventListener("keydown", onSlash);
      table.destroy();
    },
  };
}


// SPDX-License-Identifier: Apache-2.0
// The start as a waterfall: when each plugin took which step.

import {feed} from "./feed.js";
import {duration, h, link, put, shortType} from "./dom.js";
import {Table} from "./table.js";

const STEPS = {load: "load", config: "check settings", prepare: "prepare (own thread)", init: "init", serve: "serve", hold: "readiness hold"};

function stepsOf(p) {
  const end = p.steps.reduce((latest, step) => Math.max(latest, step.start_ns + step.duration_ns), 0);
  const init = p.times.init ? p.times.init.start_ns + p.times.init.duration_ns : end;
  const ready = p.times.ready_at_ns || 0;
  return ready > init + 1e6 ? [{name: "hold", start_ns: init, duration_ns: ready - init}, ...p.steps] : p.steps;
}

const beginOf = p => p.steps.length ? Math.min(...p.steps.map(step => step.start_ns)) : Infinity;
const firstWork = p => p.times.prepare?.start_ns ?? p.times.init?.start_ns ?? beginOf(p);
const endOf = p => Math.max(0, ...stepsOf(p).map(step => step.start_ns + step.duration_ns));

// Round numbers, about six of them.
function ticks(end) {
  const rough = end / 6, power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map(n => n * power).find(n => n >= rough);
  const all = [];
  for (let at = 0; at <= end * 0.93; at += step) all.push(at);
  return all;
}

export function startup(root) {
  const summary = h("p", {class: "lead"});
  const axis = h("div", {class: "ticks", "aria-hidden": "true"});
  let span = 1;
  const across = ns => `${(100 * ns / span).toFixed(3)}%`;

  function row() {
    const name = h("a", {class: "name"}), type = h("span", {class: "type"}), total = h("td", {class: "total number"}), bars = h("div", {class: "bars", role: "img"});
    let drawn = "";
    return {
      cells: [h("td", {class: "plugin"}, name, type), total, h("td", {class: "time"}, bars)],
      update(p) {
        const steps = stepsOf(p);
        const key = `${span} ${p.key} ${JSON.stringify(steps)}`;
        if (key === drawn) return;
        drawn = key;
        name.setAttribute("href", link(p));
        put(name, p.name);
        put(type, shortType(p));
        put(total, duration(p.work));
        bars.setAttribute("aria-label", steps.map(step => `${STEPS[step.name]} ${duration(step.duration_ns)} at ${duration(step.start_ns)}`).join(", "));
        bars.setAttribute("title", bars.getAttribute("aria-label"));
        bars.replaceChildren(h("span", {class: "wait", style: {left: across(beginOf(p)), width: across(endOf(p) - beginOf(p))}}),
          ...steps.map(step => h("span", {class: `bar ${step.name}`, style: {left: across(step.start_ns), width: across(step.duration_ns)}})));
      },
    };
  }

  const table = new Table({
    label: "Start-up", row, sortBy: "time", className: "startup",
    columns: [{name: "plugin", title: "Plugin", sort: p => p.key}, {name: "total", title: "Work", sort: p => p.work, isNumber: true}, {name: "time", title: "Time since start", sort: firstWork}],
  });
  table.heads[2].append(axis);

  root.append(h("h1", null, "Start-up"), summary,
    h("ul", {class: "legend"}, Object.entries(STEPS).map(([name, text]) => h("li", null, h("span", {class: `swatch bar ${name}`}), text)), h("li", null, h("span", {class: "swatch wait"}), "waiting")),
    h("div", {class: "card flush"}, table.element));

  function update(what) {
    if (what === "resize") table.render();
    if (what !== "plugins" && what !== "status" && what !== "mount") return;
    const started = [...feed.plugins.values()].filter(p => p.steps.length);
    const slowest = started.reduce((a, b) => !a || b.work > a.work ? b : a, null);
    const ready = feed.status?.ready_ns || 0;
    span = Math.max(1e6, ready, ...started.map(endOf)) * 1.02;
    axis.replaceChildren(...ticks(span).map(at => h("span", {class: "tick", style: {left: across(at)}}, duration(at))),
      ready ? h("span", {class: "ready", style: {left: across(ready)}, title: `ready after ${duration(ready)}`}) : "");
    const parts = [ready ? `Ready after ${duration(ready)}.` : "Not ready yet.", `${started.length} plugins started.`];
    summary.replaceChildren(parts.join(" "), slowest ? " Slowest: " : "", slowest ? h("a", {href: link(slowest)}, slowest.name) : "", slowest ? `, ${duration(slowest.work)} of work.` : "");
    table.setItems(started);
  }

  update("mount");
  return {update, destroy: () => table.destroy()};
}

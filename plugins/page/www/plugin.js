// SPDX-License-Identifier: Apache-2.0
// One plugin: why it is in its state, whom it needs and who needs it, what it serves, holds, costs and logs.

import {calls, feed, processOf, reasonOf, stateOf} from "./feed.js";
import {count, duration, h, icon, link, percent, Plot, rate, shortType, size} from "./dom.js";
import {facts, logList} from "./daemon.js";

const EMPTY = new Float64Array(120);

const pill = p => h("span", {class: `pill ${p.kind}`}, icon(p.kind), stateOf(p));

function to(p) {
  return h("a", {class: "to", href: link(p), title: p.key}, icon(p.kind), h("span", {class: "name"}, p.name), h("span", {class: "type"}, shortType(p)));
}

// From this one to the root of its trouble.
function chain(p) {
  const steps = [];
  const seen = new Set();
  for (let at = p; at && !seen.has(at); at = at.cause && feed.plugins.get(at.cause)) {
    seen.add(at);
    steps.push(at);
  }
  return steps;
}

function explanation(p) {
  const reason = reasonOf(p);
  const steps = chain(p);
  if (!reason && steps.length < 2) return null;
  return h("section", {class: `why ${p.kind}${p.suffers.length && p.kind === "ok" ? " suffers" : ""}`}, h("p", {class: "reason"}, reason),
    steps.length > 1 ? h("ol", {class: "chain", "aria-label": "Chain of causes"}, steps.slice(1).map(other => h("li", null, "because of ", to(other), " ", h("span", {class: "quiet"}, reasonOf(other))))) : null,
    p.suffers.length && p.kind === "ok" ? h("ul", {class: "chain"}, p.suffers.map(other => h("li", null, to(other), " ", h("span", {class: "quiet"}, reasonOf(other))))) : null);
}

function relations(p) {
  const above = p.edges.map(edge => [feed.plugins.get(edge.provider), edge]).filter(([other]) => other);
  const missing = p.requires.filter(name => name !== "*" && !p.edges.some(edge => edge.requirement === name));
  const row = (other, text) => h("li", null, to(other), h("span", {class: "quiet"}, text));
  return h("div", {class: "columns"},
    h("section", {class: "card"}, h("h2", null, "Depends on", h("span", {class: "total"}, String(above.length))),
      above.length || missing.length || p.requires.includes("*") || p.wants.includes("*") ? h("ul", {class: "relations"}, p.requires.includes("*") || p.wants.includes("*") ? h("li", null, h("span", {class: "quiet"}, "starts after everything else (\"*\")")) : null,
        missing.map(name => h("li", {class: "missing"}, h("code", null, name), h("span", {class: "quiet"}, "no provider"))),
        above.map(([other, edge]) => row(other, edge.binding ? "requires" : "wants"))) : h("p", {class: "quiet"}, "None")),
    h("section", {class: "card"}, h("h2", null, "Dependents", h("span", {class: "total"}, String(p.needed.length))),
      p.needed.length ? h("ul", {class: "relations"}, p.needed.slice(0, 200).map(n => row(n.plugin, n.binding ? "requires" : "wants"))) : h("p", {class: "quiet"}, "None")));
}

function services(p) {
  const costs = feed.costs.get(p.uri);
  if (!p.services.length) return null;
  const rows = [];
  for (const service of p.services) {
    const methods = (costs?.methods || []).filter(m => m.method.startsWith(`/${service}/`));
    rows.push(h("tr", {class: "service"}, h("th", {scope: "rowgroup", colspan: 6}, service, h("span", {class: "quiet"}, ` over ${(p.transports[service] || []).join(", ") || "no transport"}`))));
    for (const m of methods) {
      const failed = Object.entries(m.ended).filter(([code]) => code !== "OK");
      rows.push(h("tr", null, h("td", null, m.method.slice(service.length + 2)), h("td", {class: "number"}, count(m.calls)), h("td", {class: "number"}, count(m.in_flight)),
        h("td", {class: "number", title: failed.map(([code, n]) => `${code} ${n}`).join(", ")}, count(failed.reduce((sum, [, n]) => sum + n, 0))), h("td", {class: "number"}, size(m.bytes_received)), h("td", {class: "number"}, size(m.bytes_sent))));
    }
  }
  return h("section", {class: "card flush"}, h("div", {class: "title"}, h("h2", null, "Services")), h("div", {class: "scroll"}, h("table", {class: "plain methods"},
    h("thead", null, h("tr", null, ["Method", "Calls", "In flight", "Failed", "In", "Out"].map((name, i) => h("th", {scope: "col", class: i ? "number" : ""}, name)))), h("tbody", null, rows))));
}

function holdings(p) {
  const costs = feed.costs.get(p.uri);
  const shared = costs && costs.module_plugins > 1 ? `, shared by ${costs.module_plugins} plugins of the module` : "";
  return h("section", {class: "card"}, h("h2", null, "Resources and exports"), facts([
    ["Handles", costs ? `${count(costs.module_handles)}${shared}` : null],
    ["Code and data memory", costs ? `${costs.module_memory_bytes ? size(costs.module_memory_bytes) : "unknown"}${shared}` : null],
    ["Not ready for", p.holds.join("; ")], ["Capabilities", p.capabilities.join(", ")],
    ["Platforms", p.platforms.map(x => [x.os, x.architecture, x.variant].filter(Boolean).join("/")).join(", ")],
    ...Object.entries(p.exports).map(([key, value]) => [`Export ${key}`, value])]));
}

function costsOf(p) {
  const costs = feed.costs.get(p.uri);
  if (!costs) return null;
  return facts([["Loop time", `${duration(costs.loop_ns)} in ${count(costs.entries)} entries`], ["Longest", duration(costs.longest_ns)], ["Calls", count(calls(costs))],
    ["Slow entries", count(costs.slow)], ["Stalls", count(costs.stalls)], ["Degradations", count(costs.degradations)], ["Contract violations", count(costs.misuses)]]);
}

function signerOf(p) {
  if (!p.module) return null;
  if (!p.signer) return "unsigned";
  return p.signature_verified ? `${p.signer}${p.signer_comment ? ` (${p.signer_comment})` : ""}` : `${p.signer} (not verified)`;
}

function about(p) {
  return h("section", {class: "card"}, h("h2", null, "Module"), facts([["Module", p.module ? `${p.module}${p.version ? ` ${p.version}` : ""}` : null], ["On disk", p.newest_version === p.version && p.version ? `another ${p.version}` : p.newest_version], ["Held back", p.held_back === "" ? "unknown version" : p.held_back], ["Activation", p.activation], ["Process", processOf(p)], ["File", p.path], ["Signer", signerOf(p)], ["Level", p.level >= 0 ? String(p.level) : "not in the plan"],
    ["Generation", p.generation ? String(p.generation) : "never started"], ["Code", p.code === "OK" ? null : p.code],
    ...p.steps.map(step => [`${step.name[0].toUpperCase()}${step.name.slice(1)}`, `${duration(step.duration_ns)} at ${duration(step.start_ns)}`]),
    ["Ready", p.times.ready_at_ns ? `after ${duration(p.times.ready_at_ns)}` : null]]));
}

function sandbox(p) {
  if (!p.isolation) return null;
  return h("section", {class: "card"}, h("h2", null, "Sandbox"), facts([["Exposure", `${p.isolation.exposure} of 100, ${p.isolation.exposure_name}`],
    ["Restarts", p.restarts ? count(p.restarts) : null], ["Last exit", p.isolation.last_end], ...p.isolation.promises.map(promise => [promise.name, promise.verdict === "enforced" ? promise.text : `${promise.verdict}: ${promise.text}`])]));
}

function setting({path, value, where, was, secret, cut}) {
  const text = where === null ? "not set" : secret ? "secret, not shown" : value;
  return h("tr", null, h("th", {scope: "row"}, path), h("td", {class: secret || where === null ? "quiet" : ""}, cut ? `${text}…` : text),
    h("td", {class: "quiet"}, where || "", was ? `, was ${was}` : ""));
}

// They stand as long as the daemon runs, once a migration has ended: asked for when the plugin changes.
async function showSettings(p, place) {
  const answer = await fetch(`data/settings?uri=${encodeURIComponent(p.uri)}`).catch(() => null);
  const told = answer?.ok ? await answer.json().catch(() => null) : null;
  if (!answer) return;
  if (!told?.settings.length) {
    place.replaceChildren();
    return;
  }
  place.replaceChildren(h("section", {class: "card flush"}, h("div", {class: "title"}, h("h2", null, "Settings")), h("div", {class: "scroll"}, h("table", {class: "plain settings"},
    h("thead", null, h("tr", null, ["Setting", "Value", "Set at"].map(name => h("th", {scope: "col"}, name)))), h("tbody", null, told.settings.map(setting)))),
  told.more_settings ? h("p", {class: "quiet"}, `The first ${count(told.settings.length)}; run `, h("code", null, "berthd config dump --origin"), " to see all.") : ""));
}

export function plugin(root, key) {
  const head = h("div"), body = h("div", {class: "stack"}), live = h("div"), table = h("div"), settings = h("div");
  const plots = [new Plot("Loop time", percent, "loop"), new Plot("Calls per second", rate, "calls")];
  const log = logList(key);
  let shown = null;

  root.append(head, body);

  function draw() {
    const p = feed.plugins.get(key);
    if (!p) {
      head.replaceChildren(h("h1", null, "No such plugin"), h("p", {class: "quiet"}, key), h("p", null, h("a", {href: "#/plugins"}, "All plugins")));
      body.replaceChildren();
      return;
    }
    shown = p;
    if (p.uri) showSettings(p, settings);
    head.replaceChildren(h("p", {class: "crumbs"}, h("a", {href: "#/plugins"}, "Plugins"), " / ", shortType(p)), h("div", {class: "headline"}, h("h1", null, p.name), pill(p)), h("p", {class: "uri"}, p.key), p.description ? h("p", {class: "lead"}, p.description) : "");
    drawCosts();
    body.replaceChildren(...[explanation(p), p.uri ? h("section", {class: "plots", "aria-label": "Costs"}, plots.map(plot => plot.element)) : null, live, relations(p), table, settings, h("div", {class: "columns"}, holdings(p), about(p)), sandbox(p), p.uri ? log.element : null].filter(Boolean));
  }

  function drawCosts() {
    const p = feed.plugins.get(key);
    if (!p) return;
    const history = feed.history.get(key);
    plots[0].draw(history?.loop || EMPTY, feed.at, 0.1);
    plots[1].draw(history?.calls || EMPTY, feed.at, 1);
    live.replaceChildren(costsOf(p) || "");
    table.replaceChildren(services(p) || "");
  }

  draw();
  return {
    update(what) {
      if (what === "plugins" && feed.plugins.get(key) !== shown) draw();
      if (what === "costs") drawCosts();
      if (what === "log") log.update();
    },
  };
}


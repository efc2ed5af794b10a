// SPDX-License-Identifier: Apache-2.0
// The daemon itself: its facts, what it costs, who is connected, its log.

import {feed} from "./feed.js";
import {age, count, duration, h, link, percent, Plot, put, size} from "./dom.js";

const LEVELS = ["error", "warn", "info", "debug"];

/** The newest lines, of one plugin or of all; update() after each "log". */
export function logList(uri) {
  const list = h("ol", {class: "log", tabindex: "0", "aria-label": "Recent log lines", reversed: true});
  let level = 3, last = -1;

  function item(line) {
    const time = new Date(line.time_ns / 1e6).toISOString().slice(11, 23);
    return h("li", {class: line.level}, h("time", {datetime: new Date(line.time_ns / 1e6).toISOString()}, time), h("span", {class: "level"}, line.level),
      h("span", {class: "text"}, uri || !line.uri ? null : h("a", {href: link({key: line.uri})}, line.uri), uri || !line.uri ? null : ": ", line.text, line.lost ? ` (${line.lost} lines lost before this one)` : null));
  }

  function update() {
    const lines = feed.log.filter(line => (!uri || line.uri === uri) && LEVELS.indexOf(line.level) <= level).slice(-300);
    const newest = lines.length ? lines[lines.length - 1].number : 0;
    if (newest === last) return;
    last = newest;
    list.replaceChildren(...lines.reverse().map(item));
    if (!lines.length) list.append(h("li", {class: "quiet"}, "No log lines yet."));
  }

  const choice = h("select", {"aria-label": "Minimum level", onchange: () => { level = LEVELS.indexOf(choice.value); last = -1; update(); }}, LEVELS.map(name => h("option", {value: name, selected: name === "debug"}, name === "debug" ? "all levels" : name === "error" ? "errors only" : `${name} and above`)));
  update();
  return {element: h("section", {class: "card"}, h("div", {class: "title"}, h("h2", null, "Recent log lines"), choice), list), update};
}

export function facts(pairs) {
  return h("dl", {class: "facts"}, pairs.filter(([, value]) => value !== null && value !== undefined && value !== "").map(([name, value]) => h("div", null, h("dt", null, name), h("dd", null, value))));
}

export function daemon(root) {
  const about = h("section", {class: "card"}), death = h("section", {class: "notice", hidden: true}), old = h("section", {class: "card", hidden: true});
  const plots = [new Plot("Loop busy", percent, "loop"), new Plot("Loop lag", duration, "lag"), new Plot("CPU", percent, "cpu"), new Plot("Memory", size, "memory")];
  const numbers = h("div", {class: "numbers"});
  const connections = h("section", {class: "card flush"}, h("div", {class: "title"}, h("h2", null, "Connections"), h("span", {class: "quiet"})), h("div", {class: "scroll"}));
  const log = logList(null);
  let timer = 0, isGone = false;

  root.append(h("h1", null, "Daemon"), death, about, h("section", {class: "plots", "aria-label": "Costs"}, plots.map(plot => plot.element)), numbers, connections, old, log.element);

  function drawStatus() {
    const status = feed.status;
    if (!status) return;
    about.replaceChildren(facts([
      ["Version", status.revision ? `${status.version} (${status.revision})` : status.version], ["Process ID", String(status.pid)],
      ["Ready", status.is_ready ? `yes, after ${duration(status.ready_ns)}` : "not yet"],
      ["Plugins", `${status.ready} of ${status.plugins} ready`], ["Root directory", status.root], ["State directory", status.state],
      ["Resident until the next restart", status.residents.map(r => `${r.module} (${size(r.bytes)})`).join(", ")],
      ["Previous run", status.last_death ? "died; see above" : "no crash recorded"]]));
    death.hidden = !status.last_death;
    death.replaceChildren(h("strong", null, "The previous run died: "), status.last_death || "", status.last_death_plugin ? h("span", null, " Blamed: ", h("a", {href: link({key: status.last_death_plugin})}, status.last_death_plugin)) : "");
    old.hidden = !status.deprecations.length;
    old.replaceChildren(h("h2", null, "Deprecated settings"), h("ul", {class: "plain"}, status.deprecations.map(d => h("li", null, h("code", null, d.subject), " ", d.message))));
  }

  function drawCosts() {
    const d = feed.daemon, t = feed.totals;
    if (!d) return;
    plots[0].draw(t.busy, feed.at, 1);
    plots[1].draw(t.lag, feed.at, 1e6);
    plots[2].draw(t.cpu, feed.at, 1);
    plots[3].draw(t.memory, feed.at, 1);
    numbers.replaceChildren(facts([
      ["Up", age(d.uptime_ns)], ["Memory", `${size(d.memory_bytes)} (heap and stacks ${size(d.anonymous_bytes)})`],
      ["CPU time", duration(d.cpu_ns)], ["Loop time in plugins", duration(d.plugins_ns)], ["Unattributed loop time", duration(d.unattributed_ns)],
      ["Longest turn", duration(d.longest_turn_ns)], ["Handles", `${count(d.handles)} (${count(d.other_handles)} unattributed)`], ["Unattributed stalls", count(d.unattributed_stalls)]]));
  }

  function credentials(c) {
    if (c.tls_subject) return c.tls_subject;
    return c.uid === null ? "–" : `uid ${c.uid}, gid ${c.gid}, pid ${c.pid}`;
  }

  function drawConnections(list) {
    put(connections.firstChild.lastChild, list.length >= 1000 ? "the first 1000" : String(list.length));
    connections.lastChild.replaceChildren(list.length ? h("table", {class: "plain"}, h("thead", null, h("tr", null, ["Connection", "Peer", "Age", "Calls in flight", "Who"].map((name, i) => h("th", {scope: "col", class: i === 2 || i === 3 ? "number" : null}, name)))),
      h("tbody", null, list.slice(0, 200).map(c => h("tr", null, h("td", null, h("a", {href: link({key: c.server})}, c.id)), h("td", null, c.uid === null ? c.peer : "unix socket"), h("td", {class: "number"}, age(c.age_ns)), h("td", {class: "number"}, count(c.calls_in_flight)), h("td", null, credentials(c))))))
      : h("p", {class: "quiet"}, "No connections."));
  }

  async function ask() {
    try {
      if (!document.hidden) {
        const answer = await fetch("data/connections");
        if (answer.ok && !isGone) drawConnections(await answer.json());
      }
    } catch { /* The stream says that the daemon is away. */ }
    if (!isGone) timer = setTimeout(ask, 3000);
  }

  drawStatus();
  drawCosts();
  ask();
  return {
    update(what) {
      if (what === "status") drawStatus();
      if (what === "costs") drawCosts();
      if (what === "log") log.update();
    },
    destroy() {
      isGone = true;
      clearTimeout(timer);
    },
  };
}

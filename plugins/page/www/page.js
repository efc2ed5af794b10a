// SPDX-License-Identifier: Apache-2.0
// The frame: which view is shown, and the daemon's verdict above it.

import {connect, feed, listen, reasonOf, stateOf} from "./feed.js";
import {age, h, put} from "./dom.js";
import {daemon} from "./daemon.js";
import {graph} from "./graph.js";
import {plugin} from "./plugin.js";
import {plugins} from "./table.js";
import {startup} from "./startup.js";

const VIEWS = {"": [graph, "Graph"], plugins: [plugins, "Plugins"], startup: [startup, "Start-up"], daemon: [daemon, "Daemon"], plugin: [plugin, "Plugins"]};
const VERDICTS = {ready: "ok", degraded: "degraded", starting: "busy", "shutting down": "gone"};

const main = document.getElementById("main");
const at = id => document.getElementById(id);
let view = null, hasFocused = false;

function place() {
  const [name, ...rest] = location.hash.replace(/^#\/?/, "").split("/");
  let argument = rest.join("/");
  try {
    argument = decodeURIComponent(argument);
  } catch { /* As it stands. */ }
  return [VIEWS[name] ? name : "", argument];
}

function show() {
  const [name, argument] = place();
  const [open, title] = VIEWS[name];
  view?.destroy?.();
  view = null;
  main.replaceChildren();
  main.className = `view-${name || "graph"}`;
  for (const a of document.querySelectorAll("nav a"))
    a.textContent === title ? a.setAttribute("aria-current", "page") : a.removeAttribute("aria-current");
  if (!feed.plugins.size) {
    main.append(h("p", {class: "quiet"}, "Waiting for the daemon…"));
    return;
  }
  view = open(main, argument);
  // Whoever follows a link with the keyboard goes on reading where it has led.
  if (hasFocused) {
    main.focus({preventScroll: true});
    window.scrollTo(0, 0);
  }
  hasFocused = true;
}

function drawHead() {
  const status = feed.status;
  if (!status) return;
  const verdict = at("verdict");
  const wrong = status.problems.length;
  verdict.className = `pill ${feed.connection === "live" ? VERDICTS[status.verdict] || "busy" : "gone"}`;
  put(verdict, feed.connection === "live" ? status.verdict : "unknown");
  const parts = [`${status.ready} of ${status.plugins} ready`];
  if (wrong) parts.push(`${wrong} ${wrong === 1 ? "problem" : "problems"}`);
  if (status.rejected) parts.push(`${status.rejected} rejected`);
  put(at("summary"), parts.join(" · "));
  document.title = `${feed.connection === "live" ? status.verdict : "?"}${wrong ? ` (${wrong})` : ""} · berth`;
}

function drawFacts() {
  if (!feed.status || !feed.daemon) return;
  put(at("facts"), `berthd ${feed.status.version} · process ${feed.status.pid} · up ${age(feed.daemon.uptime_ns)}`);
}

function drawLink() {
  const texts = {connecting: "connecting", live: "live", lost: "reconnecting", trouble: "trouble"};
  at("link").className = `link ${feed.connection}`;
  put(at("link"), texts[feed.connection]);
  at("banner").hidden = feed.connection === "live" || feed.connection === "connecting";
  put(at("banner"), feed.connection === "trouble" ? "The daemon could not send the list of plugins: it exceeds 16 MiB, or memory is exhausted. Use berthctl instead."
    : "Connection to the daemon lost; showing its last known state. Reconnecting…");
  document.body.classList.toggle("stale", feed.connection === "lost");
}

// For those who listen: only what has become different, and not a hundred of them.
function announce() {
  const changed = feed.changed || [];
  if (!changed.length) return;
  put(at("live"), changed.length > 3 ? `${changed.length} plugins changed state` : changed.map(p => `${p.key} is ${stateOf(p)}${reasonOf(p) ? `: ${reasonOf(p)}` : ""}`).join("; "));
}

listen(what => {
  if (what === "status" || what === "connection") drawHead();
  if (what === "status" || what === "costs") drawFacts();
  if (what === "connection") drawLink();
  if (what === "plugins") announce();
  if (what === "plugins" && !view) show();
  else view?.update(what);
});

let resizing = 0;
window.addEventListener("resize", () => {
  cancelAnimationFrame(resizing);
  resizing = requestAnimationFrame(() => view?.update("resize"));
});
window.addEventListener("hashchange", show);
at("skip").addEventListener("click", event => {
  event.preventDefault();
  main.focus();
});
connect();

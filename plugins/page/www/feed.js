// SPDX-License-Identifier: Apache-2.0
// What the daemon tells by server-sent events, and what follows from it: who needs whom, who suffers, rates.

const SAMPLES = 120;
const LINES_MAX = 2000;
const BROKEN = new Set(["failed", "timed out", "rejected", "quarantined"]);
const STARTING = new Set(["waiting", "preparing", "starting"]);

export const feed = {
  /** By key: the URI, or the path of a file without one. In the daemon's order. */
  plugins: new Map(),
  status: null,
  daemon: null,
  costs: new Map(),
  /** By URI: {loop, calls}, rings of SAMPLES whose newest is at `at`. */
  history: new Map(),
  totals: {busy: ring(), lag: ring(), cpu: ring(), memory: ring()},
  at: 0,
  log: [],
  /** Of the layout: changes when plugins come or go. */
  epoch: 0,
  connection: "connecting",
  since: 0,
};

/** Where nothing was measured it has NaN. */
function ring() {
  return new Float64Array(SAMPLES).fill(NaN);
}

/** One of a plugin that was idle since the page was opened. */
function quiet() {
  return feed.totals.busy.map(value => Number.isNaN(value) ? NaN : 0);
}

const listeners = new Set();

/** Calls back with "plugins", "status", "costs", "log" or "connection". @return a function that ends it. */
export function listen(listener) {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

function tell(what) {
  for (const listener of [...listeners]) listener(what);
}

function kindOf(p) {
  if (BROKEN.has(p.state)) return "bad";
  if (p.state === "blocked") return "blocked";
  if (p.state === "skipped" || p.state === "disabled" || p.state === "idle") return "off";
  if (STARTING.has(p.state)) return "busy";
  if (p.state === "draining" || p.state === "stopped") return "gone";
  return p.condition !== "OK" ? "degraded" : "ok";
}

export const isProblem = p => p.kind === "bad" || p.kind === "blocked" || p.kind === "degraded";

/** "ready, degraded" */
export const stateOf = p => p.kind === "degraded" ? `${p.state}, degraded` : p.state;

export function reasonOf(p) {
  if (p.reason) return p.reason;
  if (p.condition_reason && p.kind === "degraded") return p.condition_reason;
  if (p.waits.length) return `waits for ${p.waits.map(other => other.uri).join(", ")}`;
  if (p.holds.length) return `not ready for: ${p.holds.join(", ")}`;
  if (p.suffers.length) return `requires ${p.suffers.map(other => other.uri).join(", ")}, which is degraded`;
  return "";
}

export function processOf(p) {
  if (!p.isolated) return null;
  return `isolated${p.process ? ` in process ${p.process}` : ", not running"}${p.restarts ? `, ${p.restarts} restart${p.restarts === 1 ? "" : "s"}` : ""}`;
}

// What is to be said of a plugin that is as it should be.
const onDisk = p => p.newest_version === p.version ? `another ${p.version} on disk` : `on disk ${p.newest_version}`;
const noteOf = p => [p.state === "idle" && p.activation, p.newest_version && `running ${p.version}, ${onDisk(p)}`,
  p.held_back != null && `running ${p.version}, held back from ${p.held_back || "unknown"} on disk`, processOf(p)].filter(Boolean).join("; ");

export const remarkOf = p => reasonOf(p) || noteOf(p);

function stepsOf(p) {
  return ["load", "config", "prepare", "init", "serve"].filter(name => p.times[name]).map(name => ({name, ...p.times[name]}));
}

// Who needs whom, and who suffers from a provider that is degraded: directly or by others in between.
function derive() {
  for (const p of feed.plugins.values()) {
    p.needed = [];
    p.suffers = [];
    p.waits = [];
    p.blames = [];
  }
  for (const p of feed.plugins.values()) {
    for (const edge of p.edges) {
      const provider = feed.plugins.get(edge.provider);
      if (!provider) continue;
      provider.needed.push({plugin: p, requirement: edge.requirement, binding: edge.binding});
      if (p.state === "waiting" && STARTING.has(provider.state) && !p.waits.includes(provider)) p.waits.push(provider);
    }
    // A cause may have one of its own: the last of them is to blame for all.
    for (let cause = feed.plugins.get(p.cause); cause && cause !== p && !cause.blames.includes(p); cause = feed.plugins.get(cause.cause)) cause.blames.push(p);
  }
  for (const p of feed.plugins.values()) {
    if (p.kind !== "degraded") continue;
    const seen = new Set([p]);
    const queue = [p];
    while (queue.length)
      for (const {plugin, binding} of queue.pop().needed) {
        if (!binding || seen.has(plugin)) continue;
        seen.add(plugin);
        queue.push(plugin);
        if (plugin.kind === "ok" || plugin.kind === "degraded") plugin.suffers.push(p);
      }
    p.afflicts = [...seen].slice(1);
  }
}

function take(p) {
  p.key = p.uri || p.path || "?";
  p.name = p.id || (p.path || "?").split("/").pop();
  p.kind = kindOf(p);
  p.steps = stepsOf(p);
  p.afflicts = [];
  p.work = p.steps.reduce((sum, step) => sum + step.duration_ns, 0);
  return p;
}

function onPlugins({reset, plugins}) {
  const changed = [];
  if (reset) {
    feed.plugins = new Map(plugins.map(p => [take(p).key, p]));
    feed.epoch++;
  } else {
    for (const p of plugins) {
      const before = feed.plugins.get(take(p).key);
      if (!before || before.edges.length !== p.edges.length || before.level !== p.level) feed.epoch++;
      if (before && (before.kind !== p.kind)) changed.push(p);
      feed.plugins.set(p.key, p);
    }
  }
  derive();
  feed.changed = changed;
}

export const calls = costs => costs.methods.reduce((sum, method) => sum + method.calls, 0);

function forget() {
  feed.totals = {busy: ring(), lag: ring(), cpu: ring(), memory: ring()};
  feed.costs = new Map();
  feed.history = new Map();
  feed.daemon = null;
}

function onCosts({daemon, plugins}) {
  if (feed.daemon && daemon.uptime_ns < feed.daemon.uptime_ns) forget();
  const before = feed.daemon;
  const seconds = before ? (daemon.uptime_ns - before.uptime_ns) / 1e9 : 0;
  if (before && seconds < 0.05) return;
  feed.at = (feed.at + 1) % SAMPLES;
  for (const {loop, calls} of feed.history.values()) loop[feed.at] = calls[feed.at] = 0;
  const share = (now, then) => seconds > 0 ? Math.max(0, now - then) / seconds / 1e7 : 0;
  feed.totals.busy[feed.at] = before ? share(daemon.busy_ns, before.busy_ns) : NaN;
  feed.totals.cpu[feed.at] = before ? share(daemon.cpu_ns, before.cpu_ns) : NaN;
  feed.totals.lag[feed.at] = daemon.lag_ns;
  feed.totals.memory[feed.at] = daemon.memory_bytes;
  for (const costs of plugins) {
    const old = feed.costs.get(costs.uri);
    feed.costs.set(costs.uri, costs);
    if (!old || seconds <= 0) continue;
    let history = feed.history.get(costs.uri);
    if (!history) feed.history.set(costs.uri, history = {loop: quiet(), calls: quiet()});
    history.loop[feed.at] = share(costs.loop_ns, old.loop_ns);
    history.calls[feed.at] = Math.max(0, calls(costs) - calls(old)) / seconds;
  }
  feed.daemon = daemon;
  feed.since = performance.now();
}

function onLog({lines}) {
  const last = feed.log.length ? feed.log[feed.log.length - 1].number : 0;
  if (lines.length && lines[0].number <= last && lines[lines.length - 1].number < last) feed.log = [];
  const newest = feed.log.length ? feed.log[feed.log.length - 1].number : 0;
  for (const line of lines) if (line.number > newest) feed.log.push(line);
  if (feed.log.length > LINES_MAX) feed.log.splice(0, feed.log.length - LINES_MAX);
}

export const now = {
  loop: uri => feed.history.get(uri)?.loop[feed.at] ?? 0,
  calls: uri => feed.history.get(uri)?.calls[feed.at] ?? 0,
};

const HANDLERS = {plugins: onPlugins, status: status => { feed.status = status; }, costs: onCosts, log: onLog};

function setConnection(connection) {
  if (feed.connection === connection) return;
  feed.connection = connection;
  tell("connection");
}

let wait = 1000;

export function connect() {
  const source = new EventSource("events");
  for (const [name, handle] of Object.entries(HANDLERS))
    source.addEventListener(name, event => {
      handle(JSON.parse(event.data));
      tell(name);
    });
  source.addEventListener("trouble", () => setConnection("trouble"));
  source.addEventListener("open", () => {
    wait = 1000;
    feed.log = [];
    setConnection("live");
  });
  // A stream that breaks is opened again by the browser; one that was refused is not.
  source.addEventListener("error", () => {
    setConnection("lost");
    if (source.readyState !== EventSource.CLOSED) return;
    setTimeout(connect, wait);
    wait = Math.min(wait * 2, 15000);
  });
}

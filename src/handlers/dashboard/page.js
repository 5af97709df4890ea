// The page: takes snapshots from the server, says whether they still come, and shows them once a second while the
// browser shows the page.

const RECONNECT_MS = [1000, 2000, 4000, 8000];
// The server sends one each second. Past this time without one, the page says so and asks anew.
const SILENCE_MS = 8000;
// How long the page tells that the server was started anew.
const RESTART_NOTE_MS = 60_000;
const CERTIFICATE_DAYS = 14;
const SLOW_LOOP_US = 100_000;
const FEW_FAILURES = 8;

const find = (id) => document.getElementById(id);
const reasons = new Map(JSON.parse(find("reasons").textContent).map?.((reason) => [reason.id, reason]) ?? []);
const past = new Past();

const state = {
  name: "connecting",
  // When the last snapshot came, by the reader's clock.
  seen: 0,
  // When the connection was begun from which the next one is to come.
  begun: 0,
  tries: 0,
  // Why the server that is reached sends no events; empty: it is not reached, or refuses nothing.
  refusal: "",
  // What a paused page shows.
  paused: null,
  restarted: 0,
  // What of the past the reader looks at: a time, or null.
  looked: null,
  // Whether all of the last errors are shown, or the newest.
  showsAll: false,
  events: null,
  retry: 0,
};

// --- The connection ---

// EventSource comes back by itself after some failures and not after others, such as a 502: the page does it always.
function connect() {
  clearTimeout(state.retry);
  state.events?.close();
  const events = state.events = new EventSource("?events");
  state.begun = Date.now();
  events.addEventListener("snapshot", (event) => {
    let snapshot;
    try {
      snapshot = JSON.parse(event.data);
    } catch {
      return;
    }
    state.tries = 0;
    state.refusal = "";
    state.seen = Date.now();
    if (past.take(snapshot)) state.restarted = Date.now();
    setState(snapshot.phase === "stopping" ? "stopping" : snapshot.phase === "starting" ? "starting" : "live");
    draw();
  });
  events.onerror = reconnect;
}

function reconnect() {
  state.events.close();
  setState(state.seen ? "lost" : "connecting");
  draw();
  askForRefusal();
  clearTimeout(state.retry);
  state.retry = setTimeout(connect, RECONNECT_MS[Math.min(state.tries++, RECONNECT_MS.length - 1)]);
}

// EventSource does not tell why there are no events: the route may be gone, or closed to this reader.
async function askForRefusal() {
  try {
    const { status, headers } = await fetch("?events", { method: "HEAD", cache: "no-store" });
    const isStream = headers.get("Content-Type")?.startsWith("text/event-stream");
    state.refusal = status >= 400 ? `the server answers ${status}` : isStream ? "" : "the live page is no longer here";
  } catch {
    state.refusal = "";
  }
  setState(state.name);
}

setInterval(() => {
  // While a retry is waited for, there is no connection to be given up.
  const isOpen = state.events.readyState !== EventSource.CLOSED;
  if (isOpen && Date.now() - Math.max(state.seen, state.begun) > SILENCE_MS) reconnect();
}, 1000);

function setState(name) {
  state.name = name;
  const why = state.refusal || "trying again";
  const words = {
    connecting: state.tries > 1 ? `No numbers yet; ${why}` : "Connecting",
    starting: "Starting",
    live: "Live",
    stopping: "The server is stopping",
    lost: `Connection lost; last seen ${clock.format(state.seen)}; ${why}`,
  };
  const isPaused = state.paused !== null && name !== "lost";
  const box = find("state");
  box.dataset.state = isPaused ? "paused" : name;
  // A screen reader tells what changes here, so it is written only if it does.
  setText(find("state-text"), isPaused ? `Paused at ${clock.format(state.paused.time)}` : words[name]);
  document.body.classList.toggle("lost", name === "lost");
  document.title = `${name === "lost" ? "(lost) " : ""}Tidegate · ${location.host}`;
}

find("pause").addEventListener("click", () => {
  // What comes meanwhile is kept, and shown afterwards.
  state.paused = state.paused ? null : { time: past.last?.time_ms ?? Date.now(), frame: frame() };
  find("pause").setAttribute("aria-pressed", String(state.paused !== null));
  setState(state.name);
  draw();
});

// --- What is shown ---

// All that the page shows, computed of the past.
function frame() {
  const now = past.last;
  return now && { now, before: past.minuteAgo, samples: [...past.samples] };
}

// What is asked to be drawn at the next moment at which the browser draws: all of it, or the charts alone, because
// the reader looks back.
let asked = null;

function draw(what = "all") {
  if (document.hidden) return;
  if (asked === null) requestAnimationFrame(drawAsked);
  if (asked !== "all") asked = what;
}

function drawAsked() {
  const what = asked;
  asked = null;
  const shown = state.paused ? state.paused.frame : frame();
  if (!shown) return;
  find("waiting").hidden = true;
  find("main").hidden = false;
  if (what === "all") show(shown);
  else showCharts(shown.now, shown.samples);
}

document.addEventListener("visibilitychange", () => draw());

function show({ now, before, samples }) {
  const minute = { now, before, seconds: Math.max(1, (now.time_ms - before.time_ms) / 1000), samples };
  showFacts(now);
  showRestart();
  showAttention(minute);
  showCharts(now, samples);
  showWorkers(minute);
  showProcess(now, samples);
  showReloads(now);
  showUpstreams(minute);
  showRoutes(minute);
  showFailures(now);
  showCertificates(now);
  showRates(minute);
  showPools(now);
  showApps(now);
}

function showFacts(now) {
  const generation = now.generation ?? {};
  const parts = [
    now.version && `version ${now.version}`,
    now.process_id && `process ${now.process_id}`,
    now.started_ms && `up ${age((now.time_ms - now.started_ms) / 1000)}`,
    generation.number && `generation ${generation.number}${generation.since_ms ? ` since ${clock.format(generation.since_ms)}` : ""}`,
  ];
  setText(find("facts"), parts.filter(Boolean).join(" · "));
}

function showRestart() {
  const note = find("restarted");
  const isShown = state.restarted > 0 && Date.now() - state.restarted < RESTART_NOTE_MS;
  note.hidden = !isShown;
  if (isShown) setText(note, `Another process answers since ${clock.format(state.restarted)}. All counts begin anew.`);
}

// --- Charts ---

const GLYPHS = { applied: "M0 5L-5 -4H5Z", refused: "M-4.5 -3L-3 -4.5L0 -1.5L3 -4.5L4.5 -3L1.5 0L4.5 3L3 4.5L0 1.5L-3 4.5L-4.5 3L-1.5 0Z" };

function marksOf(now) {
  const since = now.time_ms - PAST_SECONDS * 1000;
  return (now.reloads ?? []).filter((reload) => reload.time_ms >= since && reload.time_ms <= now.time_ms).map((reload) => ({
    time: reload.time_ms,
    tone: reload.outcome === "applied" ? "link" : "bad",
    glyph: GLYPHS[reload.outcome] ?? GLYPHS.refused,
    text: reload.outcome === "applied" ? `generation ${reload.generation ?? "?"}` : "reload refused",
  }));
}

const micros = (nth) => (sample) => past.latency(sample)[nth]?.us ?? null;
const classRate = (...digits) => (sample) => digits.reduce((sum, digit) => sum + (sample.classes[digit] ?? 0), 0);
const open = (name) => (sample) => sample.connections[name];
const totalOpen = (sample) => Object.values(sample.connections).reduce((sum, count) => sum + count, 0);

const charts = [
  {
    title: "Requests", series: [{ name: "requests a second", tone: "sea", area: true, value: (sample) => sample.rate }],
    axis: number, big: (sample) => [number(sample.rate), "a second"],
    facts: [
      { name: "least", text: (samples) => samples.length ? number(Math.min(...samples.map((sample) => sample.rate))) : "–" },
      { name: "mean", text: (samples) => samples.length ? number(samples.reduce((sum, sample) => sum + sample.rate, 0) / samples.length) : "–" },
      { name: "most", text: (samples) => samples.length ? number(Math.max(...samples.map((sample) => sample.rate))) : "–" },
    ],
  },
  {
    title: "Latency", scale: "decades",
    series: [
      { name: "p50 ≈", tone: "sea", value: micros(0), nth: 0 },
      { name: "p90 ≈", tone: "violet", stroke: "dashed", value: micros(1), nth: 1 },
      { name: "p99 ≈", tone: "amber", stroke: "dotted", value: micros(2), nth: 2 },
    ],
    format: (value, { nth }, sample) => estimate(past.latency(sample)[nth]), axis: duration,
    big: (sample) => {
      const slow = past.latency(sample)[2];
      return slow === null ? ["–", "no request has ended"] : [`≈ ${estimate(slow)}`, "p99 of ten seconds"];
    },
  },
  {
    title: "Statuses", stacked: true,
    series: [
      { name: "2xx", tone: "sea", value: classRate(2) },
      { name: "1xx, 3xx", tone: "violet", value: classRate(1, 3) },
      { name: "4xx", tone: "amber", hatch: "right", value: classRate(4) },
      { name: "5xx", tone: "red", hatch: "left", value: classRate(5, 6, 7, 8, 9) },
    ],
    format: (value) => `${number(value)}/s`, axis: number,
    big: (sample) => {
      const all = classRate(1, 2, 3, 4, 5, 6, 7, 8, 9)(sample);
      return all > 0 ? [percent(classRate(5, 6, 7, 8, 9)(sample) / all), "answered with 5xx"] : ["–", "no request has ended"];
    },
  },
  {
    title: "Connections", stacked: true,
    series: [
      { name: "active", tone: "sea", value: open("active") },
      { name: "idle", tone: "grey", hatch: "right", value: open("idle") },
      { name: "tunnels", tone: "violet", value: open("tunnel") },
      { name: "streams", tone: "amber", hatch: "left", value: open("stream") },
    ],
    format: (value, { name }, sample) => name === "idle" && !sample.knowsIdle ? "–" : whole.format(value), axis: number,
    big: (sample) => [whole.format(totalOpen(sample)), "open"],
  },
].map((options) => new Chart({ ...options, look }));

document.body.prepend(hatches());
find("charts").append(...charts.map((chart) => chart.root));

// The reader looks at a time, at the sample before or behind, or at no other time than now.
function look(at) {
  const samples = state.paused?.frame?.samples ?? past.samples;
  if (at?.step !== undefined) {
    const from = state.looked === null ? samples.length : samples.findIndex((sample) => sample.time_ms >= state.looked);
    const next = samples[Math.max(0, (from < 0 ? samples.length : from) + at.step)];
    state.looked = next?.time_ms ?? null;
  } else {
    state.looked = at?.time ?? null;
  }
  draw("charts");
}

function showCharts(now, samples) {
  const looked = state.looked === null ? null : nearest(samples, state.looked);
  const marks = marksOf(now);
  for (const chart of charts) chart.show(samples, now.time_ms, marks, looked);
}

// --- Tables ---

function showWorkers({ now, before, seconds }) {
  const requests = growth(before, now, (snapshot) => snapshot.workers, (worker) => worker.id, (worker) => worker.requests ?? 0);
  const all = [...requests.values()].reduce((sum, count) => sum + count, 0);
  fillTable("workers", (now.workers ?? []).map((worker) => {
    const count = requests.get(worker.id) ?? 0;
    const delay = worker.delay_us === undefined
      ? { text: "no answer", tone: "bad" }
      : { text: duration(worker.delay_us), tone: worker.delay_us > SLOW_LOOP_US ? "warn" : undefined };
    const share = all > 0 ? count / all : 0;
    return { key: String(worker.id), cells: [worker.id, delay, whole.format(worker.connections ?? 0), number(count / seconds), { text: percent(share), part: share }] };
  }));
}

// The ends of exchanges whose client did not get a whole response. All others were answered, if only with an error.
const UNFINISHED = ["client_left", "broken_off", "cut"];

function showProcess(now, samples) {
  const { resident_bytes, open_fds, max_fds } = now.process ?? {};
  const rows = [];
  const cpu = samples.at(-1)?.cpu;
  if (now.process?.cpu_us !== undefined) rows.push(["CPU", cpu === undefined ? "–" : `${percent(cpu)} of one core`]);
  if (resident_bytes !== undefined) rows.push(["Memory", octets(resident_bytes)]);
  if (open_fds !== undefined) {
    const part = max_fds ? open_fds / max_fds : 0;
    rows.push(["Descriptors", { text: max_fds ? `${whole.format(open_fds)} of ${whole.format(max_fds)}` : whole.format(open_fds), tone: part > 0.8 ? "warn" : undefined }]);
  }
  if (now.connections?.accepted !== undefined) rows.push(["Connections accepted", whole.format(now.connections.accepted)]);
  if (now.requests !== undefined) rows.push(["Requests since the start", whole.format(now.requests)]);
  const cut = UNFINISHED.reduce((sum, end) => sum + (now.ends?.[end] ?? 0), 0);
  if (now.ends) rows.push(["Not answered to the end", whole.format(cut)]);
  if (now.log_lost !== undefined) rows.push(["Lines of the log lost", { text: whole.format(now.log_lost), tone: now.log_lost > 0 ? "warn" : undefined }]);
  fillList("process", rows);
}

function showReloads(now) {
  fillTable("reloads", (now.reloads ?? []).toReversed().map((reload) => ({
    key: `${reload.time_ms}`,
    cells: [
      clock.format(reload.time_ms),
      reload.outcome === "applied"
        ? { text: "applied", tone: "good", sign: "▼" }
        : { text: reload.outcome, tone: "bad", sign: "✕" },
      { text: reload.message ?? "", second: reload.outcome === "applied" && reload.generation !== undefined ? `generation ${reload.generation}` : "" },
    ],
  })), 6);
}

const SIGNS = {
  up: ["●", "good"], rising: ["◐", "warn"], trying: ["◌", "warn"], paused: ["■", "bad"], unhealthy: ["✕", "bad"], drained: ["–", "soft"],
};

function stateCell({ state: word, seconds_left, percent: share }) {
  const [sign, tone] = SIGNS[word] ?? ["?", "warn"];
  const more = seconds_left !== undefined ? ` for ${seconds_left} s` : share !== undefined ? `, at ${share} % of its share` : "";
  return { text: word + more, tone, sign };
}

// The servers of all upstreams, each with the name of its own.
const serversOf = (snapshot) => (snapshot?.upstreams ?? []).flatMap((upstream) =>
  (upstream.servers ?? []).map((server, nth) => ({ ...server, upstream, isFirst: nth === 0, key: JSON.stringify([upstream.name, server.address]) })));

function showUpstreams({ now, before, seconds }) {
  const requests = growth(before, now, serversOf, (server) => server.key, (server) => server.requests ?? 0);
  const failures = growth(before, now, serversOf, (server) => server.key, (server) => server.failures ?? 0);
  fillTable("upstreams", serversOf(now).map((server) => {
    const { name, waiting = 0, retries = 0 } = server.upstream;
    const facts = [server.backup ? "backup" : "", server.isFirst && waiting ? `${plural(waiting, "request waits", "requests wait")} for ${name}` : "",
      server.isFirst && retries ? `${plural(retries, "request", "requests")} of ${name} sent again` : ""];
    // An upstream that a route names by its URL alone has no other name.
    const shown = name === server.address || name.endsWith(`//${server.address}`) ? name : `${name} / ${server.address}`;
    const recent = failures.get(server.key) ?? 0;
    return {
      key: server.key,
      cells: [
        { text: shown, second: facts.filter(Boolean).join(" · ") },
        stateCell(server),
        whole.format(server.in_flight ?? 0),
        number((requests.get(server.key) ?? 0) / seconds),
        { text: whole.format(recent), tone: recent > 0 ? "bad" : undefined },
        { text: whole.format(server.failures ?? 0), tone: "soft" },
      ],
    };
  }));
}

function showRoutes({ now, before }) {
  const routes = routesBetween(before, now);
  const bounds = now.bounds_us ?? [];
  const hasSeveral = new Set((now.series ?? []).map((series) => series.server)).size > 1;
  const nameOf = ({ server, route }) => ({ text: routeName(route), code: true, second: hasSeveral ? server : "" });
  const timed = routes.map((route) => ({ ...route, p50: percentile(route.buckets, bounds, 0.5), p99: percentile(route.buckets, bounds, 0.99) }));
  const slowness = (route) => route.p99 === null ? -1 : route.p99.us + (route.p99.over ? 1 : 0);
  timed.sort((one, other) => slowness(other) - slowness(one));
  fillTable("slowest", timed.slice(0, 8).map((route) => ({
    key: route.key, cells: [nameOf(route), whole.format(route.count), estimate(route.p50), estimate(route.p99)],
  })));
  const failed = routes.map((route) => {
    const ours = Object.entries(route.classes).filter(([digit]) => digit >= 5).reduce((sum, [, count]) => sum + count, 0);
    return { ...route, theirs: route.classes[4] ?? 0, ours };
  }).filter(({ theirs, ours }) => theirs + ours > 0);
  failed.sort((one, other) => other.ours / other.count - one.ours / one.count || other.theirs - one.theirs);
  const share = (count, route, tone) => ({ text: percent(count / route.count), second: count > 0 ? whole.format(count) : "", tone: count > 0 ? tone : "soft" });
  fillTable("failing", failed.slice(0, 8).map((route) => ({
    key: route.key, cells: [nameOf(route), whole.format(route.count), share(route.theirs, route, undefined), share(route.ours, route, "bad")],
  })));
}

const showAllButton = find("show-all");
showAllButton.addEventListener("click", () => {
  state.showsAll = !state.showsAll;
  showAllButton.setAttribute("aria-expanded", String(state.showsAll));
  draw();
});

function showFailures(now) {
  const seen = new Map();
  const all = now.failures ?? [];
  showAllButton.hidden = all.length <= FEW_FAILURES;
  setText(showAllButton, state.showsAll ? "Show fewer" : `Show all ${all.length}`);
  fillTable("failures", all.slice(0, state.showsAll ? all.length : FEW_FAILURES).map((failure) => {
    const base = `${failure.time_ms} ${failure.request_id ?? ""} ${failure.client ?? ""} ${failure.method ?? ""} ${failure.path ?? ""}`;
    const nth = seen.get(base) ?? 0;
    seen.set(base, nth + 1);
    const reason = reasons.get(failure.reason);
    const where = [failure.host, failure.route && `route ${routeName(failure.route)}`].filter(Boolean).join(" · ");
    return {
      key: `${base} ${nth}`,
      cells: [
        { text: clock.format(failure.time_ms), second: failure.time_ms < now.time_ms - 86_400_000 ? day.format(failure.time_ms) : "" },
        { text: failure.status ?? "–", tone: failure.status >= 500 ? "bad" : "warn" },
        reason ? { text: failure.reason, details: `${reason.meaning} ${reason.remedy}` } : { text: failure.reason ?? "", code: true },
        { text: [failure.method, failure.path].filter(Boolean).join(" ") || "–", code: true, second: where },
        failure.duration_us === undefined ? "" : taken(failure.duration_us),
        failure.upstream ?? "",
        failure.client ?? "",
        { text: failure.request_id ?? "", code: true },
      ],
    };
  }));
}

const daysLeft = (certificate, now) => Math.floor((certificate.expires_ms - now.time_ms) / 86_400_000);

function showCertificates(now) {
  const sorted = (now.certificates ?? []).toSorted((one, other) => one.expires_ms - other.expires_ms);
  fillTable("certificates", sorted.map((certificate, nth) => {
    const days = daysLeft(certificate, now);
    const left = days < 0 ? { text: "expired", tone: "bad", sign: "✕" }
      : { text: plural(days, "day", "days"), tone: days < CERTIFICATE_DAYS ? "warn" : undefined, sign: days < CERTIFICATE_DAYS ? "▲" : undefined };
    return { key: `${certificate.name} ${nth}`, cells: [certificate.name, day.format(certificate.expires_ms), left] };
  }));
}

function showRates({ now, before }) {
  const pick = (snapshot) => snapshot.rates;
  const refused = growth(before, now, pick, (rate) => rate.name, (rate) => rate.refused ?? 0);
  const held = growth(before, now, pick, (rate) => rate.name, (rate) => rate.held ?? 0);
  fillTable("rates", (now.rates ?? []).map(({ name }) => {
    const count = refused.get(name);
    return { key: name, cells: [name, { text: whole.format(count), tone: count > 0 ? "warn" : undefined }, whole.format(held.get(name))] };
  }));
}

function showPools(now) {
  fillTable("pools", (now.pools ?? []).map(({ name, running = 0, queued = 0, refused = 0 }) => ({
    key: name, cells: [name, whole.format(running), whole.format(queued), { text: whole.format(refused), tone: refused > 0 ? "warn" : undefined }],
  })));
}

function showApps(now) {
  const apps = now.apps ?? [];
  find("apps").hidden = apps.length === 0;
  const tones = { ready: "good", running: "good", up: "good" };
  fillTable("apps", apps.flatMap((app) => {
    const instances = app.instances?.length ? app.instances : [{ state: "not started" }];
    return instances.map((instance, nth) => ({
      key: JSON.stringify([app.name, nth]),
      cells: [app.name, { text: instance.state, tone: tones[instance.state] ?? "warn" },
        instance.process ? { text: instance.process, second: instance.address ?? "" } : "–", nth === 0 ? whole.format(app.restarts ?? 0) : ""],
    }));
  }));
}

// --- What an operator should look at first ---

// Several certificates or workers are one point: a point for each would hide the others among them.

function addCertificates(now, add) {
  const all = (now.certificates ?? []).map((certificate) => ({ name: certificate.name, days: daysLeft(certificate, now) }));
  const expired = all.filter(({ days }) => days < 0);
  const expiring = all.filter(({ days }) => days >= 0 && days < CERTIFICATE_DAYS);
  if (expired.length === 1) add("certificates", `The certificate for ${expired[0].name} has expired`);
  if (expired.length > 1) add("certificates", `${expired.length} certificates have expired`);
  const first = plural(Math.min(...expiring.map(({ days }) => days)), "day", "days");
  if (expiring.length === 1) add("certificates", `The certificate for ${expiring[0].name} expires in ${first}`);
  if (expiring.length > 1) add("certificates", `${expiring.length} certificates expire within ${CERTIFICATE_DAYS} days, the first in ${first}`);
}

function addWorkers(now, add) {
  const silent = (now.workers ?? []).filter((worker) => worker.delay_us === undefined);
  const late = (now.workers ?? []).filter((worker) => worker.delay_us > SLOW_LOOP_US);
  if (silent.length === 1) add("workers", `Worker ${silent[0].id} does not answer`);
  if (silent.length > 1) add("workers", `${silent.length} workers do not answer`);
  const most = duration(Math.max(...late.map((worker) => worker.delay_us)));
  if (late.length === 1) add("workers", `Worker ${late[0].id} is late by ${most}`);
  if (late.length > 1) add("workers", `${late.length} workers are late, by up to ${most}`);
}

function showAttention(minute) {
  const { now } = minute;
  const points = [];
  const add = (target, text) => points.push({ target, text });
  const last = (now.reloads ?? []).at(-1);
  if (last && last.outcome !== "applied") add("reloads", `The last reload was refused, at ${clock.format(last.time_ms)}`);
  const out = serversOf(now).filter(({ state: word }) => word === "paused" || word === "unhealthy");
  if (out.length === 1) add("upstreams", `${out[0].address} of ${out[0].upstream.name} is ${out[0].state}`);
  if (out.length > 1) add("upstreams", `${out.length} servers of upstreams are paused or unhealthy`);
  addCertificates(now, add);
  const routes = routesBetween(minute.before, now);
  const count = (digit) => routes.reduce((sum, route) => sum + (route.classes[digit] ?? 0), 0);
  const all = routes.reduce((sum, route) => sum + route.count, 0);
  if (all > 0 && count(5) / all >= 0.01) add("failing", `${percent(count(5) / all)} of the last minute’s requests got a 5xx`);
  addWorkers(now, add);
  if (now.log_lost > 0) add("process", `${plural(now.log_lost, "line", "lines")} of the log lost`);
  const { open_fds, max_fds } = now.process ?? {};
  if (max_fds && open_fds / max_fds > 0.8) add("process", "Descriptors are running out");
  const list = find("attention-list");
  const told = JSON.stringify(points);
  if (list.dataset.told === told) return;
  list.dataset.told = told;
  find("attention").hidden = points.length === 0;
  list.replaceChildren(...points.map(({ target, text }) => html("li", {}, html("a", { href: `#${target}` }, text))));
}

keepRoles();
setState("connecting");
connect();

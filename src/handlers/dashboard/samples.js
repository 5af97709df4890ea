// What two snapshots say together: rates, percentiles, and how it was in the last five minutes. Pure: knows
// neither the page nor the clock.
//
// The server sends totals since it started. A Past keeps what happened between two snapshots as a sample, one a
// second, and every few seconds a whole snapshot, against which "the last minute" is computed.

const PAST_SECONDS = 300;
// Samples are a second apart; a slow connection may bring fewer, never more.
const MAX_SAMPLES = 300;
const ANCHOR_MS = 5000;
const MINUTE_MS = 60_000;
// Percentiles of one second jump about where a hundred requests come in it.
const LATENCY_MS = 10_000;

class Past {
  constructor() {
    this.clear();
  }

  clear() {
    this.last = null;
    this.samples = [];
    this.anchors = [];
  }

  // Takes a snapshot. Returns whether it is of another process than the one before.
  take(snapshot) {
    const before = this.last;
    const restarted = before !== null && isOther(before, snapshot);
    if (restarted) this.clear();
    if (this.last !== null) {
      const seconds = (snapshot.time_ms - before.time_ms) / 1000;
      if (seconds > 0) this.samples.push(sampleOf(before, snapshot, seconds));
      // The clock of the server was set back: what came before cannot be placed any more.
      if (seconds < 0) this.samples = [];
    }
    this.last = snapshot;
    const now = snapshot.time_ms;
    if (this.anchors.some((anchor) => anchor.time_ms > now)) this.anchors = [];
    const anchor = this.anchors.at(-1);
    if (!anchor || now - anchor.time_ms >= ANCHOR_MS) this.anchors.push(snapshot);
    const isPast = (item, most) => now - item.time_ms > most;
    while (this.samples.length > MAX_SAMPLES || (this.samples.length && isPast(this.samples[0], PAST_SECONDS * 1000))) {
      this.samples.shift();
    }
    // One that is a minute old is needed, those before it are not.
    while (this.anchors.length > 1 && isPast(this.anchors[1], MINUTE_MS)) this.anchors.shift();
    return restarted;
  }

  // The snapshot of a minute ago, or the oldest that there is.
  get minuteAgo() {
    return this.anchors[0] ?? null;
  }

  // The percentiles of the seconds before a sample.
  latency(sample) {
    if (!sample.latency) {
      const end = sample.time_ms;
      const recent = this.samples.filter((one) => one.time_ms <= end && one.time_ms > end - LATENCY_MS);
      const buckets = sumOf(recent.map((one) => one.buckets));
      sample.latency = [0.5, 0.9, 0.99].map((part) => percentile(buckets, sample.bounds, part));
    }
    return sample.latency;
  }
}

// Whether the later snapshot is of another process: totals never fall.
function isOther(before, after) {
  return before.started_ms !== after.started_ms || before.process_id !== after.process_id ||
    (after.requests ?? 0) < (before.requests ?? 0);
}

// What happened between two snapshots.
function sampleOf(before, after, seconds) {
  const classes = {};
  for (const { class: digit, count } of after.series ?? []) classes[digit] = (classes[digit] ?? 0) + count;
  for (const { class: digit, count } of before.series ?? []) classes[digit] = (classes[digit] ?? 0) - count;
  for (const digit in classes) classes[digit] = Math.max(0, classes[digit]) / seconds;
  const open = after.connections ?? {};
  const idle = Math.min(open.idle ?? 0, open.http ?? 0);
  return {
    time_ms: after.time_ms,
    // Whether the line breaks before this sample: nothing came for a while.
    gap: seconds > 4,
    rate: Math.max(0, (after.requests ?? 0) - (before.requests ?? 0)) / seconds,
    classes,
    buckets: differenceOf(sumOf((after.series ?? []).map(bucketsOf)), sumOf((before.series ?? []).map(bucketsOf))),
    bounds: after.bounds_us ?? [],
    connections: { active: (open.http ?? 0) - idle, idle, tunnel: open.tunnel ?? 0, stream: open.stream ?? 0 },
    knowsIdle: open.idle !== undefined,
    cpu: ((after.process?.cpu_us ?? 0) - (before.process?.cpu_us ?? 0)) / 1e6 / seconds,
    latency: null,
  };
}

// The sample that is nearest to a time; null if there is none.
function nearest(samples, time) {
  const distance = (sample) => Math.abs(sample.time_ms - time);
  return samples.reduce((best, sample) => best && distance(best) <= distance(sample) ? best : sample, null);
}

const bucketsOf = (series) => series.buckets ?? [];

function sumOf(lists) {
  const sum = [];
  for (const list of lists) {
    for (let place = 0; place < list.length; place++) sum[place] = (sum[place] ?? 0) + list[place];
  }
  return sum;
}

const differenceOf = (after, before) => after.map((value, place) => Math.max(0, value - (before[place] ?? 0)));

// The time in microseconds within which this part of the requests ended, about: within a bucket they count as spread
// evenly. `over`: it lies in the bucket that has no upper bound. `null`: there are no requests.
function percentile(buckets, bounds, part) {
  const count = buckets.reduce((sum, bucket) => sum + bucket, 0);
  if (count === 0) return null;
  let left = count * part;
  for (let place = 0; place < buckets.length; place++) {
    if (left <= buckets[place] && buckets[place] > 0) {
      const low = place > 0 ? bounds[place - 1] : 0;
      if (place >= bounds.length) return { us: low, over: true };
      return { us: low + (bounds[place] - low) * (left / buckets[place]), over: false };
    }
    left -= buckets[place];
  }
  return { us: bounds.at(-1) ?? 0, over: true };
}

// What each route did between two snapshots: those where a request has ended.
function routesBetween(before, after) {
  const routes = new Map();
  const add = (snapshot, sign) => {
    for (const series of snapshot?.series ?? []) {
      const key = JSON.stringify([series.server, series.route]);
      const route = routes.get(key) ?? { key, server: series.server, route: series.route, count: 0, classes: {}, buckets: [] };
      route.count += sign * series.count;
      route.classes[series.class] = (route.classes[series.class] ?? 0) + sign * series.count;
      bucketsOf(series).forEach((bucket, place) => { route.buckets[place] = (route.buckets[place] ?? 0) + sign * bucket; });
      routes.set(key, route);
    }
  };
  add(after, 1);
  if (before !== after) add(before, -1);
  return [...routes.values()].filter((route) => route.count > 0);
}

// How much a named total grew between two snapshots: `pick` gives the rows of one, `name` and `value` of a row.
function growth(before, after, pick, name, value) {
  const old = new Map((pick(before) ?? []).map((row) => [name(row), value(row)]));
  // What a reload has brought counts from nothing, and what has begun anew from there.
  return new Map((pick(after) ?? []).map((row) => [name(row), Math.max(0, value(row) - (old.get(name(row)) ?? 0))]));
}

// The key of a route with its letters decoded, as the configuration file may have them. What would mean something else
// there, or cannot be seen, or is no UTF-8, stays encoded.
function routeName(key) {
  return key.replace(/(?:%[0-9a-f]{2})+/gi, (run) => {
    try {
      return decodeURIComponent(run).replace(/[%/?#{}\s\p{C}\p{Z}]/gu, encodeURIComponent);
    } catch {
      return run;
    }
  });
}

// Numbers and times in words.
const whole = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
const fine = new Intl.NumberFormat("en", { maximumSignificantDigits: 2 });
const clock = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit", second: "2-digit" });
const day = new Intl.DateTimeFormat("en-GB", { year: "numeric", month: "short", day: "numeric" });

const number = (value) => value === 0 || value >= 10 ? whole.format(value) : fine.format(value);
const plural = (count, one, many) => `${whole.format(count)} ${count === 1 ? one : many}`;

function duration(us) {
  if (us < 1000) return `${number(us)} µs`;
  if (us < 1e6) return `${number(us / 1000)} ms`;
  return `${number(us / 1e6)} s`;
}

// How long an exchange took. One that was answered within a turn of the event loop counts as 0.
const taken = (us) => us === 0 ? "<1 ms" : duration(us);

const estimate = (value) => value === null ? "–" : (value.over ? "> " : "") + duration(value.us);

function octets(count) {
  for (const unit of ["B", "KiB", "MiB", "GiB", "TiB"]) {
    if (count < 1024 || unit === "TiB") return `${count < 10 && unit !== "B" ? count.toFixed(1) : whole.format(count)} ${unit}`;
    count /= 1024;
  }
}

function percent(part) {
  if (part > 0 && part < 0.001) return "< 0.1 %";
  return `${part > 0 && part < 0.1 ? (part * 100).toFixed(1) : whole.format(part * 100)} %`;
}

function age(seconds) {
  if (seconds < 60) return `${whole.format(seconds)} s`;
  if (seconds < 3600) return `${whole.format(seconds / 60)} min`;
  if (seconds < 2 * 86_400) return `${whole.format(Math.floor(seconds / 3600))} h ${whole.format(Math.floor(seconds % 3600 / 60))} min`;
  return `${whole.format(Math.floor(seconds / 86_400))} days`;
}

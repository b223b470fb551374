"use strict";
/* Fetches status.json every second and shows it. Its texts are set as text, never as markup: names of peers and messages are
 * foreign. */

const at = (id) => document.getElementById(id);
const POLL_MS = 1000, POLL_HIDDEN_MS = 5000, TIMEOUT_MS = 4000;
const HISTORY_SECONDS = 300;
const FIRST_ROWS = matchMedia("(max-width: 63.99rem)").matches ? 5 : 10;

const CODES = {
  bad_json: "not one JSON object in UTF-8, or a duplicate key: fix the sender",
  line_too_long: "longer than limits.max_line_bytes: fix the sender, or raise the limit",
  unknown_field: "a field that the record does not have: a typing error in the sender?",
  missing_field: "a required field is absent: fix the sender",
  bad_type: "a field of the wrong type: fix the sender",
  bad_value: "a field breaks its rule: the message says which",
  unknown_account: "no such ad account: send its hierarchy first",
  ambiguous_account: "reachable through several platform connections: send connectionId",
  unknown_ad_object: "no such object: send its hierarchy first, or set resolve.unknown_grace_ms",
  refused_by_database: "a constraint or trigger refused it: the message has the SQLSTATE",
  not_permitted: "its section does not permit the client to write this",
  id_conflict: "a different record is stored under this id and collectedAt",
};

const PAUSES = {
  database: "waits for the database",
  memory: "limits.memory_bytes is in use",
  spool: "the spool is full, or its disk fails",
  replies_unread: "does not read its replies",
  unknown_objects: "waits for ad objects not yet known",
  hierarchy: "waits for its own hierarchy lines",
  bad_rows: "a bad row is being isolated",
  client_limit: "a limit of its section is reached",
};

/* --- numbers as text --- */

const grouped = new Intl.NumberFormat("en-US", {maximumFractionDigits: 0});
const count = (n) => grouped.format(n);
const rate = (n) => (n > 0 && n < 10 ? n.toFixed(1) : count(n));
const percent = (part, whole) => {
  if (!whole) return "–";
  const share = 100 * part / whole;
  if (share > 0 && share < 0.1) return "< 0.1 %";
  if (share > 99.9 && share < 100) return "> 99.9 %";
  return `${share.toFixed(share > 0 && share < 10 || share > 99 && share < 100 ? 1 : 0)} %`;
};

function duration(s) {
  if (s === null || s === undefined) return "–";
  if (s < 0.0005) return "0 ms";
  if (s < 0.01) return `${(s * 1000).toFixed(1)} ms`;
  if (s < 1) return `${(s * 1000).toFixed(0)} ms`;
  if (s < 10) return `${s.toFixed(1)} s`;
  if (s < 60) return `${s.toFixed(0)} s`;
  const units = [[86400, "d"], [3600, "h"], [60, "min"], [1, "s"]];
  const first = units.findIndex(([seconds]) => s >= seconds);
  const [seconds, name] = units[first], [less, lesser] = units[first + 1];
  return `${Math.floor(s / seconds)} ${name} ${Math.floor(s % seconds / less)} ${lesser}`;
}

function bytes(n) {
  let unit = 0;
  while (n >= 1024 && unit < 4) { n /= 1024; unit++; }
  return `${n.toFixed(unit && n < 100 ? 1 : 0)} ${["bytes", "KiB", "MiB", "GiB", "TiB"][unit]}`;
}

const clock = (when) => new Date(when).toLocaleTimeString("en-GB");

/* --- small parts --- */

function put(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

function make(tag, className, text) {
  const element = document.createElement(tag);
  element.className = className ?? "";
  element.textContent = text ?? "";
  return element;
}

function word(element, text, kind) {
  put(element, text);
  element.className = `word ${kind}`;
}

function bar(element, share, warn) {
  element.classList.toggle("warn", warn);
  element.firstElementChild.style.width = `${Math.min(100, 100 * share)}%`;
}

/* Rows of cells, each {text, name, title}. Existing rows and cells are kept, so that a selection in them stays. Roles are
 * set explicitly, because a table that is laid out as cards loses its own. */
function fill(table, rows) {
  const columns = [...table.tHead.rows[0].cells], body = table.tBodies[0];
  table.hidden = rows.length === 0;
  while (body.rows.length > rows.length) body.lastElementChild.remove();
  while (body.rows.length < rows.length) {
    const row = body.insertRow();
    row.setAttribute("role", "row");
    columns.forEach((column, n) => {
      const cell = row.appendChild(make(n ? "td" : "th"));
      if (!n) cell.scope = "row";
      cell.setAttribute("role", n ? "cell" : "rowheader");
      cell.dataset.label = column.textContent;
    });
  }
  rows.forEach((cells, r) => cells.forEach(({text, name, title}, c) => {
    const cell = body.rows[r].cells[c];
    put(cell, text);
    cell.className = `${columns[c].className} ${name ?? ""}`.trim();
    if (title && cell.title !== title) cell.title = title;
  }));
}

/* A long table shows its first rows and a button for all. */
function fillFirst(table, rows) {
  let button = table.nextElementSibling?.matches("button.more") ? table.nextElementSibling : null;
  if (!button && rows.length > FIRST_ROWS) {
    button = make("button", "more");
    button.type = "button";
    button.setAttribute("aria-expanded", "false");
    button.setAttribute("aria-controls", table.id);
    button.addEventListener("click", () => {
      button.setAttribute("aria-expanded", String(button.getAttribute("aria-expanded") === "false"));
      show(last);
    });
    table.after(button);
  }
  const all = button?.getAttribute("aria-expanded") === "true";
  if (button) {
    button.hidden = rows.length <= FIRST_ROWS;
    put(button, all ? "Show fewer" : `Show all ${rows.length}`);
  }
  fill(table, all ? rows : rows.slice(0, FIRST_ROWS));
}

/* --- charts --- */

function svg(tag, attributes, parent) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  return parent ? parent.appendChild(element) : element;
}

/* The step between the axis' marks, of which some four reach @most. */
function niceStep(most, least) {
  const raw = Math.max(most / 4, least), power = 10 ** Math.floor(Math.log10(raw));
  return power * [1, 2, 2.5, 5, 10].find((n) => n * power >= raw * 0.999);
}

/* A line for each of @series ({name, label, area}), newest value at the right. The cursor is a slider over the picture:
 * pointer or arrow keys choose a moment, whose values the legend shows; otherwise it shows the newest. */
class Chart {
  constructor(figure, {series, format, least, nothing}) {
    Object.assign(this, {series, format, least, moment: null, end: 0, values: series.map(() => [])});
    const plot = figure.appendChild(make("div", "plot"));
    this.svg = svg("svg", {role: "img", "aria-label": figure.textContent.trim(), "aria-describedby": `${figure.id}-summary`}, plot);
    this.grid = svg("g", {}, this.svg);
    this.traces = series.map(({name, area}) => {
      const group = svg("g", {class: name}, this.svg);
      return {area: area && svg("path", {class: "area"}, group), line: svg("path", {class: "trace"}, group)};
    });
    this.line = svg("line", {class: "moment"}, this.svg);
    this.nothing = plot.appendChild(make("p", "nothing", nothing));
    this.cursor = plot.appendChild(make("div", "cursor"));
    this.cursor.tabIndex = 0;
    for (const [name, value] of Object.entries({role: "slider", "aria-label": "Moment", "aria-valuemin": 1 - HISTORY_SECONDS,
      "aria-valuemax": 0})) this.cursor.setAttribute(name, value);
    this.legend = figure.appendChild(make("ul", "legend"));
    this.labels = series.map(({name, label}) => {
      const item = this.legend.appendChild(make("li", name));
      const sample = svg("svg", {"aria-hidden": "true", viewBox: "0 0 27 11"}, item);
      svg("line", {class: "trace", x1: 1, x2: 26, y1: 6, y2: 6}, sample);
      item.append(" ", make("span", "", label), " ");
      return item.appendChild(make("b"));
    });
    this.when = this.legend.appendChild(make("li", "at"));
    this.listen();
    new ResizeObserver(() => this.draw()).observe(plot);
  }

  listen() {
    const move = (moment) => {
      this.moment = moment === null ? null : Math.max(1 - HISTORY_SECONDS, Math.min(0, moment));
      this.draw();
    };
    const keys = {ArrowLeft: -1, ArrowDown: -1, ArrowRight: 1, ArrowUp: 1, PageUp: 30, PageDown: -30, Home: -HISTORY_SECONDS, End: HISTORY_SECONDS};
    this.cursor.addEventListener("pointermove", (event) => move(Math.round((event.offsetX - this.right) / this.perSecond)));
    this.cursor.addEventListener("pointerleave", () => move(null));
    this.cursor.addEventListener("blur", () => move(null));
    this.cursor.addEventListener("keydown", (event) => {
      if (event.key === "Escape") move(null);
      if (!(event.key in keys)) return;
      event.preventDefault();
      move((this.moment ?? 0) + keys[event.key]);
    });
  }

  set(values, end) {
    this.values = values;
    this.end = end;
    this.draw();
  }

  draw() {
    const {width, height} = this.svg.getBoundingClientRect(), left = 52, top = 8, bottom = height - 20;
    if (width < left) return;
    this.right = width - 4;
    this.perSecond = (this.right - left) / (HISTORY_SECONDS - 1);
    const most = Math.max(0, ...this.values.flat().filter((v) => v !== null));
    const step = niceStep(most, this.least), steps = Math.max(1, Math.ceil(most / step - 0.001));
    const y = (v) => bottom - (bottom - top) * v / (steps * step);
    const x = (ago) => this.right - ago * this.perSecond;
    this.svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
    this.drawGrid(steps, step, x, y, left, bottom);
    this.values.forEach((values, n) => {
      const {area, line} = this.traces[n];
      line.setAttribute("d", path(values, x, y, false, bottom));
      area?.setAttribute("d", path(values, x, y, true, bottom));
    });
    this.nothing.hidden = most > 0;
    this.drawMoment(x, top, bottom);
  }

  drawGrid(steps, step, x, y, left, bottom) {
    this.grid.replaceChildren();
    for (let n = 0; n <= steps; n++) {
      svg("line", {class: "grid", x1: left, x2: this.right, y1: y(n * step), y2: y(n * step)}, this.grid);
      svg("text", {class: "axis", x: left - 8, y: y(n * step) + 4, "text-anchor": "end"}, this.grid).textContent =
        n ? this.format(n * step) : "0";
    }
    for (const minutes of [4, 3, 2, 1, 0])
      svg("text", {class: "axis", x: x(60 * minutes), y: bottom + 17, "text-anchor": minutes ? "middle" : "end"}, this.grid).textContent =
        minutes ? `−${minutes} min` : "now";
  }

  drawMoment(x, top, bottom) {
    const moment = this.moment ?? 0, when = clock(this.end + 1000 * moment);
    const shown = this.values.map((values) => this.text(values[values.length - 1 + moment]));
    this.line.setAttribute("visibility", this.moment === null ? "hidden" : "visible");
    for (const [name, value] of Object.entries({x1: x(-moment), x2: x(-moment), y1: top, y2: bottom})) this.line.setAttribute(name, value);
    this.labels.forEach((label, n) => put(label, shown[n]));
    put(this.when, this.end ? (this.moment === null ? "now" : `at ${when}`) : "");
    this.cursor.setAttribute("aria-valuenow", moment);
    this.cursor.setAttribute("aria-valuetext", `${when}: ${this.series.map(({label}, n) => `${label} ${shown[n]}`).join(", ")}`);
  }

  text(value) {
    return value === null || value === undefined ? "–" : this.format(value);
  }
}

/* @values as an SVG path; null leaves a gap, a lone value is a dot. As an area each stretch goes down to @bottom. */
function path(values, x, y, area, bottom) {
  let d = "", from = null;
  values.forEach((value, n) => {
    const here = x(values.length - 1 - n).toFixed(1);
    if (value !== null) {
      d += from === null ? (area ? `M${here} ${bottom}L${here} ${y(value).toFixed(1)}` : `M${here} ${y(value).toFixed(1)}h0`)
        : `L${here} ${y(value).toFixed(1)}`;
      from = here;
    }
    if (area && from !== null && (value === null || n === values.length - 1)) d += `L${value === null ? from : here} ${bottom}Z`;
    if (value === null) from = null;
  });
  return d;
}

/* A chart as a table: its latest values over some spans. */
class Spans {
  constructor(figure, columns, caption) {
    const details = figure.appendChild(make("details")), table = make("table");
    details.append(make("summary", "", "As a table"), table);
    table.append(make("caption", "for-readers", caption));
    const row = table.createTHead().insertRow();
    for (const [n, text] of ["Over the last", ...columns].entries()) {
      const cell = row.appendChild(make("th", n ? "number" : "", text));
      cell.scope = "col";
    }
    table.createTBody();
    this.table = table;
    this.summary = figure.appendChild(make("p", "for-readers"));
    this.summary.id = `${figure.id}-summary`;
  }

  set(columns, summary) {
    const spans = [[10, "10 seconds"], [60, "minute"], [HISTORY_SECONDS, "5 minutes"]];
    fill(this.table, spans.map(([seconds, text]) => [{text}, ...columns.map((column) => ({text: column(seconds)}))]));
    put(this.summary, summary);
  }
}

const lastOf = (values, seconds) => values.slice(-seconds).filter((v) => v !== null);
const mean = (values) => (values.length ? values.reduce((sum, v) => sum + v, 0) / values.length : 0);
const most = (values) => (values.length ? Math.max(...values) : null);

const rates = new Chart(at("rate"), {format: rate, least: 1, nothing: "Nothing arrived in the last five minutes",
  series: [{name: "stored", label: "stored", area: true}, {name: "received", label: "received"}, {name: "rejected", label: "rejected"}]});
const rateSpans = new Spans(at("rate"), ["received", "stored", "rejected", "most received"], "Records per second, on average");
const acks = new Chart(at("ack"), {format: duration, least: 0.0005, nothing: "No line was acked in the last five minutes",
  series: [{name: "p50", label: "half within", area: true}, {name: "p99", label: "99 % within"}]});
const ackSpans = new Spans(at("ack"), ["half within", "99 % within"], "Ack latency, the worst second of each span");

/* --- the daemon's state --- */

function describe(s) {
  if (s.state === "draining") return ["warn", "◐", "stopping"];
  if (!s.ready) return ["warn", "▲", "not ready"];
  return ["good", "●", "ready"];
}

/* No figure here changes each second: a screen reader reads out every change. */
function noticesOf(s) {
  const notices = [], away = s.database.state === "away";
  const meanwhile = !away ? "" : s.spool && s.spool.state !== "failing" ? "Good lines are spooled and acked from there."
    : "Clients are paused until the database is available again; nothing is dropped.";
  if (s.state === "draining")
    notices.push(["", "Stopping.", "The daemon accepts no new connection, settles what it has received, and exits."]);
  else if (!s.ready)
    notices.push(["bad", "Not ready.", `${s.notReadyReason ?? "The daemon gives no reason"}. ${meanwhile}`]);
  else if (away)
    notices.push(["", "The database is unavailable.", meanwhile]);
  if (s.spool?.state === "failing")
    notices.push(["bad", "The spool fails.", "It is full, or its disk fails: clients are paused. The log says which."]);
  if (s.spool?.state === "draining")
    notices.push(["", "The spool is being replayed.", "Its lines are stored in order of arrival, before newer ones."]);
  return notices;
}

function showNotices(notices) {
  const box = at("notices"), same = JSON.stringify(notices);
  if (box.dataset.shown === same) return;
  box.dataset.shown = same;
  box.replaceChildren(...notices.map(([kind, title, text]) => {
    const notice = make("p", `notice ${kind}`);
    notice.append(make("strong", "", title), " ", text);
    return notice;
  }));
}

function showState([kind, mark, text]) {
  at("state").className = kind;
  put(at("mark"), mark);
  put(at("word"), text);
}

function showNow(s) {
  const {rates: r, ackLatencySeconds: ack, connectionCounts: c} = s;
  put(at("now-window"), `, the mean of ${count(r.windowSeconds)} s`);
  put(at("f-received"), rate(r.received));
  put(at("f-bytes"), `${bytes(r.bytes)} per second`);
  put(at("f-stored"), rate(r.stored));
  put(at("f-duplicate"), r.spooled > 0 ? `and ${rate(r.spooled)} spooled` : `and ${rate(r.duplicate)} duplicate`);
  put(at("f-rejected"), rate(r.rejected));
  put(at("f-share"), r.received > 0 ? `${percent(r.rejected, r.received)} of what arrives` : "");
  put(at("f-ack"), duration(ack.p50));
  put(at("f-ack-most"), ack.p99 === null ? "no line was acked" : `99 % within ${duration(ack.p99)}`);
  put(at("f-flight"), count(s.lines.inFlight));
  put(at("f-memory"), `${bytes(s.memory.usedBytes)} buffered`);
  put(at("f-open"), count(c.open));
  put(at("f-paused"), `${c.paused > 0 ? `▮▮ ${count(c.paused)}` : "none"} paused, limit ${count(c.limit)}`);
  at("f-paused").classList.toggle("paused", c.paused > 0);
}

function showCharts(s) {
  const h = s.history, end = Date.parse(h.end);
  rates.set([h.stored, h.received, h.rejected], end);
  acks.set([h.ackP50, h.ackP99], end);
  const average = (values) => (seconds) => rate(mean(lastOf(values, seconds)));
  const worst = (values) => (seconds) => duration(most(lastOf(values, seconds)));
  rateSpans.set([average(h.received), average(h.stored), average(h.rejected), (n) => rate(most(lastOf(h.received, n)) ?? 0)],
    `In the last five minutes ${average(h.received)(HISTORY_SECONDS)} records per second were received on average, ${
      rate(most(h.received) ?? 0)} at most, ${average(h.rejected)(HISTORY_SECONDS)} rejected.`);
  ackSpans.set([worst(h.ackP50), worst(h.ackP99)],
    `In the worst second of the last five minutes half of the lines were acked within ${
      worst(h.ackP50)(HISTORY_SECONDS)}, 99 % within ${worst(h.ackP99)(HISTORY_SECONDS)}.`);
}

function showDatabase(d) {
  const kinds = {connected: ["● connected", "good"], connecting: ["◐ connecting", "warn"], away: [`✕ unavailable for ${duration(d.awaySeconds)}`, "bad"]};
  word(at("d-state"), ...(kinds[d.state] ?? [d.state, "warn"]));
  put(at("d-connections"), `${d.connected} of ${d.connections}`);
  put(at("d-reconnects"), count(d.reconnects));
  put(at("d-error"), d.lastError ?? "none");
  at("d-error").classList.toggle("wide", d.lastError !== null);
}

function showSpool(spool) {
  at("s-off").hidden = spool !== null;
  at("s-on").hidden = at("s-bar").hidden = spool === null;
  if (!spool) return;
  const kinds = {empty: ["● empty", "good"], filling: ["▲ filling", "warn"], draining: ["◐ replaying", "warn"], failing: ["✕ failing", "bad"]};
  word(at("s-state"), ...(kinds[spool.state] ?? [spool.state, "warn"]));
  put(at("s-lines"), count(spool.lines));
  put(at("s-oldest"), spool.oldestSeconds === null ? "–" : `${duration(spool.oldestSeconds)} old`);
  put(at("s-bytes"), `${bytes(spool.bytes)} of ${bytes(spool.maxBytes)}`);
  bar(at("s-bar"), spool.bytes / spool.maxBytes, spool.bytes > 0.8 * spool.maxBytes);
}

function showWrites(s) {
  const {batches: b, memory: m, cache: c} = s;
  put(at("b-written"), count(b.written));
  put(at("b-rows"), b.written ? count(b.rows / b.written) : "–");
  put(at("b-target"), `${count(b.targetRows)} rows, gap ${duration(b.gapSeconds)}`);
  put(at("b-p50"), duration(b.commitP50Seconds));
  put(at("b-p99"), duration(b.commitP99Seconds));
  put(at("m-used"), `${bytes(m.usedBytes)} of ${bytes(m.limitBytes)}`);
  bar(at("m-bar"), m.usedBytes / m.limitBytes, m.usedBytes > 0.8 * m.limitBytes);
  put(at("c-objects"), `${count(c.objects)} of ${count(c.limit)}`);
  put(at("c-ratio"), percent(c.hits, c.hits + c.misses));
}

const OUTCOMES = [["stored", "stored", "--good"], ["duplicate", "duplicate", "--blue"], ["spooled", "spooled", "--purple"],
  ["rejected", "rejected", "--bad"], ["inFlight", "in flight", "--warn"], ["empty", "empty", "--muted"]];

function showLines(lines) {
  const table = at("lines"), box = at("l-bar");
  const cell = (n) => [{text: count(n)}, {text: percent(n, lines.received)}];
  fill(table, [[{text: "received"}, ...cell(lines.received)],
    ...OUTCOMES.map(([key, text]) => [{text, name: "swatch"}, ...cell(lines[key])])]);
  OUTCOMES.forEach(([key, , colour], n) => {
    const part = box.children[n] ?? box.appendChild(document.createElement("i"));
    part.style.background = `var(${colour})`;
    part.style.width = `${lines.received ? 100 * lines[key] / lines.received : 0}%`;
    part.hidden = !lines[key];
    table.tBodies[0].rows[n + 1].cells[0].style.setProperty("--swatch", `var(${colour})`);
  });
}

function showRejects(s) {
  const codes = Object.entries(s.rejectsByCode).filter(([, n]) => n > 0).sort(([, a], [, b]) => b - a);
  at("codes-empty").hidden = codes.length > 0;
  fill(at("codes"), codes.map(([code, n]) => [{text: code, name: "code"}, {text: count(n)}, {text: CODES[code] ?? ""}]));
  at("refused-empty").hidden = s.latestRejects.length > 0;
  fillFirst(at("refused"), s.latestRejects.map((r) => [{text: clock(r.time), title: r.time}, {text: count(r.line)},
    {text: r.times > 1 ? `${r.code} × ${count(r.times)}` : r.code, name: "code"}, {text: r.field || "–"}, {text: r.message}, {text: `${r.connection}, ${r.peer}`}]));
}

function stateOf(c) {
  if (c.paused) return {text: `▮▮ paused: ${PAUSES[c.paused] ?? c.paused}`, name: "paused"};
  if (c.inFlight > 0) return {text: "▸ flowing", name: "flowing"};
  return {text: `idle for ${duration(c.idleSeconds)}`, name: "muted"};
}

function showConnections(s) {
  const sorted = [...s.connections].sort((a, b) => Boolean(b.paused) - Boolean(a.paused) || a.number - b.number);
  at("connections").classList.toggle("one-worker", s.workers < 2);
  at("connections-empty").hidden = sorted.length > 0;
  at("connections-more").hidden = sorted.length >= s.connectionCounts.open;
  put(at("connections-more"), `Of ${count(s.connectionCounts.open)} connections, the ${count(sorted.length)} with the oldest lines are shown.`);
  fillFirst(at("connections"), sorted.map((c) => [{text: String(c.number)}, {text: c.peer, title: c.version ? `version ${c.version}` : undefined}, stateOf(c), {text: duration(c.lagSeconds)},
    ...[c.lines, c.stored, c.duplicate, c.rejected, c.spooled, c.inFlight].map((n) => ({text: count(n)})),
    {text: duration(c.connectedSeconds)}, {text: String(c.worker)}]));
}

function showClients(s) {
  at("clients-section").hidden = s.clients.length === 0;
  fillFirst(at("clients"), s.clients.map((c) => [{text: c.name},
    ...[c.connections, c.lines, c.stored, c.duplicate, c.rejected, c.spooled].map((n) => ({text: count(n)}))]));
}

function show(s) {
  showState(describe(s));
  showNotices(noticesOf(s));
  put(at("facts"), [`version ${s.version}`, `up ${duration(s.uptimeSeconds)}`, `process ${s.pid}`,
    s.workers === 1 ? "1 worker" : `${s.workers} workers`].join(" · "));
  at("facts").title = `started at ${s.startedAt}`;
  showNow(s);
  showCharts(s);
  showDatabase(s.database);
  showSpool(s.spool);
  showWrites(s);
  showLines(s.lines);
  showRejects(s);
  showConnections(s);
  showClients(s);
  document.title = `${s.ready && s.state === "running" ? "" : `${describe(s)[2]}, `}${rate(s.rates.received)}/s, boris-ingestd`;
}

/* --- polling --- */

let last = null;      /* the latest answer */
let lastTime = null;  /* and when it came */
let held = false;
let timer = 0;

function showFailure(why) {
  showState(["bad", "✕", "not reachable"]);
  showNotices([["bad", "The daemon cannot be reached.", `${lastTime ? `Showing data from ${clock(lastTime)}. ` : ""}${
    why} Is it running? systemctl status boris-ingestd`]]);
  document.title = "not reachable, boris-ingestd";
}

async function ask() {
  let answer;
  try {
    const response = await fetch("status.json", {cache: "no-store", signal: AbortSignal.timeout(TIMEOUT_MS)});
    if (!response.ok) throw new Error(`The daemon answers with status ${response.status}.`);
    answer = await response.json();
  } catch (error) {
    if (!held)
      showFailure(error.name === "TimeoutError" ? "The daemon does not respond." : error.message.startsWith("The daemon answers") ? error.message : "");
    return;
  }
  if (held) return;
  last = answer;
  lastTime = Date.now();
  show(answer);
  put(at("asked"), `As of ${clock(lastTime)}`);
}

async function poll() {
  clearTimeout(timer);
  if (!held) await ask();
  clearTimeout(timer);
  timer = setTimeout(poll, document.hidden ? POLL_HIDDEN_MS : POLL_MS);
}

at("hold").addEventListener("click", () => {
  held = !held;
  at("hold").setAttribute("aria-pressed", String(held));
  put(at("asked"), held ? `Held at ${clock(Date.now())}` : "");
  if (!held) poll();
});
document.addEventListener("visibilitychange", () => { if (!document.hidden) poll(); });
for (const table of document.querySelectorAll("table")) {
  table.setAttribute("role", "table");
  for (const part of table.querySelectorAll("thead, tbody")) part.setAttribute("role", "rowgroup");
  for (const row of table.querySelectorAll("thead tr")) row.setAttribute("role", "row");
  for (const cell of table.querySelectorAll("thead th")) cell.setAttribute("role", "columnheader");
}
poll();

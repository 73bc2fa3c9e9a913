"use strict";
// The query box: form -> /api/v1/query or query_range -> a table or a chart. The form's state lies behind the # of the address.

const form = document.getElementById("form");
const said = document.getElementById("said");
const table = document.getElementById("table");
const chart = document.getElementById("chart");
const legend = document.getElementById("legend");
const MAX_ROWS = 1000;
const MAX_LINES = 50;
const POINTS = 250;

function seconds(duration) {
  const units = { ms: 0.001, s: 1, m: 60, h: 3600, d: 86400, w: 604800, y: 31536000 };
  let sum = 0;
  for (const [, n, unit] of duration.matchAll(/(\d+)(ms|[smhdwy])/g)) sum += n * units[unit];
  return sum;
}

function nameOf(metric) {
  const labels = Object.keys(metric).filter((k) => k !== "__name__").sort();
  const text = labels.map((k) => `${k}=${JSON.stringify(metric[k])}`).join(", ");
  return (metric.__name__ || "") + (text || !metric.__name__ ? `{${text}}` : "");
}

function valueOf(sample) {
  return typeof sample[1] === "object" ? `count ${sample[1].count}, sum ${sample[1].sum}` : sample[1];
}

function say(text, kind) {
  said.textContent = text;
  said.className = kind;
}

function addRow(cells) {
  const row = table.insertRow();
  cells.forEach((text, i) => {
    const cell = row.insertCell();
    cell.textContent = text;
    if (i > 0) cell.className = "value";
  });
}

function showTable(data) {
  if (data.resultType === "scalar" || data.resultType === "string") {
    addRow([data.resultType, valueOf(data.result)]);
    return;
  }
  for (const s of data.result.slice(0, MAX_ROWS)) {
    const samples = s.values || s.histograms || [s.value || s.histogram];
    const values = s.value || s.histogram ? [valueOf(samples[0])] : samples.map((x) => `${valueOf(x)} @${x[0]}`);
    addRow([nameOf(s.metric), values.join("\n")]);
  }
}

// 1234567 -> 1.235M
function short(v) {
  const units = ["", "k", "M", "G", "T", "P"];
  let i = 0;
  for (; Math.abs(v) >= 1000 && i < units.length - 1; i++) v /= 1000;
  return Number(v.toPrecision(4)) + units[i];
}

function colour(i) {
  return `hsl(${(i * 137.5) % 360} 65% 50%)`;
}

function showChart(series, start, end) {
  chart.hidden = false;
  const ratio = window.devicePixelRatio || 1;
  const width = (chart.width = chart.clientWidth * ratio);
  const height = (chart.height = chart.clientHeight * ratio);
  const c = chart.getContext("2d");
  const lines = series.slice(0, MAX_LINES).map((s) => (s.values || []).map(([t, v]) => [t, Number(v)]));
  const finite = lines.flat().map((p) => p[1]).filter(Number.isFinite);
  let least = Infinity, most = -Infinity;
  for (const v of finite) {
    least = Math.min(least, v);
    most = Math.max(most, v);
  }
  if (!finite.length) return;
  if (least === most) {
    least -= Math.abs(least) / 10 || 1;
    most += Math.abs(most) / 10 || 1;
  }
  const left = 70 * ratio, bottom = height - 20 * ratio;
  const x = (t) => left + ((t - start) / (end - start || 1)) * (width - left - 5 * ratio);
  const y = (v) => bottom - ((v - least) / (most - least)) * (bottom - 8 * ratio);
  c.font = `${11 * ratio}px sans-serif`;
  c.fillStyle = c.strokeStyle = getComputedStyle(document.body).color;
  c.lineWidth = ratio / 4;
  for (let i = 0; i <= 5; i++) {
    const v = least + ((most - least) * i) / 5;
    const t = start + ((end - start) * i) / 5;
    c.textAlign = "right";
    c.fillText(short(v), left - 6 * ratio, y(v) + 4 * ratio);
    c.textAlign = i === 5 ? "right" : "center";
    c.fillText(new Date(t * 1000).toLocaleTimeString(), x(t), height - 4 * ratio);
    c.beginPath();
    c.moveTo(left, y(v));
    c.lineTo(width, y(v));
    c.stroke();
  }
  const step = Math.max((end - start) / POINTS, stepOf(start, end)) * 1.5;
  c.lineWidth = 1.5 * ratio;
  lines.forEach((points, i) => {
    c.strokeStyle = c.fillStyle = colour(i);
    c.beginPath();
    points.forEach(([t, v], k) => {
      if (!Number.isFinite(v)) return;
      const joined = k > 0 && Number.isFinite(points[k - 1][1]) && t - points[k - 1][0] <= step;
      if (joined) c.lineTo(x(t), y(v));
      else c.moveTo(x(t), y(v));
      if (!joined) c.fillRect(x(t) - ratio, y(v) - ratio, 2 * ratio, 2 * ratio);
    });
    c.stroke();
    const item = legend.appendChild(document.createElement("li"));
    item.appendChild(document.createElement("span")).style.background = colour(i);
    item.append(nameOf(series[i].metric));
  });
}

function stepOf(start, end) {
  return seconds(form.step.value) || Math.max(1, Math.ceil((end - start) / POINTS));
}

async function evaluate() {
  const end = form.end.value ? Date.parse(form.end.value) / 1000 : Date.now() / 1000;
  const start = end - (seconds(form.range.value) || 3600);
  const inChart = form.show.value === "chart";
  const params = new URLSearchParams({
    query: form.expr.value, dedup: form.dedup.checked, partial_response: form.partial.checked,
  });
  if (inChart) {
    params.set("start", start);
    params.set("end", end);
    params.set("step", stepOf(start, end));
  } else {
    params.set("time", end);
  }
  location.hash = new URLSearchParams([...new FormData(form)]);
  say("...", "");
  const began = performance.now();
  const answer = await fetch(`${form.dataset.prefix}/api/v1/${inChart ? "query_range" : "query"}`, { method: "POST", body: params });
  const body = await answer.json();
  table.replaceChildren();
  legend.replaceChildren();
  chart.hidden = true;
  if (body.status !== "success") throw new Error(`${body.errorType}: ${body.error}`);
  const found = Array.isArray(body.data.result) && body.data.resultType !== "scalar" && body.data.resultType !== "string" ? body.data.result : [];
  const notes = [...(body.warnings || []), ...(body.infos || [])];
  const shown = inChart ? MAX_LINES : MAX_ROWS;
  const took = `${found.length} series, ${Math.round(performance.now() - began)} ms`;
  say([found.length > shown ? `${took}, the first ${shown} are shown` : took, ...notes].join("\n"), notes.length ? "warning" : "");
  if (inChart) showChart(found, start, end);
  else showTable(body.data);
}

function run(event) {
  if (event) event.preventDefault();
  if (form.expr.value.trim()) evaluate().catch((e) => say(String(e.message || e), "error"));
}

form.addEventListener("submit", run);
form.show.addEventListener("change", run);
form.expr.addEventListener("keydown", (e) => {
  if (e.key === "Enter" && e.ctrlKey) run(e);
});
const given = new URLSearchParams(location.hash.slice(1));
if (given.has("expr")) {
  for (const field of form.elements) {
    if (field.type === "checkbox") field.checked = given.has(field.name);
    else if (given.has(field.name)) field.value = given.get(field.name);
  }
  run();
}

"use strict";
// Numbers of a signal report as headline, three charts and a table. Names of layers are only ever
// set as text nodes, and escaped where Plotly would read markup.

const data = JSON.parse(document.getElementById("data").textContent);
const byId = (id) => document.getElementById(id);
const plain = (text) => text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
const dark = matchMedia("(prefers-color-scheme: dark)");
const place = data.name.map((_, at) => at);

function make(tag, name, ...children) {
  const element = document.createElement(tag);
  if (name) element.className = name;
  element.append(...children);
  return element;
}

function short(value) {
  if (value === null) return "–";
  if (value === 0) return "0";
  const size = Math.abs(value);
  const exponent = Math.floor(Math.log10(size));
  if (size >= 1e-3 && size < 1e4) return value.toFixed(Math.max(0, 2 - exponent));
  return value.toExponential(1).replace("e+", "e");
}

// Header

const STILL = 0.02; // ln of the length for each layer: the drift a healthy start stays below

function factor(drift) {
  return drift === null ? "–" : `×${short(Math.exp(drift))}`;
}

function verdict(drift) {
  if (drift === null) return "断了";
  if (Math.abs(drift) < STILL) return "守住了长度";
  return drift < 0 ? "一层层变弱" : "一层层变大";
}

function showHeader() {
  const strong = (text) => make("b", "", text);
  const [ahead, back] = [data.forward_drift, data.backward_drift];
  byId("headline").append(
    "每过一层，信号 ", strong(factor(ahead)), "，", verdict(ahead),
    "；梯度 ", strong(factor(back)), "，", verdict(back),
  );
  byId("sources").textContent = `${data.model} · ${data.examples} 个样本`;
  const last = data.name.length - 1;
  const end = data.through[last] ?? [null, null, null];
  tile("张量 tensors", String(data.name.length));
  tile("信号：末层比首层", ratio(data.forward[last], data.forward[0]), Math.abs(ahead ?? 1) < STILL);
  tile("梯度：首层比末层", ratio(data.backward[0], data.backward[last]), Math.abs(back ?? 1) < STILL);
  tile("末层最大奇异值", short(end[2]));
  tile("末层中位奇异值", short(end[1]));
}

function ratio(a, b) {
  return a === null || b === null || b === 0 ? "–" : `×${short(a / b)}`;
}

function tile(label, value, good) {
  byId("tiles").append(make("div", good ? "tile good" : "tile", make("span", "", label), make("strong", "", value)));
}

// Table

function showTable() {
  const body = document.querySelector("#signal-table tbody");
  for (const at of place) {
    const numbers = [data.forward[at], data.scale[at], data.backward[at], ...data.own[at], ...data.through[at]];
    const cells = [data.name[at], data.kind[at], data.shape[at], ...numbers.map(short)];
    body.append(make("tr", "", ...cells.map((cell) => make("td", "", cell))));
  }
}

// Charts

function layout(more) {
  const family = getComputedStyle(document.body).fontFamily;
  return {
    font: { family, size: 13, color: colour("--ink") },
    paper_bgcolor: "rgba(0,0,0,0)",
    plot_bgcolor: "rgba(0,0,0,0)",
    margin: { l: 10, r: 14, t: 30, b: 10 },
    height: 330,
    hovermode: "x unified",
    hoverlabel: { bgcolor: colour("--card"), bordercolor: colour("--line"), font: { family, size: 13, color: colour("--ink") } },
    legend: { orientation: "h", x: 0, xanchor: "left", y: 1.02, yanchor: "bottom", traceorder: "normal" },
    xaxis: layers(),
    ...more,
  };
}

function axis(more) {
  return {
    gridcolor: colour("--line"), linecolor: colour("--line"), zeroline: false, fixedrange: true, automargin: true,
    tickfont: { size: 12, color: colour("--quiet") }, ...more,
  };
}

// Few layers stand under the axis by name, many by number; the names are in the labels that hover.
function layers() {
  const many = place.length > 9 || data.name.some((name) => name.length > 14);
  const names = { tickvals: place, ticktext: data.name.map(plain) };
  const title = { text: "层 layer", font: { size: 12, color: colour("--quiet") }, standoff: 8 };
  return axis({ showgrid: false, range: [-0.4, place.length - 0.6], ...(many ? { title, tickformat: "d" } : names) });
}

// A power of ten, not 100μ or 10f; two ticks at least, however flat the line.
function lengths(values, bottom) {
  const seen = values.filter((value) => value !== null && value > 0);
  const top = Math.log10(Math.max(...seen));
  const low = bottom ?? Math.log10(Math.min(...seen));
  const room = Math.max(0.08 * (top - low), 0.3);
  const span = top - low + 2 * room;
  const dtick = span > 3 ? Math.ceil(span / 8) : undefined;
  return axis({
    type: "log", range: [low - (bottom === undefined ? room : 0), top + room], exponentformat: "power", dtick,
    ...(dtick ? {} : { tickvals: [1, 2, 5].flatMap((m) => [-4, -3, -2, -1, 0, 1, 2, 3, 4].map((e) => m * 10 ** e)) }),
  });
}

function line(name, values, shade, more) {
  return {
    type: "scatter", mode: place.length > 30 ? "lines" : "lines+markers", name, x: place, y: values,
    line: { color: colour(shade), width: 2.4 }, marker: { size: 6 }, ...more,
  };
}

const CONFIG = { displayModeBar: false, responsive: true };

function drawLengths() {
  const texts = data.name.map((name, at) => `${plain(name)} · ${plain(data.kind[at])}`);
  const traces = [
    line("信号 signal", data.forward, "--accent", { text: texts, hovertemplate: "%{text}<br>信号 %{y:.3~g}<extra></extra>" }),
    line("梯度 gradient", data.backward, "--second", { hovertemplate: "梯度 %{y:.3~g}<extra></extra>" }),
  ];
  Plotly.react("length-chart", traces, layout({ yaxis: lengths([...data.forward, ...data.backward]) }), CONFIG);
}

// The axis ends a decade below the least mean or median: what is smaller, zero even, stands on its
// edge. Half the units of a ReLU layer are off, so that its median is one of the off ones or not.
function drawSpectrum(key) {
  const id = `${key}-chart`;
  const [least, middle, most] = [0, 1, 2].map((k) => data[key].map((three) => three[k]));
  const mean = data[`${key}_typical`];
  const seen = [...middle, ...mean, ...most].filter((value) => value !== null && value > 0);
  byId(id).hidden = !seen.length;
  if (!seen.length) return false;
  const bottom = Math.floor(Math.log10(Math.min(...seen))) - 1;
  const shown = (list) => list.map((value) => (value === null ? null : Math.max(value, 10 ** bottom)));
  const edge = { mode: "lines", line: { width: 1, color: colour("--accent") }, showlegend: false };
  const traces = [
    line("最大 max", shown(most), "--accent", edge),
    line("最小 min", shown(least), "--accent", { ...edge, fill: "tonexty", fillcolor: `${colour("--accent")}2b` }),
    line("平均 mean", shown(mean), "--accent"),
    line("中位 median", shown(middle), "--second", { mode: "markers", marker: { size: 5, color: colour("--second") } }),
  ];
  [most, least, mean, middle].forEach((values, k) => {
    traces[k].customdata = values.map(short);
    traces[k].hovertemplate = `${traces[k].name} %{customdata}<extra></extra>`;
  });
  Plotly.react(id, traces, layout({ yaxis: lengths(seen, bottom), height: 300 }), CONFIG);
  return true;
}

function draw() {
  drawLengths();
  const drawn = [drawSpectrum("own"), drawSpectrum("through")];
  byId("spectra-note").textContent = drawn.some(Boolean)
    ? "很小的值，包括零，画在底边上。太大的张量没有求雅可比矩阵。"
    : "没有求雅可比矩阵：张量都比要求的大。";
}

showHeader();
showTable();
draw();
dark.addEventListener("change", draw);

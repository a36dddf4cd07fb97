"use strict";
// Charts as Python made them, in the colours of the page. Texts are only ever set as text nodes,
// and escaped where Plotly would read markup.

const data = JSON.parse(document.getElementById("data").textContent);
const byId = (id) => document.getElementById(id);
const plain = (text) => text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

function make(tag, name, text) {
  const element = document.createElement(tag);
  element.className = name;
  element.textContent = text;
  return element;
}

function showCards() {
  byId("headline").textContent = data.title;
  data.charts.forEach((chart, at) => {
    const card = make("section", "card", "");
    const box = make("div", "chart", "");
    box.id = `chart-${at}`;
    card.append(make("h2", "", chart.heading), make("p", "quiet", chart.note), box);
    byId("charts").append(card);
  });
}

// Plotly reads markup where these stand.
const WRITTEN = new Set(["name", "text", "ticktext", "hovertext"]);

// A copy of plain data with palette names replaced by colours, and what users wrote escaped.
function dressed(value, key) {
  if (Array.isArray(value)) return value.map((part) => dressed(part, key));
  if (value !== null && typeof value === "object") {
    return Object.fromEntries(Object.entries(value).map(([name, part]) => [name, dressed(part, name)]));
  }
  if (typeof value !== "string") return value;
  if (WRITTEN.has(key)) return plain(value);
  return value.startsWith("--") ? colour(value) : value;
}

function axis(more) {
  return {
    gridcolor: colour("--line"), linecolor: colour("--line"), zerolinecolor: colour("--line"),
    tickfont: { size: 12, color: colour("--quiet") },
    automargin: true,
    ...more,
    title: { ...more?.title, font: { size: 13, color: colour("--quiet") }, standoff: 10 },
  };
}

function layoutOf(chart) {
  const family = getComputedStyle(document.body).fontFamily;
  const given = dressed(chart.layout);
  return {
    ...given,
    font: { family, size: 13, color: colour("--ink") },
    paper_bgcolor: "rgba(0,0,0,0)",
    plot_bgcolor: "rgba(0,0,0,0)",
    margin: { l: 8, r: 8, t: given.showlegend === false ? 12 : 36, b: 8 },
    legend: { orientation: "h", x: 0, xanchor: "left", y: 1.02, yanchor: "bottom" },
    xaxis: axis(given.xaxis),
    yaxis: axis(given.yaxis),
    hoverlabel: {
      bgcolor: colour("--ink"), bordercolor: colour("--ink"), font: { family, size: 13, color: colour("--card") },
    },
  };
}

function drawCharts() {
  data.charts.forEach((chart, at) => {
    const config = { displayModeBar: false, responsive: true };
    Plotly.react(`chart-${at}`, dressed(chart.traces), layoutOf(chart), config);
  });
}

showCards();
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", drawCharts);

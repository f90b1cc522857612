// One case: plots that share one time axis and one cursor, frames at the cursor, keys.
// Time and panel live in the URL.
"use strict";

const STEP_S = 0.05;
const MARGIN = { l: 58, r: 14, t: 8, b: 24 };
const CONFIG = { displayModeBar: false, responsive: true, doubleClick: "reset" };
const STEPS = { ",": -1, ".": 1, "<": -10, ";": -10, ">": 10, ":": 10 }; // keys to move by, with Shift ten at once
const root = document.getElementById("case");
const dialog = document.getElementById("keys");
const place = new URL(location.href);

function colour(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
}

const state = {
  time: 0,
  length: root ? Number(root.dataset.length) : 0,
  panels: new Map(),
  sheets: [],
  range: null, // of the time axis, while it is zoomed
};

// ---- plots

function lines(panel) {
  return panel.series.map((one) => ({
    x: one.t_s,
    y: one.values,
    type: "scatter",
    mode: "lines",
    hoverinfo: "none",
    showlegend: false,
    connectgaps: false,
    name: `${one.who}, ${one.name}`,
    line: {
      color: colour(one.who),
      width: one.who === "candidate" ? 2 : 1.6,
      dash: one.dashed ? "dot" : one.who === "log" ? "dash" : "solid",
    },
    opacity: one.dashed ? 0.75 : 1,
  }));
}

function marks() {
  const upright = { xref: "x", yref: "paper", y0: 0, y1: 1 };
  const shapes = JSON.parse(root.dataset.incidents).map((incident) => ({
    ...upright,
    type: "rect",
    x0: incident.start_s,
    x1: Math.max(incident.end_s, incident.start_s + STEP_S),
    fillcolor: colour("fail"),
    opacity: 0.09,
    line: { width: 0 },
    layer: "below",
  }));
  if (root.dataset.failed) {
    const at = Number(root.dataset.instant);
    const line = { color: colour("fail"), width: 1.5, dash: "dash" };
    shapes.push({ ...upright, type: "line", x0: at, x1: at, line });
  }
  return shapes;
}

function layout() {
  const axis = {
    gridcolor: colour("grid"),
    zerolinecolor: colour("line"),
    linecolor: colour("line"),
    tickfont: { size: 11 },
  };
  return {
    margin: MARGIN,
    height: 168,
    hovermode: false,
    dragmode: "zoom",
    showlegend: false,
    shapes: marks(),
    paper_bgcolor: "rgba(0,0,0,0)",
    plot_bgcolor: "rgba(0,0,0,0)",
    font: { color: colour("soft"), family: "system-ui, sans-serif" },
    xaxis: { ...axis, range: state.range || [0, state.length], zeroline: false, ticksuffix: " s" },
    yaxis: { ...axis, fixedrange: true, nticks: 5, automargin: false },
  };
}

function draw() {
  for (const { plot, panel } of state.panels.values()) {
    Plotly.react(plot, lines(panel), layout(), CONFIG);
  }
  place_cursors();
}

function zoomed(from, event) {
  const low = event["xaxis.range[0]"];
  const high = event["xaxis.range[1]"];
  if (event["xaxis.autorange"]) state.range = null;
  else if (low === undefined) return;
  else {
    if (state.range && state.range[0] === low && state.range[1] === high) return;
    state.range = [low, high];
  }
  const shown = { "xaxis.range": state.range || [0, state.length] };
  for (const { plot } of state.panels.values()) Plotly.relayout(plot, shown);
  place_cursors();
}

function time_at(plot, event) {
  const axis = plot._fullLayout.xaxis;
  const x = event.clientX - plot.getBoundingClientRect().left - axis._offset;
  return x < 0 || x > axis._length ? null : axis.p2l(x);
}

function place_cursors() {
  for (const { plot, cursor } of state.panels.values()) {
    const axis = plot._fullLayout.xaxis;
    const x = axis.l2p(state.time);
    cursor.hidden = x < 0 || x > axis._length;
    cursor.style.left = `${axis._offset + x}px`;
  }
}

// ---- readouts and frames

function value_at(one, time) {
  const found = one.t_s.findIndex((t) => Math.abs(t - time) <= STEP_S / 2 + 1e-6);
  return found < 0 ? null : one.values[found];
}

function short(value) {
  if (value === null) return "–";
  if (Math.abs(value) < 0.01 && value !== 0) return value.toExponential(1);
  return value.toFixed(Math.abs(value) < 10 ? 2 : 1);
}

function read_out() {
  for (const { section, panel } of state.panels.values()) {
    const box = section.querySelector(".readout");
    box.replaceChildren(...panel.series.filter((one) => !one.dashed).map((one) => {
      const item = document.createElement("span");
      const number = document.createElement("b");
      item.className = `who who-${one.who}`;
      number.textContent = short(value_at(one, state.time));
      item.append(number);
      return item;
    }));
  }
}

function show_frames() {
  for (const sheet of state.sheets) {
    const { box, detail } = sheet;
    if (!detail) continue;
    const wanted = Math.round(state.time * detail.rate_hz);
    const index = Math.max(0, Math.min(detail.count - 1, wanted));
    const rows = Math.ceil(detail.count / detail.columns);
    box.classList.toggle("gone", wanted > detail.count);
    box.style.backgroundSize = `${detail.columns * 100}% ${rows * 100}%`;
    const share = (i, n) => (n > 1 ? (100 * i) / (n - 1) : 0);
    const left = share(index % detail.columns, detail.columns);
    const top = share(Math.floor(index / detail.columns), rows);
    box.style.backgroundPosition = `${left}% ${top}%`;
  }
}

async function artifact(key, kind, told) {
  for (;;) {
    if (!document.hidden) {
      const answer = await fetch(`/v1/rollouts/${key}/artifacts/${kind}`, { method: "PUT" });
      const made = await answer.json();
      if (!answer.ok) return { status: "failed", error: made.detail };
      if (made.status !== "rendering") return made;
      told("rendering…");
    }
    await new Promise((resolve) => { setTimeout(resolve, 800); });
  }
}

async function load_sheet(figure) {
  const box = figure.querySelector(".frame");
  const text = box.querySelector("span");
  text.className = "pulse";
  text.textContent = "loading…";
  const tell = (word) => { text.textContent = word; };
  const made = await artifact(figure.dataset.key, figure.dataset.kind, tell);
  text.className = "";
  if (made.status === "failed") { text.textContent = made.error; return; }
  const image = new Image();
  image.src = made.url;
  await image.decode();
  box.style.aspectRatio = `${made.detail.tile_width} / ${made.detail.tile_height}`;
  box.style.backgroundImage = `url("${made.url}")`;
  text.textContent = "";
  box.dataset.ready = "1";
  state.sheets.push({ box, detail: made.detail });
  show_frames();
}

async function load_video(button) {
  const video = document.getElementById("comparison");
  button.disabled = true;
  const tell = () => { button.textContent = "Rendering…"; };
  const made = await artifact(root.dataset.candidate, "video", tell);
  if (made.status === "failed") { button.textContent = made.error; return; }
  video.src = made.url;
  video.hidden = false;
  button.hidden = true;
  video.addEventListener("timeupdate", () => { if (!video.paused) set_time(video.currentTime); });
}

// ---- time

let saved = 0;
function set_time(time) {
  state.time = Math.max(0, Math.min(state.length, Math.round(time / STEP_S) * STEP_S));
  document.getElementById("now").textContent = `${state.time.toFixed(2)} s`;
  document.getElementById("time").value = state.time;
  place_cursors();
  read_out();
  show_frames();
  clearTimeout(saved);
  saved = setTimeout(() => {
    place.searchParams.set("t", state.time.toFixed(2));
    history.replaceState(null, "", place);
  }, 200);
}

function choose(name) {
  for (const { section } of state.panels.values()) {
    section.classList.toggle("current", section.dataset.panel === name);
  }
  place.searchParams.set("panel", name);
  history.replaceState(null, "", place);
}

function wire(section, panel) {
  const plot = section.querySelector(".plot");
  const cursor = document.createElement("div");
  cursor.className = "cursor";
  plot.append(cursor);
  state.panels.set(panel.id, { section, plot, panel, cursor });
  let pressed = false;
  plot.addEventListener("pointerdown", () => { pressed = true; choose(panel.id); });
  window.addEventListener("pointerup", () => { pressed = false; });
  plot.addEventListener("pointermove", (event) => {
    const time = pressed ? null : time_at(plot, event);
    if (time !== null) set_time(time);
  });
}

function keys(event) {
  if (event.target.closest("input:not([type=range]), textarea, select")) return;
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const go = { j: "go-j", k: "go-k" }[event.key];
  if (go) document.getElementById(go)?.click();
  else if (event.key === "?") dialog.open ? dialog.close() : dialog.showModal();
  else if (root && event.key === "f") set_time(Number(root.dataset.instant));
  else if (root && event.key in STEPS) set_time(state.time + STEPS[event.key] * STEP_S);
  else return;
  event.preventDefault();
}

async function start() {
  document.addEventListener("keydown", keys);
  const help = document.getElementById("help");
  help.hidden = false;
  help.addEventListener("click", () => dialog.showModal());
  if (!root) return;
  const { panels } = await (await fetch(root.dataset.figures)).json();
  for (const panel of panels) wire(document.getElementById(`panel-${panel.id}`), panel);
  for (const { plot, panel } of state.panels.values()) {
    await Plotly.newPlot(plot, lines(panel), layout(), CONFIG);
    plot.on("plotly_relayout", (event) => zoomed(plot, event));
    plot.on("plotly_afterplot", place_cursors);
  }
  const panel = place.searchParams.get("panel");
  if (state.panels.has(panel)) {
    state.panels.get(panel).section.classList.add("current");
    state.panels.get(panel).section.scrollIntoView({ block: "center" });
  }
  const asked = place.searchParams.get("t");
  set_time(asked === null || Number.isNaN(Number(asked)) ? Number(root.dataset.instant) : Number(asked));
  document.getElementById("time").addEventListener("input", (event) => set_time(Number(event.target.value)));
  for (const link of document.querySelectorAll("[data-time]")) {
    link.addEventListener("click", (event) => { event.preventDefault(); set_time(Number(link.dataset.time)); });
  }
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
  root.dataset.ready = "1";
  if (root.dataset.views) {
    const video = document.getElementById("video");
    video.hidden = false;
    video.addEventListener("click", () => load_video(video));
    await Promise.all([...document.querySelectorAll(".stage figure")].map(load_sheet));
  }
}

start();

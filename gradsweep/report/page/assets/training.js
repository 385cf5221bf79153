// Panels of lines: training points by step, open questions by whatever they go with; maps of layers by steps.

const STEP_PANEL = 300; // width that a panel wants
const STEP_HEIGHT = 220;

const OPTIMIZER_STEPS = { title: "optimizer steps", word: "step", log: false, places: [], words: [] };

/** Traces of one panel, bands below lines; points that no line joins have bars. */
function stepTraces(panel, number, x) {
  const axes = { xaxis: `x${number || ""}`, yaxis: `y${number || ""}`, showlegend: false };
  const theme = isDark() ? "dark" : "light";
  const bands = [], lines = [];
  for (const one of panel.lines) {
    const colour = one.plain ? (isDark() ? "#e6e8ea" : "#222222") : one.colour[theme];
    const there = one.step.map((_, i) => i).filter((i) => one.low[i] !== null);
    const back = [...there].reverse();
    if (there.length && !one.dots) bands.push({
      ...axes, type: "scatter", mode: "lines", fill: "toself", fillcolor: `${colour}2b`, line: { width: 0 }, hoverinfo: "skip",
      x: [...there, ...back].map((i) => one.step[i]), y: [...there.map((i) => one.high[i]), ...back.map((i) => one.low[i])],
    });
    const interval = (i) => (one.low[i] === null ? "" : `<br>95 % interval ${short(one.low[i])} to ${short(one.high[i])}`);
    const count = (i) => (one.n[i] ? `<br>n = ${one.n[i]} ${one.n[i] === 1 ? "gradient" : "questions"}` : "");
    const bars = there.length && one.dots ? { error_y: {
      type: "data", symmetric: false, thickness: 1, width: 2, color: colour,
      array: one.value.map((value, i) => (one.high[i] === null ? 0 : one.high[i] - value)), arrayminus: one.value.map((value, i) => (one.low[i] === null ? 0 : value - one.low[i])),
    } } : {};
    const where = (step) => `${x.word ?? x.title} ${x.words[x.places.indexOf(step)] ?? step}`;
    lines.push({
      ...axes, ...bars, type: "scatter", mode: one.dots ? "markers" : one.step.length < 30 ? "lines+markers" : "lines",
      x: one.step, y: one.value, hovertemplate: "%{text}<extra></extra>",
      text: one.step.map((step, i) => `${escapeHtml(one.name)}<br>${escapeHtml(where(step))}: ${short(one.value[i])}${interval(i)}${count(i)}`),
      line: { color: colour, width: 1.8, dash: one.dashed ? DASHES[1] : DASHES[0] }, marker: { size: one.dots ? 7 : 4, color: colour },
    });
  }
  return [...bands, ...lines];
}

/** By factors where the values of a quantity differ ten-fold. */
function stepLog(group, quantity) {
  if (group.log) return true;
  const panels = group.panels.filter((panel) => panel.quantity === quantity);
  const values = panels.flatMap((panel) => panel.lines).flatMap((one) => one.value).filter((value) => value !== null);
  return values.every((value) => value > 0) && Math.max(...values) >= TEN_FOLD * Math.min(...values);
}

function drawSteps(group, chart) {
  const width = printing ? PAPER_WIDTH : chart.clientWidth;
  const x0 = group.x ?? OPTIMIZER_STEPS;
  const nColumns = Math.max(1, Math.min(group.panels.length, Math.floor(width / STEP_PANEL)));
  const nRows = Math.ceil(group.panels.length / nColumns);
  const slanted = x0.words.some((word) => word.length > 3) ? 30 : 0; // words that may not fit side by side
  const height = nRows * (STEP_HEIGHT + slanted) + 30;
  const ink = isDark() ? "#e6e8ea" : "#222222", grid = isDark() ? "#343a41" : "#e3e3e3", paper = isDark() ? "#14171a" : "#ffffff";
  const layout = {
    height, width, showlegend: false, dragmode: width < 600 ? false : "zoom", hovermode: "closest",
    paper_bgcolor: paper, plot_bgcolor: paper, font: { family: "system-ui, sans-serif", size: 12, color: ink },
    margin: { l: 48, r: 8 + slanted, t: 24, b: 44 + slanted }, annotations: [],
    hoverlabel: { align: "left", bgcolor: isDark() ? "#1e2226" : "#ffffff", font: { color: ink, size: 12 } },
  };
  const gapX = 48 / width, gapY = (62 + slanted) / height, w = (1 - gapX * (nColumns - 1)) / nColumns, h = (1 - gapY * (nRows - 1)) / nRows;
  group.panels.forEach((panel, i) => {
    const id = i ? String(i + 1) : "", x = (i % nColumns) * (w + gapX), top = 1 - Math.floor(i / nColumns) * (h + gapY);
    const quiet = { gridcolor: grid, zeroline: false, linecolor: ink, ticks: "outside", ticklen: 3 };
    const last = i + nColumns >= group.panels.length;
    layout[`xaxis${id}`] = { ...quiet, domain: [x, x + w], anchor: `y${id}`, showgrid: false, nticks: 6, title: last ? { text: x0.title, standoff: 4 } : undefined, ...(x0.log ? { type: "log", tickformat: "~g", dtick: "D2" } : {}), ...(x0.places.length ? { tickvals: x0.places, ticktext: x0.words, range: [x0.places[0] - 0.3, x0.places.at(-1) + 0.4] } : {}) };
    layout[`yaxis${id}`] = { ...quiet, domain: [Math.max(0, top - h), top], anchor: `x${id}`, nticks: 5, rangemode: "tozero", ...(stepLog(group, panel.quantity) ? { type: "log", tickformat: "~g", dtick: "D2" } : {}) };
    const first = group.panels.findIndex((other) => other.quantity === panel.quantity);
    if (first < i) layout[`yaxis${id}`].matches = `y${first ? first + 1 : ""}`;
    layout.annotations.push({ text: `<b>${escapeHtml(panel.title)}</b>`, x: x + w / 2, y: top, xref: "paper", yref: "paper", xanchor: "center", yanchor: "bottom", showarrow: false, font: { size: 11 } });
  });
  return Plotly.react(chart, group.panels.flatMap((panel, i) => stepTraces(panel, i ? i + 1 : 0, x0)), layout, { displayModeBar: false, responsive: false });
}

/** One map as pictures, a projection each; stronger is larger, on one logarithmic scale. */
function showMap(group, number, place) {
  const map = group.maps[number];
  const values = map.projections.flatMap((one) => one.values.flat()).filter((value) => value !== null && value > 0);
  const low = Math.log(Math.min(...values)), high = Math.log(Math.max(...values));
  const part = (value) => (high > low ? (Math.log(value) - low) / (high - low) : 0.5);
  const said = element("p", { className: "quiet" }, `${group.metric} from ${short(Math.exp(low))} (faint) to ${short(Math.exp(high))} (strong)`);
  const drawn = map.projections.map((one) => {
    const canvas = element("canvas", { width: 12 * map.steps.length, height: 6 * map.layers.length, role: "img" });
    canvas.setAttribute("aria-label", `${group.words} of ${one.name} by layer and step, ${map.name}`);
    const pen = canvas.getContext("2d");
    one.values.forEach((line, layer) => line.forEach((value, step) => {
      const share = value === null || value <= 0 ? null : part(value);
      pen.fillStyle = share === null ? "transparent" : mapColour(share);
      pen.fillRect(12 * step, 6 * (map.layers.length - 1 - layer), 12, 6);
    }));
    canvas.addEventListener("pointermove", (event) => {
      const box = canvas.getBoundingClientRect();
      const step = Math.min(map.steps.length - 1, Math.floor((event.clientX - box.left) / box.width * map.steps.length));
      const layer = Math.min(map.layers.length - 1, Math.floor((box.bottom - event.clientY) / box.height * map.layers.length));
      said.textContent = `${one.name}, layer ${map.layers[layer]}, step ${map.steps[step]}: ${short(one.values[layer][step])}`;
    });
    const ends = (list) => (list.length > 1 ? `${list[0]} to ${list.at(-1)}` : `${list[0]}`);
    return element("figure", {}, element("figcaption", {}, one.name), canvas,
      element("small", {}, `steps ${ends(map.steps)} →, layers ${ends(map.layers)} ↑`));
  });
  place.replaceChildren(element("div", { className: "maps" }, ...drawn), said);
}

/** From pale to dark blue on a light page, from dark to pale on a dark one. */
function mapColour(share) {
  const [from, to] = isDark() ? [[22, 32, 43], [150, 200, 245]] : [[236, 243, 251], [8, 48, 107]];
  return `rgb(${from.map((value, i) => Math.round(value + share * (to[i] - value))).join(",")})`;
}

function drawQuestions() {
  document.querySelectorAll(".question-chart").forEach((chart) => drawSteps(data.questions[chart.dataset.question][chart.dataset.chart], chart));
}

function drawTraining() {
  drawQuestions();
  document.querySelectorAll(".training-chart").forEach((chart) => drawSteps(data.training[chart.dataset.group], chart));
  document.querySelectorAll(".training-map").forEach((place) => {
    showMap(data.training[place.dataset.group], byId(`map-of-${place.dataset.group}`).value, place);
  });
}

function startTraining() {
  document.querySelectorAll("select[data-map]").forEach((select) => select.addEventListener("change", drawTraining));
}

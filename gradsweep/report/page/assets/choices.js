// What the charts show: the reader's choices, their controls, and what is kept of them.

/** The study's own objective alone needs no word and no choice. */
const OBJECTIVES = data.points.some((point) => point.axes.objective !== "sft") ? ["objective"] : [];
const AXES = ["model", "dataset", "cot", "correctness", ...OBJECTIVES];
/** Of these one value can be read at once; a grid of all would be noise. */
const ONE_AT_ONCE = ["model", "dataset", ...OBJECTIVES];
const ENCODED = ["projection", ...AXES];
const AXIS_WORDS = { projection: "projection", model: "model", dataset: "dataset", cot: "CoT level", correctness: "correctness", objective: "objective" };
const ENCODINGS = ["columns", "rows", "colour", "dashes"];
const FIRST_ENCODING = {
  curves: { columns: "projection", rows: "none", colour: "cot", dashes: "correctness" },
  pairs: { columns: "projection", rows: "cot", colour: "cot", dashes: "correctness" },
  differences: { columns: "projection", rows: "none", colour: "cot", dashes: "none" },
};

/** Charts of one press: a view, and what is shown or laid out otherwise than at first. */
const PRESETS = {
  curves: { view: "curves" },
  pairs: { view: "pairs" },
  differences: { view: "differences" },
  models: { view: "curves", every: "model", rows: "model" },
  datasets: { view: "curves", every: "dataset", rows: "dataset" },
  objectives: { view: "curves", every: "objective", rows: "objective" },
};

const values = { ...data.axes, projection: Object.keys(data.projections) };

function label(axis, value) {
  if (axis === "projection") return data.projections[value];
  if (axis === "cot") return data.levels[value];
  return data.titles[axis]?.[value] ?? value;
}

function firstChoices() {
  const all = Object.fromEntries(ENCODED.map((axis) => [axis, [...values[axis]]]));
  const shown = { ...all, ...Object.fromEntries(ONE_AT_ONCE.map((axis) => [axis, all[axis].slice(0, 1)])) };
  return {
    view: "curves", preset: "curves", metric: data.metrics[0]?.key, shown, hidden: [],
    encodings: structuredClone(FIRST_ENCODING), bands: true, log: null, shared: null,
  };
}

/** Kept choices that these results still have: a page that loads again may have other points. */
function startChoices() {
  const first = firstChoices();
  const kept = memory.read().choices;
  if (!kept) return first;
  const shown = {};
  for (const axis of ENCODED) {
    const there = values[axis].filter((value) => kept.shown[axis]?.includes(value));
    const everything = kept.known?.[axis] === kept.shown[axis]?.length && !ONE_AT_ONCE.includes(axis);
    shown[axis] = there.length && !everything ? there : first.shown[axis];
  }
  const metric = data.metrics.some((one) => one.key === kept.metric) ? kept.metric : first.metric;
  return { ...first, ...kept, shown, metric };
}

const choices = startChoices();

function keepChoices() {
  const known = Object.fromEntries(ENCODED.map((axis) => [axis, values[axis].length]));
  memory.write({ choices: { ...choices, known } });
}

/** Axes that a view can tell apart: RD is made of both kinds of responses. */
function axesOf(view) {
  return view === "differences" ? ENCODED.filter((axis) => axis !== "correctness") : ENCODED;
}

function fillSelect(select, options, chosen) {
  select.replaceChildren(...options.map(([value, text]) => new Option(text, value, false, value === chosen)));
}

function showControls() {
  for (const button of document.querySelectorAll("#presets button")) {
    const { every } = PRESETS[button.dataset.preset];
    button.hidden = Boolean(every) && values[every].length < 2;
    button.setAttribute("aria-pressed", String(button.dataset.preset === choices.preset));
  }
  fillSelect(byId("metric"), data.metrics.map((one) => [one.key, one.label]), choices.metric);
  const options = [["none", "–"], ...axesOf(choices.view).map((axis) => [axis, AXIS_WORDS[axis]])];
  for (const name of ENCODINGS) fillSelect(byId(name), options, choices.encodings[choices.view][name]);
  byId("bands").checked = choices.bands;
  for (const box of document.querySelectorAll("#filters input")) {
    box.checked = choices.shown[box.dataset.axis].includes(box.value);
  }
}

function filterControls() {
  const several = ENCODED.filter((axis) => values[axis].length > 1);
  byId("filters").replaceChildren(...several.map((axis) => {
    const boxes = values[axis].map((value) => {
      const box = element("input", { type: "checkbox", value });
      box.dataset.axis = axis;
      return element("label", {}, box, ` ${label(axis, value)}`);
    });
    return element("fieldset", {}, element("legend", {}, AXIS_WORDS[axis]), ...boxes);
  }));
}

function startControls(redraw) {
  filterControls();
  showControls();
  byId("choices").addEventListener("submit", (event) => event.preventDefault());
  byId("presets").addEventListener("click", (event) => {
    const name = event.target.dataset.preset;
    if (!name) return;
    takePreset(name);
    keepChoices();
    showControls();
    redraw();
  });
  byId("choices").addEventListener("change", (event) => {
    take(event.target);
    keepChoices();
    showControls();
    redraw();
  });
}

function takePreset(name) {
  const first = firstChoices();
  const { view, every, rows } = PRESETS[name];
  Object.assign(choices, { view, preset: name, hidden: [], log: null, shared: null });
  choices.encodings[view] = { ...FIRST_ENCODING[view], ...(rows ? { rows } : {}) };
  for (const axis of ONE_AT_ONCE) {
    if (axis === every) choices.shown[axis] = [...values[axis]];
    else if (every || choices.shown[axis].length !== 1) choices.shown[axis] = first.shown[axis];
  }
}

function take(control) {
  const axis = control.dataset.axis;
  if (axis) {
    const chosen = new Set(choices.shown[axis]);
    if (control.checked) chosen.add(control.value);
    else chosen.delete(control.value);
    choices.shown[axis] = values[axis].filter((value) => chosen.has(value));
  } else if (ENCODINGS.includes(control.id)) {
    choices.encodings[choices.view][control.id] = control.value;
    choices.hidden = [];
  } else if (control.type === "checkbox") {
    choices[control.id] = control.checked;
  } else {
    choices[control.id] = control.value;
    choices.hidden = [];
    choices.log = null; // another metric may need another scale
  }
}

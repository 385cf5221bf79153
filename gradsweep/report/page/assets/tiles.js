// A large page reads the data of a model and dataset when they are looked at: each is a script.

const asked = new Map();
let tileTrouble = "";

/** What a tile's script calls: its data join those that are here. */
function tileHere(name, part) {
  for (const kind of ["curves", "differences"]) {
    for (const [metric, lines] of Object.entries(part[kind] ?? {})) data[kind][metric].push(...lines);
  }
  for (const point of data.points) Object.assign(point, part.points?.[point.id]);
  for (const table of data.tables) Object.assign(table, part.tables?.[table.name]);
}

/** Whether tiles are here; those that are not are asked for, and `then` is called when they are. */
function haveTiles(names, then) {
  if (!data.tiles) return true;
  const missing = [...new Set(names)].filter((name) => data.tiles[name] && asked.get(name) !== "here");
  for (const name of missing) {
    if (!asked.has(name)) asked.set(name, readTile(name));
  }
  if (missing.length) Promise.allSettled(missing.map((name) => asked.get(name))).then(then);
  return !missing.length;
}

function readTile(name) {
  return new Promise((resolve) => {
    const script = element("script", { src: data.tiles[name] });
    script.addEventListener("load", () => { asked.set(name, "here"); resolve(); });
    script.addEventListener("error", () => {
      asked.set(name, "here"); // once is enough: it will not come
      tileTrouble = `${data.tiles[name]} is missing beside this page: copy the whole folder.`;
      resolve();
    });
    document.head.append(script);
  });
}

const tileOf = (model, dataset) => `${model}\n${dataset}`;

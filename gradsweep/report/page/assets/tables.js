// The report's tables, and the values of the drawn curves.

const MOST_LINES = 500;

function showTable(table) {
  const heads = [element("tr", {}, element("td", { colSpan: table.keys.length }),
    ...table.groups.map((group) => element("th", { scope: "colgroup", colSpan: group.names.length }, group.heading)))];
  heads.push(element("tr", {}, ...table.keys.map((key) => element("th", { scope: "col" }, key)),
    ...table.groups.flatMap((group) => group.names.map((name) => element("th", { scope: "col", className: "number" }, name)))));
  let before = [];
  const body = table.lines.map((cells) => {
    const same = cells.findIndex((cell, i) => cell !== before[i]);
    const starts = before.length && same < table.blocks;
    const line = cells.map((cell, i) => (i < table.keys.length
      ? element("th", { scope: "row" }, cell)
      : element("td", { className: "number" }, cell)));
    before = cells;
    return element("tr", { className: starts ? "block" : "" }, ...line);
  });
  byId("table").replaceChildren(element("table", {}, element("caption", {}, element("span", {}, table.caption)),
    element("thead", {}, ...heads), element("tbody", {}, ...body)));
}

function startTables() {
  const choice = byId("table-choice");
  fillSelect(choice, data.tables.map((table, i) => [String(i), table.name]), "0");
  const chosen = () => data.tables[Number(choice.value)];
  choice.addEventListener("change", () => showTable(chosen()));
  byId("save-table").addEventListener("click", () => saveFile(`${chosen().name}.csv`, chosen().csv));
  showTable(chosen());
}

function startCurveValues() {
  byId("curve-values").addEventListener("toggle", (event) => {
    const place = event.target.querySelector("div");
    if (!event.target.open) return place.replaceChildren();
    const { heading, lines, nKeys } = curveLines();
    const more = lines.length > MOST_LINES ? `; the first ${MOST_LINES} of ${lines.length}, all are in the CSV` : "";
    const numbers = new Set([...heading.keys()].slice(nKeys));
    return place.replaceChildren(tableElement(`${chartTitle()}${more}`, heading, lines.slice(0, MOST_LINES), numbers));
  });
  byId("save-curves").addEventListener("click", () => {
    const { heading, lines } = curveLines();
    saveFile(`${choices.view}-${choices.metric}.csv`, csvText(heading, lines));
  });
  byId("save-image").addEventListener("click", saveImage);
}

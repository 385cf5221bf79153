// Files that the page makes itself: a reader needs no server for them.

function csvText(heading, lines) {
  const cell = (value) => {
    const text = value === null || value === undefined ? "" : String(value);
    return /[",\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
  };
  return [heading, ...lines].map((line) => line.map(cell).join(",")).join("\n") + "\n";
}

function saveFile(name, text) {
  const address = URL.createObjectURL(new Blob([text], { type: "text/csv" }));
  const link = element("a", { href: address, download: name });
  document.body.append(link);
  link.click();
  link.remove();
  setTimeout(() => URL.revokeObjectURL(address), 1000);
}

/** A table element; columns in `numbers` are right-aligned. */
function tableElement(caption, heading, lines, numbers = new Set()) {
  const kind = (column) => (numbers.has(column) ? "number" : "");
  const head = heading.map((text, i) => element("th", { scope: "col", className: kind(i) }, text));
  const body = lines.map((line) => element("tr", {},
    ...line.map((text, i) => element("td", { className: kind(i) }, text === null ? "–" : text))));
  return element("table", {}, element("caption", {}, element("span", {}, caption)),
    element("thead", {}, element("tr", {}, ...head)), element("tbody", {}, ...body));
}

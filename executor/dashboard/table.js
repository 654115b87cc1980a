// A table that sorts by a click on its heads. All that it shows is text: nothing from the ledger becomes markup.
//
// A column: label, text(row), and if need be: key(row) to sort by, small(row) a second line, tone(row) a class,
// chip(row) the class of a chip around the text, kind "n" (number) or "text" (wraps), more (not on a phone).

export class Table {
  #sorted = null;
  #rows = [];
  #shown = null;

  constructor(element, columns, empty) {
    this.element = element;
    this.columns = columns;
    this.empty = empty;
    this.heads = columns.map((column, k) => this.#head(column, k));
    const head = document.createElement("thead");
    head.insertRow().append(...this.heads);
    this.body = document.createElement("tbody");
    element.replaceChildren(head, this.body);
  }

  show(rows) {
    this.#rows = rows;
    this.#draw();
  }

  #head(column, k) {
    const head = document.createElement("th");
    head.scope = "col";
    head.className = classes(column);
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = column.label;
    button.addEventListener("click", () => this.#sort(k));
    head.append(button);
    return head;
  }

  #sort(k) {
    // Numbers begin with the largest, names with the first.
    const first = this.columns[k].kind === "n" ? -1 : 1;
    const again = this.#sorted?.column === k;
    this.#sorted = { column: k, way: again ? -this.#sorted.way : first };
    this.heads.forEach((head, j) => {
      if (j === k) head.setAttribute("aria-sort", this.#sorted.way > 0 ? "ascending" : "descending");
      else head.removeAttribute("aria-sort");
    });
    this.#draw();
  }

  #draw() {
    const rows = [...this.#rows];
    if (this.#sorted) {
      const { column, way } = this.#sorted;
      const key = this.columns[column].key ?? this.columns[column].text;
      rows.sort((a, b) => compare(key(a), key(b), way));
    }
    const lines = rows.map((row) => this.columns.map((column) => content(column, row)));
    // Drawn anew only when it says something else: a selection and the pointer's row stay.
    const shown = JSON.stringify(lines);
    if (shown === this.#shown) return;
    this.#shown = shown;
    this.body.replaceChildren(...(lines.length ? lines.map((line) => this.#line(line)) : [this.#emptyLine()]));
  }

  #line(line) {
    const row = document.createElement("tr");
    line.forEach((cell, k) => row.append(drawn(this.columns[k], cell)));
    return row;
  }

  #emptyLine() {
    const row = document.createElement("tr");
    const cell = row.insertCell();
    cell.colSpan = this.columns.length;
    cell.className = "empty";
    cell.textContent = this.empty;
    return row;
  }
}

const classes = (column) => [column.kind ?? "", column.more ? "more" : ""].join(" ").trim();

const content = (column, row) => ({
  text: column.text(row),
  small: column.small?.(row) ?? "",
  tone: column.tone?.(row) ?? "",
  chip: column.chip?.(row) ?? "",
});

function drawn(column, { text, small, tone, chip }) {
  const cell = document.createElement("td");
  cell.className = `${classes(column)} ${tone}`.trim();
  if (chip) {
    const mark = document.createElement("span");
    mark.className = `chip ${chip}`;
    mark.textContent = text;
    cell.append(mark);
  } else cell.textContent = text;
  if (small) {
    const line = document.createElement("small");
    line.textContent = small;
    cell.append(line);
  }
  return cell;
}

// What is missing comes last, whichever way.
function compare(a, b, way) {
  if (a === null || a === undefined) return b === null || b === undefined ? 0 : 1;
  if (b === null || b === undefined) return -1;
  if (typeof a === "number" && typeof b === "number") return way * (a - b);
  return way * String(a).localeCompare(String(b));
}

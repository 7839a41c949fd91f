"use strict";
/* A click on a column's title sorts the table by it; a second click reverses the order. */
for (const table of document.querySelectorAll("table")) {
  const heads = [...table.tHead.rows[0].cells];
  const value = (row, column) => row.cells[column].dataset.value;
  const order = (column) => (one, other) => {
    const [a, b] = [value(one, column), value(other, column)];
    if (!column) return one.cells[0].textContent.localeCompare(other.cells[0].textContent);
    return (a === undefined) - (b === undefined) || a - b; // missing values come last
  };
  heads.forEach((head, column) => {
    head.firstChild.onclick = () => {
      const up = head.getAttribute("aria-sort") !== "ascending";
      for (const other of heads) other.removeAttribute("aria-sort");
      head.setAttribute("aria-sort", up ? "ascending" : "descending");
      const rows = [...table.tBodies[0].rows].sort(order(column));
      table.tBodies[0].append(...(up ? rows : rows.reverse()));
    };
  });
}
document.documentElement.dataset.ready = "";

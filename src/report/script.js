// Sorts a table by the column whose head is clicked; the page is whole without it.
document.querySelectorAll("table[data-sortable] thead th").forEach((head, column) => {
  head.dataset.sort = "";
  head.addEventListener("click", () => {
    const table = head.closest("table"), body = table.tBodies[0];
    const place = [...head.parentNode.children].indexOf(head);
    const down = head.dataset.sort !== "down";
    for (const other of head.parentNode.children) other.dataset.sort = "";
    head.dataset.sort = down ? "down" : "up";
    const value = row => row.cells[place].dataset.v ?? row.cells[place].textContent;
    const rows = [...body.rows].sort((x, y) => {
      const [a, b] = [value(x), value(y)], n = Number(a) - Number(b);
      const order = Number.isNaN(n) || a === "" || b === "" ? a.localeCompare(b) : n;
      return down ? -order : order;
    });
    body.append(...rows);
  });
});

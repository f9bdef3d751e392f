// The sidebar opens at the entry of the page that is shown.
document.addEventListener("DOMContentLoaded", () => {
  const entries = document.querySelectorAll(".sidebar-tree .current-page > .reference");
  const entry = entries[entries.length - 1];
  const box = document.querySelector(".sidebar-scroll");
  if (!entry || !box) return;
  const below = entry.getBoundingClientRect().bottom - box.getBoundingClientRect().bottom;
  if (below > 0) box.scrollTop += below + box.clientHeight / 2;
});

// A browser may break a line between a formula and the comma behind it: they stay together.
document.addEventListener("DOMContentLoaded", () => {
  for (const formula of document.querySelectorAll("span.math")) {
    const text = formula.nextSibling, signs = text?.data?.match(/^[,.;:?!)]+/);
    if (!signs) continue;
    const together = document.createElement("span");
    together.style.whiteSpace = "nowrap";
    text.splitText(signs[0].length);
    formula.replaceWith(together);
    together.append(formula, text);
  }
});

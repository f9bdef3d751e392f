document.addEventListener("DOMContentLoaded", () => {
  // A browser may break a line between a formula and the comma behind it: they stay together.
  for (const formula of document.querySelectorAll("span.math")) {
    const text = formula.nextSibling, signs = text?.data?.match(/^[,.;:?!)]+/);
    if (!signs) continue;
    const together = document.createElement("span");
    together.style.whiteSpace = "nowrap";
    text.splitText(signs[0].length);
    formula.replaceWith(together);
    together.append(formula, text);
  }
  // A press on a picture opens it as large as it is.
  for (const picture of document.querySelectorAll("article img")) {
    if (picture.closest("a")) continue;
    const link = document.createElement("a");
    link.href = picture.src;
    picture.replaceWith(link);
    link.append(picture);
  }
});

// What Sphinx's search lacks: American spelling, headings first, and a method by the class that
// inherits it. Results are in ascending order: the last one is shown first.
document.addEventListener("DOMContentLoaded", () => { // before Sphinx's own, which starts the search
  const {query, _performSearch: perform} = Search;
  Search.query = text => query(text.replace(/reparamete?ri[sz]/gi, "reparameteris")
    .replace(/\bcolor(?!_)/gi, "colour")); // color_mode is an argument of Keras's
  Search._performSearch = (text, ...terms) => {
    const asked = text.trim().replace(/\(.*/, "").toLowerCase();
    const named = Object.keys(INHERITED).filter(full =>
      asked.includes(".") && `.${full.toLowerCase()}`.endsWith(`.${asked}`));
    const found = named.map(full =>
      [INHERITED[full], full, `#${full}`, "inherited", 100, "", SearchResultKind.object]);
    const others = perform(text, ...terms), is_title = result =>
      result[6] === SearchResultKind.title && result[4] >= Scorer.title; // the whole of a heading
    return [...others.filter(one => !is_title(one)), ...others.filter(is_title), ...found];
  };
});

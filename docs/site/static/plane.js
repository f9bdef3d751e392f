// The plane is a page of its own in a frame: it is told which theme the reader has chosen, and says
// how high it is.
document.addEventListener("DOMContentLoaded", () => {
  const frame = document.querySelector("iframe.plane");
  if (!frame) return;
  const tell = () => frame.contentWindow.postMessage({theme: document.body.dataset.theme}, "*");
  frame.addEventListener("load", tell);
  new MutationObserver(tell).observe(document.body, {attributeFilter: ["data-theme"]});
  tell(); // the frame may have loaded already
  addEventListener("message", ({source, data}) => {
    if (source === frame.contentWindow && data?.planeHeight > 0)
      frame.style.height = `${data.planeHeight}px`;
  });
});

// What goes wrong is written on the document, where a test (and a curious reader) finds it.
function note(message) {
  const root = document.documentElement;
  root.dataset.errors = (root.dataset.errors ? root.dataset.errors + " | " : "") + message;
}
window.addEventListener("error", (event) => note(String(event.message)));
window.addEventListener("unhandledrejection", (event) => note(String(event.reason)));
document.addEventListener("securitypolicyviolation", (event) => note("blocked " + event.violatedDirective + " " + event.blockedURI));

// Begins the page on disk: shows the run that is in it.
(() => {
  const app = new Convoke.App(document.getElementById('convoke'));
  app.set(JSON.parse(document.getElementById('data').textContent));
  // For those who look with the tools of their browser.
  Convoke.app = app;
})();

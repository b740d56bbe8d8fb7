import { render } from "preact";
import { useEffect, useState } from "preact/hooks";
import "uplot/dist/uPlot.min.css";
import "./style.css";
import { App } from "./app";
import { parseRoute } from "./route";
import type { Route } from "./route";
import { Header } from "./views/header";
import { NodeView } from "./views/node";
import { Overview } from "./views/overview";

function Page({ app }: { app: App }) {
  const [route, setRoute] = useState<Route>(() => parseRoute(location.hash));
  const [, redraw] = useState(0);
  useEffect(() => app.subscribe(() => redraw((n) => n + 1)), [app]);
  useEffect(() => {
    const follow = () => {
      const next = parseRoute(location.hash);
      setRoute(next);
      app.open(next);
      window.scrollTo(0, 0);
    };
    const back = () => {
      if (document.visibilityState === "visible") app.hurry();
    };
    app.open(parseRoute(location.hash));
    addEventListener("hashchange", follow);
    addEventListener("online", back);
    document.addEventListener("visibilitychange", back);
    return () => {
      removeEventListener("hashchange", follow);
      removeEventListener("online", back);
      document.removeEventListener("visibilitychange", back);
    };
  }, [app]);
  const name = route.view === "node" ? route.name : null;
  useEffect(() => {
    document.title = name === null ? "Cairn" : `${name} - Cairn`;
  }, [name]);

  let view = <p class="empty">Waiting for the first window of data.</p>;
  if (app.window !== null) {
    view =
      name === null ? (
        <Overview window={app.window} />
      ) : (
        // Keyed by name: open rows and filters of one node are not those of the next.
        <NodeView key={name} name={name} window={app.window} hasPods={app.podsOf === name} />
      );
  }
  return (
    <>
      <Header app={app} />
      {view}
    </>
  );
}

const root = document.getElementById("app");
if (root) render(<Page app={new App()} />, root);

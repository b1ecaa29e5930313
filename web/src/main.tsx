import { render } from "preact";
import { useEffect, useState } from "preact/hooks";
import { session, type Who, who } from "./api";
import { comeBack } from "./back";
import { told } from "./hooks";
import { First } from "./pages/first";
import { Record } from "./pages/record";
import { Search } from "./pages/search";
import { SignIn } from "./pages/signin";
import { AlarmBar } from "./parts/alarm";
import { Header } from "./parts/header";
import { Other } from "./parts/other";
import { ProblemBox } from "./parts/problem";
import { parsePlace, type Place, type View } from "./view";
import "./style.css";

type State = { at: "asking" } | { at: "in"; who: Who } | { at: "out"; ended: boolean } | { at: "broken"; why: unknown };
/** Where the address leads, and the search that goes on behind a record: who comes back finds it as it was, and nothing is asked again. */
interface Stand {
  place: Place;
  view: View | undefined;
}

function moved(before?: Stand): Stand {
  const place = parsePlace(location.hash);
  if (place.page === "search") return { place, view: place.view };
  return { place, view: place.page === "first" ? undefined : before?.view }; // after the first steps, what is there is asked anew
}

function App() {
  const [state, set] = useState<State>({ at: "asking" });
  const [{ place, view }, step] = useState<Stand>(() => moved());
  const move = (): void => step(moved);
  const enter = (found: Who): void => {
    comeBack(); // from an issuer's page
    move();
    set({ at: "in", who: found });
  };
  useEffect(() => {
    session.ended = () => set({ at: "out", ended: true });
    who().then(
      enter,
      (error) => set(told(error).status === 401 ? { at: "out", ended: false } : { at: "broken", why: error }),
    );
    addEventListener("hashchange", move);
    return () => removeEventListener("hashchange", move);
  }, []);
  useEffect(() => {
    if (place.page !== "other") document.title = place.page === "record" ? `Record ${place.seq} · Agent Ledger` : "Agent Ledger";
  }, [place]);
  if (state.at === "asking") return null;
  if (state.at === "out") return <SignIn ended={state.ended} signed={enter} />;
  if (state.at === "broken") return <ProblemBox problem={told(state.why)} again={() => location.reload()} />;
  return (
    <>
      <a class="skip" href="#main" onClick={skip}>
        Skip to the page
      </a>
      <AlarmBar origin={state.who.origin} />
      <Header who={state.who} place={place} />
      <div id="main" tabIndex={-1}>
        {view && <Search view={view} who={state.who} active={place.page === "search"} nothing={() => (location.hash = "#/first")} />}
        {place.page === "record" && <Record key={place.seq} seq={place.seq} who={state.who} />}
        {place.page === "first" && <First />}
        {place.page === "other" && <Other path={place.path} query={place.query} who={state.who} />}
      </div>
    </>
  );
}

function skip(event: Event): void {
  event.preventDefault(); // the fragment is the page's address
  document.getElementById("main")?.focus();
}

render(<App />, document.getElementById("app")!);

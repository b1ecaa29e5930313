import { type ComponentType } from "preact";
import { useEffect, useState } from "preact/hooks";
import { Problem, type Who } from "../api";
import { type PageProps, pageAt } from "../pages";
import { ProblemBox } from "./problem";

/** A page that is loaded when it is opened; what is no page, and what failed to load, says so. */
export function Other({ path, query, who }: { path: string; query: string; who: Who }) {
  const found = pageAt(path);
  const [loaded, set] = useState<{ page: unknown; Shown: ComponentType<PageProps> } | Problem>();
  const page = found?.page;
  useEffect(() => {
    if (!page) return;
    set(undefined);
    let wanted = true;
    document.title = `${page.title} · Agent Ledger`;
    page.load().then(
      (Shown) => wanted && set({ page, Shown }),
      () => wanted && set(new Problem(0, "", "This page could not be loaded", "the ledger does not answer, or was updated meanwhile: load the console again")),
    );
    return () => {
      wanted = false;
    };
  }, [page]);
  if (!found) return <Nothing title="There is no such page" detail="the address is not one of the console's" />;
  if (!who.permits.includes(found.page.needs)) {
    return <Nothing title="Not for this credential" detail={`this page needs the permission ${found.page.needs}; ${who.name} has ${who.permits.join(", ") || "none"}`} />;
  }
  if (loaded instanceof Problem) return <ProblemBox problem={loaded} again={() => location.reload()} />;
  if (!loaded || loaded.page !== page) return <p class="loading dim">Loading…</p>;
  return <loaded.Shown key={path} at={found.at} query={new URLSearchParams(query)} who={who} />;
}

function Nothing({ title, detail }: { title: string; detail: string }) {
  return (
    <main class="page">
      <h1>{title}</h1>
      <p class="dim">
        {detail}. <a href="#/search">To the search</a>
      </p>
    </main>
  );
}

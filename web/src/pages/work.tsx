import type { ComponentChildren } from "preact";
import { json, ready } from "../api";
import { useLoaded } from "../hooks";
import type { PageProps } from "../pages";
import { Head, Pill, WAYS } from "../parts/ways";
import { count } from "../text";
import { alerts } from "./alerts";

/** The ways to the pages of daily work, each with its state in a line where that costs no question of the log. */
export function Work({ who }: PageProps) {
  return (
    <main class="page work">
      <Head here="#/work" title="Work" who={who}>
        What somebody who looks after this log has at hand.
      </Head>
      <ul class="tiles">
        {WAYS.filter((each) => who.permits.includes(each.needs)).map((each) => (
          <li key={each.to}>
            <a href={each.to}>
              <b>{each.name}</b>
              <span>{each.says}</span>
              <State of={each.to} />
            </a>
          </li>
        ))}
      </ul>
    </main>
  );
}

const STATES: Readonly<Record<string, (signal: AbortSignal) => Promise<ComponentChildren>>> = {
  "#/alerts": async (signal) => {
    const { rules, targets, failed, alerts: raised } = await alerts(signal);
    const failing = targets.filter((each) => each.problem !== null).length;
    if (failed) return <Pill text="the rules have stopped" tone="bad" />;
    if (failing) return <Pill text={`${count(failing)} of ${count(targets.length)} targets not reached`} tone="bad" />;
    return rules.length === 0 ? "no rule stands" : `${count(rules.length)} rules, ${count(raised.length)}${raised.length >= 100 ? " or more" : ""} alerts`;
  },
  "#/access": async (signal) => {
    const { credentials } = await json<{ credentials: { roles: string[] }[] }>("/v1/access", { signal });
    const admins = credentials.filter((each) => each.roles.includes("admin")).length;
    return `${count(credentials.length)} ${credentials.length === 1 ? "credential" : "credentials"}, ${count(admins)} for administrators`;
  },
  "#/health": async (signal) => {
    const status = await ready(signal);
    return <Pill text={`the ledger is ${status}`} tone={status === "ready" ? "good" : "bad"} />;
  },
};

function State({ of }: { of: string }) {
  const load = STATES[of];
  const { value, problem } = useLoaded(of, async (signal) => (load ? load(signal) : null));
  if (!load) return null;
  return <small role="status">{problem ? <Pill text={problem.message} tone="bad" /> : value}</small>;
}

import { json } from "../api";
import { since, spell } from "../age";
import { placeOf } from "../askplace";
import { useLoaded } from "../hooks";
import type { PageProps } from "../pages";
import { ProblemBox } from "../parts/problem";
import { Table } from "../parts/table";
import { Head, Name, None, Pill } from "../parts/ways";
import { count, Shown, Time } from "../text";

export interface Standing {
  rules: { name: string; kind: string; severity: string; raised: number; position: number; behind: number }[];
  targets: { name: string; kind: string; delivered: number; delivered_at: string | null; waiting: number; missed: number; failures: number; problem: string | null; next_try: string | null }[];
  failed: string | null;
  alerts: { id: string; rule: string; kind: string; severity: string; seq: number; at: string; because: { [name: string]: unknown }; recorded_in: number | null }[];
}

export const alerts = (signal: AbortSignal): Promise<Standing> => json("/v1/alerts", { signal });
/** All that were raised and recorded, those of rules that stand no more among them. */
const RECORDED = `SELECT recorded_at, seq, ext->>'log.rule' AS rule, ext->>'log.severity' AS severity, ext FROM records WHERE submitter = 'log' AND "type" = 'log.alert_raised' ORDER BY seq DESC`;
const tone = (severity: string): "bad" | "warn" | "" => (severity === "critical" || severity === "high" ? "bad" : severity === "medium" ? "warn" : "");

/** What standing rules found, who was told, and what is in the way. */
export function Alerts({ who }: PageProps) {
  const { value, problem, busy, again } = useLoaded("alerts", alerts);
  return (
    <main class="page work" aria-busy={busy}>
      <Head here="#/alerts" title="Alerts" who={who}>
        Rules and targets are in a file of the server's: <code>agent-ledger serve --alerts</code>. No request changes them, this page neither.
      </Head>
      {problem && <ProblemBox problem={problem} again={again} />}
      {!value && !problem && <p class="dim">Looking…</p>}
      {value && value.rules.length === 0 && (
        <div class="nothing">
          <h2>No rule stands</h2>
          <p class="dim">
            Write a file of rules and targets, try it with <code>agent-ledger alerts check alerts.toml</code>, start the server with <code>--alerts alerts.toml</code>.
          </p>
        </div>
      )}
      {value && value.rules.length > 0 && <Found standing={value} again={again} />}
    </main>
  );
}

function Found({ standing, again }: { standing: Standing; again: () => void }) {
  const missed = standing.targets.some((each) => each.problem !== null || each.missed > 0); // what is wrong stands first
  return (
    <>
      {standing.failed && (
        <div class="problem" role="alert">
          <strong>The rules have stopped</strong>
          <p>
            <Shown text={standing.failed} />
          </p>
        </div>
      )}
      {missed && <Targets standing={standing} />}
      <Raised standing={standing} again={again} />
      {!missed && <Targets standing={standing} />}
      <h2>Rules</h2>
      <Table columns={["Rule", "Kind", "Severity", { label: "Raised", n: true }, { label: "Behind", n: true }]}>
        {standing.rules.map((each) => (
          <tr key={each.name}>
            <td data-label="Rule">
              <Name text={each.name} />
            </td>
            <td data-label="Kind">{each.kind}</td>
            <td data-label="Severity">
              <Pill text={each.severity} tone={tone(each.severity)} />
            </td>
            <td data-label="Raised" class="n">
              {count(each.raised)}
            </td>
            <td data-label="Behind" class="n">
              {each.behind > 0 ? `${count(each.behind)} entries` : 0}
            </td>
          </tr>
        ))}
      </Table>
    </>
  );
}

function Raised({ standing, again }: { standing: Standing; again: () => void }) {
  const stands = new Set(standing.rules.map((each) => each.name));
  return (
    <>
      <div class="bar">
        <h2>Raised</h2>
        <span class="dim">
          the newest {count(standing.alerts.length)} · <a href={placeOf({ sql: RECORDED, given: {}, asOf: "" })}>all that are recorded, by SQL</a>
        </span>
        <button type="button" onClick={again}>
          Look again
        </button>
      </div>
      {standing.alerts.length === 0 && <p class="quiet">Nothing was found yet.</p>}
      {standing.alerts.length > 0 && (
        <Table columns={["Raised (UTC)", "Severity", "Rule", "Because", "Entry", "Told in"]}>
          {standing.alerts.map((each) => (
            <tr key={each.id}>
              <td class="time">
                <a href={`#/record/${each.seq}`}>
                  <Time at={each.at} />
                </a>
              </td>
              <td data-label="Severity">
                <Pill text={each.severity} tone={tone(each.severity)} />
              </td>
              <td data-label="Rule">
                <Name text={each.rule} />
                {!stands.has(each.rule) && <small> stands no more</small>}
              </td>
              <td data-label="Because" class="because">
                {Object.entries(each.because).map(([name, why]) => (
                  <span key={name}>
                    <small>
                      <Shown text={name} />
                    </small>{" "}
                    <Name text={typeof why === "string" ? why : JSON.stringify(why)} />
                  </span>
                ))}
              </td>
              <td data-label="Entry">
                <a href={`#/record/${each.seq}`}>{each.seq}</a>
              </td>
              <td data-label="Told in">{each.recorded_in === null ? <None /> : <a href={`#/record/${each.recorded_in}`}>{each.recorded_in}</a>}</td>
            </tr>
          ))}
        </Table>
      )}
    </>
  );
}

function Targets({ standing }: { standing: Standing }) {
  const targets = [...standing.targets].sort((a, b) => Number(b.problem !== null) - Number(a.problem !== null));
  return (
    <>
      <h2>Targets</h2>
      {targets.length === 0 && <p class="quiet">Nobody is told: the alerts are entries of the log alone.</p>}
      {targets.length > 0 && (
        <Table columns={["Target", "State", { label: "Delivered", n: true }, "Last", { label: "Waiting", n: true }, { label: "Missed", n: true }]}>
          {targets.map((each) => (
            <tr key={each.name} class={each.problem ? "trouble" : ""}>
              <td data-label="Target">
                <Name text={each.name} /> <small>{each.kind}</small>
              </td>
              <td data-label="State" class="saying">
                {each.problem ? (
                  <>
                    <Pill text={`${count(each.failures)} failed`} tone="bad" /> <Shown text={each.problem} />
                    {each.next_try && <span class="dim"> · again {spell(Math.max(0, -since(each.next_try)))} from now</span>}
                  </>
                ) : (
                  <Pill text="well" tone="good" />
                )}
              </td>
              <td data-label="Delivered" class="n">
                {count(each.delivered)}
              </td>
              <td data-label="Last">{each.delivered_at ? <Time at={each.delivered_at} /> : <None />}</td>
              <td data-label="Waiting" class="n">
                {count(each.waiting)}
              </td>
              <td data-label="Missed" class="n">
                {each.missed > 0 ? <Pill text={count(each.missed)} tone="bad" /> : 0}
              </td>
            </tr>
          ))}
        </Table>
      )}
    </>
  );
}

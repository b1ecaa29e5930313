import { useState } from "preact/hooks";
import { ask, json, type Problem, query, type Question } from "../api";
import { since, spell } from "../age";
import { told, useLoaded } from "../hooks";
import type { PageProps } from "../pages";
import { ProblemBox } from "../parts/problem";
import { Table } from "../parts/table";
import { Head, Name, None, Pill } from "../parts/ways";
import { count, plain, Shown, Time } from "../text";

interface Credential {
  name: string;
  roles: string[];
  credential?: { type: string; issuer?: string; audience?: string; claims?: Record<string, string>; id?: string };
  by?: string;
  permits: string[];
  seq?: number;
  granted_at?: string;
  until?: string;
  quota?: { records_per_s?: number; bytes_per_s?: number };
  may?: { agents?: string[]; sources?: string[]; tenants?: string[] };
  outside?: string;
}

interface Key {
  key_id: string;
  public_key: string;
}

const SOON_S = 14 * 86_400;
/** Since when each name wrote nothing, and asked nothing: the newest entry of each, and of each that asked. */
const LAST_SEEN: Question = {
  sql: `SELECT submitter AS who, 'wrote' AS what, max(recorded_at) AS at, count(*) AS n FROM records WHERE submitter <> 'log' GROUP BY submitter
UNION ALL
SELECT run->>'by', 'asked', max(recorded_at), count(*) FROM (
  SELECT recorded_at, unnest(CAST(ext->'log.queries' AS JSON[])) AS run FROM records WHERE "type" = 'log.query_run' AND submitter = 'log'
) GROUP BY ALL`,
  parameters: {},
};

interface Seen {
  wrote?: string;
  asked?: string;
}

export function Access({ who }: PageProps) {
  const found = useLoaded("access", async (signal) => {
    const [{ credentials }, { keys }] = await Promise.all([
      json<{ credentials: Credential[] }>("/v1/access", { signal }),
      json<{ keys: Key[] }>("/v1/agent-keys", { signal }),
    ]);
    return { credentials: [...credentials].sort(byEnd), keys };
  });
  const seen = useLoaded("last seen", async (signal) => {
    const by = new Map<string, Seen>();
    for (const [name, what, at] of (await query(LAST_SEEN, signal)).rows) {
      const key = /^(?:token|jwt|spiffe):(.*)$/s.exec(String(name))?.[1]; // not `alert:`, which is a rule of the server's
      if (key) by.set(key, { ...by.get(key), [String(what)]: String(at) });
    }
    return by;
  });
  return (
    <main class="page work" aria-busy={found.busy}>
      <Head here="#/access" title="Access" who={who}>
        Who may do what. Each grant and each revocation is an entry of the log.
      </Head>
      {found.problem && <ProblemBox problem={found.problem} again={found.again} />}
      {seen.problem && <ProblemBox problem={seen.problem} again={seen.again} />}
      {!found.value && !found.problem && <p class="dim">Looking…</p>}
      {found.value && (
        <>
          <div class="bar">
            <h2>Credentials</h2>
            <span class="dim">{count(found.value.credentials.length)} in force</span>
          </div>
          <Credentials credentials={found.value.credentials} seen={seen.value} own={who.name} again={found.again} />
          <aside class="hint">
            <p>A new one is made on the command line: its secret is shown once, there, and this page never has it.</p>
            <pre tabIndex={0}>agent-ledger token create {"<name>"} --role content-reader --expires 90d</pre>
          </aside>
          <h2>Agents' keys</h2>
          {found.value.keys.length === 0 && <p class="quiet">No agent signs its own records.</p>}
          {found.value.keys.length > 0 && <Keys keys={found.value.keys} again={found.again} />}
        </>
      )}
    </main>
  );
}

const byEnd = (a: Credential, b: Credential): number => (a.until ?? "9").localeCompare(b.until ?? "9") || a.name.localeCompare(b.name);

function Credentials({ credentials, seen, own, again }: { credentials: Credential[]; seen: Map<string, Seen> | undefined; own: string; again: () => void }) {
  return (
    <Table columns={["Name", "Roles", "Shown by", "Bound to", "Granted (UTC)", "Ends", "Last wrote", "Last asked", ""]}>
      {credentials.map((each) => {
        const last = seen?.get(each.name);
        return (
          <tr key={`${each.name} ${each.seq}`}>
            <td data-label="Name">
              <Name text={each.name} />
              {each.name === own && <small> you</small>}
            </td>
            <td data-label="Roles" title={`May: ${each.permits.join(", ")}`}>
              {each.roles.map((role) => (
                <Pill key={role} text={role} tone={role === "admin" ? "warn" : ""} />
              ))}
            </td>
            <td data-label="Shown by" class="because">
              <Shows credential={each} />
            </td>
            <td data-label="Bound to" class="because">
              <Bound credential={each} />
            </td>
            <td data-label="Granted" class="time">
              {each.seq !== undefined && each.granted_at ? (
                <a href={`#/record/${each.seq}`} title={plain(`by ${each.by ?? ""}`)}>
                  <Time at={each.granted_at} />
                </a>
              ) : (
                <span class="dim">no entry: a file</span>
              )}
            </td>
            <td data-label="Ends">{each.until ? <Ends at={each.until} /> : <span class="dim">never</span>}</td>
            <td data-label="Last wrote">{last?.wrote ? <Ago at={last.wrote} /> : seen ? <None /> : "…"}</td>
            <td data-label="Last asked">{last?.asked ? <Ago at={last.asked} /> : seen ? <None /> : "…"}</td>
            <td class="act">
              <Revoke what={each.name} kind="credential" path={`/v1/access/${encodeURIComponent(each.name)}`} again={again} own={each.name === own} several={credentials.filter(({ name }) => name === each.name).length > 1} />
            </td>
          </tr>
        );
      })}
    </Table>
  );
}

function Shows({ credential: { credential } }: { credential: Credential }) {
  if (credential?.type === "spiffe") return <Name text={credential.id} />;
  if (credential?.type !== "jwt") return <span>token</span>;
  const claims = Object.entries(credential.claims ?? {}).map(([name, text]) => `${name}=${text}`);
  return (
    <span title={plain(`audience ${credential.audience ?? ""}`)}>
      <Name text={credential.issuer} /> <Name text={claims.join(", ")} />
    </span>
  );
}

function Bound({ credential: { may, quota, outside } }: { credential: Credential }) {
  const parts = [
    ...(["agents", "sources", "tenants"] as const).flatMap((name) => (may?.[name] ? [`${name}: ${may[name].join(", ")}`] : [])),
    ...(quota?.records_per_s ? [`${count(quota.records_per_s)} records/s`] : []),
    ...(quota?.bytes_per_s ? [`${count(quota.bytes_per_s)} bytes/s`] : []),
    ...(outside === "flag" ? ["others are flagged"] : []),
  ];
  if (parts.length === 0) return <None />;
  return (
    <>
      {parts.map((each) => (
        <span key={each}>
          <Shown text={each} />
        </span>
      ))}
    </>
  );
}

const Ago = ({ at }: { at: string }) => <span title={at}>{spell(since(at))} ago</span>;

function Ends({ at }: { at: string }) {
  const left = -since(at);
  return <span title={at}>{left < SOON_S ? <Pill text={`in ${spell(Math.max(0, left))}`} tone="warn" /> : `in ${spell(left)}`}</span>;
}

/** Revoking takes the name typed: a click alone ends nobody's access. */
function Revoke({ what, kind, path, again, own = false, several = false }: { what: string; kind: string; path: string; again: () => void; own?: boolean; several?: boolean }) {
  const [open, set] = useState(false);
  const [typed, type] = useState("");
  const [problem, refuse] = useState<Problem>();
  const [busy, work] = useState(false);
  if (!open) {
    return (
      <button type="button" class="quiet danger" onClick={() => set(true)} aria-label={plain(`Revoke ${what}…`)}>
        Revoke…
      </button>
    );
  }
  const submitted = (event: SubmitEvent): void => {
    event.preventDefault();
    if (typed !== what) return;
    work(true);
    ask(path, { method: "DELETE" })
      .then(again, (error: unknown) => refuse(told(error)))
      .finally(() => work(false));
  };
  return (
    <form class="revoke" onSubmit={submitted} onKeyDown={(event) => event.key === "Escape" && set(false)}>
      <label>
        <span>
          {own && "This is the one that you are signed in with. "}
          {several && "While it is rotated it has more than one: all of them go. "}Type the {kind}'s name to revoke it for good
        </span>
        <input value={typed} onInput={(event) => type(event.currentTarget.value)} autofocus spellcheck={false} autocomplete="off" placeholder={plain(what)} />
      </label>
      <span class="ways">
        <button type="submit" class="main danger" disabled={typed !== what || busy}>
          Revoke
        </button>
        <button type="button" class="quiet" onClick={() => set(false)}>
          Keep it
        </button>
      </span>
      {problem && <ProblemBox problem={problem} />}
    </form>
  );
}

function Keys({ keys, again }: { keys: Key[]; again: () => void }) {
  return (
    <Table columns={["Key", "Public key", ""]}>
      {keys.map((each) => (
        <tr key={each.key_id}>
          <td data-label="Key">
            <Name text={each.key_id} />
          </td>
          <td data-label="Public key">
            <Name text={each.public_key} />
          </td>
          <td class="act">
            <Revoke what={each.key_id} kind="key" path={`/v1/agent-keys/${encodeURIComponent(each.key_id)}`} again={again} />
          </td>
        </tr>
      ))}
    </Table>
  );
}

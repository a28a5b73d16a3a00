/** The proxy in front of a real Postgres: each test looks into the database on which side of the COMMIT it hit. */
import { connect, createServer } from "node:net";
import { setTimeout as delay } from "node:timers/promises";
import pg from "pg";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { TcpProxy } from "#bench/tcp-proxy.ts";
import type { TestPostgres } from "#bench/test-postgres.ts";
import { startTestPostgres } from "#bench/test-postgres.ts";

let postgres: TestPostgres;
let proxy: TcpProxy;
const clients: pg.Client[] = [];

beforeAll(async () => {
  postgres = await startTestPostgres();
  await postgres.query("CREATE TABLE votes (voter text PRIMARY KEY, choice bytea)");
}, 60_000);

afterAll(() => postgres.stop(), 60_000);

beforeEach(async () => {
  await postgres.query("TRUNCATE votes");
  proxy = await TcpProxy.listen({ target: postgres });
});

afterEach(async () => {
  await proxy.close();
  for (const client of clients.splice(0)) client.end().catch(() => undefined);
});

async function session(options: { pipeline?: boolean } = {}): Promise<pg.Client> {
  const client = new pg.Client({ connectionString: postgres.url(proxy.port), ...options });
  client.on("error", () => undefined);
  await client.connect();
  clients.push(client);
  if (options.pipeline === true) isPipelined.add(client);
  return client;
}

async function voters(): Promise<unknown[]> {
  return (await postgres.query("SELECT voter FROM votes ORDER BY voter")).map(({ voter }) => voter);
}

/** Until a row is there, for the cases in which nobody is told. */
async function untilVoted(voter: string): Promise<void> {
  while (!(await voters()).includes(voter)) await delay(5);
}

type SendCommit = (client: pg.Client) => Promise<unknown>;
const commits: Record<string, SendCommit> = {
  "a simple query": (client) => client.query("COMMIT"),
  "a prepared statement": (client) => client.query({ name: "commit", text: "COMMIT", values: [] }),
  "an unnamed statement with Parse, Bind and Execute": (client) =>
    client.query({ text: "COMMIT", values: [], queryMode: "extended" } as pg.QueryConfig),
};

type Outcome = "acknowledged" | "unknown";

const isPipelined = new WeakSet<pg.Client>();

/** Sends a vote's transaction, all at once where the session is pipelined. */
async function vote(client: pg.Client, voter: string, commit: SendCommit): Promise<Outcome> {
  const values = [voter, Buffer.alloc(200_000)];
  const insert = { name: "insert", text: "INSERT INTO votes VALUES ($1, $2)", values };
  const steps = [() => client.query("BEGIN"), () => client.query(insert), () => commit(client)];
  const under = steps.map((step) => (isPipelined.has(client) ? step() : undefined));
  let last: Outcome = "unknown";
  for (const [i, step] of steps.entries()) {
    last = await (under[i] ?? step()).then(
      (): Outcome => "acknowledged",
      (): Outcome => "unknown",
    );
  }
  return last;
}

for (const pipeline of [false, true]) {
  for (const [form, commit] of Object.entries(commits)) {
    describe(`COMMIT as ${form}${pipeline ? ", pipelined with its transaction" : ""}`, () => {
      test("held before the server reads it: not stored until it is released", async () => {
        const client = await session({ pipeline });
        const holding = proxy.holdNext({ what: "commit" });
        const answer = vote(client, "ada", commit);
        const held = await holding;
        expect(held.statements.at(0)).toBe("BEGIN");
        expect(held.statements.at(-1)).toBe("COMMIT");
        expect(await voters()).toEqual([]);
        held.release();
        expect(await answer).toBe("acknowledged");
        expect(await voters()).toEqual(["ada"]);
      });

      test("cut before the server reads it: never stored, and the client does not know", async () => {
        const client = await session({ pipeline });
        const holding = proxy.holdNext({ what: "commit" });
        const answer = vote(client, "ada", commit);
        (await holding).cut();
        expect(await answer).toBe("unknown");
        expect(await voters()).toEqual([]);
      });

      test("its answer cut: stored, and the client does not know", async () => {
        const client = await session({ pipeline });
        const holding = proxy.holdNext({ what: "commit-answer" });
        const answer = vote(client, "ada", commit);
        const held = await holding;
        expect(held.tag).toBe("COMMIT");
        expect(await voters()).toEqual(["ada"]);
        held.cut();
        expect(await answer).toBe("unknown");
      });

      test("its answer held: stored, and acknowledged only when it is released", async () => {
        const client = await session({ pipeline });
        const holding = proxy.holdNext({ what: "commit-answer" });
        let acknowledged = false;
        const answer = vote(client, "ada", commit).then((outcome) => {
          acknowledged = true;
          return outcome;
        });
        const held = await holding;
        expect(await voters()).toEqual(["ada"]);
        expect(acknowledged).toBe(false);
        held.release();
        expect(await answer).toBe("acknowledged");
      });

      test("delivered to the server after the client was cut off: stored, behind the client's back", async () => {
        const client = await session({ pipeline });
        const holding = proxy.holdNext({ what: "commit" });
        const answer = vote(client, "ada", commit);
        const held = await holding;
        held.cutClient();
        expect(await answer).toBe("unknown");
        expect(await voters()).toEqual([]);
        held.release();
        await untilVoted("ada");
      });

      test("the answer of a transaction that failed bears ROLLBACK", async () => {
        const client = await session({ pipeline });
        await client.query("INSERT INTO votes VALUES ('ada')");
        const holding = proxy.holdNext({ what: "commit-answer" });
        const answer = vote(client, "ada", commit);
        const held = await holding;
        expect(held.tag).toBe("ROLLBACK");
        held.release();
        await answer;
      });
    });
  }
}

test("a hold can wait for the transaction that it is about", async () => {
  const client = await session();
  const holding = proxy.holdNext({ what: "commit", containing: /INSERT INTO votes/ });
  await client.query("BEGIN");
  await client.query("SELECT 1");
  await client.query("COMMIT");
  const answer = vote(client, "ada", (c) => c.query("COMMIT"));
  const held = await holding;
  expect(held.statements.filter((text) => /INSERT/.test(text))).toHaveLength(1);
  held.release();
  expect(await answer).toBe("acknowledged");
});

test("only one COMMIT is held, and other connections go on meanwhile", async () => {
  const [one, other] = [await session(), await session()];
  const holding = proxy.holdNext({ what: "commit" });
  const answer = vote(one, "ada", (client) => client.query("COMMIT"));
  const held = await holding;
  expect(await vote(other, "bob", (client) => client.query("COMMIT"))).toBe("acknowledged");
  expect(await voters()).toEqual(["bob"]);
  held.release();
  expect(await answer).toBe("acknowledged");
});

test("a held message names the server's process, which can be ended", async () => {
  const client = await session();
  const holding = proxy.holdNext({ what: "commit" });
  const answer = vote(client, "ada", (c) => c.query("COMMIT"));
  const held = await holding;
  await postgres.query(`SELECT pg_terminate_backend(${held.backendPid}, 5000)`);
  held.release();
  expect(await answer).toBe("unknown");
  expect(await voters()).toEqual([]);
});

test("while frozen nothing passes, not even the end of a connection; thawed, everything does", async () => {
  const client = await session();
  proxy.freeze();
  let answered = false;
  const answer = vote(client, "ada", (c) => c.query("COMMIT")).then((outcome) => {
    answered = true;
    return outcome;
  });
  await delay(100);
  expect(answered).toBe(false);
  expect(await voters()).toEqual([]);
  proxy.thaw();
  expect(await answer).toBe("acknowledged");
});

test("a delay is added both ways", async () => {
  const client = await session();
  proxy.delay(60);
  const startMs = performance.now();
  await client.query("SELECT 1");
  expect(performance.now() - startMs).toBeGreaterThanOrEqual(118);
  proxy.delay(0);
});

test("cut, a client fails at once and can come back; partitioned, it cannot until healed", async () => {
  const client = await session();
  const failed = client.query("SELECT pg_sleep(60)").catch((error: Error) => error);
  proxy.cutAll();
  expect(await failed).toBeInstanceOf(Error);
  expect(await vote(await session(), "ada", (c) => c.query("COMMIT"))).toBe("acknowledged");
  proxy.partition();
  await expect(session()).rejects.toThrow();
  proxy.heal();
  expect(await vote(await session(), "bob", (c) => c.query("COMMIT"))).toBe("acknowledged");
});

test("large results and large statements pass whole", async () => {
  const client = await session();
  const payload = Buffer.alloc(8 * 1024 * 1024, 7);
  const { rows } = await client.query<{ payload: Buffer }>({ text: "SELECT $1::bytea AS payload", values: [payload] });
  expect(rows[0]?.payload.equals(payload)).toBe(true);
});

test("a proxy for bytes passes on what is not Postgres, with its end", async () => {
  const echo = createServer({ allowHalfOpen: true }, (socket) => socket.pipe(socket));
  await new Promise<void>((resolve) => echo.listen(0, "127.0.0.1", resolve));
  const { port } = echo.address() as { port: number };
  const bytes = await TcpProxy.listen({ target: { host: "127.0.0.1", port }, protocol: "bytes" });
  const socket = connect(bytes.port, "127.0.0.1");
  socket.end(Buffer.from([0, 1, 2, 255]));
  const answer: Buffer[] = [];
  for await (const chunk of socket) answer.push(chunk as Buffer);
  expect(Buffer.concat(answer)).toEqual(Buffer.from([0, 1, 2, 255]));
  await bytes.close();
  echo.close();
});

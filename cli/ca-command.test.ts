import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { type AddressInfo, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test, vi } from "vitest";
import { openTlsIdentity } from "#mesh/tls-identity.ts";
import { runCaptured } from "./captured-run.ts";

// Also on a machine that is busy with other things.
vi.setConfig({ testTimeout: 60_000, hookTimeout: 60_000 });

let folder: string;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "urna-ca-"));
  expect(await runCaptured(["ca", "init", "--deployment", "city-2026"], folder)).toMatchObject({ code: 0 });
});

afterAll(() => rmSync(folder, { recursive: true, force: true }));

const file = (...names: string[]) => join(folder, ...names);
const modeOf = (path: string) => statSync(path).mode & 0o777;

test("an authority is made once; its key is its owner's alone", async () => {
  expect(modeOf(file("urna-ca", "ca-key.pem"))).toBe(0o600);
  const again = await runCaptured(["ca", "init", "--deployment", "other"], folder);
  expect(again).toMatchObject({ code: 2, stderr: expect.stringContaining("has a certificate authority already") });
});

test("a certificate that was issued is an identity; renewed it is another one of the same name", async () => {
  const issue = ["ca", "issue", "--service", "router", "--name", "router-0", "--ttl", "90m", "--host", "127.0.0.1"];
  const issued = await runCaptured([...issue, "--out", "certs"], folder);
  expect(issued).toMatchObject({ code: 0, stderr: "" });
  expect(issued.stdout).toContain("spiffe://city-2026/service/router/router-0");
  const pem = file("certs", "router-0.pem");
  expect(modeOf(pem)).toBe(0o600);
  const files = { certFile: pem, keyFile: pem, caFile: file("certs", "ca.pem") };
  const identity = await openTlsIdentity(files);
  expect(identity).toMatchObject({ id: "spiffe://city-2026/service/router/router-0", trouble: "" });
  expect(identity.secondsLeft).toBeLessThan(5_401);
  identity.close();
  const before = readFileSync(pem, "utf8");
  const renewed = await runCaptured(["ca", "renew", "certs/router-0.pem", "--json"], folder);
  expect(JSON.parse(renewed.stdout)).toMatchObject({
    ids: ["spiffe://city-2026/service/router/router-0"],
    hosts: ["127.0.0.1"],
    authority: false,
  });
  expect(readFileSync(pem, "utf8")).not.toBe(before);
  (await openTlsIdentity(files)).close();
  const shown = await runCaptured(["ca", "show", "certs/router-0.pem", "urna-ca/ca.pem"], folder);
  expect(shown.stdout).toMatch(/h left/);
  expect(shown.stdout).toContain("authority spiffe://city-2026");
});

const faults: [string, string[], string][] = [
  ["no kind", ["issue", "--name", "x", "--out", "o"], "give --service or --caller"],
  [
    "two kinds",
    ["issue", "--service", "router", "--caller", "admin", "--name", "x", "--out", "o"],
    "give --service or",
  ],
  [
    "an unknown kind",
    ["issue", "--service", "emperor", "--name", "x", "--out", "o"],
    "is none of router, shard, tally",
  ],
  ["a name with a slash", ["issue", "--caller", "admin", "--name", "a/b", "--out", "o"], "cannot be a name"],
  [
    "no length of time",
    ["issue", "--caller", "admin", "--name", "a", "--ttl", "soon", "--out", "o"],
    "--ttl soon is no",
  ],
  [
    "no authority",
    ["issue", "--caller", "admin", "--name", "a", "--dir", "none", "--out", "o"],
    "make an authority with",
  ],
  ["a capital trust domain", ["init", "--deployment", "City", "--dir", "c"], "cannot be a trust domain"],
  ["what is no certificate", ["show", "urna-ca/ca-key.pem"], "holds no certificate that can be read"],
  ["what was not issued here", ["renew", "foreign.pem"], "was issued by another authority"],
];

for (const [title, args, words] of faults) {
  test(`${title} is a usage error that says so`, async () => {
    await runCaptured(["ca", "init", "--deployment", "foreign", "--dir", "foreign-ca"], folder);
    const issue = ["ca", "issue", "--dir", "foreign-ca", "--caller", "client", "--name", "foreign", "--out", "."];
    await runCaptured(issue, folder);
    const { code, stderr } = await runCaptured(["ca", ...args], folder);
    expect({ code, stderr }).toEqual({ code: 2, stderr: expect.stringContaining(words) });
  });
}

test("a certificate of the environment that does not do is a usage error", async () => {
  writeFileSync(file("empty.pem"), "");
  const tls = { certFile: file("empty.pem"), keyFile: file("empty.pem"), caFile: file("urna-ca", "ca.pem") };
  const listener = createServer((socket) => socket.destroy());
  await new Promise<void>((resolve) => listener.listen(0, "127.0.0.1", resolve));
  const { port } = listener.address() as AddressInfo;
  const { code, stderr } = await runCaptured(["keys", "--server", `127.0.0.1:${port}`], folder, { config: { tls } });
  listener.close();
  expect({ code, stderr }).toEqual({
    code: 2,
    stderr: `urna: the certificate does not do: ${tls.certFile} holds no certificate`,
  });
});

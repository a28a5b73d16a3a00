import { X509Certificate } from "node:crypto";
import { readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { openTlsIdentity } from "#mesh/tls-identity.ts";
import { CertificateAuthority } from "./certificate-authority.ts";
import { CertificateKeeper, keptIdentity, keptServer } from "./certificate-keeper.ts";
import { CertificateRig } from "./certificate-rig.ts";
import { waitFor } from "./wait-for.ts";

// Also on a machine that is busy with other things.
vi.setConfig({ testTimeout: 60_000, hookTimeout: 60_000 });

const hourMs = 3_600_000;
let rig: CertificateRig;

beforeEach(async () => {
  rig = await CertificateRig.open();
});
afterEach(() => rig.close());

const router = { deployment: "test-mesh", kind: "router", name: "router-0" } as const;
const serialOf = (file: string) => new X509Certificate(readFileSync(file)).serialNumber;

async function keep(authority = rig.authority, lifeMs = 24 * hourMs): Promise<CertificateKeeper> {
  const certificates = [keptIdentity(router, ["127.0.0.1"]), keptServer("consul", ["server.dc1.consul", "127.0.0.1"])];
  return await CertificateKeeper.open({ authority, folder: join(rig.folder, "kept"), certificates, lifeMs });
}

test("certificates are there when the keeper is open, for their owner alone, and stay while they are good", async () => {
  const keeper = await keep();
  const files = keeper.filesOf("router-0");
  expect(statSync(files.keyFile).mode & 0o777).toBe(0o600);
  const identity = await openTlsIdentity(files);
  expect(identity.id).toBe("spiffe://test-mesh/service/router/router-0");
  identity.close();
  const consul = new X509Certificate(readFileSync(keeper.filesOf("consul").certFile));
  expect(consul.checkHost("server.dc1.consul")).toBe("server.dc1.consul");
  expect(consul.subjectAltName).not.toContain("spiffe");
  const before = serialOf(files.certFile);
  await keeper.stop();
  await (await keep()).stop();
  expect(serialOf(files.certFile)).toBe(before);
});

test("what is near its end, cut short, of another authority or longer lived than wanted is issued anew", async () => {
  const keeper = await keep();
  const file = keeper.filesOf("router-0").certFile;
  await keeper.stop();
  const other = await CertificateAuthority.create(join(rig.folder, "other"), "test-mesh");
  const old = { id: router, notBefore: new Date(Date.now() - 20 * hourMs), lifeMs: 24 * hourMs };
  const late = await rig.authority.issue(old);
  const foreign = await other.issue({ id: router });
  const long = await rig.authority.issue({ id: router, lifeMs: 240 * hourMs });
  const texts = [late, foreign, long].map(({ key, certificate }) => key + certificate);
  for (const text of [...texts, texts[0]?.slice(0, 300) ?? ""]) {
    writeFileSync(file, text);
    await (await keep()).stop();
    (await openTlsIdentity(keeper.filesOf("router-0"))).close();
    expect(readFileSync(file, "utf8")).not.toBe(text);
  }
});

test("at half of its life a certificate is renewed, and whoever reads the file sees key and certificate fit", async () => {
  const keeper = await keep(rig.authority, 10_000);
  const files = keeper.filesOf("router-0");
  const identity = await openTlsIdentity(files);
  const before = serialOf(files.certFile);
  await waitFor("the renewal", 30_000, () => (serialOf(files.certFile) === before ? undefined : true));
  await waitFor("it to be shown", 30_000, () => (identity.secondsLeft > 5 ? true : undefined));
  expect(identity.trouble).toBe("");
  identity.close();
  await keeper.stop();
});

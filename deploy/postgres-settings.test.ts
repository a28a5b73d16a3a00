import { describe, expect, test } from "vitest";
import { accessRules, primaryConfiguration, standbyConfiguration } from "./postgres-settings.ts";
import { parsePasswd } from "./unprivileged-user.ts";

const settings = { port: 54400, sharedBuffersMb: 128 };
const upstream = { host: "127.0.0.1", port: 54400, password: "p", standbyName: "shard_0_standby" };

describe("the configuration of a pair", () => {
  test.each([
    ["the primary", primaryConfiguration(settings, "shard_0_standby")],
    ["the standby", standbyConfiguration(settings, upstream)],
  ])("%s flushes, keeps whole pages, and listens on loopback alone (I1)", (_, text) => {
    for (const line of ["fsync = on", "full_page_writes = on", "synchronous_commit = on"]) expect(text).toContain(line);
    expect(text).toContain("listen_addresses = '127.0.0.1'");
    expect(text).toContain("max_slot_wal_keep_size = ");
  });

  test("the primary waits for its own standby by name, never for any (I1)", () => {
    const text = primaryConfiguration(settings, "shard_0_standby");
    expect(text).toContain(`synchronous_standby_names = 'FIRST 1 ("shard_0_standby")'`);
  });

  test("the standby streams under that name through its slot", () => {
    const text = standbyConfiguration(settings, upstream);
    expect(text).toContain("application_name=shard_0_standby");
    expect(text).toContain("primary_slot_name = 'shard_0_standby'");
  });

  test("only the role that can change nothing needs no password", () => {
    const trusted = accessRules.split("\n").filter((line) => line.endsWith("trust"));
    expect(trusted).toEqual(["host all urna_operator 127.0.0.1/32 trust"]);
  });
});

test("accounts are read from /etc/passwd, and lines that are none are passed over", () => {
  const accounts = parsePasswd(
    "root:x:0:0:root:/root:/bin/sh\n\n# x\nnobody:x:65534:65533:n:/:/bin/false\nbad:x:a:b\n",
  );
  expect(accounts.get("nobody")).toEqual({ name: "nobody", uid: 65534, gid: 65533 });
  expect([...accounts.keys()]).toEqual(["root", "nobody"]);
});

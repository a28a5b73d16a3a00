import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { runCaptured } from "./captured-run.ts";
import { exitCode } from "./exit-code.ts";

const folder = mkdtempSync(join(tmpdir(), "urna-cli-"));
afterAll(() => rmSync(folder, { recursive: true }));

function file(name: string, text: string): string {
  writeFileSync(join(folder, name), text);
  return join(folder, name);
}

const vote = ["vote", "--election", "town", "--region", "north", "--server", "127.0.0.1:1"];

const wrongUse: readonly { what: string; args: string[]; says: string }[] = [
  { what: "an unknown command", args: ["frobnicate"], says: "unknown command" },
  { what: "an unknown option", args: ["status", "--frobnicate"], says: "unknown option" },
  { what: "no command at all", args: [], says: "Usage: urna" },
  { what: "a group without a command", args: ["election"], says: "Usage: urna election" },
  { what: "a missing argument", args: ["tally"], says: "missing required argument" },
  { what: "a missing option", args: ["vote", "--voter", "v"], says: "--election" },
  { what: "a vote by nobody", args: vote, says: "--voter" },
  { what: "a vote by voter and ballot", args: [...vote, "--voter", "v", "--ballot", "b"], says: "--ballot" },
  { what: "a selection without a sign", args: [...vote, "--voter", "v", "--select", "mayor"], says: "--select mayor" },
  { what: "a selection without a contest", args: [...vote, "--voter", "v", "--select", "=ann"], says: "--select =ann" },
  { what: "a key that is not hexadecimal", args: [...vote, "--voter", "v", "--key", "xyz"], says: "--key xyz" },
  { what: "a key of 15 bytes", args: [...vote, "--voter", "v", "--key", "ab".repeat(15)], says: "16 to 32 bytes" },
  { what: "a key of 33 bytes", args: [...vote, "--voter", "v", "--key", "ab".repeat(33)], says: "16 to 32 bytes" },
  { what: "an odd number of digits", args: [...vote, "--voter", "v", "--key", `${"ab".repeat(16)}c`], says: "--key" },
  { what: "a server without a port", args: ["election", "list", "--server", "here"], says: "HOST:PORT" },
  { what: "a number of shards that is none", args: ["demo", "--shards", "two"], says: "whole number" },
  { what: "no shards", args: ["demo", "--shards", "0"], says: "whole number" },
  { what: "a file that is not there", args: ["election", "create", join(folder, "none.json")], says: "none.json" },
  { what: "a CSV that is not there", args: ["election", "create", join(folder, "none.csv")], says: "none.csv" },
  { what: "a file that is not JSON", args: ["election", "create", file("bad.json", "{")], says: "is not JSON" },
  {
    what: "a definition with an unknown field",
    args: ["election", "create", file("field.json", '{"electionId":"town","colour":"red"}')],
    says: "colour",
  },
  {
    what: "a definition with a field of another type",
    args: ["election", "create", file("type.json", '{"contests":[{"maxSelections":"many"}]}')],
    says: "max_selections",
  },
  {
    what: "a CSV with a negative count",
    args: ["election", "create", file("bad.csv", "county,precinct,party,candidate,votes\nA,B,C,D,-1\n")],
    says: "line 2",
  },
  {
    what: "a change of elections without a token",
    args: ["election", "open", "town", "--server", "127.0.0.1:1"],
    says: "--admin-token-file",
  },
  {
    what: "a result without a file",
    args: ["election", "result", "town", "--server", "127.0.0.1:1"],
    says: "--out",
  },
  {
    what: "a proof in no folder",
    args: [...vote, "--voter", "v", "--save", join(folder, "none", "receipt")],
    says: "--save",
  },
  { what: "a key for no proof", args: [...vote, "--voter", "v", "--verifier-key", "k"], says: "--save FILE" },
  {
    what: "the loss of no shard",
    args: ["shard", "accept-loss", "north", "--yes", "--admin-token-file", file("token", "t")],
    says: "not the number of a shard",
  },
  {
    what: "a loss that nobody is there to accept",
    args: ["shard", "accept-loss", "0", "--admin-token-file", file("token", "t")],
    says: "give --yes",
  },
  {
    what: "a token file that is not there",
    args: ["election", "open", "town", "--server", "127.0.0.1:1", "--admin-token-file", join(folder, "none")],
    says: "none",
  },
];

describe("wrong use ends with exit code 2 and names what is wrong", () => {
  for (const { what, args, says } of wrongUse) {
    test(what, async () => {
      const run = await runCaptured(args, folder);
      expect(run.code).toBe(exitCode.usage);
      expect(run.stderr).toContain(says);
      expect(run.stdout).toBe("");
    });
  }
});

describe("a server that does not answer ends with exit code 3 and says what to do", () => {
  test("when no run is known here", async () => {
    const run = await runCaptured(["tally", "town"], folder);
    expect(run.code).toBe(exitCode.unreachable);
    expect(run.stderr).toMatch(/^urna: no \.urna\/endpoints\.json .*npm start.*--server HOST:PORT$/);
  });

  test("when the run that is known here has ended", async () => {
    const ended = join(folder, "ended");
    const nowhere = { grpc: "127.0.0.1:1", connect: "http://127.0.0.1:1" };
    const endpoints = { schema_version: 1, routers: [nowhere], tally: nowhere, shards: [] };
    mkdirSync(join(ended, ".urna"), { recursive: true });
    writeFileSync(join(ended, ".urna", "endpoints.json"), JSON.stringify(endpoints));
    for (const args of [["tally", "town"], ["status"]]) {
      const run = await runCaptured(args, ended);
      expect(run.code).toBe(exitCode.unreachable);
      expect(run.stderr).toMatch(/answers: start Urna again with "npm start"/);
    }
  });

  test("when nobody listens at --server; a vote's key is told, so that it can be sent again (I3)", async () => {
    const run = await runCaptured([...vote, "--voter", "v-17", "--key", "ab".repeat(16)], folder);
    expect(run.code).toBe(exitCode.unreachable);
    expect(run.stderr).toContain(`key: ${"ab".repeat(16)}`);
    expect(run.stderr).toContain("nothing answers at 127.0.0.1:1");
  });
});

describe("--json", () => {
  test("makes of every failure one JSON object on standard output", async () => {
    const run = await runCaptured(["tally", "town", "--json"], folder);
    expect(JSON.parse(run.stdout)).toMatchObject({ error: { reason: "UNREACHABLE" } });
    const wrong = await runCaptured(["tally", "--json"], folder);
    expect(wrong.code).toBe(exitCode.usage);
    expect(JSON.parse(wrong.stdout)).toMatchObject({ error: { reason: "USAGE" } });
    const demo = await runCaptured(["demo", "--shards", "none", "--json"], folder);
    expect(demo.code).toBe(exitCode.usage);
    expect(JSON.parse(demo.stdout)).toMatchObject({
      schema_version: 1,
      ballots: 0,
      error: expect.stringMatching(/--shards/),
    });
  });
});

describe("help", () => {
  const commands = [
    [],
    ["demo"],
    ["status"],
    ["election", "create"],
    ["election", "open"],
    ["election", "close"],
    ["election", "list"],
    ["election", "show"],
    ["election", "result"],
    ["vote"],
    ["receipt"],
    ["verify"],
    ["keys"],
    ["shard", "accept-loss"],
    ["tally"],
    ["recount"],
  ];
  for (const command of commands) {
    test(`of "urna ${command.join(" ")}" has examples and ends with exit code 0`, async () => {
      const run = await runCaptured([...command, "--help"], folder);
      expect(run.code).toBe(exitCode.done);
      expect(run.stdout).toContain("Examples:\n  ");
      expect(run.stderr).toBe("");
    });
  }
});

import { expect, test } from "vitest";
import { parseInstances } from "./service-instances.ts";

const entry = (service: object, checks: object[] = [], address = "10.0.0.1") => ({
  Node: { Node: "machine-1", Address: address },
  Service: {
    ID: "shard-0-a",
    Address: "10.0.0.2",
    Port: 5_000,
    Meta: { shard: "0", process: "shard-0-a/1f" },
    ...service,
  },
  Checks: checks,
});

const parse = (...entries: unknown[]) => parseInstances(entries, "urna-shard", true);

test("an instance says where it is, whose it is and which process; without an address it is at its node's", () => {
  const known = {
    key: "shard-0-a on machine-1",
    id: "shard-0-a",
    shardId: 0,
    process: "shard-0-a/1f",
    reachable: true,
  };
  expect(parse(entry({}))).toEqual({ instances: [{ ...known, address: "10.0.0.2:5000" }], faults: [] });
  expect(parse(entry({ Address: "" })).instances).toMatchObject([{ address: "10.0.0.1:5000" }]);
  expect(parse(entry({ Address: "::1" })).instances).toMatchObject([{ address: "[::1]:5000" }]);
});

const refused = "dial tcp 10.0.0.2:5000: connect: connection refused";

test("only the check of its port says that it is not reachable: what it says of itself does not", () => {
  const critical = (CheckID: string) => [{ CheckID, Status: "critical", Output: refused }];
  expect(parse(entry({}, critical("alive:shard-0-a"))).instances).toMatchObject([{ reachable: false }]);
  for (const other of ["status:shard-0-a", "serfHealth", "alive:shard-0-b"]) {
    expect(parse(entry({}, critical(other))).instances).toMatchObject([{ reachable: true }]);
  }
});

test("nobody is taken for ended whose port an agent has not looked at yet, or that is slow to answer", () => {
  const check = (Status: string, Output: string) => [{ CheckID: "alive:shard-0-a", Status, Output }];
  const notYet = [
    check("critical", ""),
    check("critical", "dial tcp 10.0.0.2:5000: i/o timeout"),
    check("passing", ""),
  ];
  for (const checks of notYet) expect(parse(entry({}, checks)).instances).toMatchObject([{ reachable: true }]);
  expect(parse(entry({}, check("critical", refused))).instances).toMatchObject([{ reachable: false }]);
});

const nonsense: [string, unknown, string][] = [
  ["null", null, "without an ID: service: the entry must be an object"],
  ["no shard", entry({ Meta: {} }), "shard-0-a: service: Meta.shard must be a text"],
  ["no meta at all", entry({ Meta: null }), "Meta.shard must be a text"],
  ["a shard that is no number", entry({ Meta: { shard: "0x1" } }), "Meta.shard must be a number"],
  ["a shard beyond all slots", entry({ Meta: { shard: "16384" } }), "Meta.shard must be less than 16384"],
  ["no port", entry({ Port: 0 }), "Port must be more than 0"],
  ["a port beyond all ports", entry({ Port: 70_000 }), 'Address "10.0.0.2:70000" must be host:port'],
  ["an address with a space", entry({ Address: "a b" }), 'Address "a b:5000" must be host:port'],
  ["no address anywhere", entry({ Address: "" }, [], ""), "Address must be a text"],
  ["checks that are no list", { ...entry({}), Checks: "all" }, "Checks must be a list"],
];
for (const [title, value, fault] of nonsense) {
  test(`a registration with ${title} is named, and the others are read`, () => {
    const { instances, faults } = parse(value, entry({ ID: "shard-0-b" }));
    expect(faults).toEqual([expect.stringContaining(fault)]);
    expect(instances.map(({ id }) => id)).toEqual(["shard-0-b"]);
  });
}

test("of very many faults some are named", () => {
  expect(parse(...Array.from({ length: 1_000 }, () => null)).faults).toHaveLength(20);
});

import { describe, expect, test } from "vitest";
import { defaultPort, HeldPorts, PortInUseError, portNames } from "./port-plan.ts";

const shape = { shards: 2, routers: 2, nodesPerShard: 2 };

describe("ports", () => {
  test("by default the first router and the tally listen where the documents say", () => {
    const wanted = { "router-0.grpc": 50051, "router-0.connect": 8080, "tally.grpc": 50052, "tally.connect": 8081 };
    for (const [name, port] of Object.entries(wanted)) expect(defaultPort(name)).toBe(port);
  });

  test("no two defaults of a large cluster are the same", () => {
    const names = portNames({ shards: 8, routers: 8, nodesPerShard: 2 });
    expect(new Set(names.map(defaultPort)).size).toBe(names.length);
  });

  test("free ones are held against others until their process starts, and taken again where they are free", async () => {
    const names = portNames(shape);
    const first = await HeldPorts.take(names, 0);
    const second = await HeldPorts.take(names, 0, first.ports);
    const shared = Object.values(second.ports).filter((port) => Object.values(first.ports).includes(port));
    expect(shared).toEqual([]);
    await first.releaseAll();
    await second.releaseAll();

    const again = await HeldPorts.take(names, 0, first.ports);
    expect(again.ports).toEqual(first.ports);
    await again.releaseAll();
  });

  test("one that is taken is refused by its name, with a way out", async () => {
    const taken = await HeldPorts.take(["tally.grpc"], 0);
    const base = taken.ports["tally.grpc"] ?? 0;
    const refused = HeldPorts.take(["router-0.grpc"], base);
    await expect(refused).rejects.toThrow(PortInUseError);
    await expect(refused).rejects.toThrow(new RegExp(`port ${base} \\(router-0, grpc\\) is in use.*--port-base 0`));
    await taken.releaseAll();
  });

  test("with a base they are consecutive", async () => {
    const probe = await HeldPorts.take(["tally.grpc"], 0);
    const base = probe.ports["tally.grpc"] ?? 0;
    await probe.releaseAll();
    const held = await HeldPorts.take(["tally.grpc"], base);
    expect(held.address("tally.grpc")).toBe(`127.0.0.1:${base}`);
    await held.releaseAll();
  });
});

/** Which of several addresses somebody listens on. */
import { connect } from "node:net";
import { parseHostPort } from "#mesh/host-port.ts";

const connectMsMax = 1_000;

/** The first one that accepts a connection, asked in order; undefined when none does. */
export async function firstReachable(addresses: readonly string[]): Promise<string | undefined> {
  for (const address of addresses) if (await accepts(address)) return address;
  return undefined;
}

function accepts(address: string): Promise<boolean> {
  const target = parseHostPort(address);
  if (target === undefined) return Promise.resolve(false);
  return new Promise((resolve) => {
    const socket = connect({ ...target, timeout: connectMsMax });
    const settle = (accepted: boolean) => {
      socket.destroy();
      resolve(accepted);
    };
    socket.once("connect", () => settle(true));
    socket.once("timeout", () => settle(false));
    socket.once("error", () => settle(false));
  });
}

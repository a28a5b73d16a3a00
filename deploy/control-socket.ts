/** The launcher's end of the control socket (control-protocol.ts): a Unix domain socket for the launcher's own user. */
import { chmodSync, rmSync } from "node:fs";
import type { Server, Socket } from "node:net";
import { createServer } from "node:net";
import type { ControlLine, ControlRequest } from "./control-protocol.ts";
import { ControlError, parseRequest, requestBytesMax } from "./control-protocol.ts";

const connectionsMax = 16;

export type ControlHandler = (request: ControlRequest, progress: (text: string) => void) => Promise<unknown>;

export class ControlSocket {
  readonly #server: Server;
  readonly #handle: ControlHandler;
  readonly #log: (line: string) => void;
  readonly #connections = new Set<Socket>();

  private constructor(handle: ControlHandler, log: (line: string) => void) {
    this.#handle = handle;
    this.#log = log;
    // Who asks and then says no more is still answered.
    this.#server = createServer({ allowHalfOpen: true }, (socket) => this.#serve(socket));
    this.#server.maxConnections = connectionsMax;
  }

  /** What an earlier launcher left at the path goes. Throws when the path cannot be listened on. */
  static async open(path: string, handle: ControlHandler, log: (line: string) => void): Promise<ControlSocket> {
    const control = new ControlSocket(handle, log);
    rmSync(path, { force: true });
    await new Promise<void>((resolve, reject) => {
      control.#server.once("error", reject);
      control.#server.listen(path, resolve);
      // Bound by now, or failed: nobody else could ever connect.
      if (control.#server.listening) chmodSync(path, 0o600);
    });
    chmodSync(path, 0o600);
    control.#server.on("error", () => {});
    return control;
  }

  async close(): Promise<void> {
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()));
    for (const socket of this.#connections) socket.destroy();
    await closed;
  }

  #serve(socket: Socket): void {
    this.#connections.add(socket);
    socket.once("close", () => this.#connections.delete(socket));
    socket.on("error", () => {});
    void this.#read(socket).catch((error: unknown) => {
      this.#log(`the control socket: ${error instanceof Error ? error.message : error}`);
      socket.destroy();
    });
  }

  /** One request after the other. After one that is too long nothing is understood any more. */
  async #read(socket: Socket): Promise<void> {
    socket.setEncoding("utf8");
    let unread = "";
    let lost = false;
    for await (const chunk of socket as AsyncIterable<string>) {
      if (lost) continue;
      unread += chunk;
      for (let end = unread.indexOf("\n"); end >= 0; end = unread.indexOf("\n")) {
        const line = unread.slice(0, end);
        unread = unread.slice(end + 1);
        await this.#answer(line, (answer) => void socket.write(`${JSON.stringify(answer)}\n`));
      }
      if (unread.length > requestBytesMax) {
        const error = new ControlError("INVALID_REQUEST", `a request has at most ${requestBytesMax} bytes`);
        socket.write(`${JSON.stringify(errorLine(error))}\n`);
        lost = true;
      }
    }
    socket.end();
  }

  async #answer(line: string, send: (answer: ControlLine) => void): Promise<void> {
    try {
      send({ done: await this.#handle(parseRequest(line), (progress) => send({ progress })) });
    } catch (error) {
      if (!(error instanceof ControlError)) {
        this.#log(`a request through the control socket failed: ${error instanceof Error ? error.stack : error}`);
      } else if (error.reason === "INVALID_REQUEST") this.#log(`control socket: ${error.message}`);
      send(errorLine(error));
    }
  }
}

function errorLine(error: unknown): ControlLine {
  const { reason, message } =
    error instanceof ControlError ? error : new ControlError("INTERNAL", "the launcher failed; its output says more");
  return { error: { reason, message } };
}

/** Asks a running launcher through its control socket. */
import type { Socket } from "node:net";
import { connect } from "node:net";
import { createInterface } from "node:readline";
import type { ControlLine, ProcessList, Release, Restarted } from "./control-protocol.ts";
import { ControlError } from "./control-protocol.ts";

/** Nobody listens at the socket, or the launcher ended in the middle of an answer. */
export class LauncherGoneError extends Error {}

export class ControlClient implements Disposable {
  readonly #socket: Socket;
  readonly #lines: AsyncIterator<string>;

  private constructor(socket: Socket) {
    this.#socket = socket;
    this.#lines = createInterface({ input: socket, crlfDelay: Number.POSITIVE_INFINITY })[Symbol.asyncIterator]();
  }

  /** Throws LauncherGoneError. */
  static async connect(path: string): Promise<ControlClient> {
    const socket = connect(path);
    await new Promise<void>((resolve, reject) => {
      socket.once("connect", resolve);
      socket.once("error", (error) =>
        reject(new LauncherGoneError(`no launcher listens at ${path}: ${error.message}`)),
      );
    });
    socket.on("error", () => {});
    return new ControlClient(socket);
  }

  /** Throws ControlError, LauncherGoneError. */
  async list(): Promise<ProcessList> {
    return (await this.#ask({ list: true })) as ProcessList;
  }

  /** Throws as `list`. */
  async restart(name: string, onProgress?: (text: string) => void): Promise<Restarted> {
    return (await this.#ask({ restart: name }, onProgress)) as Restarted;
  }

  /** Throws as `list`. */
  async release(checkout: string, onProgress?: (text: string) => void): Promise<Release> {
    return (await this.#ask({ release: checkout }, onProgress)) as Release;
  }

  [Symbol.dispose](): void {
    this.#socket.destroy();
  }

  async #ask(request: object, onProgress: (text: string) => void = () => {}): Promise<unknown> {
    this.#socket.write(`${JSON.stringify(request)}\n`);
    for (;;) {
      const { done, value } = await this.#lines.next().catch(() => ({ done: true, value: "" }));
      if (done === true) throw new LauncherGoneError("the launcher has ended");
      const line = JSON.parse(value) as ControlLine;
      if ("progress" in line) onProgress(line.progress);
      else if ("error" in line) throw new ControlError(line.error.reason, line.error.message);
      else return line.done;
    }
  }
}

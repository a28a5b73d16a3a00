/**
 * The intentions that operators have written into Consul, followed by a query that waits for changes. While Consul is away
 * the last ones stand, in a file too: a path that was closed must not open because a process was restarted.
 */
import { readFile } from "node:fs/promises";
import type { Intentions } from "#mesh/intentions.ts";
import type { Logger } from "#mesh/log.ts";
import { BlockingQuery } from "./blocking-query.ts";
import type { ConsulAnswer, ConsulClient } from "./consul-client.ts";
import { ConsulError } from "./consul-client.ts";
import type { ConsulTrouble } from "./consul-trouble.ts";
import { replaceFile } from "./directory-cache.ts";
import type { IntentionRule } from "./intention-rules.ts";
import { isAllowed, parseIntentions } from "./intention-rules.ts";

const bytesMax = 4_000_000;
const what = "the intentions";

export type IntentionBookParts = {
  readonly client: ConsulClient;
  readonly trouble: ConsulTrouble;
  readonly file: string;
  readonly log: Logger;
};

/** With what an earlier process has seen, where there is something. */
export async function openIntentionBook(parts: IntentionBookParts): Promise<IntentionBook> {
  const text = await readFile(parts.file, "utf8").catch(() => undefined);
  let body: unknown = [];
  try {
    if (text !== undefined) body = JSON.parse(text);
    return new IntentionBook(parts, parseIntentions(body));
  } catch (error) {
    parts.log.warn({ err: error, file: parts.file }, "the cached intentions cannot be used");
    return new IntentionBook(parts, []);
  }
}

export class IntentionBook implements Intentions {
  readonly #parts: IntentionBookParts;
  readonly #closing = new AbortController();
  readonly #listeners = new Set<() => void>();
  #rules: readonly IntentionRule[];
  #writing: Promise<void> = Promise.resolve();

  constructor(parts: IntentionBookParts, rules: readonly IntentionRule[]) {
    this.#parts = parts;
    this.#rules = rules;
    const query = new BlockingQuery({
      client: parts.client,
      path: "/config/service-intentions",
      bytesMax,
      onAnswer: (answer) => this.#take(answer),
      onFailure: (error) => this.#failed(error),
    });
    void query.follow(this.#closing.signal);
  }

  allows(source: string, destination: string): boolean {
    return isAllowed(this.#rules, source, destination);
  }

  onChange(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  close(): void {
    this.#closing.abort();
    this.#listeners.clear();
  }

  #take({ body, hasLeader, filtered }: ConsulAnswer): void {
    let rules: IntentionRule[];
    try {
      if (!hasLeader) throw new Error("Consul has no leader");
      rules = parseIntentions(body);
    } catch (error) {
      this.#failed(new ConsulError("failed", (error as Error).message));
      return;
    }
    if (filtered && rules.length === 0) {
      this.#failed(new ConsulError("refused", "Consul lets this token see no intentions"));
      return;
    }
    this.#parts.trouble.worked(what);
    if (JSON.stringify(rules) === JSON.stringify(this.#rules)) return;
    this.#rules = rules;
    const denied = rules.filter(({ allows }) => !allows).map(({ source, destination }) => `${source} → ${destination}`);
    this.#parts.log.info({ denied }, "the intentions in Consul have changed");
    this.#keep(body);
    for (const listener of this.#listeners) listener();
  }

  /** One write after the other; never throws. */
  #keep(body: unknown): void {
    const { file, log } = this.#parts;
    this.#writing = this.#writing
      .then(() => replaceFile(file, `${JSON.stringify(body)}\n`))
      .catch((error: unknown) => log.warn({ err: error, file }, "the intentions cannot be cached"));
  }

  #failed(error: ConsulError): void {
    this.#parts.trouble.failed(what, error);
  }
}

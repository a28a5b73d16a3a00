/**
 * COPY … FROM STDIN as one query of a pipelined `pg` client. The rows are sent right behind the statement, without waiting
 * for the server to ask for them: a server that refuses the statement, or fails in the middle, passes over what follows
 * until the end of the copy (protocol flow, "COPY Operations"), so the pipeline stays in step either way.
 */
import pg from "pg";

const codes = { copyData: 0x64, copyDone: 0x63 } as const;
/** A message's code and its length. */
const headBytes = 5;

/** What of a `pg` connection is used; its own types leave these out. */
type Wire = {
  query(text: string): void;
  readonly stream: { write(bytes: Uint8Array): boolean; readonly writable: boolean };
};

/** A query of `pg` in all but how it is sent: pipelined clients refuse what is not derived from their own Query. */
class CopyQuery extends pg.Query {
  readonly #statement: string;
  readonly #messages: Uint8Array;

  constructor(statement: string, messages: Uint8Array, done: (error: Error | undefined) => void) {
    super(statement, (error) => done(error ?? undefined));
    this.#statement = statement;
    this.#messages = messages;
    Object.assign(this, {
      submit: (connection: Wire) => this.#submit(connection),
      // The rows are on their way already.
      handleCopyInResponse: () => {},
    });
  }

  #submit(connection: Wire): null {
    connection.query(this.#statement);
    if (connection.stream.writable) connection.stream.write(this.#messages);
    return null;
  }
}

/** Room at the start of `copyIn`'s buffer, and at its end, for the protocol. */
export const copyHeadBytes = headBytes;
export const copyTailBytes = headBytes;

/**
 * Sends `rows` (binary or text, as the statement says) at once; resolves when the server has taken them all. Between
 * `copyHeadBytes` and `copyTailBytes`, which are filled in here, the buffer holds the rows.
 */
export function copyIn(client: pg.Client, statement: string, buffer: Buffer): Promise<void> {
  const end = buffer.length - copyTailBytes;
  buffer[0] = codes.copyData;
  // The length counts itself, not the code.
  buffer.writeInt32BE(end - 1, 1);
  buffer[end] = codes.copyDone;
  buffer.writeInt32BE(headBytes - 1, end + 1);
  return new Promise((resolve, reject) => {
    client.query(new CopyQuery(statement, buffer, (error) => (error === undefined ? resolve() : reject(error))));
  });
}

/** One JSON document a line, as protobuf JSON says it: enums by name, 64-bit numbers as strings, fields in lowerCamelCase. */
import type { DescMessage, JsonValue, MessageShape } from "@bufbuild/protobuf";
import { toJson } from "@bufbuild/protobuf";
import type { Terminal } from "./terminal.ts";

/** Fields that have their default value are printed too: a script should not have to know the defaults. */
export function messageJson<D extends DescMessage>(schema: D, message: MessageShape<D>): JsonValue {
  return toJson(schema, message, { alwaysEmitImplicit: true });
}

export function printMessage<D extends DescMessage>(terminal: Terminal, schema: D, message: MessageShape<D>): void {
  terminal.print(JSON.stringify(messageJson(schema, message)));
}

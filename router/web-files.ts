/** The built web page, served from one folder; without one, a plain page that says what this address is. */
import { createReadStream } from "node:fs";
import { realpath, stat } from "node:fs/promises";
import type { IncomingMessage, ServerResponse } from "node:http";
import { extname, join, sep } from "node:path";
import { pipeline } from "node:stream/promises";

const contentTypes: Readonly<Record<string, string>> = {
  ".css": "text/css; charset=utf-8",
  ".html": "text/html; charset=utf-8",
  ".ico": "image/x-icon",
  ".js": "text/javascript; charset=utf-8",
  ".json": "application/json",
  ".map": "application/json",
  ".png": "image/png",
  ".svg": "image/svg+xml",
  ".txt": "text/plain; charset=utf-8",
  ".woff2": "font/woff2",
};

const indexPage = `<!doctype html><meta charset="utf-8"><title>Urna</title>
<h1>Urna</h1>
<p>This is a router. It answers Connect, gRPC-Web and JSON: POST to /urna.v1.VoteService/CastVote and its sisters.</p>
`;

export type WebHandler = (request: IncomingMessage, response: ServerResponse) => void;

/** Answers GET and HEAD. */
export function webHandler(root: string | undefined): WebHandler {
  return (request, response) => {
    response.setHeader("x-content-type-options", "nosniff");
    response.setHeader("x-frame-options", "DENY");
    response.setHeader("referrer-policy", "no-referrer");
    answer(root, request, response).catch(() => response.destroy());
  };
}

async function answer(root: string | undefined, request: IncomingMessage, response: ServerResponse): Promise<void> {
  const path = pathOf(request);
  const file = root === undefined || path === undefined ? undefined : await fileAt(root, path);
  if (file !== undefined) return await sendFile(file, request, response);
  if (root === undefined && path === "/") send(response, 200, "text/html; charset=utf-8", indexPage);
  else send(response, 404, "text/plain; charset=utf-8", "there is nothing at this address\n");
}

/** Undefined when the address is not one that can name a file. */
function pathOf({ url }: IncomingMessage): string | undefined {
  try {
    const path = decodeURIComponent(url?.split("?", 1)[0] ?? "");
    return path.startsWith("/") && !path.includes("\0") ? path : undefined;
  } catch {
    return undefined;
  }
}

type FoundFile = { readonly path: string; readonly bytes: number; readonly tag: string };

/** Undefined unless it is a file inside the folder, links resolved. */
async function fileAt(root: string, path: string): Promise<FoundFile | undefined> {
  try {
    const folder = await realpath(root);
    const found = await realpath(join(folder, path.endsWith("/") ? `${path}index.html` : path));
    if (!found.startsWith(folder + sep)) return undefined;
    const { size, mtimeMs } = await stat(found).then((entry) => (entry.isFile() ? entry : Promise.reject(entry)));
    return { path: found, bytes: size, tag: `"${size.toString(36)}-${Math.round(mtimeMs).toString(36)}"` };
  } catch {
    return undefined;
  }
}

async function sendFile(file: FoundFile, request: IncomingMessage, response: ServerResponse): Promise<void> {
  response.setHeader("etag", file.tag);
  response.setHeader("cache-control", "no-cache");
  if (request.headers["if-none-match"] === file.tag) {
    response.writeHead(304).end();
    return;
  }
  const contentType = contentTypes[extname(file.path)] ?? "application/octet-stream";
  response.writeHead(200, { "content-type": contentType, "content-length": file.bytes });
  if (request.method === "HEAD") response.end();
  else await pipeline(createReadStream(file.path, { end: Math.max(0, file.bytes - 1) }), response);
}

function send(response: ServerResponse, status: number, contentType: string, body: string): void {
  response.writeHead(status, { "content-type": contentType, "content-length": Buffer.byteLength(body) }).end(body);
}

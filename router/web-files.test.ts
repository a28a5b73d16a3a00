import { mkdir, mkdtemp, rm, symlink, writeFile } from "node:fs/promises";
import { createServer, request } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, expect, test } from "vitest";
import { webHandler } from "./web-files.ts";

const closers: (() => Promise<unknown>)[] = [];

afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
});

async function serve(root: string | undefined) {
  const server = createServer(webHandler(root));
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  closers.push(() => new Promise((resolve) => server.close(resolve).closeAllConnections()));
  return (server.address() as AddressInfo).port;
}

/** node:http sends a path as it is; fetch would tidy it up. */
function get(port: number, path: string, headers: Record<string, string> = {}, method = "GET") {
  return new Promise<{ status: number | undefined; type: string | undefined; etag: string; body: string }>(
    (resolve) => {
      const call = request({ host: "127.0.0.1", port, path, headers, method }, (response) => {
        let body = "";
        response.on("data", (chunk) => {
          body += chunk;
        });
        const { statusCode: status, headers: got } = response;
        response.on("end", () => resolve({ status, type: got["content-type"], etag: String(got.etag), body }));
      });
      call.end();
    },
  );
}

async function folder() {
  const outer = await mkdtemp(join(tmpdir(), "urna-web-"));
  closers.push(() => rm(outer, { recursive: true }));
  const root = join(outer, "web");
  await mkdir(root);
  await writeFile(join(outer, "secret.txt"), "secret");
  await writeFile(join(root, "index.html"), "<h1>page</h1>");
  await writeFile(join(root, "main.js"), "1");
  await writeFile(join(root, "empty.css"), "");
  await symlink(join(outer, "secret.txt"), join(root, "link.txt"));
  return root;
}

test("files are served with their types, the index at /", async () => {
  const port = await serve(await folder());
  expect(await get(port, "/")).toMatchObject({ status: 200, type: "text/html; charset=utf-8", body: "<h1>page</h1>" });
  expect(await get(port, "/main.js?v=1")).toMatchObject({ status: 200, type: "text/javascript; charset=utf-8" });
  expect(await get(port, "/empty.css")).toMatchObject({ status: 200, body: "" });
  expect(await get(port, "/", {}, "HEAD")).toMatchObject({ status: 200, body: "" });
});

test("a file that has not changed is not sent again", async () => {
  const port = await serve(await folder());
  const { etag } = await get(port, "/");
  expect(await get(port, "/", { "if-none-match": etag })).toMatchObject({ status: 304, body: "" });
});

for (const path of ["/nothing", "/../secret.txt", "/%2e%2e/secret.txt", "/link.txt", "/%00", "/%zz", "/.."]) {
  test(`${path} is not there`, async () => {
    const port = await serve(await folder());
    const answer = await get(port, path);
    expect(answer.status).toBe(404);
    expect(answer.body).not.toContain("secret");
  });
}

test("without a page, / says what this address is", async () => {
  const port = await serve(undefined);
  expect(await get(port, "/")).toMatchObject({ status: 200 });
  expect(await get(port, "/main.js")).toMatchObject({ status: 404 });
});

/**
 * The first script that runs, before anything is installed: plain JavaScript for any Node from 18 on, no dependencies.
 *
 *   node deploy/bootstrap.cjs <script.ts> [arguments]
 *
 * 1. Installs what package-lock.json names when node_modules is missing or belongs to another lock file.
 * 2. Runs the script on Node 24: the binary that npm brought, or this Node when it is new enough.
 */
"use strict";
const { createHash } = require("node:crypto");
const { spawn, spawnSync } = require("node:child_process");
const fs = require("node:fs");
const os = require("node:os");
const path = require("node:path");

const nodeMajorNeeded = 24;
const root = path.resolve(__dirname, "..");
const modules = path.join(root, "node_modules");
const lockFile = path.join(root, "package-lock.json");
/** The lock file that node_modules was installed from, as a hash, with the platform. */
const stampFile = path.join(modules, ".urna-installed");
const installLock = path.join(root, ".urna", "install.lock");
const installLockPollMs = 200;
const installNoticeMs = 5_000;

/** A problem that the user can do something about: shown without a stack. */
class Refusal extends Error {}

function say(line) {
  process.stderr.write(`${line}\n`);
}

function readOptional(file) {
  try {
    return fs.readFileSync(file, "utf8");
  } catch (error) {
    if (error.code === "ENOENT" || error.code === "ENOTDIR") return undefined;
    throw error;
  }
}

function wantedStamp() {
  const hash = createHash("sha256").update(fs.readFileSync(lockFile)).digest("hex");
  return `${hash} ${process.platform}-${process.arch}\n`;
}

/** Whether npm's own record of node_modules says the same as package-lock.json: somebody ran `npm ci` by hand. */
function matchesLock() {
  const record = readOptional(path.join(modules, ".package-lock.json"));
  if (record === undefined) return false;
  const installed = JSON.parse(record).packages;
  const locked = JSON.parse(fs.readFileSync(lockFile, "utf8")).packages;
  const same = (place) => installed[place].integrity === locked[place]?.integrity;
  const needed = (place) => place !== "" && !locked[place].optional;
  return (
    Object.keys(installed).every(same) &&
    Object.keys(locked)
      .filter(needed)
      .every((place) => place in installed)
  );
}

function isInstalled() {
  const stamp = wantedStamp();
  if (readOptional(stampFile) === stamp) return true;
  if (!matchesLock()) return false;
  try {
    fs.writeFileSync(stampFile, stamp);
  } catch {
    // A checkout that this user may only read: the comparison is made again next time.
  }
  return true;
}

function isAlive(pid) {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return error.code === "EPERM";
  }
}

const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

/** Takes the lock against two installations at once; answers how to give it back. */
async function takeInstallLock() {
  fs.mkdirSync(path.dirname(installLock), { recursive: true });
  for (let waiting = false; ; ) {
    try {
      fs.writeFileSync(installLock, `${process.pid}\n`, { flag: "wx" });
      return () => fs.rmSync(installLock, { force: true });
    } catch (error) {
      if (error.code !== "EEXIST") throw error;
    }
    const holder = Number(readOptional(installLock));
    if (holder > 0 && !isAlive(holder)) fs.rmSync(installLock, { force: true });
    else if (!waiting) {
      say(`urna: another process (pid ${holder}) is installing the dependencies; waiting for it`);
      waiting = true;
    }
    await pause(installLockPollMs);
  }
}

/** This process's environment without what only an outer npm run meant, and without the node that npm ci replaces. */
function npmEnvironment() {
  const environment = {};
  for (const [name, value] of Object.entries(process.env)) {
    if (!/^npm_(?!config_)/i.test(name) && !/^(NODE|INIT_CWD)$/.test(name)) environment[name] = value;
  }
  const ownBin = path.join(modules, ".bin");
  environment.PATH = (process.env.PATH || "")
    .split(path.delimiter)
    .filter((folder) => path.resolve(folder) !== ownBin)
    .join(path.delimiter);
  return environment;
}

/** The npm that started us, run by the Node that runs it; else the one on the PATH. */
function npmCommand() {
  const { npm_execpath: cli, npm_node_execpath: node } = process.env;
  if (cli && node && /npm-cli\.c?js$/.test(cli) && !node.startsWith(modules) && fs.existsSync(node)) return [node, cli];
  return ["npm"];
}

function runNpmCi() {
  const [command, ...first] = npmCommand();
  const options = ["ci", "--include=dev", "--include=optional", "--no-audit", "--no-fund", "--loglevel=error"];
  return new Promise((resolve, reject) => {
    // Standard output is the script's own: npm reports on standard error.
    const npm = spawn(command, [...first, ...options], { cwd: root, env: npmEnvironment(), stdio: ["ignore", 2, 2] });
    const started = Date.now();
    const notice = setInterval(
      () => say(`urna: still installing (${Math.round((Date.now() - started) / 1000)} s)`),
      installNoticeMs,
    );
    npm.on("error", (error) => {
      clearInterval(notice);
      reject(new Refusal(`npm could not be started (${error.message}). Install npm 9 or newer, then try again.`));
    });
    npm.on("exit", (code, signal) => {
      clearInterval(notice);
      if (code === 0) return resolve();
      reject(
        new Refusal(
          `npm ci failed (${signal || `exit code ${code}`}); its messages are above.\n` +
            "  Without a network, or behind a proxy: `npm config get registry` says where packages come from; set\n" +
            "  `npm config set registry URL` or HTTPS_PROXY, or fill npm's cache once on a connected machine.\n" +
            `  Then run the same command again, or \`npm ci\` in ${root} to see more.`,
        ),
      );
    });
  });
}

async function install() {
  if (isInstalled()) return;
  const release = await takeInstallLock();
  try {
    if (isInstalled()) return;
    say("urna: installing the dependencies that package-lock.json names (npm ci; once, about a minute)");
    await runNpmCi();
    fs.writeFileSync(stampFile, wantedStamp());
    say("urna: dependencies installed");
  } finally {
    release();
  }
}

/** A Node 24 binary that runs here. */
function findNode() {
  const own = path.join(modules, `node-${process.platform}-${process.arch}`, "bin", "node");
  if (fs.existsSync(own) && spawnSync(own, ["--version"], { stdio: "ignore" }).status === 0) return own;
  if (Number(process.versions.node.split(".")[0]) >= nodeMajorNeeded) return process.execPath;
  throw new Refusal(
    `this machine (${process.platform}-${process.arch}) has no Node ${nodeMajorNeeded} binary on npm that runs here, and this Node is ` +
      `${process.version}.\n  Install Node ${nodeMajorNeeded} or newer from https://nodejs.org and run the same command with it.`,
  );
}

/** Replaces this process where Node can do that; else runs a child and passes signals on. Never returns. */
function run(node, args) {
  if (process.platform !== "win32" && typeof process.execve === "function") {
    process.execve(node, [node, ...args], process.env);
  }
  const child = spawn(node, args, { stdio: "inherit" });
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT", "SIGUSR1", "SIGUSR2"]) {
    process.on(signal, () => child.kill(signal));
  }
  child.on("error", (error) => {
    say(`urna: ${node} could not be started: ${error.message}`);
    process.exit(1);
  });
  child.on("exit", (code, signal) => process.exit(signal === null ? code : 128 + (os.constants.signals[signal] || 0)));
}

async function main([script, ...args]) {
  if (script === undefined) throw new Refusal("usage: node deploy/bootstrap.cjs <script.ts> [arguments]");
  await install();
  // Arguments before the script are for Node: one line on standard error less, that type stripping is in use.
  run(findNode(), ["--disable-warning=ExperimentalWarning", path.resolve(root, script), ...args]);
}

/** Runs `main` and turns what goes wrong into a sentence and exit code 1. */
function start(args) {
  main(args).catch((error) => {
    say(`urna: ${error instanceof Refusal ? error.message : error.stack}`);
    process.exitCode = 1;
  });
}

module.exports = { start };

if (require.main === module) start(process.argv.slice(2));

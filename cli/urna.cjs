#!/usr/bin/env node
/** The bin of `npx urna`: plain JavaScript for any Node, so that it can install what is missing and find Node 24. */
"use strict";
const { start } = require("../deploy/bootstrap.cjs");

start(["cli/main.ts", ...process.argv.slice(2)]);

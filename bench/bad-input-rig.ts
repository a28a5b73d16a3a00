/** One small running cluster with elections in every state, the ways of casting into it, and its rows counted behind its back. */
import { create, fromBinary, fromJsonString, toBinary, toJsonString } from "@bufbuild/protobuf";
import pg from "pg";
import type { VoteInit } from "#bench/bad-input-elections.ts";
import { closed, definitionOf, goodVote, sealed, timed, town, unopened } from "#bench/bad-input-elections.ts";
import type { RawAnswer } from "#bench/raw-answer.ts";
import { postConnect } from "#bench/raw-connect.ts";
import { framed, RawGrpc } from "#bench/raw-grpc.ts";
import { EmbeddedCluster } from "#deploy/embedded-cluster.ts";
import { waitFor } from "#deploy/wait-for.ts";
import type { Client } from "#mesh/grpc-client.ts";
import { createClient } from "#mesh/grpc-client.ts";
import { ElectionService } from "#proto/generated/urna/v1/election_service_pb.js";
import type { GetTallyResponse } from "#proto/generated/urna/v1/tally_service_pb.js";
import { TallyService } from "#proto/generated/urna/v1/tally_service_pb.js";
import type { CastVoteResponse, Outcome } from "#proto/generated/urna/v1/vote_service_pb.js";

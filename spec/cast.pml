/*
 * The cast path of one shard, as a model that a machine explores whole. This file holds what the parties know and what
 * may be told to a client; shard-node.pml and postgres.pml, included at the end, hold what they do.
 *
 * The code of a shard node is short; the ways in which two processes, a primary, a standby and a network can meet
 * around one COMMIT are millions. The model says the protocol once, without sockets and SQL, and spin visits every
 * order of events within the bounds below.
 *
 * How to read it: each `atomic` block is one action. It begins with a comment that names it (README.md says what the
 * code must do for each name) and happens at an instant; between two actions anything else may happen. There are no
 * clocks: a timeout is an action that is always possible, so nothing here is safe only because somebody was quick,
 * and whoever is frozen is somebody whose actions come late.
 *
 * Bounds, each set with -D. One voter sends a vote and repeats it, and sends another vote under another key; a second
 * voter, absent by default, may share batches with the first. Every order is explored; faults are rationed.
 */
#ifndef FIRST_SENDS       /* how often the first vote of the first voter is sent */
#define FIRST_SENDS 2
#endif
#ifndef RIVAL_SENDS       /* the same voter, another key and ballot */
#define RIVAL_SENDS 1
#endif
#ifndef OTHER_SENDS       /* the second voter */
#define OTHER_SENDS 0
#endif
#ifndef TAKE_OVERS        /* by both nodes together, the very first included */
#define TAKE_OVERS 3
#endif
#ifndef LOST_CONNECTIONS  /* each may leave a server process behind that still runs */
#define LOST_CONNECTIONS 1
#endif
#ifndef CANCELLED_WAITS
#define CANCELLED_WAITS 1
#endif
#ifndef FAIL_OVERS
#define FAIL_OVERS 1
#endif

#define CALLS    (FIRST_SENDS + RIVAL_SENDS + OTHER_SENDS)   /* at most 7: a batch is the bits of a byte */
#define NODES    2                           /* a shard node and its spare: the same code */
#define BACKENDS (NODES + LOST_CONNECTIONS)  /* one for each node, then those whose client is gone */

/* Call n carries vote_of(n). Votes 0 and 1 are the first voter's, vote 2 is the second's. */
#define vote_of(n)  (n < FIRST_SENDS -> 0 : (n < FIRST_SENDS + RIVAL_SENDS -> 1 : 2))
#define voter_of(n) (n < FIRST_SENDS + RIVAL_SENDS -> 0 : 1)

/* Always false. The checker prints the text of an assertion that fails, so that a violation names its property. */
hidden byte I1, I2, I3, I4, I6, I10;

/* Something that must be able to happen, or the model proves nothing. The checker lists what it never reached. */
#define witness(condition) if :: (condition) -> skip :: else fi

/* ---- what the parties know --------------------------------------------------------------------------------------- */

/* One send of one vote, on its way from the start: a send that comes late is a frame that arrives late. So two frames
 * of one vote may be under way at once, through different routers, in any order, before and after the close; and a
 * router that times out, or dies, and has told its client UNKNOWN, leaves behind just such a frame.
 * RECEIVED: in no batch. It does not matter in whose memory: a node that is no writer refuses, and the router sends
 * the frame to the other. */
mtype:place = { RECEIVED, SEALED, SETTLED };
mtype:fate  = { UNDECIDED, RECEIPT, ALREADY_VOTED, CLOSED };
typedef Call {
  mtype:place place = RECEIVED;
  byte node;                          /* SEALED: in whose batch */
  mtype:fate fate = UNDECIDED;        /* SEALED: what will be answered when the batch is safe */
  byte leaf;                          /* SEALED, fate RECEIPT: the call whose row it is, plus 1 */
  bool not_stored;                    /* SETTLED: the client was told so, and some server process still holds it */
}
Call call[CALLS];
byte received = CALLS;                /* how many are RECEIVED */

/* What one copy of the database shows. A transaction that waits for the standby is in `flushed` and holds its locks,
 * but nobody sees it; when the wait is cancelled it is in `visible`, and the standby may lack it. */
typedef Database {
  byte epoch;                         /* head: writer epoch */
  byte number;                        /* head: number of the last batch */
  byte row[2];                        /* for each voter: the call that recorded the vote, plus 1. This is the leaf */
  byte row_number[2];                 /* and the number of its batch */
  byte close_number;                  /* number of the close batch, 0 while open */
  bool has_batch[NODES];              /* holds the batch that this node sealed last, by its own random id */
}
Database visible, flushed, standby;
bool lagging;                         /* flushed has something that the standby lacks */
bool head_locked;                     /* the row lock on head: from advance_head until the wait ends */

/* A server process of the primary. It has been sent a whole transaction, COMMIT included, and runs it whether or not
 * its client is still there. Number n < NODES serves node n; the others are orphans. */
#define CLOSE 128                     /* in rows: a control batch that closes the election */
mtype:backend = { ABSENT, IDLE, SENT, HOLDING, WAITING, CLEAN, WARNED, FAILED };
typedef Backend {
  mtype:backend state = ABSENT;
  byte epoch;                         /* the writer epoch that this session took */
  byte number;                        /* of the batch that it was sent; 0: the take-over transaction */
  byte rows;                          /* the calls whose votes it inserts, one bit each */
  byte sealed_by;
  bool deposed;                       /* only for I6: another take-over has committed since */
}
Backend backend[BACKENDS];

mtype:node  = { SPARE, TAKING_OVER, WRITER, COMMITTING };
mtype:batch = { NO_BATCH, VOTES, CONTROL };
typedef Node {
  mtype:node state = SPARE;
  byte mark;                          /* durable mark: the last batch known to be on both; also the head it expects */
  mtype:batch batch = NO_BATCH;       /* sealed, and its outcome not known yet */
  byte number;                        /* of that batch */
}
Node node[NODES];

byte take_overs = TAKE_OVERS, lost_connections = LOST_CONNECTIONS;
byte cancelled_waits = CANCELLED_WAITS, fail_overs = FAIL_OVERS;

hidden byte c, i, v, rows, taken, row[2];   /* scratch: never read in a later action */

/* ---- what may be told to a client: every claim is checked here --------------------------------------------------- */

/* Nothing here remembers what was acknowledged. A claim must agree with the standby at that moment, and standby_ack
 * asserts that what the standby has once shown it shows for ever: so no claim is ever taken back, and all agree. */

#define same_vote(leaf, n) (leaf != 0 && vote_of((leaf - 1)) == vote_of(n))

inline settle(n) {
  assert(I4 || call[n].place != SETTLED);
  if :: call[n].place == RECEIVED -> received-- :: else fi;
  call[n].place = SETTLED; call[n].node = 0; call[n].fate = UNDECIDED; call[n].leaf = 0
}

/* Every rejection but ALREADY_VOTED and UNKNOWN says: this call stored nothing. It has to stay so, and what could make
 * it a lie is a pipeline that still holds the vote. apply_batch looks. */
inline tell_not_stored(n) {
  d_step {
    assert(I4 || flushed.row[voter_of(n)] != n + 1);
    for (i : 0 .. BACKENDS - 1) { if :: backend[i].rows & (1 << n) -> call[n].not_stored = true :: else fi }
  }
}

inline answer(n) {
  v = voter_of(n);
  if
  :: call[n].fate == RECEIPT ->
    printf("  call %d (vote %d) is answered: receipt for the row of call %d\n", n, vote_of(n), call[n].leaf - 1);
    assert(I3 || same_vote(call[n].leaf, n));
    assert(I1 || flushed.row[v] == call[n].leaf && standby.row[v] == call[n].leaf)
  :: call[n].fate == ALREADY_VOTED ->
    printf("  call %d (vote %d) is answered: ALREADY_VOTED\n", n, vote_of(n));
    assert(I3 || !same_vote(flushed.row[v], n));
    assert(I1 || standby.row[v] != 0)
  :: call[n].fate == CLOSED ->
    printf("  call %d (vote %d) is answered: CLOSED\n", n, vote_of(n));
    assert(I3 || flushed.row[v] == 0);
    assert(I1 || standby.close_number != 0);
    tell_not_stored(n)
  fi;
  settle(n)
}

#include "shard-node.pml"
#include "postgres.pml"

/* When nothing can happen any more, every call has its outcome (I4). */
proctype AtRest() {
  timeout -> atomic { for (c : 0 .. CALLS - 1) { assert(I4 || call[c].place == SETTLED) } }
}

init {
  atomic {
    for (c : 0 .. CALLS - 1) { run LifeOfCall(c) }
    for (c : 0 .. NODES - 1) { run ShardNode(c) }
    for (c : 0 .. BACKENDS - 1) { run ServerProcess(c) }
    run Machines(); run AtRest()
  }
}

/* What a shard node does: as writer, as spare, and when it does not know which of the two it is. */

/* ---- how it decides ---------------------------------------------------------------------------------------------- */

#ifdef REPEAT_WITHOUT_FENCE   /* mistake: a repeat is answered from whatever the primary shows */
#define durable(batch_number, w) (batch_number != 0)
#else
#define durable(batch_number, w) (batch_number != 0 && batch_number <= node[w].mark)
#endif

/* A repeat is found before anything is refused (I3). `row` is what the primary shows, and then the votes that came
 * earlier in the same batch. */
inline decide(n) {
  v = voter_of(n);
#ifdef CLOSED_BEFORE_REPEAT   /* mistake: a closed election does not look who has voted */
  if :: visible.close_number != 0 -> row[v] = 0 :: else fi;
#endif
  if
  :: same_vote(row[v], n) -> call[n].fate = RECEIPT; call[n].leaf = row[v]
  :: row[v] != 0 && !same_vote(row[v], n) -> call[n].fate = ALREADY_VOTED
#ifndef CLOSE_NOT_SEEN        /* mistake: open or closed is remembered from before */
  :: row[v] == 0 && visible.close_number != 0 -> call[n].fate = CLOSED
#endif
  :: else   /* new: seal records it */
  fi
}

#define is_writer(w) (node[w].state == WRITER || node[w].state == COMMITTING)
#define can_answer(n, w) (is_writer(w) && (durable(visible.row_number[voter_of(n)], w) || \
  visible.row[voter_of(n)] == 0 && durable(visible.close_number, w)))

/* Sends of one vote that are in no batch are alike, so the first of them goes first. */
#define is_next(n) (call[n].place == RECEIVED && \
  (n == 0 || vote_of((n - 1)) != vote_of(n) || call[n - 1].place != RECEIVED))

/* What can become of a call without a batch. */
proctype LifeOfCall(byte n) {
end:
  do
  :: atomic { /* refuse: no writer, overloaded, too late. A vote that is in no batch is certainly not stored. */
      is_next(n) ->
      printf("call %d: refuse\n", n);
      tell_not_stored(n); settle(n)
    }
  :: atomic { /* answer_from_mark: what is at or below the durable mark cannot vanish, so it needs no new commit. */
      is_next(n) && (can_answer(n, 0) || can_answer(n, 1)) ->
      printf("call %d: answer_from_mark\n", n);
      v = voter_of(n); row[v] = visible.row[v]; decide(n);
      witness(call[n].fate == RECEIPT && visible.close_number != 0);
      answer(n)
    }
  od
}

/* ---- its batch --------------------------------------------------------------------------------------------------- */

#define is_in_batch_of(w, n) (call[n].place == SEALED && call[n].node == w)

/* What the databases say about the id of a node's batch matters only while the node may ask: it is wiped when a fresh
 * id is drawn, which no database holds, and when the question is settled, to keep the states few. */
inline wipe_id(w) {
  visible.has_batch[w] = false; flushed.has_batch[w] = false; standby.has_batch[w] = false
}

/* One write to the socket: insert, advance_head, COMMIT. */
inline send_batch(w, kind, contents) {
  d_step {
    node[w].state = COMMITTING; node[w].batch = kind; node[w].number = node[w].mark + 1;
    backend[w].state = SENT; backend[w].number = node[w].number; backend[w].rows = contents; backend[w].sealed_by = w;
    wipe_id(w)
  }
}

inline forget_batch(w) { node[w].batch = NO_BATCH; node[w].number = 0; wipe_id(w) }

/* answer: the batch is on both, and with it everything that its answers rest on. */
inline answer_batch(w) {
  if
  :: node[w].batch == CONTROL -> printf("  the close is answered\n"); assert(I1 || standby.close_number != 0)
  :: else
  fi;
  for (c : 0 .. CALLS - 1) {
    if
    :: is_in_batch_of(w, c) ->
      witness(fail_overs < FAIL_OVERS && call[c].leaf == c + 1);
      witness(call[c].fate == RECEIPT && call[c].leaf != c + 1 && standby.close_number != 0);
      answer(c)
    :: else
    fi
  }
  forget_batch(w)
}

/* requeue: the batch is certainly nowhere and never will be, so its votes are as if they had just come. */
inline requeue(w) {
  d_step {
    for (c : 0 .. CALLS - 1) {
      if
      :: is_in_batch_of(w, c) ->
        call[c].place = RECEIVED; call[c].node = 0; call[c].fate = UNDECIDED; call[c].leaf = 0; received++
      :: else
      fi
    }
    forget_batch(w)
  }
}

inline hang_up(w) {
  d_step {
    backend[w].state = ABSENT; backend[w].epoch = 0; backend[w].number = 0; backend[w].rows = 0;
    backend[w].sealed_by = 0; backend[w].deposed = false;
    node[w].state = SPARE; node[w].mark = 0
  }
}

/* ---- its life ---------------------------------------------------------------------------------------------------- */

#ifdef FOUND_BY_NUMBER        /* mistake: another writer's batch may bear the number */
#define is_found(database, w) (node[w].number <= database.number)
#else
#define is_found(database, w) database.has_batch[w]
#endif

#ifdef NOTICE_IGNORED         /* mistake: a cancelled wait passes for success */
#define is_clean(w)  (backend[w].state == CLEAN || backend[w].state == WARNED)
#define is_warned(w) false
#else
#define is_clean(w)  (backend[w].state == CLEAN)
#define is_warned(w) (backend[w].state == WARNED)
#endif

#ifdef HEAD_OF_ANOTHER        /* mistake: the mark is read from a head that may be another writer's by now */
#define is_own_head(w) true
#else
#define is_own_head(w) (visible.epoch == backend[w].epoch)
#endif

proctype ShardNode(byte w) {
end:
  do
  :: atomic { /* take_over: a new connection; it will lock head and raise the epoch. A spare may think at any time that
               * the writer is gone: for its silence, because it has resigned, or because a registry says so. So what
               * makes it think so is no part of the model, and no fence. (The nodes are alike, so let node 0 be the
               * first.) */
      node[w].state == SPARE && take_overs > 0 && (w == 0 || take_overs < TAKE_OVERS) ->
      printf("node %d: take_over\n", w);
      take_overs--; node[w].state = TAKING_OVER; backend[w].state = SENT
    }
  :: atomic { /* took_over: after a clean commit, and only if head still bears the epoch just taken. A later writer
               * may have shown batches that the standby lacks; our own fence says nothing about those. */
      node[w].state == TAKING_OVER && is_clean(w) ->
      printf("node %d: took_over, head is batch %d\n", w, visible.number);
      if
      :: is_own_head(w) -> node[w].mark = visible.number; node[w].state = WRITER; backend[w].state = IDLE
      :: else -> hang_up(w)
      fi
    }
  :: atomic { /* look_up_batch: by its id. No server process can commit it any more, so "not there" is for ever. */
      node[w].state == WRITER && node[w].batch != NO_BATCH ->
      printf("node %d: look_up_batch, number %d, found: %d\n", w, node[w].number, is_found(visible, w));
      if
      :: is_found(visible, w) -> witness(node[w].batch == VOTES); answer_batch(w)
      :: else -> witness(node[w].batch == VOTES); requeue(w)
      fi
    }
  :: atomic { /* look_once: deposed. What the standby shows is on both; what it lacks may still arrive: UNKNOWN. */
      node[w].state == SPARE && node[w].batch != NO_BATCH ->
      printf("node %d: look_once, number %d, found: %d\n", w, node[w].number, is_found(standby, w));
      if
      :: is_found(standby, w) -> answer_batch(w)
#ifdef ABSENCE_WITHOUT_FENCE  /* mistake: what is not there yet passes for what will never be there */
      :: else -> requeue(w)
#else
      :: else ->
        for (c : 0 .. CALLS - 1) { if :: is_in_batch_of(w, c) -> settle(c) :: else fi }
        forget_batch(w)
#endif
      fi
    }
  :: atomic { /* seal: any of what was received. A batch of repeats alone is committed too: it is their fence. */
      node[w].state == WRITER && node[w].batch == NO_BATCH && received > 0 ->
      row[0] = visible.row[0]; row[1] = visible.row[1]; rows = 0; taken = 0;
      for (c : 0 .. CALLS - 1) {
        if
        :: is_next(c) ->
          decide(c); call[c].place = SEALED; call[c].node = w; received--; taken++;
          if
          :: call[c].fate == UNDECIDED ->
            call[c].fate = RECEIPT; call[c].leaf = c + 1; rows = rows | (1 << c);
#ifndef BATCH_NOT_SETTLED     /* mistake: one voter twice in one batch, and no unique key */
            row[v] = c + 1
#endif
          :: else
          fi
        :: true
        fi
      }
      printf("node %d: seal batch %d, calls to record (bits): %d\n", w, node[w].mark + 1, rows);
      if :: taken > 0 -> send_batch(w, VOTES, rows) :: else fi
    }
  :: atomic { /* close_batch: a control batch. Asked for at any time, and again until it is there. */
      node[w].state == WRITER && node[w].batch == NO_BATCH && visible.close_number == 0 ->
      printf("node %d: close_batch %d\n", w, node[w].mark + 1);
      send_batch(w, CONTROL, CLOSE)
    }
  :: atomic { /* committed: tag COMMIT and no notice. The mark advances, then come the answers. */
      node[w].state == COMMITTING && is_clean(w) ->
      printf("node %d: committed\n", w);
      node[w].state = WRITER; node[w].mark++;
      backend[w].state = IDLE; backend[w].number = 0; backend[w].rows = 0;
      answer_batch(w)
    }
  :: atomic { /* warned: tag COMMIT and a notice. Neither success nor failure: take over, then look up the batch. */
      is_warned(w) ->
      printf("node %d: warned\n", w);
      hang_up(w)
    }
  :: atomic { /* deposed: rolled back, so certainly not stored; somebody else is the writer. */
      backend[w].state == FAILED ->
      printf("node %d: deposed\n", w);
      hang_up(w); requeue(w)
    }
  :: atomic { /* lose_connection: what is in the socket stays with the server process. Or it has answered already, and
               * the answer is lost. */
      (node[w].state == TAKING_OVER || node[w].state == COMMITTING) && lost_connections > 0 ->
      printf("node %d: lose_connection\n", w);
      lost_connections--;
      if
      :: backend[w].state == SENT || backend[w].state == HOLDING || backend[w].state == WAITING ->
        backend[NODES + lost_connections].state = backend[w].state;
        backend[NODES + lost_connections].epoch = backend[w].epoch;
        backend[NODES + lost_connections].number = backend[w].number;
        backend[NODES + lost_connections].rows = backend[w].rows;
        backend[NODES + lost_connections].sealed_by = w;
        backend[NODES + lost_connections].deposed = backend[w].deposed
      :: else
      fi;
      hang_up(w)
    }
  od
}

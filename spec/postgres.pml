/* What Postgres does: a server process for each connection and for each that lost its client, and two machines. */

/* One copy of the database becomes like another. */
inline copy(to, from) {
  d_step {
    to.epoch = from.epoch; to.number = from.number; to.close_number = from.close_number;
    to.row[0] = from.row[0]; to.row_number[0] = from.row_number[0]; to.has_batch[0] = from.has_batch[0];
    to.row[1] = from.row[1]; to.row_number[1] = from.row_number[1]; to.has_batch[1] = from.has_batch[1]
  }
}

#define is_orphan(b) (b >= NODES)

inline end_process(b) {
  d_step {
    backend[b].state = ABSENT; backend[b].epoch = 0; backend[b].number = 0; backend[b].rows = 0;
    backend[b].sealed_by = 0; backend[b].deposed = false
  }
}

/* The client reads how its transaction ended, if there is a client. */
inline finish(b, how) {
  backend[b].state = how;
  if :: is_orphan(b) -> end_process(b) :: else fi
}

inline end_wait(b, how) { copy(visible, flushed); head_locked = false; finish(b, how) }

inline apply_take_over(b) {
  d_step {
    flushed.epoch = backend[b].epoch;
    for (c : 0 .. BACKENDS - 1) { backend[c].deposed = (c != b && backend[c].state != ABSENT) }
  }
}

/* There is no unique key in this model: that one voter has one row follows from the head alone. The key in the schema
 * is the second lock on the same door. */
inline apply_batch(b) {
  assert(I6 || !backend[b].deposed);
  flushed.number = backend[b].number;
  flushed.has_batch[backend[b].sealed_by] = true;
  for (c : 0 .. CALLS - 1) {
    if
    :: backend[b].rows & (1 << c) ->
      v = voter_of(c);
      assert(I2 || flushed.row[v] == 0);
      assert(I10 || flushed.close_number == 0);
      assert(I4 || !call[c].not_stored);
      flushed.row[v] = c + 1; flushed.row_number[v] = backend[b].number
    :: else
    fi
  }
  if :: backend[b].rows == CLOSE -> flushed.close_number = backend[b].number :: else fi
}

proctype ServerProcess(byte b) {
end:
  do
  :: atomic { /* insert, advance_head: takes the row lock on head and compares under it; the take-over raises the epoch
               * instead. Rows inserted before that are seen by nobody, so insert is not an action of its own. */
      backend[b].state == SENT && !head_locked ->
      printf("server process %d: advance_head, batch %d of epoch %d\n", b, backend[b].number, backend[b].epoch);
      if
      :: backend[b].number == 0 ->
#ifdef EPOCH_NOT_RAISED       /* mistake: the lock alone is no fence */
        backend[b].epoch = visible.epoch;
#else
        backend[b].epoch = visible.epoch + 1;
#endif
        backend[b].state = HOLDING; head_locked = true
      :: backend[b].number != 0 && backend[b].epoch == visible.epoch && backend[b].number == visible.number + 1 ->
        backend[b].state = HOLDING; head_locked = true
      :: else -> printf("  refused by head\n"); witness(is_orphan(b)); finish(b, FAILED)
      fi
    }
  :: atomic { /* commit: flushed here, shown to nobody, every lock still held. */
      backend[b].state == HOLDING ->
      printf("server process %d: commit\n", b);
      if :: backend[b].number == 0 -> apply_take_over(b) :: else -> apply_batch(b) fi;
      lagging = true; backend[b].state = WAITING
    }
#ifdef ACKNOWLEDGED_BEFORE_STANDBY   /* mistake: synchronous_commit = local */
  :: atomic { backend[b].state == WAITING -> printf("server process %d: does not wait\n", b); end_wait(b, CLEAN) }
#endif
  :: atomic { /* cancel_wait: by an administrator; by a take-over that terminates the holder of the lock; by a crash
               * and restart of the primary. Success, with a warning. */
      backend[b].state == WAITING && cancelled_waits > 0 ->
      printf("server process %d: cancel_wait\n", b);
      cancelled_waits--; end_wait(b, WARNED)
    }
  :: atomic { /* roll_back: an orphan whose COMMIT never came, or that was terminated before it read it. */
      is_orphan(b) && (backend[b].state == SENT || backend[b].state == HOLDING) ->
      printf("server process %d: roll_back\n", b);
      if :: backend[b].state == HOLDING -> head_locked = false :: else fi;
      end_process(b)
    }
  od
}

proctype Machines() {
end:
  do
  :: atomic { /* standby_ack: the standby catches up wholly, and who waits for it is answered. (To catch up half way,
               * later, is to catch up wholly, earlier.) What it has once shown it shows for ever. */
      lagging ->
      printf("standby_ack\n");
      for (c : 0 .. 1) { assert(I3 || standby.row[c] == 0 || standby.row[c] == flushed.row[c]) }
      assert(I10 || standby.close_number == 0 || standby.close_number == flushed.close_number);
      copy(standby, flushed); lagging = false;
      for (c : 0 .. BACKENDS - 1) { if :: backend[c].state == WAITING -> end_wait(c, CLEAN) :: else fi }
    }
  :: atomic { /* fail_over: what is not on the standby is gone, and every connection too. The new standby is a copy. An
               * old primary that still runs can do no more for its clients than a lost connection: no standby. */
      fail_overs > 0 ->
      printf("fail_over\n");
      fail_overs--;
      witness(visible.number > standby.number);
      copy(visible, standby); copy(flushed, standby); lagging = false; head_locked = false;
      for (c : 0 .. BACKENDS - 1) { end_process(c) }
      for (c : 0 .. NODES - 1) { node[c].state = SPARE; node[c].mark = 0 }
    }
  od
}

/* One shard's log of N changes, three workers that may be killed or thrown off it at any moment, and requests that
   land late, also after their sender has died. A lease can be taken from a live owner, as clocks may be wrong: it
   decides only who works. What keeps things right are two conditions: a checkpoint is stored at the version its
   claimant knows, and the replica's position row moves from where its writer saw it.

   Always: a checkpoint is never ahead of the replica; neither ever goes back; after a claim nobody else's save lands.
   At the end of every run, however it is scheduled: the log is finished, since at least one worker lives. */

#define N 2
#define NOBODY 3
#ifndef FAULTS
#define FAULTS 2
#endif

byte faults = FAULTS, kills = 2;                 /* what may go wrong in one run: kills, thefts and late requests */

byte counter, owner = NOBODY; bool shard_end;    /* the lease row */
byte version, ck, ck_owner = NOBODY;             /* the checkpoint row */
byte position;                                   /* the position row: with it, in one transaction, the items */
byte claimant = NOBODY;                          /* who claimed last: seen by the properties only */
byte workers;                                    /* they are alike: each takes first after those before it */
bool works[3];                                   /* a live worker has a processor on the shard */

mtype = { CLAIM, SAVE, TRANSACT, TAKE };

inline land_put(kind, expected, value, who) {    /* core: pipeline.coordination.checkpoints.CheckpointSlot._put */
    if
#ifdef SAVE_UNFENCED
    :: kind == SAVE || version == expected ->
#else
    :: version == expected ->
#endif
        assert(value >= ck && value <= position);
        if :: kind == CLAIM -> claimant = who :: else -> assert(claimant == who) fi;
        version++; ck = value; ck_owner = who; done = true
    :: else -> done = false fi
}

inline land_transact(old, new) {                 /* core: pipeline.wire.positions.Positions.move */
    if
#ifdef SINK_UNCONDITIONAL
    :: true ->
#else
    :: position == old ->
#endif
        assert(new > position); position = new
    :: else
    fi
}

inline land_take(expected, who) {                /* core: pipeline.coordination.leases.Leases._write_owned */
    if :: counter == expected -> counter++; owner = who :: else fi
}

proctype late(mtype kind; byte a, b, who) {      /* a request whose sender waits no longer */
    bool done;
    atomic {
        if :: kind == TRANSACT -> land_transact(a, b) :: kind == TAKE -> land_take(a, who)
        :: else -> land_put(kind, a, b, who) fi }
}

#define killed (kills > 0 && faults > 0) -> kills--; faults--
#define lost_answer (faults > 0) -> faults--
#ifdef NO_EXPIRY
#define expired (owner == NOBODY)
#else
#define expired (owner == NOBODY || owner == me || !works[owner])
#endif
#ifdef LOOSE_IS_STORED
#define is_stored(value) (version == mine + 1 && ck_owner == me)
#else
#define is_stored(value) (version == mine + 1 && ck_owner == me && ck == value)
#endif

proctype worker(byte me) {
    byte mine, saved, settled;                   /* the version of the row as we know it; what is saved, and settled */
    byte at;                                     /* the sink's guess of its row: like the sink, it outlives a lease */
    byte last, sent; bool again, done;           /* a batch's border; a save and a claim without answer */

end_idle:                                        /* core: pipeline.coordination.leases.Leases._take */
    atomic {
        if
        :: shard_end -> goto gone
        :: !shard_end && me <= workers && (expired || faults > 0) ->
            if :: me == workers -> workers++ :: else fi;
            if
            :: expired -> land_take(counter, me)
            :: !expired && lost_answer; land_take(counter, me)
            :: killed; run late(TAKE, counter, 0, me); goto gone fi
        fi;
        works[me] = true }
claim:                                           /* core: pipeline.coordination.checkpoints.CheckpointSlot.claim */
    atomic { mine = version; saved = ck; again = false }
    do
#ifdef CLAIM_KEEPS_VERSION
    :: atomic { if :: version == mine -> claimant = me; break :: else -> goto claim fi }
#else
    :: atomic {
        land_put(CLAIM, mine, saved, me);
        if :: done || (again && is_stored(saved)) -> mine++; done = false; break :: else -> goto claim fi }
#endif
    :: atomic { lost_answer; again = true; run late(CLAIM, mine, saved, me) }
    :: atomic { killed; goto dead }
    od;
    atomic { settled = saved; again = false }    /* core: pipeline.delivery.cursor.Cursor.begin */
    do
    :: atomic { settled < N ->                   /* core: pipeline.delivery.cursor.Cursor.take */
        if :: last = settled + 1 :: settled + 2 <= N -> last = settled + 2 fi;
        if
        :: at < settled ->                       /* core: pipeline.wire.positions.Positions._read */
            at = position; assert(at >= settled)
        :: at >= settled && at < last ->         /* core: topologies.replica.write_exact */
            land_transact(at, last); at = position
        :: at >= settled && at < last && lost_answer; run late(TRANSACT, at, last, me)
        :: at >= last fi;                        /* else it is stored, by us or by another */
#ifdef SAVE_FIRST
        settled = last;
#endif
        if :: at >= last -> settled = last :: else fi;  /* core: pipeline.delivery.cursor.Cursor.settle */
        last = 0 }
    :: atomic { sent == 0 && settled > saved ->  /* core: pipeline.delivery.shard.ShardDelivery.save */
        land_put(SAVE, mine, settled, me);
        if :: done -> mine++; saved = settled; done = false :: else -> goto lost fi }
    :: atomic { sent == 0 && settled > saved && lost_answer; sent = settled; run late(SAVE, mine, sent, me) }
    :: atomic { sent > 0 ->                      /* core: pipeline.coordination.checkpoints.CheckpointSlot.save */
        land_put(SAVE, mine, sent, me);
        if :: done || is_stored(sent) -> mine++; saved = sent; sent = 0; done = false :: else -> goto lost fi }
#ifdef LOOSE_IS_STORED
    :: atomic { sent > 0 -> sent = 0 }           /* what was sent is forgotten, and taken for what is sent next */
#endif
    :: atomic { owner != me -> goto lost }       /* core: pipeline.coordination.leases.Leases._renew */
    :: atomic { saved == N && owner == me ->     /* core: pipeline.coordination.leases.Leases.release */
        shard_end = true; owner = NOBODY; counter++; goto dead }
    :: atomic { killed; goto dead }
    od;
lost:                                            /* core: pipeline.coordination.crew.Crew._bury */
#ifdef NO_BURY
end_lost: owner != me;
#endif
    atomic { works[me] = false; mine = 0; saved = 0; settled = 0; sent = 0; goto end_idle }
dead: atomic { works[me] = false; mine = 0; saved = 0; settled = 0; sent = 0; at = 0; again = false }
gone: skip
}

init {
    atomic { run worker(0); run worker(1); run worker(2) };
    timeout; assert(shard_end && ck == N && position == N)
}

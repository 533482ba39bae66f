/* One key's changes 1 2 | 3 cross both borders there are: the table stream's shard 0 rolls over to its child 1, and the
   Kinesis shard 0, at any moment, is split into its child 1. Two capture workers are killed, robbed of their lease and
   outlived by puts that land late; listings leave out the parent; a topology's two deliveries start again from their
   checkpoints. What keeps two deliveries of a shard apart is in lease.pml; topologies share nothing, so one is enough.

   Always: the topology's sink gets 1, 2, 3 in this order, none twice, none left out.
   At the end of every run: it has all of them, and both table shards are finished. */

#define NOBODY 2
#define LENGTH 12                                /* more records than a run can put into one Kinesis shard */
#ifndef FAULTS
#define FAULTS 2
#endif
#define end_of(table) (table == 0 -> 2 : 3)

byte faults = FAULTS, kills = 1;
byte owner[2] = NOBODY; bool leased, finished[2];   /* lease rows of the table's shards; that of the parent exists */
byte version[2], ck[2]; bool works[2];           /* their checkpoints; which worker is alive and at work */
byte log[24], count[2]; bool closed;             /* the Kinesis shards; the first is closed, the second open */

byte saved_place[2], saved_number[2], saved_seen[4]; bool begun, ended;   /* the topology's checkpoints on both */
byte position[2], applied;                       /* the sink's position rows, and the last change of the key it has */

#define lost_answer (faults > 0) -> faults--
#define killed (kills > 0 && faults > 0) -> kills--; faults--

inline land(first, last) {                       /* core: pipeline.capture.outbox.Outbox._wave */
    log[closed * LENGTH + count[closed]] = (first) * 4 + last; count[closed]++; assert(count[closed] < LENGTH)
}

proctype late(byte first, last) { atomic { land(first, last) } }
proctype split() { atomic { closed = true } }

#ifdef ABSENT_ONCE
#define LISTINGS 1
#else
#define LISTINGS 3                               /* at most two in a row are wrong */
#endif
#ifdef CHILD_EARLY
#define ready true
#else
#define ready (finished[0] || (absent >= LISTINGS && !leased))
#endif
#define free(table) (owner[table] == NOBODY || owner[table] == me || !works[owner[table]])
#define may_take(table) (!finished[table] && (free(table) || faults > 0))

proctype capture(byte me) {
    byte table, mine, read, last, absent;

end_idle:
    atomic {
        if
        :: finished[0] && finished[1] -> goto gone
        :: may_take(0) -> table = 0; leased = true; absent = 0
        :: ready && may_take(1) -> table = 1     /* core: pipeline.model.shard.ready */
        :: !leased && absent < 2 && lost_answer;
            absent++; goto end_idle              /* core: pipeline.capture.table.TableCapture._discover */
        fi;
        if :: free(table) :: !free(table) -> faults-- fi;
        owner[table] = me; works[me] = true; absent = 0;
        version[table]++; mine = version[table]; /* core: pipeline.capture.shard.ShardCapture._begin */
        read = ck[table] }
    do
    :: atomic { read < end_of(table) ->          /* core: pipeline.capture.shard.ShardCapture._gather */
        if :: last = read + 1 :: read + 2 <= end_of(table) -> last = read + 2 fi }
#ifdef CHECKPOINT_FIRST
       if :: atomic { version[table] == mine -> ck[table] = last } :: version[table] != mine -> goto lost fi;
#endif
       do                                        /* core: pipeline.capture.outbox.Outbox.put_all */
       :: atomic { land(read + 1, last); break }
       :: atomic { lost_answer; run late(read + 1, last);
#ifdef NO_ACK
           break;
#endif
         }
       :: atomic { killed; goto dead }
       od;
       atomic { read = last; last = 0 }
    :: atomic { read > ck[table] && version[table] == mine -> /* core: pipeline.capture.shard.ShardCapture._save */
        ck[table] = read; version[table]++; mine++ }
    :: atomic { ck[table] == end_of(table) && version[table] == mine && owner[table] == me ->
        finished[table] = true;                  /* core: pipeline.capture.table.TableCapture._finish */
        owner[table] = NOBODY; goto lost }
    :: atomic { version[table] != mine || owner[table] != me -> goto lost }
    :: atomic { killed; goto dead }
    od;
lost: atomic { works[me] = false; table = 0; mine = 0; read = 0; last = 0; goto end_idle }
dead: atomic { works[me] = false; table = 0; mine = 0; read = 0; last = 0 }
gone: skip
}

#ifdef CURSOR_EARLY
#define parents_ended true
#else
#ifdef CURSOR_AFTER_ANY
#define parents_ended (ended || other_ended)
bool other_ended;
active proctype other() { finished[1]; other_ended = true }
#else
#define parents_ended ended
#endif
#endif

inline accept(change) {                          /* core: pipeline.delivery.cursor.Cursor._accept */
    if
    :: (change) > seen[(change) > 2] ->
        seen[(change) > 2] = change; number++;
        if                                       /* core: topologies.replica.write_exact */
        :: number > position[shard] -> assert(applied + 1 == change); applied = change; position[shard] = number
        :: else fi
    :: else fi
}

proctype delivery(byte shard) {
    byte place, number, seen[2], record;

end_begin:
    atomic { shard == 0 || (closed && parents_ended) -> /* core: pipeline.delivery.beginning.Beginnings.of */
        if                                       /* core: pipeline.delivery.shard.ShardDelivery._start */
        :: shard == 1 && !begun ->
#ifndef NO_SEEN
            saved_seen[2] = saved_seen[0]; saved_seen[3] = saved_seen[1];
#endif
            begun = true
        :: else fi;
        place = saved_place[shard]; number = saved_number[shard];
        seen[0] = saved_seen[2 * shard]; seen[1] = saved_seen[2 * shard + 1] }
end_read:
    do
    :: atomic { place < count[shard] ->          /* core: pipeline.delivery.cursor.Cursor._cut */
        record = log[shard * LENGTH + place]; place++;
        accept(record / 4);
        if :: record % 4 > record / 4 -> accept(record % 4) :: else fi;
        record = 0 }
    :: atomic { place > saved_place[shard] ->    /* core: pipeline.delivery.shard.ShardDelivery.save */
        saved_place[shard] = place; saved_number[shard] = number;
        saved_seen[2 * shard] = seen[0]; saved_seen[2 * shard + 1] = seen[1] }
    :: atomic { shard == 0 && closed && place == count[0] && place == saved_place[0] ->
        ended = true; break }                    /* core: pipeline.delivery.cursor.Cursor.ended */
    :: atomic { place > saved_place[shard] && lost_answer; goto end_begin }   /* killed: begins at its checkpoint */
    od
}

init {                             /* capture sees nothing of delivery: to read later is as good as at once */
    atomic { ck[1] = 2; run split(); run capture(0); run capture(1) };
    timeout; assert(finished[0] && finished[1]);
    atomic { run delivery(0); run delivery(1) };
    timeout; assert(applied == 3)
}

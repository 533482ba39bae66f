/* The log of immutable objects behind archive and audit: positions 1..N of one Kinesis shard, appended by two writers
   that both believe they own it, whose batches have different borders, who start again from an older checkpoint, and
   whose creates may land after they have given up waiting. An object is named by its first position and created only if
   that name is free. It names its predecessor and, by the predecessor's seal, all before it; objects never change.
   Signed roots are not in this model.

   Always: an object starts right behind the end of the one it names, and no position is in two: no hole, no overlap,
   no fork; and no writer finds the store corrupt. At the end of every run: one chain holds all positions. */

#define N 4
#define SPAN 3                                   /* SPAN_MAX: the most positions of an object */
#ifndef FAULTS
#define FAULTS 2
#endif

byte faults = FAULTS;                            /* late creates and new starts */
byte saved;                                      /* the furthest checkpoint; a writer may start from any older one */

#ifdef NAME_BY_RANGE                             /* objects by name: where each ends */
#define name(first, last) ((first) * 6 + (last))
byte ends[36];
#else
#define name(first, last) (first)
byte ends[6];
#endif
bool held[6];                                    /* positions in the log: seen by the properties only */

#define lost_answer (faults > 0) -> faults--

inline create(last, before, before_ends) {       /* core: pipeline.ports.ObjectStore.create */
    if
#ifdef OVERWRITE
    :: true ->
#else
    :: ends[name(before_ends + 1, last)] == 0 ->
#endif
        assert(before_ends == (before > 0 -> ends[before] : 0));
        position = before_ends + 1;
        ends[name(position, last)] = last; created = true;
        do :: position <= last -> assert(!held[position]); held[position] = true; position++ :: else -> break od;
        position = 0
    :: else -> created = false
    fi
}

proctype late(byte last, before, before_ends) {  /* a create whose sender waits no longer */
    byte position; bool created;
    atomic { create(last, before, before_ends) }
}

#ifdef SHORT_LOOKBACK
#define oldest(first) ((first) > SPAN -> (first) - SPAN : 0)
#else
#define oldest(first) ((first) > SPAN + 1 -> (first) - SPAN - 1 : 0)
#endif

proctype writer() {
    byte done, last, link, link_ends, found, position; bool linked, created;

    do
    :: atomic { done == N -> break }
    :: atomic { done < N && lost_answer;         /* a new start: a stale checkpoint, and nothing remembered */
        linked = false; link = 0; link_ends = 0; done = 0;
        do :: done < saved -> done++ :: break od }
    :: atomic { done < N ->                      /* core: pipeline.delivery.cursor.Cursor._cut */
        last = done + 1;
        do :: last < N && last < done + SPAN -> last++ :: break od }

write:  if                                       /* core: pipeline.wire.rangelog.RangeLog.append */
        :: atomic { linked && link_ends >= done }
        :: atomic { !(linked && link_ends >= done) ->    /* core: pipeline.wire.rangelog.RangeLog._locate */
            linked = true;
#ifdef NO_LOCATE
            link = 0; link_ends = done;
#else
            link = 0; link_ends = 0; found = done + 1;
            do
            :: found > oldest(done + 1) && ends[found] > 0 -> link = found; link_ends = ends[found]; break
            :: found > oldest(done + 1) && ends[found] == 0 -> found--
            :: found <= oldest(done + 1) -> break
            od;
            found = 0; assert(link_ends >= done)
#endif
        }
        fi;
        do                                       /* core: pipeline.wire.rangelog.RangeLog._extend */
        :: atomic { link_ends >= last -> break }
        :: atomic { link_ends < last ->
            create(last, link, link_ends);
#ifdef TAKEN_IS_FAILURE
            if :: created :: !created -> goto write fi;
#endif
            link = name(link_ends + 1, last);
#ifdef TAKEN_IS_OURS
            link_ends = last
#else
            link_ends = ends[link]               /* core: pipeline.wire.rangelog.RangeLog._adopt */
#endif
          }
        :: atomic { link_ends < last && lost_answer; run late(last, link, link_ends);
#ifdef LINK_UNSTORED
            link = name(link_ends + 1, last); link_ends = last;
#endif
            goto write }                         /* core: pipeline.delivery.topology.TopologyRunner.deliver */
        od;
        atomic { done = last; last = 0; if :: done > saved -> saved = done :: else fi }
    od
}

init {
    atomic { run writer(); run writer() };
    timeout;
    byte at;
    do :: at < N -> at++; assert(held[at]) :: else -> break od
}

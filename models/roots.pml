/* The signed roots of an audit log, in the log and in the witness, written by two signers that both believe it is their
   turn, that die at any moment and forget everything, and whose creates may land after they have given up waiting. The
   witness may be empty while the log has roots already: it was configured later. A root's number is claimed by creating
   its object in the witness if the name is free; then it is copied to the log. What a root vouches for is left out.

   Always: a root follows the one with the number before, both places hold the same under a number, and no signer finds
   that they do not. At the end of every run: both places hold all roots. */

#define N 2
#ifndef FAULTS
#define FAULTS 2
#endif

byte faults = FAULTS;                            /* deaths and late creates */
byte witness[5], log[5];                         /* by number: which statement; 0 is none */
byte before[24];                                 /* by statement: which one it follows */
byte made;

#define lost_answer (faults > 0) -> faults--

#define newest(place, number) \
    number = 0; do :: number < N && place[number + 1] > 0 -> number++ :: else -> break od

inline claim(number, mine) {                     /* core: pipeline.ports.ObjectStore.create */
    if
#ifdef OVERWRITE
    :: true ->
#else
    :: witness[number] == 0 ->
#endif
        assert(before[mine] == (number > 1 -> witness[number - 1] : 0));
        assert(log[number] == 0);
        witness[number] = mine; created = true
    :: else -> created = false
    fi
}

#define copy(from, to, number) \
    if :: to[number] == 0 -> to[number] = from[number] :: else -> skip fi; assert(to[number] == from[number])

proctype late(byte number, mine) {               /* a create whose sender waits no longer */
    bool created;
    atomic { claim(number, mine) }
}

proctype signer() {
    byte ours, theirs, mine, at; bool created;

resume: ours = 0; theirs = 0; mine = 0; at = 0; created = false;
#ifdef LOG_FIRST
    atomic { newest(log, ours) };
    atomic { newest(witness, theirs) };
#else
    atomic { newest(witness, theirs) };          /* core: pipeline.delivery.roots.RootWriter._resume */
    atomic { newest(log, ours) };
#endif
    assert(theirs <= ours + 1);
    if                                           /* core: pipeline.delivery.roots.RootWriter._same_in_both */
    :: theirs == ours + 1 ->
#ifndef SKIP_COPY
        atomic { copy(witness, log, theirs) };
#endif
        ours = theirs
    :: theirs <= ours ->
#ifndef NEW_WITNESS_EMPTY
        at = theirs;
        do
        :: atomic { at < ours -> at++; copy(log, witness, at) }
        :: atomic { at < ours && lost_answer; goto resume }
        :: atomic { at == ours -> break }
        od
#endif
    fi;
    if
    :: ours == N -> goto done
    :: ours < N -> skip
    fi;
    atomic { made++; mine = made; before[mine] = (ours > 0 -> log[ours] : 0);
#ifdef SKIP_COPY
             before[mine] = (ours > 0 -> witness[ours] : 0)
#endif
           };
    if                                           /* core: pipeline.delivery.roots.RootWriter._sign */
    :: atomic { claim(ours + 1, mine) };
#ifdef TAKEN_IS_OURS
        atomic { if :: log[ours + 1] == 0 -> log[ours + 1] = mine :: else -> skip fi;
                 assert(log[ours + 1] == witness[ours + 1]) }
#endif
    :: atomic { lost_answer; run late(ours + 1, mine) }
    fi;
    goto resume;
done: skip
}

init {
    atomic {
        if
        :: true                                  /* the witness is there from the start */
        :: made = 1; log[1] = 1
        fi;
        run signer(); run signer()
    };
    timeout;
    assert(witness[N] > 0 && log[N] == witness[N])
}

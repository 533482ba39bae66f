"""The pipeline from outside: its commands as processes, on emulators, judged by what is found at the ends."""

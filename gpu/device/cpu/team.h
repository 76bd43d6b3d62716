// A team is the calling thread and workers-1 others that run one region at a
// time together. Within a region, tasks are numbers claimed from one counter:
// whoever is free takes the next, so a thread that the system holds up costs
// one task and not a whole share.
#ifndef TEAM_H
#define TEAM_H

typedef struct team team;
typedef void (*team_body)(team *t, int worker, void *job);

// team_new starts the threads; NULL when the system refuses one.
team *team_new(int workers);
// team_free stops and joins them.
void team_free(team *t);
int team_workers(const team *t);

// team_run runs body on every member, or on the caller alone unless wide, and
// returns when all have finished.
void team_run(team *t, int wide, team_body body, void *job);
// team_claim gives the next task of this phase, from 0.
long team_claim(team *t);
// team_barrier waits for all members and starts the count of tasks again.
void team_barrier(team *t);

#endif

#define _GNU_SOURCE
#include "team.h"

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <time.h>

// Waking a sleeping thread costs as much as a small matrix product, and the
// operators of a training step follow each other closely. So a waiting member
// first spins, then offers its core to others, and sleeps only after a
// millisecond without work.
enum { SPINS = 2000, PATIENCE_NS = 1000000 };

struct team {
	_Alignas(64) atomic_long next;        // the next task
	_Alignas(64) atomic_int arrived;      // members at the barrier
	_Alignas(64) atomic_uint phase;       // barriers passed
	_Alignas(64) atomic_uint generation;  // regions begun
	_Alignas(64) atomic_int sleepers;
	int workers, wide, stopping;
	team_body body;
	void *job;
	pthread_mutex_t lock;
	pthread_cond_t wake;
	int started;
	struct member {
		team *team;
		int worker;
		pthread_t thread;
	} members[];
};

static void relax(void) {
#if defined(__x86_64__)
	__builtin_ia32_pause();
#elif defined(__aarch64__)
	__asm__ volatile("yield");
#endif
}

static long nanoseconds(void) {
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000000L + t.tv_nsec;
}

// await returns when *word is no longer old.
static void await(team *t, atomic_uint *word, unsigned old) {
	for (int i = 0; i < SPINS; i++) {
		if (atomic_load_explicit(word, memory_order_acquire) != old) return;
		relax();
	}
	long since = nanoseconds();
	while (nanoseconds() - since < PATIENCE_NS) {
		for (int i = 0; i < 32; i++) {
			if (atomic_load_explicit(word, memory_order_acquire) != old) return;
			relax();
		}
		sched_yield();
	}
	// The sleeper announces itself and then looks at the word; announce writes
	// the word and then looks for sleepers. Both are sequentially consistent,
	// so one of them sees the other.
	pthread_mutex_lock(&t->lock);
	atomic_fetch_add(&t->sleepers, 1);
	while (atomic_load(word) == old) pthread_cond_wait(&t->wake, &t->lock);
	atomic_fetch_sub(&t->sleepers, 1);
	pthread_mutex_unlock(&t->lock);
}

// announce increments *word and wakes who sleeps on it.
static void announce(team *t, atomic_uint *word) {
	atomic_fetch_add(word, 1);
	if (atomic_load(&t->sleepers) > 0) {
		pthread_mutex_lock(&t->lock);
		pthread_cond_broadcast(&t->wake);
		pthread_mutex_unlock(&t->lock);
	}
}

long team_claim(team *t) {
	return atomic_fetch_add_explicit(&t->next, 1, memory_order_relaxed);
}

void team_barrier(team *t) {
	if (!t->wide) {
		atomic_store_explicit(&t->next, 0, memory_order_relaxed);
		return;
	}
	unsigned phase = atomic_load_explicit(&t->phase, memory_order_relaxed);
	if (atomic_fetch_add(&t->arrived, 1) + 1 < t->workers) {
		await(t, &t->phase, phase);
		return;
	}
	atomic_store_explicit(&t->arrived, 0, memory_order_relaxed);
	atomic_store_explicit(&t->next, 0, memory_order_relaxed);
	announce(t, &t->phase);
}

static void *serve(void *argument) {
	struct member *m = argument;
	team *t = m->team;
	for (unsigned seen = 0;; seen++) {
		await(t, &t->generation, seen);
		if (t->stopping) return NULL;
		t->body(t, m->worker, t->job);
		team_barrier(t);
	}
}

void team_run(team *t, int wide, team_body body, void *job) {
	t->wide = wide && t->workers > 1;
	t->body = body;
	t->job = job;
	if (t->wide) announce(t, &t->generation);
	body(t, 0, job);
	team_barrier(t);
}

int team_workers(const team *t) { return t->workers; }

team *team_new(int workers) {
	size_t size = sizeof(team) + (size_t)workers * sizeof(struct member);
	team *t = aligned_alloc(64, (size + 63) / 64 * 64);
	if (!t) return NULL;
	*t = (team){.workers = workers, .started = 1};
	pthread_mutex_init(&t->lock, NULL);
	pthread_cond_init(&t->wake, NULL);
	// Signals are the Go runtime's: its own threads take them.
	sigset_t all, before;
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	for (int i = 1; i < workers; i++) {
		t->members[i] = (struct member){.team = t, .worker = i};
		if (pthread_create(&t->members[i].thread, NULL, serve, &t->members[i])) break;
#ifdef __linux__
		pthread_setname_np(t->members[i].thread, "glmflow-cpu"); // for top and for tests
#endif
		t->started++;
	}
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (t->started == workers) return t;
	team_free(t);
	return NULL;
}

void team_free(team *t) {
	t->stopping = 1;
	announce(t, &t->generation);
	for (int i = 1; i < t->started; i++) pthread_join(t->members[i].thread, NULL);
	pthread_cond_destroy(&t->wake);
	pthread_mutex_destroy(&t->lock);
	free(t);
}

//go:build cuda && linux && (amd64 || arm64)

// The table that the trampolines jump through, and the one function that fills
// it. Results are CUresult values of the driver's interface.

#define _GNU_SOURCE
#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

enum { NOT_INITIALIZED = 3, NOT_FOUND = 500 };

static int not_loaded(void) { return NOT_INITIALIZED; }
static int not_exported(void) { return NOT_FOUND; }

// cu calls cuInit before main and ends the process unless it succeeds, so this
// one agrees to anything; the real one is called by glmflow_cuda_load.
int cuInit(unsigned flags) {
	(void)flags;
	return 0;
}

static const char *const names[] = {
#define SYMBOL(index, name) [index] = #name,
#include "symbols.h"
#undef SYMBOL
};

enum { COUNT = sizeof names / sizeof *names };

__attribute__((visibility("hidden"))) void *glmflow_cuda_table[COUNT] = {[0 ... COUNT - 1] = (void *)not_loaded};

// glmflow_cuda_load opens the library, initialises the driver and fills the
// table. It returns NULL, or why not in memory that the caller frees; then the
// table is as before. A library stays open even so: drivers start threads.
char *glmflow_cuda_load(const char *library) {
	static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
	static int loaded;
	char *why = NULL;

	pthread_mutex_lock(&lock);
	if (!loaded) {
		void *handle = dlopen(library, RTLD_NOW | RTLD_LOCAL);
		int (*init)(unsigned) = handle ? (int (*)(unsigned))dlsym(handle, "cuInit") : NULL;
		int (*describe)(int, const char **) =
			handle ? (int (*)(int, const char **))dlsym(handle, "cuGetErrorString") : NULL;
		int result;
		if (!handle) {
			why = strdup(dlerror());
		} else if (!init) {
			if (asprintf(&why, "%s: no function cuInit, so this is no CUDA driver", library) < 0)
				why = strdup("out of memory");
		} else if ((result = init(0)) != 0) {
			const char *text = NULL;
			if (!describe || describe(result, &text) != 0 || !text)
				text = "unknown error";
			if (asprintf(&why, "cuInit: %s (%d)", text, result) < 0)
				why = strdup("out of memory");
		} else {
			for (int i = 0; i < COUNT; i++) {
				void *entry = dlsym(handle, names[i]);
				glmflow_cuda_table[i] = entry ? entry : (void *)not_exported;
			}
			loaded = 1;
		}
	}
	pthread_mutex_unlock(&lock);
	return why;
}

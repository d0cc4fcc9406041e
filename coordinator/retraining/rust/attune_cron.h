#pragma once

/* The C ABI of the Rust library in this folder (src/lib.rs). Private to coordinator/retraining.
 *
 * Times are whole seconds since 1970, UTC. A function that can fail returns one of the codes below
 * and, unless it is ATTUNE_CRON_OK, a message in error: at most error_size bytes with the final
 * zero. No panic crosses this border. Handles are immutable: any number of threads may use one;
 * free each once. */

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

enum {
  ATTUNE_CRON_OK = 0,
  ATTUNE_CRON_INVALID = 1,
  ATTUNE_CRON_NEVER = 2, /* no date within 45 years is like that */
  ATTUNE_CRON_PANIC = 3  /* a bug in the library */
};

int32_t attune_cron_new(const uint8_t* expression, size_t expression_size, const uint8_t* timezone,
                        size_t timezone_size, void** cron, char* error, size_t error_size);
void attune_cron_free(void* cron);
/* The first firing after a time. */
int32_t attune_cron_next(const void* cron, int64_t after, int64_t* next, char* error,
                         size_t error_size);
/* "Mon 2026-11-30 03:00:00 CET", cut to local_size bytes with the final zero. */
int32_t attune_cron_local(const void* cron, int64_t time, char* local, size_t local_size,
                          char* error, size_t error_size);

#ifdef __cplusplus
}
#endif

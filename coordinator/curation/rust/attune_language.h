#pragma once

/* The C ABI of the Rust library in this folder (src/lib.rs). Private to coordinator/curation. No
 * panic crosses this border. There is no state: any number of threads. */

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

enum {
  ATTUNE_LANGUAGE_OK = 0,
  ATTUNE_LANGUAGE_UNKNOWN = 1, /* no letters, or not UTF-8; of _at: no further language */
  ATTUNE_LANGUAGE_PANIC = 2    /* a bug in the library */
};

/* The likeliest language of UTF-8 text: ISO 639-3, three letters and a zero, in code. */
int32_t attune_language_detect(const uint8_t* text, size_t size, char* code, double* confidence,
                               int32_t* reliable);
/* The languages that there are, by an index from 0. */
int32_t attune_language_at(size_t index, char* code);

#ifdef __cplusplus
}
#endif

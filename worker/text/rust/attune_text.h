#pragma once

/* The C ABI of the Rust library in this folder (src/lib.rs). Private to worker/text.
 *
 * Every text is UTF-8 given as pointer and size. A function that can fail returns one of the codes
 * below and, unless it is ATTUNE_TEXT_OK, a message in *error, which the caller frees. No panic
 * crosses this border. Handles are immutable: any number of threads may use one; free each once. */

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

enum {
  ATTUNE_TEXT_OK = 0,
  ATTUNE_TEXT_INVALID = 1, /* the input is wrong, or over a limit on size, steps or memory */
  ATTUNE_TEXT_PANIC = 2    /* a bug in the library */
};

typedef struct AttuneBytes {
  uint8_t* data;
  size_t size;
  size_t capacity;
} AttuneBytes;

typedef struct AttuneIds {
  uint32_t* data;
  size_t size;
  size_t capacity;
} AttuneIds;

void attune_bytes_free(AttuneBytes bytes);
void attune_ids_free(AttuneIds ids);

int32_t attune_tokenizer_new(const uint8_t* json, size_t json_size, void** tokenizer,
                             AttuneBytes* error);
/* A copy whose post-processor adds bos before and eos after a text; an empty one is not added. */
int32_t attune_tokenizer_framed(const void* tokenizer, const uint8_t* bos, size_t bos_size,
                                const uint8_t* eos, size_t eos_size, void** framed,
                                AttuneBytes* error);
/* A copy that encodes by the crate `tokenizers` alone (byte_level.rs). */
int32_t attune_tokenizer_by_crate(const void* tokenizer, void** by_crate, AttuneBytes* error);
int32_t attune_tokenizer_is_fast(const void* tokenizer);
void attune_tokenizer_free(void* tokenizer);
/* offsets may be null; else it gets two byte positions for each id. */
int32_t attune_tokenizer_encode(const void* tokenizer, const uint8_t* text, size_t text_size,
                                int32_t add_special, AttuneIds* ids, AttuneIds* offsets,
                                AttuneBytes* error);
/* *same: how many of the first ids are also those of the text's first start_size bytes alone. */
int32_t attune_tokenizer_encode_after(const void* tokenizer, const uint8_t* text, size_t text_size,
                                      size_t start_size, int32_t add_special, AttuneIds* ids,
                                      size_t* same, AttuneBytes* error);
int32_t attune_tokenizer_decode(const void* tokenizer, const uint32_t* ids, size_t ids_size,
                                int32_t skip_special, AttuneBytes* text, AttuneBytes* error);
uint32_t attune_tokenizer_size(const void* tokenizer);
/* -1 when there is none. */
int64_t attune_tokenizer_token_to_id(const void* tokenizer, const uint8_t* token,
                                     size_t token_size);

/* An empty bos or eos token is undefined in the template. */
int32_t attune_template_new(const uint8_t* source, size_t source_size, const uint8_t* bos,
                            size_t bos_size, const uint8_t* eos, size_t eos_size,
                            void** chat_template, AttuneBytes* error);
void attune_template_free(void* chat_template);
/* tools may be empty. */
int32_t attune_template_render(const void* chat_template, const uint8_t* messages,
                               size_t messages_size, const uint8_t* tools, size_t tools_size,
                               int32_t add_generation_prompt, AttuneBytes* text,
                               AttuneBytes* error);

#ifdef __cplusplus
}
#endif
